"""Errors for users. Each message is one sentence with the reason and, where possible, a remedy."""


class GenreError(Exception):
    """Base of all errors that this package raises on purpose; their messages may be shown to users."""


class AudioError(GenreError):
    """A file or stream cannot be decoded to audio."""


class CheckpointError(GenreError):
    """A checkpoint is missing, incomplete or damaged."""


class DataError(GenreError):
    """Training data is missing or not in the documented layout."""
