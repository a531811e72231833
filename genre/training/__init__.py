"""Members are trained by recipes, or get new heads by a linear probe; models are calibrated and evaluated."""
