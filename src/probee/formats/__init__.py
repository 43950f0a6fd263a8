"""Bytes to model and back; no operating system."""
