"""Windows to a prediction for a recording; sections, explanation, reports, many files at once."""
