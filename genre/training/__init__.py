"""From training windows to trained members: recipes, the loop, calibration, evaluation, the music detector."""
