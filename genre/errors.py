"""The errors a person may meet. Each message is one sentence that says what is wrong and, where it can, what to do."""


class GenreError(Exception):
    """Base of every error this package raises on purpose; its text is fit to show to a visitor."""


class AudioError(GenreError):
    """The file holds nothing that can be heard."""


class CheckpointError(GenreError):
    """A checkpoint is missing, incomplete or damaged."""


class DataError(GenreError):
    """Training data is missing or not in the documented layout."""
