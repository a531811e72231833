"""Windows to a prediction for a recording; sections, explanations, reports, batches on a cluster."""
