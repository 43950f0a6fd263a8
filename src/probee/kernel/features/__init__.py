"""Named, cached kernel features; every probe is a small real attempt, never a version comparison."""
