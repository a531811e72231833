"""Tab that learns other genres from a visitor's songs; the result is a model of this visitor alone."""

from collections.abc import Iterator

import gradio as gr

import genre
from genre.web import QUIET, STATIC
from genre.web import texts as page_texts
from genre.web import views as page_views
from genre.web.limits import MAX_TAUGHT_GENRES, MAX_TAUGHT_SECONDS, MAX_TAUGHT_SONGS
from genre.web.models import TAUGHT_PREFIX, Models
from genre.web.tabs import drop
from genre.web.teach import texts, views
from genre.web.teach.learn import learn, read_song
from genre.web.teach.lesson import Lesson, Lessons


def build(models: Models, model: gr.Dropdown) -> None:
    """Lay out and wire the tab; the model that it makes is chosen in `model`."""
    lessons = Lessons()

    def add(files: list[tuple[str, str]], genre_name: str, lesson: Lesson | None) -> dict:
        lesson = lesson or Lesson()
        lessons.use(lesson)
        lesson.add(files, genre_name)
        return {dropped: None, state: lesson} | show(lesson)

    def show(lesson: Lesson) -> dict:
        some, idle, taught_one = bool(lesson.songs), not lesson.working, lesson.classifier is not None
        unread = not all(song.is_read for song in lesson.songs)  # the fit itself takes seconds and is not stopped
        return {
            status: views.status(lesson),
            table: views.table(lesson),
            result: gr.HTML(views.result(lesson), visible=lesson.probe is not None),
            files: gr.Row(visible=(some or taught_one) and idle),
            train: gr.Button(visible=some and idle),
            stop: gr.Button(visible=lesson.working and unread),
            download: gr.DownloadButton(visible=taught_one),
        }

    def move(lesson: Lesson | None, event: gr.EventData) -> dict:
        if lesson is None:
            return gone()
        if lesson.working:
            return {stop: gr.skip()}
        lesson.move(event.song, event.genre)
        return show(lesson)

    def gone() -> dict:
        """For a session that the server no longer has, since it was started again."""
        lesson = Lesson()
        lesson.message = page_texts.SONGS_GONE
        return show(lesson)

    def remove(lesson: Lesson | None, event: gr.EventData) -> dict:
        if lesson is None:
            return gone()
        if lesson.working:
            return {stop: gr.skip()}
        lesson.remove(event.song)
        return show(lesson)

    def learn_songs(lesson: Lesson | None, name: str) -> Iterator[dict]:
        if lesson is None:
            yield gone()
            return
        if not lesson.songs:
            yield {status: page_views.alert_box(lesson.message or texts.NO_SONGS), table: ""}
            return
        try:
            taught_one = (name or "").startswith(TAUGHT_PREFIX)  # it is no base: its networks are those of another one
            base = (lesson.base if taught_one else name) or models.first
            classifier = models.get(base)
            if not lesson.start(base):
                yield {stop: gr.skip()}
                return
        except genre.GenreError as error:
            yield {status: page_views.alert_box(str(error))}
            return
        yield from work(lesson, classifier)

    def work(lesson: Lesson, classifier: genre.Classifier) -> Iterator[dict]:
        chosen: dict[gr.components.Component, gr.components.Component] = {}
        try:
            lessons.use(lesson)
            while not (lesson.stopped or chosen):
                for song in lesson.take():
                    yield show(lesson)
                    read_song(classifier, song)
                yield show(lesson)
                archive = None if lesson.stopped else learn(lesson, models, dropped.GRADIO_CACHE)
                if archive and lesson.probe:  # else songs were added meanwhile, or it was stopped
                    chosen[model] = gr.Dropdown(choices=[*models.names, *taught(lesson)], value=lesson.model)
                    chosen[download] = gr.DownloadButton(value=archive, visible=True)
            if not chosen:
                lesson.message = texts.STOPPED
        except genre.GenreError as error:
            lesson.message = str(error)
        except OSError:
            lesson.message = texts.NO_DISK
        except GeneratorExit:  # the visitor has left
            lesson.forget()
            raise
        finally:
            lesson.working = False
        yield show(lesson) | chosen

    def halt(lesson: Lesson | None) -> dict:
        if lesson:
            lesson.stopped = True
        return {stop: gr.Button(visible=False)}

    def empty(lesson: Lesson | None, name: str) -> dict:
        lesson = lesson or Lesson()
        if lesson.working:
            return {stop: gr.skip()}
        lesson.forget()
        taught = (name or "").startswith(TAUGHT_PREFIX)
        fewer = gr.Dropdown(choices=models.names, value=models.first if taught else name)
        return show(lesson) | {model: fewer}

    state = gr.State(delete_callback=lambda lesson: lesson and lesson.forget())
    with gr.Column(elem_id="teach"):
        gr.HTML(f"<p>{texts.INTRO}</p>", elem_classes="teach-intro", padding=False)
        genre_name = gr.Textbox(
            label=texts.GENRE, info=texts.GENRE_MORE, placeholder=texts.GENRE_EXAMPLE, max_lines=1, max_length=200
        )
        more = texts.more(MAX_TAUGHT_SONGS, MAX_TAUGHT_GENRES, MAX_TAUGHT_SECONDS)
        dropped = drop.build(texts.SONGS, more, MAX_TAUGHT_SONGS, zone="teach", field="taught-drop")
        with gr.Row(elem_classes="working"):
            status = gr.HTML(min_height=0)
            stop = gr.Button(
                texts.STOP, visible=False, variant="stop", scale=0, min_width=96, elem_classes="ends-uploads"
            )
            train = gr.Button(texts.TRAIN, visible=False, variant="primary", scale=0, min_width=96)
        result = gr.HTML(min_height=0, visible=False)
        with gr.Row(visible=False, elem_classes="downloads") as files:
            download = gr.DownloadButton(texts.DOWNLOAD, visible=False, size="sm")
            clear = gr.Button(texts.CLEAR, size="sm", elem_classes="ends-uploads")
        table = gr.HTML(js_on_load=(STATIC / "taught.js").read_text(encoding="utf-8"), min_height=0)

    shown = [status, table, result, train, stop, files, download]
    dropped.upload(
        add, [dropped, genre_name, state], [dropped, state, *shown], trigger_mode="multiple", queue=False, **QUIET
    )
    table.input(move, state, shown, queue=False, trigger_mode="multiple", **QUIET)
    table.click(remove, state, shown, queue=False, trigger_mode="multiple", **QUIET)
    learned = train.click(
        learn_songs,
        [state, model],
        [*shown, model],
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=status,
    )
    learned.failure(lambda: page_views.alert_box(page_texts.BUSY), None, status, queue=False, **QUIET)
    stop.click(halt, state, stop, queue=False, **QUIET)
    clear.click(empty, [state, model], [*shown, model], queue=False, **QUIET)


def taught(lesson: Lesson) -> list[tuple[str, str]]:
    """The model of a lesson as a choice of a menu: its label and its name; none before there is one."""
    return [(texts.model_label(lesson.classifier.labels), lesson.model)] if lesson.classifier and lesson.model else []
