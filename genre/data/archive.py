"""The log-mel archive: audio decoded once, in parallel, to the arrays of a data folder (see `genre.data.dataset`).

An archive also stores the state of its input:

    clips.json                  a hash for each clip: path, size and modification time of the file, start of the clip
    <front end>.json            the front end's settings
    <front end>.done.npy        a byte for each clip: 0 missing, 1 stored, 2 not readable
    <front end>_augmented.done.npy  the same of the augmented copies, shape (clips, copies)
    musicnn.done.npy            the same of the teacher's outputs

It is filled clip by clip, so that an interrupted run can be resumed. Clips whose file is new, has changed or could not
be read are decoded; the others are left as they are.
"""

import csv
import hashlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from genre.audio.audio import CLIP_SECONDS, Audio
from genre.data import musicnn
from genre.data.musicnn import SIZE, WINDOWS, load_musicnn
from genre.data.sources import AudioClip
from genre.data.windows import FORMATS, MUSICNN_FILE, STORED, augmented_done_file, done_file, taught_file
from genre.errors import AudioError, DataError
from genre.features.log_mel import FRONT_ENDS, LogMel
from genre.files import one_line, read_json, replaced, write_json

UNREADABLE_NOTE = "clip is not readable"
TO_DO, UNREADABLE = 0, 2  # besides `genre.data.windows.STORED`
SAMPLE_RATE = 44_100  # Hz, of all front ends
PLACES_PER_FLUSH = 200


@dataclass(frozen=True)
class _Store:
    """An array of features or of a teacher's outputs, and its state; the axes of both begin with clips and copies."""

    features: np.memmap
    done: np.memmap

    def flush(self) -> None:
        self.features.flush()
        self.done.flush()


def build_archive(clips: list[AudioClip], front_ends: list[str], folder: Path) -> None:
    """Write the arrays of a data folder and its index.csv, or complete those of an earlier run.

    A file that cannot be decoded is printed and left out.

    Args:
        clips: one for each row.
        front_ends: names in `FRONT_ENDS`.
        folder: the archive.

    Raises:
        DataError: the archive was made with other settings of a front end or is damaged, or nothing could be read.
    """
    with _intact(folder):
        for front_end in front_ends:
            _check_settings(folder, front_end)
        _move_unchanged(clips, folder)
        stores = [
            _feature_store(folder, name, FORMATS[name].file, done_file(name), (len(clips),)) for name in front_ends
        ]
    tasks = {(row,): partial(clip_features, clip.path, clip.start, front_ends) for row, clip in enumerate(clips)}
    _fill(stores, clips, tasks, f"{folder.name}: log-mels")
    readable = np.logical_and.reduce([store.done == STORED for store in stores])
    if not readable.any():
        raise DataError(f"None of the {len(clips)} clips could be read.")
    if not readable.all():
        print(f"{(~readable).sum()} of {len(clips)} clips could not be read and are left out")
    _write_index(clips, readable, folder)


def augment_archive(clips: list[AudioClip], rows: np.ndarray, front_ends: list[str], copies: int, folder: Path) -> None:
    """Add copies of clips to an archive whose waveforms are augmented (`genre.audio.augment`).

    Args:
        clips: as for `build_archive`, which has been run.
        rows: of the clips that get copies, shape (clips,).
        front_ends, folder: as for `build_archive`.
        copies: number of copies of each of them.
    """
    shape = (len(clips), copies)
    files = {name: (FORMATS[name].augmented_file, augmented_done_file(name)) for name in front_ends}
    with _intact(folder):
        stores = [_feature_store(folder, name, *files[name], shape) for name in front_ends]
    tasks = {
        (row, copy): partial(clip_features, clips[row].path, clips[row].start, front_ends, copy)
        for row in rows.tolist()
        for copy in range(copies)
    }
    _fill(stores, clips, tasks, f"{folder.name}: augmented copies")


