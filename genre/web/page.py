"""The page: its tabs, what is said about the model around them, and how it is served."""

import gradio as gr
from starlette.middleware import Middleware

import genre
from genre.audio import worker
from genre.models.model import keep_freed_memory
from genre.web import QUIET, STATIC, UNQUEUED, api, script, texts, uploads, views
from genre.web.batch import BatchTab
from genre.web.limits import MAX_FILE_SIZE, MAX_WAITING, MODELS, PARALLEL_JOBS, TEACH
from genre.web.live import LiveTab
from genre.web.models import Models
from genre.web.song import SongTab
from genre.web.teach import TeachTab

UPLOAD_CHECK_SECONDS, UPLOAD_TTL_SECONDS = 300, 3000  # so that uploads are deleted within the hour
SESSIONS = 1000  # whose state is stored, the most recently used; 0.1 MB each
# Gradio's Soft theme, darkened where its greys and blues are too pale to read (AA).
THEME = gr.themes.Soft(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["monospace"]).set(
    body_background_fill="*neutral_100",
    block_border_width="1px",
    block_border_color="*border_color_primary",
    block_radius="14px",
    block_shadow="none",
    block_label_background_fill="transparent",
    block_label_background_fill_dark="transparent",
    block_label_border_width="0px",
    block_label_shadow="none",
    block_title_padding="0",
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    block_label_text_color="*body_text_color",
    block_label_text_color_dark="*body_text_color",
    block_title_text_color="*body_text_color",
    block_title_text_color_dark="*body_text_color",
    block_info_text_color="*neutral_600",
    block_info_text_color_dark="*neutral_300",
    button_primary_background_fill="*primary_600",
    button_primary_background_fill_dark="*primary_600",
    button_primary_background_fill_hover="*primary_700",
    button_primary_background_fill_hover_dark="*primary_700",
    button_secondary_background_fill_hover_dark="*neutral_500",
    checkbox_border_color="*neutral_500",
    checkbox_border_color_dark="*neutral_400",
    checkbox_label_background_fill_selected="*primary_600",
    checkbox_label_background_fill_selected_dark="*primary_600",
    color_accent="*primary_600",
)


def build_page(models: Models) -> gr.Blocks:
    def describe(name: str) -> tuple:
        """Introduction, facts and card of a model, or an alert if it does not load."""
        try:
            classifier = models.get(name)
        except genre.GenreError as error:
            return gr.skip(), views.alert(str(error)), ""
        model = classifier.model
        return views.intro(classifier.labels, models.origin(name)), views.about(model), model.card

    def open_as_asked(request: gr.Request) -> tuple:
        """Choose the model that the address names as ?model=; if it does not load, say so below the introduction."""
        name = request.query_params.get("model")
        try:
            models.get(name)
            return name or gr.skip(), gr.skip()
        except genre.GenreError:
            first = models.get(models.first)
            return gr.skip(), views.intro(first.labels) + views.alert(
                texts.NO_MODEL.format(name=name, first=first.model.name)
            )

    intro, about, card = describe(models.first)
    with gr.Blocks(title=texts.TITLE, delete_cache=(UPLOAD_CHECK_SECONDS, UPLOAD_TTL_SECONDS)) as page:
        intro = gr.HTML(intro, elem_id="intro")
        model = gr.Dropdown(
            models.names,
            value=models.first,
            label=texts.MODEL,
            info=texts.MODEL_MORE if MODELS is None else texts.MODEL_LISTED,
            allow_custom_value=True,
            elem_id="model",
            render=False,
        )
        about = gr.HTML(about, elem_id="about", render=False)
        card = gr.Markdown(card, elem_id="card", render=False)
        # It may be a download, so it takes no place of another job; the tabs follow it.
        described = model.change(
            describe,
            model,
            [intro, about, card],
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=model,
            concurrency_limit=None,
        )
        described.failure(lambda: views.alert(texts.BUSY), None, about, **UNQUEUED)
        with gr.Tabs() as tabs:
            with gr.Tab(texts.SONG_TAB, id="song"):
                song = SongTab(models, model, described).song
            with gr.Tab(texts.LIVE_TAB):
                LiveTab(models, model, song, tabs)
            with gr.Tab(texts.BATCH_TAB):
                BatchTab(models, model, described)
            if TEACH:
                with gr.Tab(texts.TEACH_TAB):
                    TeachTab(models, model)
        about.render()
        with gr.Accordion(texts.CARD, open=False):
            model.render()
            card.render()
        page.load(open_as_asked, None, [model, intro], concurrency_limit=None, **QUIET)
        model.change(None, model, None, js=script("address.js"), **QUIET)
        api.build(models)
    return page.queue(default_concurrency_limit=PARALLEL_JOBS, max_size=MAX_WAITING)


def serve(checkpoint: str | None) -> None:
    """Serve the page until the process is ended.

    Args:
        checkpoint: that it starts with, see `Models`.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    worker.start()  # which is ready when the first song comes
    models = Models(checkpoint)
    keep_freed_memory()
    page = build_page(models)
    uploads.keep_clean()
    page.launch(
        theme=THEME,
        css_paths=STATIC / "style.css",
        head=f"<script>{script('head.js')}</script>",
        max_file_size=MAX_FILE_SIZE,
        run_history=False,
        footer_links=["api"],
        ssr_mode=False,
        mcp_server=True,
        state_session_capacity=SESSIONS,
        app_kwargs={"middleware": [Middleware(uploads.DiskSpaceCheck)]},
    )
