"""BCC's C: preprocessor, parser, types and lowering of the C programs that BCC's Python programs carry."""

import sys

if sys.version_info < (3, 11):
    from probee.errors import Unsupported

    raise Unsupported("programs in C need Python 3.11 or newer, as pycparser 3.12 does, which reads them")

from probee.compiler.lang.c import library

library.prepare()
