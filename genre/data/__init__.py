"""Folders of music to archives of log-mel arrays, splits by artist and training windows."""
