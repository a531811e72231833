"""HTML of a lesson: progress, songs and what was learned. Names, genres and messages are escaped here."""

from html import escape

from genre.training.probe import Probe
from genre.web import views
from genre.web.teach import texts
from genre.web.teach.lesson import Lesson, TaughtSong

MOST_CONTRADICTED = 5  # songs that are listed


def status(lesson: Lesson) -> str:
    """One line on the progress, a bar while songs are read, and the message."""
    done, total = sum(song.is_read for song in lesson.songs), len(lesson.songs)
    if not total:
        return views.alert_box(lesson.message) if lesson.message else ""
    if not lesson.working:
        line = texts.collected(total, len(lesson.genres))
        message = views.alert_box(lesson.message) if lesson.message else ""
        return f'<div class="progress"><p role="status"><b>{escape(line)}</b></p></div>{message}'
    line = texts.reading(done, total)
    more = texts.reading_now(lesson.current.name) if lesson.current else texts.FITTING
    return (
        f'<div class="progress"><p role="status"><b>{escape(line)}</b> <span class="classifying">{escape(more)}</span>'
        f'</p><i aria-hidden="true" style="--fraction:{done / total:.3f}"></i></div>'
    )


def table(lesson: Lesson) -> str:
    """A row a song, with a menu that moves it to another genre and a button that removes it."""
    if not lesson.songs:
        return ""
    head = "".join(f'<th scope="col">{title}</th>' for title in texts.COLUMNS)
    genres = lesson.genres
    songs = sorted(lesson.songs, key=lambda song: genres.index(song.genre))
    body = "".join(_row(song, genres, lesson) for song in songs)
    return f'<div class="songs taught"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _row(song: TaughtSong, genres: list[str], lesson: Lesson) -> str:
    name, off = escape(song.name), " disabled" if lesson.working else ""
    label = escape(texts.genre_of(song.name))
    options = "".join(
        f"<option{' selected' if genre == song.genre else ''}>{escape(genre)}</option>" for genre in genres
    )
    kind, state = _state(song, lesson)
    return (
        f'<tr class="{kind}"><th scope="row"><span class="name" title="{name}">{name}</span></th>'
        f'<td class="genre"><i aria-hidden="true" style="--colour:{views.colour(song.genre, genres)}"></i>'
        f'<select data-song="{song.number}" aria-label="{label}"{off}>{options}</select></td>'
        f'<td class="message">{escape(state)}</td>'
        f'<td class="remove"><button type="button" data-song="{song.number}" '
        f'aria-label="{escape(texts.remove(song.name))}"{off}>×</button></td></tr>'
    )


def _state(song: TaughtSong, lesson: Lesson) -> tuple[str, str]:
    """CSS class of a row and the words in it."""
    if song is lesson.current:
        return "current", texts.READING
    if song.error:
        return "failed", str(song.error)
    return ("read", texts.READ) if song.embedding else ("waiting", texts.WAITING)


def result(lesson: Lesson) -> str:
    """Accuracy with its interval, songs by genre, those that the others contradict most, and what was left out."""
    probe = lesson.probe
    if probe is None:
        return ""
    unread = [texts.unread(song.name, str(song.error)) for song in lesson.songs if song.error]
    track, total = probe.figures["track"], len(probe.songs)
    counts = track["confusion"]["counts"]
    right = sum(counts[i][i] for i in range(len(counts)))
    headline, interval = texts.score(right, total, *track["top1_interval_95"])
    largest = max(probe.genres, key=lambda genre: sum(counts[probe.genres.index(genre)]))
    method = texts.method(probe.folds, largest, sum(counts[probe.genres.index(largest)]) / total)
    notes = "".join(f"<p>{escape(sentence)}</p>" for sentence in [*unread, *probe.left_out, *probe.caveats])
    return (
        f'<div class="learned" role="status"><h2>{escape(headline)}</h2><p class="interval">{escape(interval)}</p>'
        f"<p>{escape(method)}</p>{notes}{_confusion(probe.genres, counts)}{_contradicted(probe)}"
        f"<p>{escape(texts.CHOSEN)}</p></div>"
    )


def _confusion(genres: list[str], counts: list[list[int]]) -> str:
    """Songs by their genre, a row each, and the genre that they got, a column each; darker for more of the row."""
    head = "".join(f'<th scope="col" title="{escape(genre)}">{escape(genre)}</th>' for genre in genres)
    rows = "".join(
        f'<tr><th scope="row" title="{escape(genre)}">{escape(genre)}</th>'
        + "".join(f'<td style="--share:{count / max(1, sum(row)):.2f}">{count}</td>' for count in row)
        + f"<td>{row[i] / max(1, sum(row)):.0%}</td></tr>"
        for i, (genre, row) in enumerate(zip(genres, counts, strict=True))
    )
    return (
        f'<p class="caption">{texts.CONFUSION}</p><div class="confusion" role="region" tabindex="0" '
        f'aria-label="{texts.CONFUSION}"><table><thead><tr>'
        f'<th scope="col">{texts.OWN_GENRE}</th>{head}<th scope="col">{texts.RIGHT}</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _contradicted(probe: Probe) -> str:
    found = probe.contradicted()[:MOST_CONTRADICTED]
    if not found:
        return f"<p>{texts.NO_CONTRADICTION}</p>"
    items = "".join(
        f"<li><b>{escape(song.name)}</b>, {escape(song.genre)}: {escape(texts.got(predicted, p))}</li>"
        for song, predicted, p in found
    )
    return f"<h3>{texts.LISTEN}</h3><p>{texts.LISTEN_MORE}</p><ul>{items}</ul>"
