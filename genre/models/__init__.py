"""Ensemble members, the checkpoint folder that holds them, and the music detector."""
