"""Attach points: parse, match, list and describe them, given a Target; no operating system."""
