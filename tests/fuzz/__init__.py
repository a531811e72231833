"""Hostile and broken files, made from a seed and a number, each decoded in a process that may crash."""
