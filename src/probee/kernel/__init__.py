"""The only wing that talks to a kernel."""
