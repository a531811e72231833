"""Windows to a prediction for a recording; sections, explanations, reports, batches on a cluster."""

MAX_OVERLAP = 0.95  # fraction of a window: the windows of a clip are classified at once, so memory grows with it


def check_overlap(overlap: float) -> None:
    """Raise ValueError if the overlap of windows is out of range."""
    if not 0 <= overlap <= MAX_OVERLAP:
        raise ValueError(f"overlap must be from 0 to {MAX_OVERLAP}, not {overlap}")
