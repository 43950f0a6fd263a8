"""The command line: main.py reads the words, one file per subcommand does the work; everything is imported inside functions."""
