"""Text to ObjectSpec, given a Target; never touches a kernel."""
