"""Prepare a `DataSet` from folders: download, archives of audio, augmented copies, splits."""

import csv
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock, Timeout

from genre.audio.folders import is_left_out
from genre.data.archive import augment_archive, build_archive, teach_archive
from genre.data.dataset import DataSet, HeldOut, read_data
from genre.data.download import fetch_fma_small
from genre.data.hub import hub_songs, is_on_hub, parse
from genre.data.sources import (
    AudioClip,
    cut_songs,
    fma_small,
    folder_songs,
    is_fma_audio,
    is_fma_small,
    unlabelled_songs,
)
from genre.data.windows import TEACHER_FILES, stored_as
from genre.errors import DataError

SOURCE_NAMES = {"fma_small": "FMA-small"}  # names of sources by names of folders


@dataclass(frozen=True)
class Preparation:
    """Settings of `prepare`.

    Attributes:
        folders: of the sources: genre folders, FMA-small, prepared arrays, or `hf:` and a data set of the Hub.
        archives: folder of the archives of audio.
        front_ends: whose features are computed, names in `FRONT_ENDS`.
        shares, counts_as, held_out: see `read_data`.
        augmented_copies: of each training clip of audio, with augmented waveforms.
        unlabelled: folders of songs without a genre, which a teacher alone teaches.
        label, fma_metadata: of data sets of the Hub, see `genre.data.hub.hub_songs`.
        teacher: weights of MusiCNN (`genre.data.musicnn`), whose output is added to archives of audio; None for none.
    """

    folders: list[Path]
    archives: Path
    front_ends: list[str]
    shares: list[float] | None = None
    counts_as: dict[str, str] = field(default_factory=dict)
    held_out: list[HeldOut] = field(default_factory=lambda: [HeldOut()])
    augmented_copies: int = 0
    unlabelled: list[Path] = field(default_factory=list)
    teacher: Path | None = None
    label: str | None = None
    fma_metadata: Path | None = None


def is_prepared(folder: Path) -> bool:
    """Whether a folder holds prepared arrays: an index.csv with their columns, and .npy files beside it.

    Nothing else can be meant by an index.csv without a sub-folder; reading it says what is missing.
    """
    path = folder / "index.csv"
    if not path.is_file() or not any(folder.glob("*.npy")):
        return path.is_file() and not _sub_folders(folder)
    try:
        with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
            return {"track_id", "genre"} <= set(next(csv.reader(file), []))
    except (OSError, csv.Error):
        return False


def holds_genre_folders(folder: Path) -> bool:
    """Whether a folder is neither prepared arrays nor FMA-small, nor a part of that."""
    return not (is_fma_small(folder) or is_fma_audio(folder) or _is_to_be_fetched(folder) or is_prepared(folder))


def prepare(preparation: Preparation) -> DataSet:
    """Download and decode what is missing, and read all sources.

    Of several processes one writes the archives at a time, while the others wait.

    Raises:
        DataError: a folder is missing, or holds no usable track.
    """
    holds_audio = preparation.unlabelled or not all(is_prepared(folder) for folder in preparation.folders)
    with _only_writer(preparation.archives) if holds_audio else nullcontext():
        return _prepare(preparation)


def _prepare(preparation: Preparation) -> DataSet:
    names = _names([*preparation.folders, *preparation.unlabelled])
    front_ends = sorted({stored_as(name) for name in preparation.front_ends})
    clips = {
        name: _clips(preparation, folder, labelled=number < len(preparation.folders))
        for number, (name, folder) in enumerate(names.items())
        if not is_prepared(folder)
    }
    folders = {
        name: _archive_folder(preparation, folder) if name in clips else folder for name, folder in names.items()
    }
    for folder in (folders[name] for name in list(names)[len(preparation.folders) :]):
        if not preparation.teacher and not any((folder / file).is_file() for file in TEACHER_FILES):
            raise DataError(
                "Nothing can be learned from songs without a genre unless a teacher is given: --teacher FILE."
            )
    for name, found in clips.items():
        build_archive(found, front_ends, folders[name])
    shares, counts_as, held_out = preparation.shares, preparation.counts_as, preparation.held_out
    data = read_data(folders, shares=shares, counts_as=counts_as, held_out=held_out)
    copies = preparation.augmented_copies
    for source in data.sources:
        rows = source.rows[source.of("training")]
        if copies and source.name in clips:
            augment_archive(clips[source.name], rows, front_ends, copies, source.folder)
        if preparation.teacher and source.name in clips:
            teach_archive(clips[source.name], rows, preparation.teacher, source.folder)
    return replace(data, sources=[replace(source, augmented_copies=copies) for source in data.sources])


@contextmanager
def _only_writer(archives: Path) -> Iterator[None]:
    """Wait until no other process writes these archives, and let others wait for this one."""
    archives.mkdir(parents=True, exist_ok=True)
    lock = FileLock(archives / ".lock")  # released by the system, however the process ends
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Another training is writing the archives in {archives}; waiting for it.", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _clips(preparation: Preparation, folder: Path, *, labelled: bool) -> list[AudioClip]:
    if is_on_hub(folder):
        dataset = parse(folder)
        songs = hub_songs(dataset, labelled=labelled, label=preparation.label, fma=preparation.fma_metadata)
        return cut_songs(songs, Path(dataset.repo))
    if not labelled:
        return cut_songs(unlabelled_songs(folder), folder)
    if is_fma_audio(folder):
        raise DataError(f"{folder} holds FMA's audio alone; name the folder above it, with fma_metadata/tracks.csv.")
    if _is_to_be_fetched(folder):
        fetch_fma_small(folder)
    return fma_small(folder) if is_fma_small(folder) else cut_songs(folder_songs(folder), folder)


def _is_to_be_fetched(folder: Path) -> bool:
    """Whether FMA-small is wanted in a folder, by its name, and not there yet; nor are other sub-folders than its."""
    if folder.name != "fma_small" or is_on_hub(folder) or is_fma_small(folder):
        return False
    return all(name.startswith(("fma_metadata", "fma_small")) for name in _sub_folders(folder))


def _sub_folders(folder: Path) -> list[str]:
    return [child.name for child in folder.glob("*") if child.is_dir() and not is_left_out(child.name)]


def _archive_folder(preparation: Preparation, folder: Path) -> Path:
    """The archive of a folder; different for folders of the same name."""
    path = folder if is_on_hub(folder) else folder.resolve()
    return preparation.archives / f"{source_name(folder)}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"


def source_name(folder: Path) -> str:
    """The name of a folder or of a data set of the Hub."""
    return parse(folder).name if is_on_hub(folder) else folder.resolve().name


def _names(folders: list[Path]) -> dict[str, Path]:
    """Folders by the names of their sources; a number is appended to names that repeat."""
    names: dict[str, Path] = {}
    for folder in folders:
        name = base = SOURCE_NAMES.get(source_name(folder), source_name(folder))
        number = 1
        while name in names:
            number += 1
            name = f"{base}-{number}"
        names[name] = folder
    return names
