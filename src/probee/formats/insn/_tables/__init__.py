"""Generated tables of this room; imported only when a name is asked for."""
