"""ELF files.  Here so far: writing relocatable objects for BPF."""
