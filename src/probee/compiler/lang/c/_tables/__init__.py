"""What the kernel's headers have and its BTF has not: constants, aliases of members, inline functions, macros."""