def teach_archive(clips: list[AudioClip], rows: np.ndarray, weights: Path, folder: Path) -> None:
    """Add MusiCNN's outputs (`genre.data.musicnn`) for clips to an archive.

    Args:
        clips, rows, folder: as for `augment_archive`.
        weights: of MusiCNN.

    Raises:
        DataError: the file holds no such weights.
    """
    load_musicnn(weights)
    array, done = folder / MUSICNN_FILE, folder / taught_file(MUSICNN_FILE)
    with _intact(folder):
        store = _open_store(array, "float16", (WINDOWS, SIZE), done, (len(clips),))
    tasks = {(row,): partial(_clip_taught, clips[row].path, clips[row].start, weights) for row in rows.tolist()}
    _fill([store], clips, tasks, f"{folder.name}: teacher")


def clip_features(path: str | Path, start: float, front_ends: list[str], copy: int | None = None) -> list[np.ndarray]:
    """The features of a clip, or of one of its augmented copies: a row of each front end's array.

    Args:
        path: of the file.
        start: of the clip in the file, in seconds.
        front_ends: names in `FRONT_ENDS`.
        copy: number of the augmented copy; None for the clip itself.

    Returns:
        integers, shape (bands or coefficients, columns) for each front end, see `genre.data.windows`.

    Raises:
        AudioError: the file cannot be decoded, or is silent where the clip is.
    """
    waveform = torch.from_numpy(Audio(path).samples(SAMPLE_RATE, start=start, seconds=CLIP_SECONDS))
    if not waveform.any():
        raise AudioError("This clip is silent.")
    if copy is not None:
        from genre.audio.augment import AudioAugmentation  # needed by this alone

        seed = hashlib.sha256(os.fsencode(f"{Path(path).name}@{start:g}#{copy}")).digest()
        generator = np.random.default_rng(int.from_bytes(seed[:4], "big"))
        waveform = torch.from_numpy(AudioAugmentation()(waveform.numpy(), SAMPLE_RATE, generator))
    return [FORMATS[name].store(LogMel(FRONT_ENDS[name]).clip_features(waveform)) for name in front_ends]


def _clip_taught(path: Path, start: float, weights: Path) -> list[np.ndarray]:
    """MusiCNN's outputs for a clip, shape (WINDOWS, SIZE) float16; raises AudioError as `clip_features`."""
    waveform = torch.from_numpy(Audio(path).samples(musicnn.SAMPLE_RATE, start=start, seconds=CLIP_SECONDS))
    return [load_musicnn(weights).clip(waveform).half().numpy()]


def _fill(
    stores: list[_Store], clips: list[AudioClip], tasks: Mapping[Any, Callable[[], list[np.ndarray]]], title: str
) -> None:
    """Run those of these tasks, by their places (row, or row and copy), whose results are not stored.

    Those whose clip was unreadable are tried again.
    """
    for store in stores:
        store.done[store.done == UNREADABLE] = TO_DO
    to_do = [place for place in tasks if any(store.done[place] == TO_DO for store in stores)]
    if not to_do:
        return
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(to_do), desc=title, unit="clip", mininterval=1)
    # Spawned processes: a fork of a process with torch's threads can hang.
    pool = ProcessPoolExecutor(None, multiprocessing.get_context("spawn"), _start_process)
    try:
        results = pool.map(_result_or_reason, [tasks[place] for place in to_do], chunksize=4)
        for count, (place, result) in enumerate(zip(to_do, results, strict=True), 1):
            if isinstance(result, str):
                bar.write(f"{one_line(clips[place[0]].path.name)}: {result}")
            for number, store in enumerate(stores):
                if not isinstance(result, str):
                    store.features[place] = result[number]
                # Written after the features, so that a run that dies in between is repeated.
                store.done[place] = UNREADABLE if isinstance(result, str) else STORED
                if count % PLACES_PER_FLUSH == 0:
                    store.flush()
            bar.update()
    except BrokenProcessPool as error:
        raise DataError(
            "A decoding process was ended by the system, perhaps for lack of memory. What it finished is kept: run the "
            "command again."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)  # after an error or Ctrl-C, too
        bar.close()
    for store in stores:
        store.flush()


