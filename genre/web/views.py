"""HTML of the prediction card, the timeline and the explanation. The texts are in `genre.web.texts`.

File names, labels and messages are untrusted input and are escaped here.
"""

from collections.abc import Sequence
from html import escape

from genre.features.image import data_uri, mel_position
from genre.inference.explain import Explanation, attribution_image
from genre.inference.export import colour
from genre.inference.prediction import SILENCE_NAME, Prediction, Section, Window, clock, window_edges
from genre.models.model import GenreModel, main_source
from genre.web import texts

NOTES = {"A4": 440, "A5": 880, "A6": 1760, "A7": 3520, "A8": 7040}
TICK_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800)
MOST_TICKS = 8
FAINTEST = 0.02  # probability of a cell that is drawn; fainter ones cannot be seen


def note(headline: str, more: str = "", kind: str = "empty", role: str = "group") -> str:
    """A card without a prediction; screen readers read a "status" or an "alert" out whenever it changes."""
    small = f"<p>{escape(more)}</p>" if more else ""
    return f'<div class="prediction {kind}" role="{role}"><p class="genre">{headline}</p>{small}</div>'


EMPTY = note(texts.EMPTY, texts.EMPTY_MORE, role="status")
CLASSIFYING = note(texts.CLASSIFYING, kind="empty busy", role="status")
PICK = note(texts.PICK)
EXPLAINING = f'<div class="why busy" role="status"><p>{texts.EXPLAINING}</p></div>'


def intro(labels: list[str], origin: str = "") -> str:
    """Title and introduction, with a sentence on whose model it is."""
    whose = f'<p class="origin">{escape(origin)}</p>' if origin else ""
    return (
        f'<div class="intro"><h1>{texts.TITLE}</h1>{whose}<p>{escape(texts.intro(labels))}</p>'
        f"<details><summary>{texts.CANNOT_KNOW}</summary><p>{escape(texts.cannot_know(labels))}</p></details></div>"
    )


def about(model: GenreModel) -> str:
    metrics = model.metrics
    facts = texts.origin(metrics["training"]) if metrics else ""
    if "probe" in metrics.get("training", {}):
        facts += texts.cross_validation(metrics["validation"][main_source(metrics, "validation")])
    elif "test" in metrics:
        name = main_source(metrics, "test")
        facts += texts.score(name, metrics["test"][name], len(model.labels))
    return (
        f'<div class="about"><p><b>About the model.</b> {escape(facts)}{texts.GENRES_OVERLAP}</p>'
        f"<p><b>Privacy.</b> {texts.PRIVACY}</p></div>"
    )


def alert(message: str) -> str:
    return f'<p class="alert" role="alert">{escape(message)}</p>'


def alert_box(message: str) -> str:
    """An alert in a box, as the progress of a tab is."""
    return f'<div class="progress">{alert(message)}</div>'


def error(message: str) -> str:
    """An alert in place of a prediction card."""
    return note(texts.NO_RESULT, message, "error", "alert")


def prediction_card(prediction: Prediction, labels: list[str], coverage: str, role: str = "status") -> str:
    """The genre in large type, its confidence, bars of the three most probable genres, and small print.

    Args:
        labels: of the model.
        coverage: what was classified, at the end of the small print.
        role: ARIA role; screen readers read a "status" out whenever it changes.
    """
    headline = prediction.headline
    certainty = "confident" if headline.kind == "genre" else "uncertain"
    spans = [(clock(section.start), clock(section.end), section.name) for section in prediction.sections]
    sections = f'<span class="sections">{escape(texts.sections(spans))}</span> ' if len(spans) > 1 else ""
    notes = f'<p class="notes">{escape(" ".join(prediction.notes))}</p>' if prediction.notes else ""
    return (
        f'<div class="prediction {certainty}" role="{role}" style="--colour:{colour(prediction.genre, labels)}">'
        f'<p>{texts.LEADS[headline.kind]}</p><h2 class="genre">{escape(headline.text)}</h2>'
        f'<p class="confidence">{escape(headline.detail)}</p>'
        f"{_bars(list(prediction.probabilities.items())[:3], labels)}"
        f'<p class="coverage">{sections}{texts.NEAREST.format(number=len(labels))} {escape(coverage)}</p>{notes}</div>'
    )


