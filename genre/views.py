"""The HTML that the page shows: verdict, timeline, states. Every text a visitor reads about a result is here.

File names, labels and messages come from outside and are escaped wherever they are shown.
"""

from html import escape

from genre.classify import Prediction
from genre.spectrogram import mel_position

# Eight colours that colour-blind people can tell apart (Okabe and Ito, 2008; grey instead of black for the dark theme).
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8c8c8c", "#e69f00", "#56b4e9", "#c9b100"]
NOTES = {"A3": 220, "A4": 440, "A5": 880, "A6": 1760, "A7": 3520, "A8": 7040}
CLOSE = 0.10  # a runner-up within this of the winner is named with it
TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)
MOST_TICKS = 8

EMPTY = (
    '<div class="verdict empty"><p class="genre">Drop a song, record a few seconds, or try an example.</p>'
    "<p>The genre appears here, with the spectrogram and the verdict of every 3-second window.</p></div>"
)
LISTENING = '<div class="verdict empty" role="status"><p class="genre">Listening …</p></div>'


def error(message: str) -> str:
    return f'<div class="verdict error" role="alert"><p class="genre">No verdict</p><p>{escape(message)}</p></div>'


def verdict(prediction: Prediction, labels: list[str], heard_all: bool, limit_seconds: float) -> str:
    """The genre in large type, how sure that is, and the three likeliest as bars."""
    (first, p), (second, q) = list(prediction.probabilities.items())[:2]
    close = f", with {escape(second)} close behind" if p - q < CLOSE else ""
    bars = "".join(
        f'<li style="--colour:{colour(genre, labels)};--part:{value:.4f}"><span>{escape(genre)}</span>'
        f'<i aria-hidden="true"></i><b>{value:.0%}</b></li>'
        for genre, value in list(prediction.probabilities.items())[:3]
    )
    return (
        f'<div class="verdict" role="status" style="--colour:{colour(first, labels)}"><p>This sounds like</p>'
        f'<h2 class="genre">{escape(first)}</h2>'
        f'<p class="confidence">{p:.0%} sure{close}</p><ol class="bars">{bars}</ol>'
        f'<p class="heard">{_heard(prediction, heard_all, limit_seconds)}</p></div>'
    )


def _heard(prediction: Prediction, heard_all: bool, limit_seconds: float) -> str:
    windows = len(prediction.windows)
    text = f"Heard {clock(round(prediction.seconds))} in {windows} window{'s' if windows > 1 else ''}"
    if not heard_all:
        return text + ", still listening …"
    if prediction.seconds >= limit_seconds:
        return f"{text}; longer files are heard up to there."
    return text + "."


def timeline(prediction: Prediction, labels: list[str], picture: str, highest_hz: float, audio_url: str) -> str:
    """Spectrogram and window verdicts over one time axis, with a player that the page's script brings to life.

    Args:
        picture: the spectrogram, as a data URI.
        highest_hz: top of its frequency axis.
        audio_url: where the browser finds the recording.
    """
    seconds = prediction.seconds
    genres = list(prediction.probabilities)
    return (
        f'<div class="timeline" data-seconds="{seconds:.3f}">'
        f'<audio preload="metadata" src="{escape(audio_url)}"></audio>'
        '<div class="player"><button class="play" type="button" aria-label="Play">'
        '<span aria-hidden="true"></span></button>'
        f'<span class="clock"><b>0:00</b> / {clock(round(seconds))}</span><span class="now"></span></div>'
        '<div class="axes"><div class="scale">' + _notes(highest_hz) + "</div>"
        f'<div class="plot spectrogram"><img alt="Spectrogram, 0 to {highest_hz / 1000:.0f} kHz" src="{picture}"></div>'
        '<div class="scale genres">'
        + "".join(f'<span style="--colour:{colour(g, labels)}">{escape(g)}</span>' for g in genres)
        + f'</div><div class="plot roll">{_roll(prediction, labels, genres)}</div>'
        f'<div class="scale"></div><div class="ticks">{_ticks(seconds)}</div>'
        '<div class="cursor" aria-hidden="true"></div></div></div>'
    )


def _notes(highest_hz: float) -> str:
    return "".join(
        f'<span style="bottom:{mel_position(hz, highest_hz):.2%}">{name} <i>{hz} Hz</i></span>'
        for name, hz in NOTES.items()
        if hz < highest_hz
    )


def _roll(prediction: Prediction, labels: list[str], genres: list[str]) -> str:
    """A row a genre, a column a window: the stronger the colour, the likelier; the likeliest has a bar on top."""
    cells = []
    for number, window in enumerate(prediction.windows):
        width = window.end - window.start
        said = ", ".join(f"{escape(g)} {p:.0%}" for g, p in list(window.probabilities.items())[:3])
        rows = "".join(
            f'<rect y="{row}" width="{width:.3f}" height="1" fill="{colour(g, labels)}" '
            f'fill-opacity="{window.probabilities[g]:.3f}"/>'
            for row, g in enumerate(genres)
        )
        top = genres.index(window.genre)
        rows += f'<rect y="{top}" width="{width:.3f}" height=".16" fill="{colour(window.genre, labels)}"/>'
        rows += f'<rect class="frame" width="{width:.3f}" height="{len(genres)}"/>'
        cells.append(
            f'<g class="window" data-window="{number}" data-start="{window.start:.3f}" data-end="{window.end:.3f}" '
            f'data-genre="{escape(window.genre)}" data-said="{said}" transform="translate({window.start:.3f} 0)">'
            f"<title>{clock(window.start)} to {clock(window.end)}: {said}</title>{rows}</g>"
        )
    return (
        f'<svg viewBox="0 0 {prediction.seconds:.3f} {len(genres)}" preserveAspectRatio="none" role="img" '
        f'aria-label="Genre of each window">{"".join(cells)}</svg>'
    )


def _ticks(seconds: float) -> str:
    step = next((s for s in TICK_SECONDS if seconds / s <= MOST_TICKS), TICK_SECONDS[-1])
    marks = [i * step for i in range(int(seconds / step) + 1)]
    return "".join(f'<span style="left:{at / seconds:.3%}">{clock(at)}</span>' for at in marks)


def colour(genre: str, labels: list[str]) -> str:
    """A genre's colour, the same everywhere on the page."""
    return COLOURS[labels.index(genre) % len(COLOURS)]


def clock(seconds: float) -> str:
    """1:05, or 1:01:05 past the hour."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
