"""Hostile and broken files, made from a seed and a number, each heard in a process that may crash."""