def _bars(items: list[tuple[str, float]], labels: list[str]) -> str:
    bars = "".join(
        f'<li style="--colour:{colour(genre, labels)};--fraction:{p:.4f}"><span>{escape(genre)}</span>'
        f'<i aria-hidden="true"></i><b>{p:.0%}</b></li>'
        for genre, p in items
    )
    return f'<ol class="bars">{bars}</ol>'


def coverage(prediction: Prediction) -> str:
    """Duration and number of windows that were classified; the caller adds the end of the sentence."""
    return texts.coverage(clock(prediction.seconds), len(prediction.windows))


def why(explanation: Explanation, labels: list[str]) -> str:
    """The attribution map of one window, and the probabilities of all genres."""
    start, end = clock(explanation.start), clock(explanation.end)
    title = texts.WHY.format(genre=explanation.genre, start=start, end=end)
    return (
        f'<div class="why" role="status"><figure><img alt="{escape(texts.WHY_ALT)}" '
        f'src="{data_uri(attribution_image(explanation))}"><figcaption>{texts.WHY_METHOD}</figcaption></figure>'
        f"<div><h3>{escape(title)}</h3>{_bars(list(explanation.probabilities.items()), labels)}</div></div>"
    )


def timeline(
    prediction: Prediction, labels: list[str], spectrogram: str, highest_hz: float, audio_url: str | None
) -> str:
    """Spectrogram and predictions of the windows on one time axis, with a player; timeline.js adds the behaviour.

    Args:
        spectrogram: image as a data URI.
        highest_hz: top of its frequency axis, in Hz.
        audio_url: of the playback copy; empty while it is being made, None where there is none.
    """
    seconds = prediction.seconds
    genres = list(prediction.probabilities)
    image = f'<img alt="Spectrogram, 0 to {highest_hz / 1000:.0f} kHz" src="{spectrogram}">'
    roll = (
        f'<div class="plot roll" tabindex="0" role="slider" aria-label="{texts.POSITION}" aria-valuemin="0" '
        f'aria-valuemax="{seconds:.0f}" aria-valuenow="0">{_roll(prediction, labels, genres)}</div>'
    )
    strip = _sections(prediction.sections, seconds, labels)
    silent = texts.UNPLAYABLE if audio_url is None else texts.NOT_YET_PLAYABLE
    source = f'preload="metadata" src="{escape(audio_url)}"' if audio_url else f'data-silent="{silent}"'
    return (
        f'<div class="timeline" data-seconds="{seconds:.3f}">'
        f"<audio {source}></audio>"
        + _player(clock(seconds), texts.UNPLAYABLE if audio_url is None else texts.WHY_HINT)
        + _axes(_notes(highest_hz), image, strip, _scale(genres, labels), roll, _ticks(seconds))
        + "</div>"
    )


def blank_timeline(labels: list[str]) -> str:
    """Placeholder of the same size as a timeline."""
    roll = f'<div class="plot roll"><p>{texts.BLANK_ROLL}</p></div>'
    return (
        '<div class="timeline blank">'
        + _player("0:00", "", "disabled")
        + _axes("", f"<p>{texts.BLANK_SPECTROGRAM}</p>", "", _scale(labels, labels), roll, "")
        + "</div>"
    )


def _player(length: str, hint: str, state: str = "") -> str:
    return (
        f'<div class="player"><button class="play" type="button" aria-label="Play" {state}>'
        f'<span aria-hidden="true"></span></button><span class="clock"><b>0:00</b> / {length}</span>'
        f'<span class="now">{hint}</span></div>'
    )


