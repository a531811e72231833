"""HTML of a batch: progress and a table with a row a song. Names, genres and messages are escaped here."""

from html import escape

from genre.errors import AudioError
from genre.inference.export import format_sections
from genre.inference.prediction import Prediction, Section, clock
from genre.models.colours import colour
from genre.web import texts, views
from genre.web.tabs.queue import Batch, Song

PICK = f'<div class="prediction empty"><p class="genre">{texts.PICK}</p></div>'


def status(batch: Batch, seconds: float = 0.0) -> str:
    """One line on the progress or the outcome, and a progress bar.

    Args:
        seconds: of the current song that have been classified.
    """
    done, total = len(batch.done), len(batch.songs)
    if not total and not batch.unclassified:
        return ""
    if batch.current and batch.working:
        so_far = clock(seconds) if seconds else ""
        line, more, kind = texts.progress(done, total), texts.classifying(batch.current.name, so_far), "classifying"
    else:
        kind = "left-out"
        line = texts.waiting(total - done) if done < total else texts.finished(done, len(batch.failed))
        more = " ".join([*texts.left_out(batch.unclassified, batch.too_many and len(batch.songs)), batch.notice])
    return (
        f'<div class="progress"><p><b role="status">{escape(line)}</b> <bdi class="{kind}">{escape(more)}</bdi></p>'
        f'<i aria-hidden="true" style="--fraction:{done / total if total else 0:.3f}"></i></div>'
    )


def rows(batch: Batch) -> str:
    """The table; a row with a result contains a button with its number as data-row."""
    if not batch.songs:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in texts.COLUMNS)
    body = "".join(_row(number, song, song is batch.current, batch.labels) for number, song in enumerate(batch.songs))
    return f'<div class="songs"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(number: int, song: Song, current: bool, labels: list[str]) -> str:
    name = f'<span class="name" title="{escape(song.name)}">{escape(song.name)}</span>'
    if song.result is None:
        kind, message = ("current", texts.CLASSIFYING) if current else ("waiting", texts.WAITING)
        return f'<tr class="{kind}"><th scope="row">{name}</th><td class="message" colspan="3">{message}</td></tr>'
    button = f'<th scope="row"><button type="button" data-row="{number}">{name}</button></th>'
    if isinstance(song.result, AudioError):
        return f'<tr class="failed">{button}<td class="message" colspan="3">{escape(str(song.result))}</td></tr>'
    return f'<tr class="classified">{button}{_prediction(song.result, labels)}</tr>'


def _prediction(prediction: Prediction, labels: list[str]) -> str:
    found = prediction.sections
    description = format_sections(found) + (f". {' '.join(prediction.notes)}" if prediction.notes else "")
    strip = "".join(_piece(one, prediction.seconds, labels) for one in found)
    return (
        f'<td class="genre"><i aria-hidden="true" style="--colour:{colour(prediction.genre, labels)}"></i>'
        f'<span>{escape(prediction.headline.text)}</span></td><td class="confidence">{prediction.confidence:.0%}</td>'
        f'<td class="sections"><div class="strip" aria-hidden="true">{strip}</div>{escape(description)}</td>'
    )


def _piece(section: Section, seconds: float, labels: list[str]) -> str:
    fraction = (section.end - section.start) / seconds
    return f'<i style="--colour:{views.section_colour(section, labels)};flex-grow:{fraction:.4f}"></i>'


def opened(name: str, card: str) -> str:
    """The prediction card of one song under its name."""
    return f'<h2 class="opened">{escape(name)}</h2>{card}'
