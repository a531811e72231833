"""The log-mel archive: audio decoded once, in parallel, into the arrays that `genre.data` reads.

An archive is a data folder (see `genre.data`) that also remembers what it was made of:

    archive.json            hash of the list of clips
    <front end>.json        the front end's settings, as they were
    <front end>.done.npy    a byte a row: 0 to do, 1 there, 2 not readable

It is filled row by row, so that an interrupted run goes on where it stopped.
"""

import csv
import hashlib
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from genre.audio import decode
from genre.data import FORMATS
from genre.errors import AudioError, DataError
from genre.files import read_json, write_json
from genre.frontend import CLIP_SECONDS, FRONT_ENDS, LogMel
from genre.sources import Source

UNREADABLE_NOTE = "clip is not readable"
TO_DO, THERE, UNREADABLE = 0, 1, 2
ROWS_PER_FLUSH = 200


def build_archive(sources: list[Source], front_end: str, folder: Path, processes: int | None = None) -> None:
    """Write, or go on writing, one front end's array of a data folder.

    A file that cannot be decoded is named and skipped.

    Args:
        sources: the clips, one a row.
        front_end: a name in `FRONT_ENDS`.
        folder: the archive.
        processes: decoders to run side by side; one a core unless told.

    Raises:
        DataError: the archive was made of other clips or with other settings, or nothing could be read.
    """
    _check(folder, "archive.json", {"clips": len(sources), "hash": _hash(sources)}, "other clips")
    _check(folder, f"{front_end}.json", FRONT_ENDS[front_end].to_dict(), f"other {front_end} settings")
    array, done = _open_arrays(front_end, len(sources), folder)
    _fill(array, done, sources, front_end, processes)
    unreadable = int((done == UNREADABLE).sum())
    if unreadable == len(sources):
        raise DataError(f"None of the {len(sources)} clips could be read.")
    if unreadable:
        print(f"{unreadable} of {len(sources)} clips could not be read and are left out")
    _write_index(sources, np.asarray(done), folder)


def clip_features(path: str | Path, start: float, front_end: str) -> np.ndarray:
    """The stored features of a clip, a row of the front end's array.

    Raises:
        AudioError: the file cannot be decoded, or is silent where the clip is.
    """
    log_mel = LogMel(FRONT_ENDS[front_end])
    waveform = decode(path, log_mel.config.sample_rate, start=start, seconds=CLIP_SECONDS)
    if not waveform.any():
        raise AudioError("This clip is silent.")
    return FORMATS[front_end].store(log_mel.clip_features(waveform))


def _fill(array: np.ndarray, done: np.ndarray, sources: list[Source], front_end: str, processes: int | None) -> None:
    """Do the rows that are still to do."""
    to_do = np.flatnonzero(done == TO_DO).tolist()
    clips = [(row, str(sources[row].path), sources[row].start, front_end) for row in to_do]
    bar = tqdm(total=len(sources), initial=len(sources) - len(to_do), desc=f"{front_end} archive", unit="clip")
    with bar:
        for count, (row, result) in enumerate(_run(clips, processes), 1):
            if isinstance(result, str):
                bar.write(f"{sources[row].path.name}: {result}")
                done[row] = UNREADABLE
            else:
                array[row] = result
                done[row] = THERE  # after the row itself: a run that dies between the two does the row again
            if count % ROWS_PER_FLUSH == 0:
                array.flush()
                done.flush()
            bar.update()
    array.flush()
    done.flush()


def _run(clips: list[tuple], processes: int | None) -> Iterator[tuple[int, np.ndarray | str]]:
    """Rows and their features, or why there are none, in any order of finishing that `map` allows."""
    # Fresh processes: a fork of one that has run torch's threads can hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from pool.map(_features_or_reason, clips, chunksize=4)


def _features_or_reason(clip: tuple[int, str, float, str]) -> tuple[int, np.ndarray | str]:
    row, path, start, front_end = clip
    try:
        return row, clip_features(path, start, front_end)
    except AudioError as error:
        return row, str(error)


def _check(folder: Path, name: str, content: dict, difference: str) -> None:
    """Write what the archive is made of, or compare it with what is there."""
    if not (folder / name).is_file():
        write_json(folder / name, content)
    elif read_json(folder / name) != content:
        raise DataError(f"The archive {folder} was made with {difference}; remove it, or name another with --archive.")


def _open_arrays(front_end: str, rows: int, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    form, config = FORMATS[front_end], FRONT_ENDS[front_end]
    shape = (rows, config.n_mfcc or config.n_mels, form.columns)
    array, done = folder / form.file, folder / f"{front_end}.done.npy"
    if not done.is_file():  # the array first, since `done` vouches for it
        np.lib.format.open_memmap(array, "w+", form.dtype, shape).flush()
        np.lib.format.open_memmap(done, "w+", np.uint8, (rows,)).flush()
    return np.load(array, mmap_mode="r+"), np.load(done, mmap_mode="r+")


def _hash(sources: list[Source]) -> str:
    lines = [f"{s.track_id}\t{s.start}\t{s.genre}\t{s.split}\n" for s in sources]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _write_index(sources: list[Source], done: np.ndarray, folder: Path) -> None:
    with (folder / "index.tmp").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["track_id", "genre", "split", "note"])
        for source, state in zip(sources, done, strict=True):
            note = UNREADABLE_NOTE if state == UNREADABLE else ""
            writer.writerow([source.track_id, source.genre, source.split, note])
    (folder / "index.tmp").replace(folder / "index.csv")
