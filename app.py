"""The page: classify songs by genre, with the spectrogram and a prediction for every 3-second window."""

import argparse
import os
import sys

from genre.web import uploads  # must be imported before Gradio
from genre.web.limits import MAX_FILE_SIZE, MAX_WAITING, PARALLEL_JOBS, TEACH

# isort: split
import gradio as gr
import torch
from gradio import processing_utils
from starlette.middleware import Middleware

import genre
from genre.inference.ensemble import member_threads
from genre.malloc import keep_freed_memory
from genre.options import in_home
from genre.web import QUIET, STATIC, addresses, api, snippets, texts, views
from genre.web.models import Models
from genre.web.tabs import batch, live, song, teach
from genre.web.theme import THEME

UPLOAD_CHECK_SECONDS, UPLOAD_TTL_SECONDS = 300, 3000  # so that uploads are deleted within the hour
SESSIONS = 1000  # whose state is stored, the most recently used; 0.1 MB each

try:  # ZeroGPU Spaces start only apps with a decorated function; inference stays on the CPU
    import spaces

    spaces.GPU(lambda: None)
except ImportError:
    pass


def build_page(models: Models) -> gr.Blocks:
    def describe(name: str) -> tuple:
        """Introduction, facts and card of a model, or an alert if it does not load."""
        try:
            classifier = models.get(name)
        except genre.GenreError as error:
            return gr.skip(), views.alert(str(error)), ""
        return views.intro(classifier.labels), views.about(classifier.checkpoint), classifier.checkpoint.card

    def open_as_asked(request: gr.Request) -> tuple:
        """Choose the model that the address names as ?model=; if it does not load, say so below the introduction."""
        name = request.query_params.get("model")
        try:
            models.get(name)
            return name or gr.skip(), gr.skip()
        except genre.GenreError:
            first = models.get(models.first)
            return gr.skip(), views.intro(first.labels) + views.alert(texts.no_model(name, first.checkpoint.name))

    intro, about, card = describe(models.first)
    with gr.Blocks(title=texts.TITLE, delete_cache=(UPLOAD_CHECK_SECONDS, UPLOAD_TTL_SECONDS)) as page:
        intro = gr.HTML(intro, elem_id="intro")
        model = gr.Dropdown(
            models.names,
            value=models.first,
            label=texts.MODEL,
            info=texts.MODEL_MORE,
            allow_custom_value=True,
            elem_id="model",
            render=False,
        )
        latest = gr.State([])  # names of the files that were chosen last
        with gr.Tabs() as tabs:
            with gr.Tab(texts.SONG_TAB, id="song"):
                player = song.build(models, model)
            with gr.Tab(texts.LIVE_TAB):
                live.build(models, model, player, tabs)
            with gr.Tab(texts.BATCH_TAB):
                added = batch.build(models, model, latest)
            if TEACH:
                with gr.Tab(teach.texts.TAB):
                    teach.build(models, model)
        about = gr.HTML(about, elem_id="about")
        with gr.Accordion(texts.CARD, open=False):
            model.render()
            card = gr.Markdown(card, elem_id="card")
        snippets.build(page, player, added, latest, models.first)
        page.load(open_as_asked, None, [model, intro], **QUIET)
        model.change(None, model, None, js=(STATIC / "address.js").read_text(encoding="utf-8"), **QUIET)
        described = model.change(
            describe, model, [intro, about, card], api_visibility="private", show_progress="hidden"
        )
        described.failure(lambda: views.alert(texts.BUSY), None, about, queue=False, **QUIET)
        api.build(models)
    return page.queue(default_concurrency_limit=PARALLEL_JOBS, max_size=MAX_WAITING)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--checkpoint",
        type=in_home,
        default=os.environ.get("GENRE_CHECKPOINT"),  # set on Spaces
        help="a name in checkpoints/, a folder, or hf-hub:user/repo@revision (GENRE_CHECKPOINT, or the shipped one)",
    )
    arguments = parser.parse_args()
    try:
        models = Models(arguments.checkpoint)
    except genre.GenreError as error:
        sys.exit(f"app.py: {error}")
    keep_freed_memory()
    member_threads()  # start them now, one for each core: the next line is for what jobs compute beside the members
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // PARALLEL_JOBS))
    processing_utils.async_transport = addresses.BoundedTransport()  # type: ignore[assignment]  # declared None
    page = build_page(models)
    uploads.keep_clean(page)
    page.launch(
        theme=THEME,
        css_paths=STATIC / "style.css",
        head=f"<script>{(STATIC / 'head.js').read_text(encoding='utf-8')}</script>",
        max_file_size=MAX_FILE_SIZE,
        run_history=False,
        footer_links=["api"],
        ssr_mode=False,
        mcp_server=True,
        state_session_capacity=SESSIONS,
        app_kwargs={"middleware": [Middleware(uploads.DiskSpaceCheck)]},
    )


if __name__ == "__main__":
    main()
