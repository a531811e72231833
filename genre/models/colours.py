"""Colours of a model's labels, the same on the page and in pictures."""

# Eight colours that colour-blind people can tell apart (Okabe and Ito, 2008; grey instead of black for the dark theme).
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c8c8c", "#e69f00", "#56b4e9", "#c9b100"]


def colour(genre: str, labels: list[str]) -> str:
    """Colour of a genre, by its position in `labels`, as #rrggbb."""
    return COLOURS[labels.index(genre) % len(COLOURS)]
