"""BCC's C: preprocessor, parser, types and lowering of the C programs that BCC's Python programs carry."""
