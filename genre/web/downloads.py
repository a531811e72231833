"""Buttons that download results: tables, JSON, label tracks for Audacity, and pictures.

The files are in folders of their own in Gradio's cache, where they are deleted with the uploads.
"""

import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr
from PIL import Image

from genre.errors import AudioError
from genre.files import json_list
from genre.inference import export
from genre.inference.export import LABEL_TRACK, PICTURE, label_track, picture, safe_name, unique_names
from genre.inference.prediction import Prediction
from genre.web.uploads import new_folder

if TYPE_CHECKING:
    from genre.web.batch import Song

WINDOWS, JSON = ".windows.csv", ".json"  # suffixes, as LABEL_TRACK and PICTURE
BATCH_FILES = "genres.csv", "windows.csv", "genres.json", "labels-and-pictures.zip"
SPREADSHEET = "utf-8-sig"  # Excel needs the byte order mark to read UTF-8


def buttons(labels: list[str]) -> list[gr.DownloadButton]:
    """Buttons, which are disabled until they have a file."""
    return [gr.DownloadButton(label, size="sm", interactive=False) for label in labels]


def disabled(buttons: list[gr.DownloadButton]) -> dict:
    return {button: gr.DownloadButton(interactive=False) for button in buttons}


def enabled(buttons: list[gr.DownloadButton], files: Iterable[Path | None]) -> dict:
    """Updates that give each button its file; those without one stay disabled."""
    pairs = zip(buttons, files, strict=True)
    return {button: gr.DownloadButton(value=file, interactive=file is not None) for button, file in pairs}


def of_song(path: str, prediction: Prediction, spectrogram: Image.Image, labels: list[str], address: str) -> list[Path]:
    """Write the files of one song: a table of its windows, JSON, a label track and a picture.

    Args:
        path: of the upload.
        labels: of the model.
        address: of the page.
    """
    folder, name = new_folder(), safe_name(path)
    windows, everything, track, image = (folder / f"{name}{suffix}" for suffix in (WINDOWS, JSON, LABEL_TRACK, PICTURE))
    _write_windows_and_json([(Path(path).name, prediction)], labels, windows, everything)
    track.write_text(label_track(prediction), encoding="utf-8", newline="\n")
    picture(prediction, labels, path, spectrogram, address).save(image)
    return [windows, everything, track, image]


def picture_of(name: str, prediction: Prediction, spectrogram: Image.Image, labels: list[str], address: str) -> Path:
    """Draw the picture of a song of a batch into a file."""
    file = new_folder() / "picture.png"
    picture(prediction, labels, name, spectrogram, address).save(file)
    return file


def of_batch(songs: list["Song"], labels: list[str]) -> list[Path | None]:
    """Write the files of a batch: two tables, JSON, and a zip of label tracks and pictures; None for an empty one."""
    folder = new_folder()
    genres, windows, everything, archive = (folder / name for name in BATCH_FILES)
    found = [(song.name, song.result) for song in songs if song.result]
    with genres.open("w", encoding=SPREADSHEET, newline="") as file:
        write = export.csv_writer(file, labels)
        for name, result in found:
            write(name, result)
    _write_windows_and_json(found, labels, windows, everything)
    return [genres, windows, everything, archive if _zip_songs(songs, archive) else None]


def _zip_songs(songs: list["Song"], archive: Path) -> int:
    """Write the label track and, unless it has been deleted, the picture of each song; returns the number of files."""
    names = unique_names([song.name for song in songs])
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        for song, name in zip(songs, names, strict=True):
            if isinstance(song.result, Prediction):
                out.writestr(name + LABEL_TRACK, label_track(song.result))
                if song.picture and song.picture.exists():
                    out.write(song.picture, name + PICTURE, zipfile.ZIP_STORED)  # PNG is compressed already
        return len(out.namelist())


def _write_windows_and_json(
    found: list[tuple[str, Prediction | AudioError]], labels: list[str], windows: Path, everything: Path
) -> None:
    with windows.open("w", encoding=SPREADSHEET, newline="") as file:
        write = export.windows_csv_writer(file, labels)
        for name, result in found:
            write(name, result)
    with everything.open("w", encoding="utf-8") as file, json_list(file) as append:
        for name, result in found:
            append(export.to_row(name, result))
