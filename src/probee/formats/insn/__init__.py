"""BPF instructions: encode, decode, assemble, disassemble, interpret.  Bytes and text only; no kernel."""
