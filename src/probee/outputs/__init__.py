"""Outputs: one writer per file; each takes lists of events (model/event.py) and writes them in its form."""