def _start_process() -> None:
    """Use one thread, leave Ctrl-C to the parent process, and end with it, also where that one is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := multiprocessing.parent_process():
        parent.join()
        os._exit(1)


def _result_or_reason(task: Callable[[], list[np.ndarray]]) -> list[np.ndarray] | str:
    try:
        return task()
    except AudioError as error:
        return str(error)


@contextmanager
def _intact(folder: Path) -> Iterator[None]:
    """Raise DataError where a file of the archive is cut off, or full of zeros, as after a power cut."""
    try:
        yield
    except (ValueError, EOFError, LookupError, TypeError) as error:
        raise DataError(
            f"The archive {folder} is damaged; remove it, and the next training decodes its songs anew."
        ) from error


def _check_settings(folder: Path, front_end: str) -> None:
    """Write the front end's settings, or compare them with those of the archive."""
    path, settings = folder / f"{front_end}.json", FRONT_ENDS[front_end].to_dict()
    if not path.is_file():
        write_json(path, settings)
    elif read_json(path) != settings:
        raise DataError(
            f"The archive {folder} was made with other {front_end} settings; remove it, or name another with --archive."
        )


def _move_unchanged(clips: list[AudioClip], folder: Path) -> None:
    """Where the clips differ from those of the archive: move the rows of unchanged files to their new places."""
    keys, path = [_key(clip) for clip in clips], folder / "clips.json"
    before = read_json(path)["keys"] if path.is_file() else []
    if before == keys:
        return
    row_of = {key: row for row, key in enumerate(before)}
    pairs = [(row, row_of[key]) for row, key in enumerate(keys) if key in row_of]
    if before:
        print(f"{folder.name}: the songs have changed; {len(pairs)} of {len(clips)} clips are as they were before")
    path.unlink(missing_ok=True)  # a run that is interrupted from here on starts anew
    for array in sorted(folder.glob("*.npy")):
        old = np.load(array, mmap_mode="r")
        with replaced(array) as path_of_new:
            new = _new_array(path_of_new, old.dtype, (len(clips), *old.shape[1:]))
            for row, old_row in pairs:
                new[row] = old[old_row]
            new.flush()
            del old, new  # Windows replaces no file that is mapped
    write_json(path, {"keys": keys})


def _key(clip: AudioClip) -> str:
    """A hash of a clip that changes with its file."""
    status = clip.path.stat() if clip.path.is_file() else None
    state = (status.st_size, status.st_mtime_ns) if status else ()
    content = repr((os.fsencode(os.path.realpath(clip.path)), *state, clip.start))
    return hashlib.sha256(content.encode()).hexdigest()[:24]


def _feature_store(folder: Path, front_end: str, features: str, done: str, shape: tuple[int, ...]) -> _Store:
    """The store of a front end for this many clips and copies."""
    config, form = FRONT_ENDS[front_end], FORMATS[front_end]
    size = (config.n_mfcc or config.n_mels, form.columns)
    return _open_store(folder / features, form.dtype, size, folder / done, shape)


def _open_store(features: Path, dtype: str, size: tuple[int, int], done: Path, shape: tuple[int, ...]) -> _Store:
    """Open two arrays; where one is missing or has another shape, both are created with zeros."""
    wanted = {features: (dtype, (*shape, *size)), done: ("uint8", shape)}
    if not all(path.is_file() and np.load(path, mmap_mode="r").shape == full for path, (_, full) in wanted.items()):
        done.unlink(missing_ok=True)
        for path, (kind, full) in wanted.items():
            _new_array(path, kind, full).flush()
    return _Store(*(np.load(path, mmap_mode="r+") for path in wanted))


def _new_array(path: Path, dtype: str, shape: tuple[int, ...]) -> np.memmap:
    """A memory-mapped array of zeros with all of its room on the disk; raises OSError where there is too little.

    Without the room, a write to the array would end the program.
    """
    array = np.lib.format.open_memmap(path, "w+", dtype, shape)
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def _write_index(clips: list[AudioClip], readable: np.ndarray, folder: Path) -> None:
    with (
        replaced(folder / "index.csv") as new,
        new.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "song", "artist", "split", "note"])
        for clip, good in zip(clips, readable, strict=True):
            note = "" if good else UNREADABLE_NOTE
            writer.writerow([clip.track_id, clip.genre, clip.song, clip.artist, clip.split, note])
