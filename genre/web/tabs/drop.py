"""A zone for multiple songs, with a button that chooses a folder; for the tabs that take them."""

from pathlib import Path

import gradio as gr
from gradio.data_classes import ListFiles

from genre.audio import decode, folders
from genre.web import STATIC, texts
from genre.web.limits import MAX_FILE_SIZE


def build(label: str, more: str, most: int, zone: str, field: str, group: int = 0) -> gr.File:
    """Lay out the zone; the value of the component that it returns is a list of (path, original name).

    Args:
        more: text beside the button.
        most: number of songs that are taken.
        zone, field: `elem_id` of the tab's column, and of the component.
        group: number of songs that are uploaded at once; 0 for all, which the tab then gets together.
    """
    songs = gr.File(file_count="multiple", label=label, height=150, elem_id=field)
    songs.preprocess = _with_names  # type: ignore[method-assign, assignment]  # it returns other values
    gr.HTML(
        f'<button type="button">{texts.FOLDER}</button><input type="file" webkitdirectory hidden>'
        f'<span>{more}</span><p role="status"></p>',
        js_on_load=(STATIC / "folder.js").read_text(encoding="utf-8"),
        elem_classes="folder",
        zone=zone,
        field=field,
        suffixes=sorted(decode.SUFFIXES),
        hidden=folders.HIDDEN,
        system=folders.SYSTEM,
        placeholder=folders.PLACEHOLDER,
        clouds=folders.CLOUDS,
        most=most,
        largest=MAX_FILE_SIZE,
        group=group,
        left_out=texts.left_out_files(MAX_FILE_SIZE),
    )
    return songs


def _with_names(uploads: ListFiles | None) -> list[tuple[str, str]]:
    """(path, original name) of uploads; the default `preprocess` returns names without brackets and the like."""
    return [(file.path, file.orig_name or Path(file.path).name) for file in uploads or []]
