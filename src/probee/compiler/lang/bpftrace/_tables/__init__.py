"""Generated tables of names that scripts ask for by number; generate.py writes them."""
