"""Macros and inline functions of kernel headers."""
MACROS: dict[str, str] = {}
MACROS_OF_ARCH: dict[str, dict[str, str]] = {}
FUNCTIONS: dict[str, str] = {}
