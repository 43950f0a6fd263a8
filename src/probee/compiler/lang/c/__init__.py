"""BCC's C: preprocessor, parser, types and lowering of the C programs that BCC's Python programs carry."""

from probee.compiler.lang.c import library

library.prepare()
