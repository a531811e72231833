"""Windows to a prediction for a recording; sections, explanations, reports, batches on a cluster."""

MAX_OVERLAP = 0.95  # fraction of a window: the windows of a clip are classified at once, so memory grows with it
