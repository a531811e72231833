"""Training of members: recipes, the training loop, calibration, evaluation, the music detector."""
