"""Label tracks for Audacity: plain text, a line a label with start, end and text separated by tabs.

The format is that of "Importing and Exporting Labels" in Audacity's manual.
"""

from genre.inference.prediction import SILENCE_NAME, Prediction, Window

SUFFIX = ".labels.txt"


def label_track(prediction: Prediction) -> str:
    """Labels "Section: Rock" for the sections, then "Window: Rock 62%" for the windows; times in seconds.

    The sections follow one another from 0 to the end of the recording.
    """
    found = [_line(one.start, one.end, f"Section: {one.name}") for one in prediction.sections]
    return "".join(found + [_line(one.start, one.end, f"Window: {_text(one)}") for one in prediction.windows])


def _text(window: Window) -> str:
    return f"{window.genre} {window.probabilities[window.genre]:.0%}" if window.genre else SILENCE_NAME


def _line(start: float, end: float, text: str) -> str:
    """One label; genres are names of folders and may hold tabs and line breaks."""
    return f"{start:.6f}\t{end:.6f}\t{' '.join(text.split())}\n"
