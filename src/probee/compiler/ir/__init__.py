"""The one intermediate representation: SSA values in basic blocks, typed, every pointer knowing where it points."""
