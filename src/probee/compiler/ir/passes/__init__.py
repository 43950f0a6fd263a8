"""Passes over the IR, one per file; their order is one list in one place."""
