"""Recordings are classified, also live and on a cluster; predictions are explained and written to files."""

MAX_OVERLAP = 0.95  # fraction of a window: the windows of a clip are classified at once, so memory grows with it
