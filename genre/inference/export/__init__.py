"""Predictions as files for other programs and for people: label tracks and pictures, and safe names for them."""
