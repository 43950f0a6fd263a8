"""Live maps: one file per family; `create(spec)` of create.py picks the class."""
