"""The runtime: runs an ObjectSpec.  Session owns everything; the ring reader, decoders and actions are its parts."""
