"""ELF files: reading executables and libraries, their symbols and USDT probes; writing objects for BPF."""