def _axes(notes: str, spectrogram: str, strip: str, genres: str, roll: str, ticks: str) -> str:
    """Grid of plots on one time axis, each with its scale on the left."""
    return (
        f'<div class="axes"><div class="scale">{notes}</div><div class="plot spectrogram">{spectrogram}</div>'
        f'<div class="plot sections">{strip}</div>'
        f'<div class="scale genres">{genres}</div>{roll}<div class="ticks">{ticks}</div>'
        '<div class="cursor" aria-hidden="true"></div></div>'
    )


def _scale(genres: list[str], labels: list[str]) -> str:
    return "".join(f'<span style="--colour:{colour(genre, labels)}">{escape(genre)}</span>' for genre in genres)


def _sections(found: Sequence[Section], seconds: float, labels: list[str]) -> str:
    """One labelled box a section; silence is transparent."""
    return "".join(
        f'<span style="--colour:{section_colour(s, labels)};left:{s.start / seconds:.3%};'
        f'width:{(s.end - s.start) / seconds:.3%}" title="{escape(s.name)}"><b>{escape(s.name)}</b></span>'
        for s in found
    )


def _notes(highest_hz: float) -> str:
    return "".join(
        f'<span style="bottom:{mel_position(hz, highest_hz):.2%}">{name} <i>{hz} Hz</i></span>'
        for name, hz in NOTES.items()
        if hz < highest_hz
    )


def _roll(prediction: Prediction, labels: list[str], genres: list[str]) -> str:
    """SVG with a row a genre and a column a window; opacity is probability, a bar on top marks the most probable genre.

    Windows that overlap are separated in the middle of their overlap, so that no columns lie on one another. A silent
    window is an empty column without a genre.
    """
    edges = window_edges(prediction.windows, prediction.seconds)
    columns = [
        _column(number, window, edges[number], edges[number + 1], labels, genres)
        for number, window in enumerate(prediction.windows)
    ]
    return (
        f'<svg viewBox="0 0 {prediction.seconds:.3f} {len(genres)}" preserveAspectRatio="none" role="img" '
        f'aria-label="Genre of each window">{"".join(columns)}</svg>'
    )


def _column(number: int, window: Window, left: float, right: float, labels: list[str], genres: list[str]) -> str:
    """A window, drawn from `left` to `right` seconds, see `window_edges`."""
    span, width = f"{clock(window.start)} to {clock(window.end)}", f"{right - left:.3f}"
    summary = ", ".join(f"{escape(g)} {p:.0%}" for g, p in list(window.probabilities.items())[:3]) or SILENCE_NAME
    return (
        f'<g class="window" data-window="{number}" data-start="{window.start:.3f}" data-from="{left:.3f}" '
        f'data-genre="{escape(window.genre or "")}" data-summary="{summary}" transform="translate({left:.3f} 0)">'
        f"<title>{span}: {summary}</title>{_cells(window, width, labels, genres)}"
        f'<rect class="frame" width="{width}" height="{len(genres)}"/></g>'
    )


def _cells(window: Window, width: str, labels: list[str], genres: list[str]) -> str:
    """Probabilities of a window, from top to bottom in the order of `genres`."""
    if window.genre is None:
        return ""
    rows = "".join(
        f'<rect y="{row}" width="{width}" height="1" fill="{colour(g, labels)}" '
        f'fill-opacity="{window.probabilities[g]:.2f}"/>'
        for row, g in enumerate(genres)
        if window.probabilities[g] >= FAINTEST
    )
    top = genres.index(window.genre)
    return rows + f'<rect y="{top}" width="{width}" height=".16" fill="{colour(window.genre, labels)}"/>'


def _ticks(seconds: float) -> str:
    step = next((s for s in TICK_SECONDS if seconds / s <= MOST_TICKS), TICK_SECONDS[-1])
    marks = [i * step for i in range(int(seconds / step) + 1)]
    return "".join(f'<span style="--at:{at / seconds:.3%}">{clock(at)}</span>' for at in marks)


def section_colour(section: Section, labels: list[str]) -> str:
    """Colour of its genre; transparent for silence."""
    return colour(section.genre, labels) if section.genre else "transparent"
