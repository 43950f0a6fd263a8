"""The bpftrace language: text → AST → typed AST → IR. `parser.parse` is the way in."""
