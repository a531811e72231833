"""The command line: classify files and folders, and stop when asked to."""
