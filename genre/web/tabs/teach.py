"""Tab that learns other genres from a visitor's songs; the result is a model of this visitor alone."""

from collections.abc import Iterator
from typing import Any

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
    _Tab(models, model).wire()


class _Tab:
    """The components of the tab, and the handlers of their events, which return what changes of them."""

    def __init__(self, models: Models, model: gr.Dropdown):
        self.models, self.model, self.lessons = models, model, Lessons()
        self.state = gr.State(delete_callback=lambda lesson: lesson and lesson.forget())
        with gr.Column(elem_id="teach"):
            gr.HTML(f"<p>{texts.INTRO}</p>", elem_classes="teach-intro", padding=False)
            self.genre_name = gr.Textbox(
                label=texts.GENRE, info=texts.GENRE_MORE, placeholder=texts.GENRE_EXAMPLE, max_lines=1, max_length=200
            )
            more = texts.more(MAX_TAUGHT_SONGS, MAX_TAUGHT_GENRES, MAX_TAUGHT_SECONDS)
            self.zone = drop.build(texts.SONGS, more, MAX_TAUGHT_SONGS, zone="teach", field="taught-drop")
            with gr.Row(elem_classes="working"):
                self.status = gr.HTML(min_height=0)
                self.stop = gr.Button(
                    texts.STOP, visible=False, variant="stop", scale=0, min_width=96, elem_classes="ends-uploads"
                )
                self.train = gr.Button(texts.TRAIN, visible=False, variant="primary", scale=0, min_width=96)
            self.result = gr.HTML(min_height=0, visible=False)
            with gr.Row(visible=False, elem_classes="downloads") as self.files:
                self.download = gr.DownloadButton(texts.DOWNLOAD, visible=False, size="sm")
                self.clear = gr.Button(texts.CLEAR, size="sm", elem_classes="ends-uploads")
            self.table = gr.HTML(js_on_load=(STATIC / "taught.js").read_text(encoding="utf-8"), min_height=0)

    def wire(self) -> None:
        """Connect the events."""
        unqueued: dict[str, Any] = {"queue": False, **QUIET}
        many: dict[str, Any] = {"trigger_mode": "multiple", **unqueued}
        shown = [self.status, self.table, self.result, self.train, self.stop, self.files, self.download]
        self.zone.dropped(self.add, [self.genre_name, self.state], [self.state, *shown], **many)
        self.table.input(self.move, self.state, shown, **many)
        self.table.click(self.remove, self.state, shown, **many)
        learned = self.train.click(
            self.learn_songs,
            [self.state, self.model],
            [*shown, self.model],
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=self.status,
        )
        learned.failure(lambda: page_views.alert_box(page_texts.BUSY), None, self.status, **unqueued)
        self.stop.click(self.halt, self.state, self.stop, **unqueued)
        self.clear.click(self.empty, [self.state, self.model], [*shown, self.model], **unqueued)

    def add(self, genre_name: str, lesson: Lesson | None, event: gr.EventData) -> dict:
        lesson = lesson or Lesson()
        self.lessons.use(lesson)
        lesson.add(drop.files(event), genre_name)
        return {self.state: lesson} | self.show(lesson)

    def show(self, lesson: Lesson) -> dict:
        some, idle, taught_one = bool(lesson.songs), not lesson.working, lesson.classifier is not None
        unread = not all(song.is_read for song in lesson.songs)  # the fit itself takes seconds and is not stopped
        return {
            self.status: views.status(lesson),
            self.table: views.table(lesson),
            self.result: gr.HTML(views.result(lesson), visible=lesson.probe is not None),
            self.files: gr.Row(visible=(some or taught_one) and idle),
            self.train: gr.Button(visible=some and idle),
            self.stop: gr.Button(visible=lesson.working and unread),
            self.download: gr.DownloadButton(visible=taught_one),
        }

    def move(self, lesson: Lesson | None, event: gr.EventData) -> dict:
        if lesson is None:
            return self.gone()
        if lesson.working:
            return {self.stop: gr.skip()}
        lesson.move(event.song, event.genre)
        return self.show(lesson)

    def gone(self) -> dict:
        """For a session that the server no longer has, since it was started again."""
        lesson = Lesson()
        lesson.message = page_texts.SONGS_GONE
        return self.show(lesson)

    def remove(self, lesson: Lesson | None, event: gr.EventData) -> dict:
        if lesson is None:
            return self.gone()
        if lesson.working:
            return {self.stop: gr.skip()}
        lesson.remove(event.song)
        return self.show(lesson)

    def learn_songs(self, lesson: Lesson | None, name: str) -> Iterator[dict]:
        if lesson is None:
            yield self.gone()
            return
        if not lesson.songs:
            yield {self.status: page_views.alert_box(lesson.message or texts.NO_SONGS), self.table: ""}
            return
        try:
            taught_one = (name or "").startswith(TAUGHT_PREFIX)  # it is no base: its networks are those of another one
            base = (lesson.base if taught_one else name) or self.models.first
            classifier = self.models.get(base)
            if not lesson.start(base, classifier.checkpoint.digest):
                yield {self.stop: gr.skip()}
                return
        except genre.GenreError as error:
            yield {self.status: page_views.alert_box(str(error))}
            return
        yield from self.work(lesson, classifier)

    def work(self, lesson: Lesson, classifier: genre.Classifier) -> Iterator[dict]:
        chosen: dict[gr.components.Component, gr.components.Component] = {}
        try:
            self.lessons.use(lesson)
            while not (lesson.stopped or chosen):
                for song in lesson.take():
                    yield self.show(lesson)
                    read_song(classifier, song)
                yield self.show(lesson)
                archive = None if lesson.stopped else learn(lesson, self.models)
                if archive and lesson.probe:  # else songs were added meanwhile, or it was stopped
                    chosen[self.model] = gr.Dropdown(choices=[*self.models.names, *taught(lesson)], value=lesson.model)
                    chosen[self.download] = gr.DownloadButton(value=archive, visible=True)
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
        yield self.show(lesson) | chosen

    def halt(self, lesson: Lesson | None) -> dict:
        if lesson:
            lesson.stopped = True
        return {self.stop: gr.Button(visible=False)}

    def empty(self, lesson: Lesson | None, name: str) -> dict:
        lesson = lesson or Lesson()
        if lesson.working:
            return {self.stop: gr.skip()}
        lesson.forget()
        taught = (name or "").startswith(TAUGHT_PREFIX)
        fewer = gr.Dropdown(choices=self.models.names, value=self.models.first if taught else name)
        return self.show(lesson) | {self.model: fewer}


def taught(lesson: Lesson) -> list[tuple[str, str]]:
    """The model of a lesson as a choice of a menu: its label and its name; none before there is one."""
    return [(texts.model_label(lesson.classifier.labels), lesson.model)] if lesson.classifier and lesson.model else []
