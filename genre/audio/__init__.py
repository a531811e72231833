"""Recordings of every kind are decoded to mono samples, cut into clips and windows, and augmented."""
