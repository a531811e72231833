"""A zone for multiple songs, with a button that chooses a folder; for the tabs that take them."""

import gradio as gr

from genre.audio import decode, folders
from genre.web import STATIC, texts
from genre.web.limits import MAX_FILE_SIZE
from genre.web.upload_reader import is_upload


def build(label: str, more: str, most: int, zone: str, field: str, group: int = 0) -> gr.HTML:
    """Lay out the zone; the component that it returns has an event `dropped`, see `files`.

    Args:
        more: text beside the button.
        most: number of songs that are taken.
        zone, field: `elem_id` of the tab's column, and of the field.
        group: number of songs of an event; 0 for all, which the tab then gets together.
    """
    gr.File(file_count="multiple", label=label, height=150, elem_id=field)
    return gr.HTML(
        f'<button type="button">{texts.FOLDER}</button><input type="file" webkitdirectory hidden>'
        f'<span>{more}</span><progress aria-hidden="true" hidden></progress><p role="status"></p>',
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


def files(event: gr.EventData) -> list[tuple[str, str]]:
    """(path, original name) of the files of an event; the path of one that was not sent is empty.

    So is one outside of the folder of uploads, since a visitor may send anything.
    """
    sent = getattr(event, "files", None)
    pairs = [tuple(one) for one in sent if isinstance(one, list)] if isinstance(sent, list) else []
    return [
        (pair[0] if is_upload(pair[0]) else "", pair[1])
        for pair in pairs
        if len(pair) == 2 and all(isinstance(part, str) for part in pair)
    ]
