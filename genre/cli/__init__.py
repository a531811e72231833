"""The command line: classify files and folders, and stop cleanly on a signal."""
