"""IR to machine code: selection, liveness, register allocation, stack frame, layout, line information."""
