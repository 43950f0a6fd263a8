"""Facts by architecture, one small module each, imported when asked for."""
