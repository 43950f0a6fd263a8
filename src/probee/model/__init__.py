"""What things are: types, specs, records, targets.  No bytes, no operating system; everything here is inert."""
