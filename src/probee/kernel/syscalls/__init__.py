"""The one door to the operating system: system calls, their structures, and who owns the descriptors they give."""
