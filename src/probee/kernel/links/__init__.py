"""Live links: one file per way of attaching; `attach(spec, program)` of attach.py picks it."""
