"""Recordings are classified, also live and on a cluster; predictions are explained and written to files."""

MAX_OVERLAP = 0.95  # fraction of a window: the windows of a clip are classified at once, so memory grows with it


def check_overlap(overlap: float) -> None:
    """Raise ValueError if the overlap of windows is out of range."""
    if not 0 <= overlap <= MAX_OVERLAP:
        raise ValueError(f"overlap must be from 0 to {MAX_OVERLAP}, not {overlap}")
