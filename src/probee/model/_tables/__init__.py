"""Tables of constants; each module says where its numbers come from."""
