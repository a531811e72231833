"""The HTML of several songs: how far they are, and a row each. Names, genres and messages are escaped here."""

from html import escape

from genre.errors import AudioError
from genre.inference.classify import Prediction
from genre.inference.report import in_words
from genre.inference.sections import Section, clock, sections
from genre.web import texts, views
from genre.web.tabs.queue import Batch, Song

PICK = f'<div class="verdict empty"><p class="genre">{texts.PICK}</p></div>'


def status(batch: Batch, seconds: float = 0.0) -> str:
    """One line on what is being done or what was done, and a bar.

    Args:
        seconds: how much of the present song was heard.
    """
    done, total = len(batch.heard), len(batch.songs)
    if batch.now and batch.working:
        heard = clock(round(seconds)) if seconds else ""
        line, more, kind = texts.progress(done, total), texts.hearing(batch.now.name, heard), "hearing"
    else:
        kind = "left-out"
        line = texts.waiting(total - done) if done < total else texts.finished(done, len(batch.failed))
        more = " ".join(texts.left_out(batch.unheard, batch.too_many and len(batch.songs)))
    return (
        f'<div class="progress"><p role="status"><b>{escape(line)}</b> <span class="{kind}">{escape(more)}</span></p>'
        f'<i aria-hidden="true" style="--part:{done / total if total else 0:.3f}"></i></div>'
    )


def alert(message: str) -> str:
    return f'<div class="progress">{views.alert(message)}</div>'


def rows(batch: Batch, labels: list[str]) -> str:
    """The table; a row that was heard holds a button with its number as data-row."""
    if not batch.songs:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in texts.COLUMNS)
    body = "".join(_row(number, song, song is batch.now, labels) for number, song in enumerate(batch.songs))
    return f'<div class="songs"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(number: int, song: Song, now: bool, labels: list[str]) -> str:
    name = f'<span class="name" title="{escape(song.name)}">{escape(song.name)}</span>'
    if song.result is None:
        kind, said = ("now", texts.LISTENING) if now else ("waiting", texts.WAITING)
        return f'<tr class="{kind}"><th scope="row">{name}</th><td class="said" colspan="3">{said}</td></tr>'
    button = f'<th scope="row"><button type="button" data-row="{number}">{name}</button></th>'
    if isinstance(song.result, AudioError):
        return f'<tr class="failed">{button}<td class="said" colspan="3">{escape(str(song.result))}</td></tr>'
    return f'<tr class="heard">{button}{_verdict(song.result, labels)}</tr>'


def _verdict(prediction: Prediction, labels: list[str]) -> str:
    found = sections(prediction)
    course = in_words(found) + (f". {' '.join(prediction.notes)}" if prediction.notes else "")
    strip = "".join(_piece(one, prediction.seconds, labels) for one in found)
    return (
        f'<td class="genre"><i aria-hidden="true" style="--colour:{views.colour(prediction.genre, labels)}"></i>'
        f'<span>{escape(_named(prediction))}</span></td><td class="sure">{prediction.confidence:.0%}</td>'
        f'<td class="course"><div class="strip" aria-hidden="true">{strip}</div>{escape(course)}</td>'
    )


def _named(prediction: Prediction) -> str:
    """As little as the verdict card says: several genres where none can be named alone."""
    if not prediction.is_music:
        return texts.NOT_MUSIC_SHORT
    if not prediction.confident and len(prediction.prediction_set) > 1:
        return texts.between(prediction.prediction_set[: views.MOST_NAMED])
    return prediction.genre


def _piece(section: Section, seconds: float, labels: list[str]) -> str:
    part = (section.end - section.start) / seconds
    return f'<i style="--colour:{views.section_colour(section, labels)};flex-grow:{part:.4f}"></i>'


def opened(name: str, card: str) -> str:
    """The verdict card of one song under its name."""
    return f'<h2 class="opened">{escape(name)}</h2>{card}'
