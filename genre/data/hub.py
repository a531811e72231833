"""Audio classification data sets of the Hugging Face Hub as sources of training: `hf:USER/DATASET[@REVISION][:CONFIG]`.

A data set is read in one of the three layouts that the `datasets` library writes and loads:

    parquet         tables with a column of audio, a struct of `bytes` and `path`, as `push_to_hub` makes them
    audiofolder     audio files in folders that name their class, or with a metadata.csv, .jsonl or .parquet, or both
    WebDataset      tar shards, whose files of one name up to the first dot are a sample: song.mp3, song.json, song.cls

Its files are downloaded to the cache of `huggingface_hub`, which resumes an interrupted download. Songs within tables
and shards are unpacked, once for each revision, to the folder for assets beside that cache, so that the decoder reads
every song from a file of its own; index.json in that folder is written when all of them are there.

`datasets` itself is not used: version 5.2 decodes audio by TorchCodec, and does not even list the files of an
audiofolder without it.
"""

import csv
import glob
import hashlib
import io
import json
import posixpath
import re
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock
from huggingface_hub import (
    DatasetCard,
    DatasetInfo,
    HfApi,
    cached_assets_path,
    constants,
    hf_hub_download,
    snapshot_download,
    try_to_load_from_cache,
)
from tqdm import tqdm

from genre.audio.audio import Audio
from genre.audio.decode import SUFFIXES
from genre.audio.folders import is_left_out, main_artist
from genre.data.sources import AudioClip, clip_starts, fma_tracks, genres_by_folder, part_of, report_shared_artists
from genre.errors import DataError
from genre.files import clean_genre, one_line, one_spelling, read_json, replaced, report_spellings, write_json
from genre.models.downloads import HUB_ERRORS, hub_reason

PREFIX = "hf:"
TIMEOUT = 20  # seconds for the first response of the Hub
# Columns of genres and of artists by their names, in lower case, the best first. Of the columns of genres one is used;
# where there is none, one with another name for labels or of type ClassLabel.
GENRE_COLUMNS = ("genre", "genres", "genre_top", "top_genre", "main_genre", "music_genre", "track_genre", "genre_name")
LABEL_COLUMNS = ("label", "labels", "class", "cls", "category", "style", "genre_id")
NO_GENRES = ("license", "licence", "split", "subset", "language")  # also where they are of type ClassLabel
FOLDER_COLUMN = "folder"  # of an audiofolder: the folder that names the class
ARTIST_COLUMNS = (
    *("artist", "artist_name", "artists", "main_artist", "album_artist", "track_artist", "performer", "band", "singer"),
    *("composer", "artist_id"),
)
TITLE_COLUMNS = ("title", "track_title", "song_title", "song", "name")
METADATA = re.compile(r"metadata\.(csv|jsonl|parquet)")
FILE_COLUMNS = ("file_name", "audio_file_name", "file", "path")  # of such metadata: the file, relative to it
# What reading a damaged file raises, besides an OSError without a number; pyarrow's errors are of these types, too.
UNREADABLE = (ValueError, EOFError, LookupError, TypeError, AttributeError, RuntimeError, tarfile.TarError)
ROWS = 8  # of a table, read at a time with their audio
MAX_TEXT = 2**20  # bytes of a file of text in a shard
LISTED = 20  # columns and configurations that a message lists

Classes = dict[str, list[str]]  # names of the classes of columns
Check = Callable[[dict[str, str]], object]
Row = tuple[str, bytes, dict]  # name of the audio, its bytes, the other columns


@dataclass(frozen=True)
class HubDataset:
    """A data set on the Hub, as it is named on the command line."""

    repo: str
    revision: str | None = None
    config: str | None = None

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repo}{revision}{f':{self.config}' if self.config else ''}"

    @property
    def name(self) -> str:
        """The name without its user, which is that of the source."""
        return self.repo.split("/")[1]


@dataclass(frozen=True)
class HubSong:
    """A song of a data set.

    Attributes:
        path: of the audio file.
        name: unique in the data set.
        genre: label; empty where it is not asked for.
        artist: by `genre.audio.folders.main_artist`, of a column or of the tags of the file; empty where none is named.
        split: training, validation or test; empty where the data set has no such splits.
        digest: which equal files share.
        seconds: duration by the headers of the file; 0 where they declare none.
    """

    path: Path
    name: str
    genre: str
    artist: str
    split: str
    digest: str
    seconds: float = 0.0


def is_on_hub(name: str | Path) -> bool:
    """Whether a value of `--data` names a data set on the Hub and no folder."""
    return str(name).startswith(PREFIX)


def parse(name: str | Path) -> HubDataset:
    """The data set of this name; raises DataError where it has another form."""
    text = name.as_posix() if isinstance(name, Path) else name
    found = re.fullmatch(r"hf:([\w.-]+/[\w.-]+)(?:@([^:\s]+))?(?::([^\s]+))?", text)
    if not found:
        raise DataError(f"{text} names no data set on the Hub; the form is {PREFIX}USER/DATASET[@REVISION][:CONFIG].")
    return HubDataset(*found.groups())


def hub_clips(dataset: HubDataset, **choices: Any) -> list[AudioClip]:
    """The clips of the songs of a data set; arguments and errors as of `hub_songs`."""
    return [
        AudioClip(
            path=song.path,
            start=start,
            track_id=f"{song.name}@{start:g}",
            genre=song.genre,
            artist=song.artist or f"{dataset.repo}/{song.name}",
            split=song.split,
            song=song.name,
        )
        for song in hub_songs(dataset, **choices)
        for start in clip_starts(song.seconds)
    ]


def hub_songs(
    dataset: HubDataset, *, labelled: bool = True, label: str | None = None, fma: Path | None = None
) -> list[HubSong]:
    """Download a data set, unpack its songs and choose the columns of genres and artists; prints what it finds.

    Args:
        labelled: whether genres are wanted; songs without one are then left out.
        label: the column of genres; None chooses the one that is named so.
        fma: FMA's tracks.csv, or the folder with it, by which songs get their official split; None for none.

    Raises:
        DataError: the data set cannot be downloaded, holds no audio or no genres, has several columns or configurations
            to choose from, or is damaged.
    """
    official = _fma_splits(fma) if fma else {}
    index = _index(dataset, (lambda columns: choose_label(columns, label, dataset)) if labelled else lambda _: "")
    songs, columns = index["songs"], {_key(name): name for name in index["columns"]}
    genre = choose_label(index["columns"], label, dataset) if labelled else ""
    artist, title = (
        next((columns[name] for name in names if name in columns), "") for names in (ARTIST_COLUMNS, TITLE_COLUMNS)
    )
    split_of = _split_names(dataset, [song["split"] for song in songs])
    found = [
        HubSong(
            path=Path(index["folder"]) / song["file"],
            name=song["name"],
            genre=_first(song["columns"].get(genre)),
            artist=_artist(dataset, _first(song["columns"].get(artist))),
            split=split_of[song["split"]],
            digest=song["digest"],
        )
        for song in songs
    ]
    if not official and dataset.name.startswith("free-music-archive"):
        print(f"  {dataset.name} has no official split; --fma-metadata TRACKS.CSV restores that of FMA")
    if official:
        names = [tuple(_plain(_first(song["columns"].get(name))) for name in (title, artist)) for song in songs]
        found = _with_official_split(dataset, found, [official.get(one, set()) for one in names])
    kept = _without_copies(_spelled(found) if labelled else found)
    if not kept:
        column = f"; is {genre!r} its column of genres?" if labelled else "."
        raise DataError(f"No song of {dataset} can be used{column}")
    bar = tqdm(kept, desc=f"{dataset.name}: headers", unit="song", mininterval=1, delay=2)
    tags = {song.path: Audio(song.path).tags for song in bar}
    kept = [replace(one, artist=one.artist or tags[one.path].artist, seconds=tags[one.path].seconds) for one in kept]
    unnamed = sum(not song.artist for song in kept)
    print(
        f"{dataset.name}: {len(kept)} songs"
        + (f" in {len({song.genre for song in kept})} genres by the column {genre!r}" if labelled else "")
        + f"; artists by {f'the column {artist!r}' if artist else 'the tags of the files'}"
        + (f", {unnamed} name none and count as artists of their own" if unnamed else "")
    )
    report_shared_artists((song.artist, song.split) for song in kept)
    return kept


def _artist(dataset: HubDataset, name: str) -> str:
    """The artist of this name; a number is one of this data set alone."""
    return f"{dataset.repo}/{name}" if name.isdecimal() else main_artist(name)


def _spelled(songs: list[HubSong]) -> list[HubSong]:
    """The songs that have a genre; genres that differ in case or Unicode form alone are one."""
    if missing := sum(not song.genre for song in songs):
        print(f"  {missing} of {len(songs)} songs have no genre and are left out")
    names = {song.genre: clean_genre(song.genre) for song in songs if song.genre}
    spelling = one_spelling(names.values())
    genre_of = {name: spelling[genre] for name, genre in names.items()}
    report_spellings(genre_of)
    return [replace(song, genre=genre_of[song.genre]) for song in songs if song.genre]


def choose_label(columns: dict[str, str], label: str | None, dataset: HubDataset) -> str:
    """The column of genres.

    Args:
        columns: names of the columns with their kinds: "class", "text" or "number".
        label: the one that is asked for.

    Raises:
        DataError: there is no such column, none that looks like genres, or several.
    """
    if label is not None:
        if label not in columns:
            raise DataError(f"{dataset} has no column {label!r}; it has {_listed(columns)}.")
        return label
    usable = {name: kind for name, kind in columns.items() if _key(name) not in NO_GENRES}
    tiers = (
        [name for name in usable if _key(name) in GENRE_COLUMNS],
        [name for name, kind in usable.items() if _key(name) in LABEL_COLUMNS or kind == "class"],
        [name for name in usable if name == FOLDER_COLUMN],
    )
    fitting: list[str] = next((tier for tier in tiers if tier), [])
    if len(fitting) > 1:
        raise DataError(f"{dataset} has several columns of labels: choose one with --label: {_listed(fitting)}.")
    if not fitting:
        texts = [name for name, kind in usable.items() if kind == "text" and _key(name) not in ARTIST_COLUMNS]
        others = f"; if one of these holds them, name it with --label: {_listed(texts)}" if texts else ""
        raise DataError(f"{dataset} has no labels: no column is named genre or label, or of type ClassLabel{others}.")
    return fitting[0]


def _key(name: str) -> str:
    return re.sub(r"\W+", "_", name.casefold())


def _listed(names: Iterable[str]) -> str:
    names = [one_line(str(name)) for name in names]
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


def _first(value: Any) -> str:
    """A value of a row as text, or the first one of a list; empty where there is none."""
    if isinstance(value, list):
        value = next((one for one in value if one not in (None, "")), None)
    return "" if value is None else str(value).strip()


def _kinds(rows: Iterable[dict]) -> dict[str, str]:
    """The columns of rows with their kinds, for which a value that is no number decides."""
    kinds: dict[str, str] = {}
    for name, value in (item for row in rows for item in row.items()):
        one = next(iter(value), None) if isinstance(value, list) else value
        if kinds.get(name) != "text":
            kinds[name] = "text" if isinstance(one, str) else "number"
    return kinds


def _split_names(dataset: HubDataset, names: list[str]) -> dict[str, str]:
    """The split of each name of a split; all empty where they are not at least one for training and another one."""
    parts = {name: part_of(name) for name in names}
    if "training" not in parts.values() or len(set(parts.values()) - {""}) < 2:
        return dict.fromkeys(parts, "")
    if others := [name for name, part in parts.items() if not part]:
        print(f"  {dataset.name}: {_listed(others)} is no name of a split, so its songs are split by artist")
    return parts


def _without_copies(songs: list[HubSong]) -> list[HubSong]:
    """Of equal files the first; none of them where they have different genres."""
    genres: dict[str, set[str]] = defaultdict(set)
    for song in songs:
        genres[song.digest].add(song.genre)
    first: dict[str, HubSong] = {}
    for song in songs:
        if len(genres[song.digest]) == 1:
            first.setdefault(song.digest, song)
    disputed = sum(len(genres[song.digest]) > 1 for song in songs)
    if copies := len(songs) - disputed - len(first):
        print(f"  {copies} songs are copies of others and are left out")
    if disputed:
        print(f"  {disputed} songs are left out, since they are the same file in different genres")
    return list(first.values())


def _fma_splits(path: Path) -> dict[tuple[str, ...], set[str]]:
    """The parts of FMA's official split by title and artist of the tracks in them."""
    places = (path, path / "tracks.csv", path / "fma_metadata" / "tracks.csv")
    table = next((place for place in places if place.is_file()), None)
    if table is None:
        raise DataError(f"There is no tracks.csv of FMA at {path}.")
    splits: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for track in fma_tracks(table):
        splits[_plain(track.title), _plain(track.artist)].add(track.split)
    return splits


def _plain(text: str) -> str:
    """A name without case and punctuation, which copies of a table differ in."""
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split()) or text.strip()


def _with_official_split(dataset: HubDataset, songs: list[HubSong], parts: list[set[str]]) -> list[HubSong]:
    """The songs with the part of FMA's split that has their title and artist, where that is one part alone."""
    found = [
        replace(song, split=next(iter(known)) if len(known) == 1 else "")
        for song, known in zip(songs, parts, strict=True)
    ]
    print(
        f"{dataset.name}: {sum(bool(song.split) for song in found)} of {len(found)} songs have FMA's official split, "
        f"by title and artist; {sum(not known for known in parts)} are not in its table and "
        f"{sum(len(known) > 1 for known in parts)} in two parts of it, and are split by artist"
    )
    return found


@contextmanager
def _hub_errors(dataset: HubDataset) -> Iterator[None]:
    try:
        yield
    except HUB_ERRORS as error:
        reason = hub_reason(error, f"the cache {constants.HF_HUB_CACHE}")
        raise DataError(f"{dataset} could not be downloaded from the Hugging Face Hub: {reason}") from error


def _index(dataset: HubDataset, check: Check) -> dict:
    """The index of a data set, whose songs are downloaded and unpacked where they are missing.

    Args:
        check: is called with the columns and their kinds as soon as these are known, before the rest is downloaded.

    Returns:
        `columns` with their kinds; `folder`, that of the songs; and `songs`, for each its `file` in that folder,
        `name`, `digest`, `split` as the data set names it, and `columns` with their values.
    """
    store = cached_assets_path("genre", dataset.repo, "songs", assets_dir=constants.HF_ASSETS_CACHE)
    with _hub_errors(dataset):
        try:
            info = HfApi().dataset_info(dataset.repo, revision=dataset.revision, files_metadata=True, timeout=TIMEOUT)
        except HUB_ERRORS as error:
            if index := _earlier_index(store, dataset, error):
                print(f"{dataset}: the Hub does not answer, so what was downloaded earlier is used")
                return index
            raise
    with FileLock(store.with_suffix(".lock")):  # of two trainings one unpacks
        return _current_index(dataset, info, store, check)


def _earlier_index(store: Path, dataset: HubDataset, error: BaseException) -> dict | None:
    """The newest complete index of this name, where the Hub could not be asked; None after a refusal."""
    if getattr(error, "response", None) is not None:
        return None
    newest = sorted(store.glob("*/index.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    indices = (index for path in newest if (index := _read_index(path)))
    return next((index for index in indices if index["dataset"] == str(dataset)), None)


def _current_index(dataset: HubDataset, info: DatasetInfo, store: Path, check: Check) -> dict:
    siblings = {one.rfilename: one for one in info.siblings or ()}
    card = _card(dataset, info.sha, siblings)
    licence = card.get("license_name") or card.get("license") or "not stated"
    folder = store / "-".join(quote(one, safe="") for one in (info.sha, dataset.config) if one)
    if index := _read_index(folder / "index.json"):
        print(f"{dataset}: {len(index['songs'])} songs, downloaded earlier; license: {licence}", flush=True)
        return index
    try:
        files, classes = _chosen_files(dataset, card, list(siblings)), _card_classes(card, dataset.config)
    except (AttributeError, LookupError, TypeError) as error:
        raise DataError(f"The card of {dataset} lists its files in a form that is not known.") from error
    packed, audio = _layout(dataset, files)
    metadata = [] if packed else [one for one in files if METADATA.fullmatch(posixpath.basename(one))]
    wanted = packed or [*audio, *metadata]
    _announce(dataset, info.sha, {one: siblings[one].size or 0 for one in wanted}, licence, bool(packed))
    folder.mkdir(parents=True, exist_ok=True)
    digests = {name: one.lfs.sha256 if one.lfs else one.blob_id or name for name, one in siblings.items()}
    if packed:
        path = _download(dataset, info.sha, packed[:1]) / packed[0]
        with _intact(dataset, path, digests[packed[0]]):
            columns = (
                _table_columns(dataset, path, classes) if path.suffix == ".parquet" else _shard_columns(path, classes)
            )
        check(columns)
        base = _download(dataset, info.sha, packed)
        songs = _unpacked(dataset, base, {one: files[one] for one in packed}, classes, folder, digests)
        base = folder
    else:
        base = _download(dataset, info.sha, metadata) if metadata else Path()
        songs = _folder_songs(dataset, base, metadata, {one: files[one] for one in audio}, classes, digests)
        columns = _kinds(song["columns"] for song in songs) | dict.fromkeys(classes, "class")
        check(columns)
        base = _download(dataset, info.sha, wanted)
    index = {"dataset": str(dataset), "folder": str(base), "columns": columns, "songs": songs}
    write_json(folder / "index.json", index)
    return index


def _read_index(path: Path) -> dict | None:
    """An index whose songs are all there; None for any other."""
    try:
        index = read_json(path)
        return index if all((Path(index["folder"]) / song["file"]).is_file() for song in index["songs"]) else None
    except (OSError, ValueError, LookupError):
        return None


def _card(dataset: HubDataset, commit: str | None, files: Iterable[str]) -> dict:
    """The front matter of a data set's card; empty where there is none, or a broken one."""
    if "README.md" not in files:
        return {}
    with _hub_errors(dataset):
        path = hf_hub_download(dataset.repo, "README.md", repo_type="dataset", revision=commit)
    try:
        return DatasetCard(Path(path).read_text(encoding="utf-8", errors="replace")).data.to_dict()
    except Exception:  # of YAML
        return {}


def _announce(dataset: HubDataset, commit: str | None, sizes: dict[str, int], licence: str, packed: bool) -> None:
    """Print number, size and license of the files before they are downloaded; raises DataError without enough room."""
    missing = sum(
        size
        for one, size in sizes.items()
        if not isinstance(try_to_load_from_cache(dataset.repo, one, revision=commit, repo_type="dataset"), str)
    )
    total = sum(sizes.values())
    print(
        f"{dataset}: {len(sizes)} files, {_size(total)}, of which {_size(missing)} are to be downloaded to "
        f"{constants.HF_HUB_CACHE}{', and songs to be unpacked' if packed else ''}; license: {licence}",
        flush=True,
    )
    cache = Path(constants.HF_HUB_CACHE)
    existing = next(path for path in (cache, *cache.parents) if path.exists())
    needed, free = missing + (total if packed else 0), shutil.disk_usage(existing).free
    if free < needed:
        raise DataError(
            f"{dataset} needs up to {_size(needed)} in {constants.HF_HUB_CACHE}, but only {_size(free)} are free; make "
            "room, or name another disk by HF_HOME."
        )


def _size(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e8 else f"{number / 1e6:.1f} MB"


def _download(dataset: HubDataset, commit: str | None, files: list[str]) -> Path:
    """The folder in the cache with these files."""
    with _hub_errors(dataset):
        patterns = [glob.escape(one) for one in files]
        return Path(snapshot_download(dataset.repo, repo_type="dataset", revision=commit, allow_patterns=patterns))


def _chosen_files(dataset: HubDataset, card: dict, files: list[str]) -> dict[str, str]:
    """The files of a configuration with the names of their splits.

    They are those that the card lists; without such a list all of them, with splits by the names of files and folders,
    or those in the folder of the configuration.
    """
    listed = [one for one in card.get("configs") or () if "data_files" in one or "data_dir" in one]
    configs = {str(one.get("config_name", "default")): one for one in listed}
    name = dataset.config
    if not configs:
        folders = sorted({one.split("/")[0] for one in files if one.count("/") > 1 and one.endswith(".parquet")})
        folders = [one for one in folders if not part_of(one) and one != "data"]
        if name is None and len(folders) > 1:
            raise DataError(
                f"{dataset} has several configurations: add one to its name, after a colon: {_listed(folders)}."
            )
        inside = [one for one in files if name is None or one.startswith(f"{name}/")]
        if not inside:
            raise DataError(f"{dataset}: there is no configuration {name!r}.")
        return {one: _split_of_path(one) for one in inside}
    if name is None:
        defaults = [one for one, config in configs.items() if config.get("default") or one == "default"]
        if len(configs) > 1 and not defaults:
            raise DataError(
                f"{dataset} has several configurations: add one to its name, after a colon: {_listed(configs)}."
            )
        name = next(iter(defaults or configs))
    if name not in configs:
        raise DataError(f"{dataset}: there is no configuration {name!r}; there is {_listed(configs)}.")
    config = configs[name]
    chosen: dict[str, str] = {}
    for split, patterns in _patterns(config.get("data_files", "**")):
        for pattern in patterns:
            full = posixpath.normpath(posixpath.join(config.get("data_dir", ""), pattern))
            matching = [one for one in files if _glob(full).fullmatch(one)]
            chosen |= {one: split if split is not None else _split_of_path(one) for one in matching}
    if not chosen:
        raise DataError(f"{dataset}: its card lists files that are not there.")
    return chosen


def _patterns(data_files: Any) -> Iterator[tuple[str | None, list[str]]]:
    """Splits, None where they are not named, and patterns of `data_files` in one of the forms that a card may have."""
    if isinstance(data_files, dict) and "path" not in data_files:
        data_files = [{"split": split, "path": path} for split, path in data_files.items()]
    for entry in data_files if isinstance(data_files, list) else [data_files]:
        split, paths = (entry.get("split"), entry["path"]) if isinstance(entry, dict) else (None, entry)
        yield split, paths if isinstance(paths, list) else [paths]


def _glob(pattern: str) -> re.Pattern[str]:
    """A pattern of files as a regular expression: `*` is within a folder, `**` also across folders."""
    parts = re.split(r"(\*\*/?|\*|\?)", pattern)
    meaning = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(part, re.escape(part)) for part in parts))


def _split_of_path(path: str) -> str:
    """The name of a split in a path: a folder, or the name of a shard without its number; empty where there is none."""
    *folders, file = path.split("/")
    stem = re.sub(r"[-_.]?\d+(-of-\d+)?(-[0-9a-f]{16})?$", "", file.rsplit(".", 1)[0])
    return next((name for name in (*folders, stem) if part_of(name)), "")


def _layout(dataset: HubDataset, files: Iterable[str]) -> tuple[list[str], list[str]]:
    """The tables, or else the shards, of a data set; and its audio files."""
    seen = sorted(one for one in files if not any(map(is_left_out, one.split("/"))))
    audio = [one for one in seen if posixpath.splitext(one)[1].lower() in SUFFIXES]
    tables = [one for one in seen if one.endswith(".parquet") and not (audio and METADATA.search(one))]
    packed = tables or [one for one in seen if one.endswith(".tar")]
    if not (packed or audio):
        raise DataError(
            f"{dataset} holds neither parquet files nor audio files nor tar shards; the Hub converts many others: try "
            f"{PREFIX}{dataset.repo}@refs/convert/parquet."
        )
    return packed, audio


def _unpacked(
    dataset: HubDataset,
    snapshot: Path,
    splits: dict[str, str],
    classes: Classes,
    folder: Path,
    digests: dict[str, str],
) -> list[dict]:
    """Write each song of tables and shards to a file; those of an interrupted run that are there stay."""
    (folder / "songs").mkdir(exist_ok=True)
    songs, without = [], 0
    with tqdm(desc=f"{dataset.name}: unpack", unit="song", mininterval=1) as bar:
        for number, (file, split) in enumerate(splits.items()):
            path = snapshot / file
            read = _table_rows if path.suffix == ".parquet" else _shard_rows
            with _intact(dataset, path, digests[file]):
                for row, (name, audio, columns) in enumerate(read(path, classes)):
                    bar.update()
                    if not audio:
                        without += 1
                        continue
                    suffix = posixpath.splitext(name)[1].lower()
                    target = folder / "songs" / f"{number:04}-{row:07}{suffix if suffix in SUFFIXES else ''}"
                    if not target.is_file() or target.stat().st_size != len(audio):
                        with replaced(target) as new:
                            new.write_bytes(audio)
                    songs.append(
                        {
                            "file": target.relative_to(folder).as_posix(),
                            "name": f"{posixpath.basename(name) or 'song'} ({file}, {row})",
                            "digest": hashlib.sha256(audio).hexdigest(),
                            "split": split,
                            "columns": columns,
                        }
                    )
    if not songs:
        raise DataError(f"{dataset} holds no audio itself, at most the paths of some.")
    if without:
        print(f"  {without} rows of {dataset.name} hold no audio and are left out")
    return songs


@contextmanager
def _intact(dataset: HubDataset, path: Path, digest: str) -> Iterator[None]:
    """Raise DataError for a damaged file, which is removed from the cache where the Hub has another one."""
    try:
        yield
    except (*UNREADABLE, OSError) as error:
        if isinstance(error, OSError) and error.errno:  # of the disk
            raise
        blob = path.resolve()
        with blob.open("rb") as file:
            altered = len(digest) == 64 and hashlib.file_digest(file, "sha256").hexdigest() != digest
        if altered:
            path.unlink()
            blob.unlink(missing_ok=True)
            raise DataError(f"{path.name} of {dataset} was damaged and is removed; start again to fetch it.") from error
        raise DataError(
            f"{path.name} of {dataset} is damaged on the Hub, too; name an earlier revision, or tell its author."
        ) from error


def _arrow() -> tuple[Any, Any]:
    """The modules pyarrow and pyarrow.parquet, which the app does without."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise DataError("Datasets of parquet files need pyarrow: pip install -r requirements-train.txt.") from error
    return pyarrow, parquet


def _read_schema(schema: Any, classes: Classes) -> tuple[str, dict[str, str], Classes]:
    """The column of audio of a parquet file, the kinds of the columns of text and numbers, and the names of classes."""
    types = _arrow()[0].types
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    classes = classes | {name: names for name, feature in features.items() if (names := _class_names(feature))}
    structs = [
        field.name for field in schema if types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0
    ]
    types_of = {name: features.get(name, {}).get("_type") for name in structs}
    audio = sorted((name for name in structs if types_of[name] in ("Audio", None)), key=lambda name: not types_of[name])
    kinds = {}
    for field in schema:
        one = field.type
        while types.is_list(one) or types.is_large_list(one) or types.is_dictionary(one):
            one = one.value_type
        if types.is_string(one) or types.is_large_string(one):
            kinds[field.name] = "text"
        elif types.is_integer(one) and (field.name in classes or one == field.type):
            kinds[field.name] = "class" if field.name in classes else "number"
    return next(iter(audio), ""), kinds, classes


def _table_columns(dataset: HubDataset, path: Path, classes: Classes) -> dict[str, str]:
    """The columns of a parquet file with their kinds; raises DataError where none is of audio."""
    with _arrow()[1].ParquetFile(path) as file:
        audio, kinds, _ = _read_schema(file.schema_arrow, classes)
    if not audio:
        raise DataError(f"{dataset} has no column of audio; it has {_listed(kinds)}.")
    return kinds


def _table_rows(path: Path, classes: Classes) -> Iterator[Row]:
    with _arrow()[1].ParquetFile(path) as file:
        column, kinds, classes = _read_schema(file.schema_arrow, classes)
        for batch in file.iter_batches(ROWS, columns=[column, *kinds]):
            for row in batch.to_pylist():
                audio = row.pop(column) or {}
                columns = {name: _named(value, classes.get(name)) for name, value in row.items()}
                yield audio.get("path") or "", audio.get("bytes") or b"", columns


def _shard_columns(path: Path, classes: Classes) -> dict[str, str]:
    """The columns of the first sample of a shard with their kinds; raises EOFError where there is none."""
    for _, _, columns in _shard_rows(path, classes):
        return {name: "class" if name in classes else kind for name, kind in _kinds([columns]).items()}
    raise EOFError


def _shard_rows(path: Path, classes: Classes) -> Iterator[Row]:
    """The samples of a WebDataset shard; a file of text is the column that its suffix names."""
    with tarfile.open(path, "r:") as shard:
        files = (one for one in shard if one.isfile() and not is_left_out(posixpath.basename(one.name)))
        for stem, members in groupby(files, key=lambda one: _stem(one.name)):
            name, audio = "", b""
            columns: dict[str, Any] = {}
            for member in members:
                kind = member.name.removeprefix(stem).lstrip(".").lower()
                if f".{kind.rpartition('.')[2]}" in SUFFIXES:
                    name, audio = member.name, _content(shard, member)
                elif member.size <= MAX_TEXT and kind == "json":
                    found = json.loads(_content(shard, member))
                    columns |= found if isinstance(found, dict) else {}
                elif member.size <= MAX_TEXT and kind.rpartition(".")[2] in ("cls", "txt", "text"):
                    text = _content(shard, member).decode().strip()
                    columns[re.sub(r"\.(txt|text)$", "", kind)] = int(text) if text.isdecimal() else text
            plain = {column: value for column, value in columns.items() if _is_plain(value)}
            yield name, audio, {column: _named(value, classes.get(column)) for column, value in plain.items()}


def _content(shard: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = shard.extractfile(member)
    return file.read() if file else b""


def _stem(path: str) -> str:
    """A path up to the first dot of the file's name."""
    folder, name = posixpath.split(path)
    return posixpath.join(folder, name.split(".", 1)[0])


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | None) or (isinstance(value, list) and all(map(_is_plain, value)))


def _folder_songs(
    dataset: HubDataset,
    base: Path,
    metadata: list[str],
    splits: dict[str, str],
    classes: Classes,
    digests: dict[str, str],
) -> list[dict]:
    """The songs of an audiofolder, with the columns of its metadata and the folder that names the class."""
    known: dict[str, dict] = {}
    for one in metadata:
        with _intact(dataset, base / one, digests[one]):
            for row in _metadata_rows(base / one):
                file = next((str(row.pop(name)) for name in FILE_COLUMNS if row.get(name)), "")
                known[posixpath.normpath(posixpath.join(posixpath.dirname(one), file))] = row
    try:
        places = genres_by_folder([tuple(one.split("/")[:-1]) for one in splits])
    except DataError:  # the folders are the parts of a split alone
        places = [None] * len(splits)
    songs = []
    for (one, split), place in zip(splits.items(), places, strict=True):
        row = {name: _named(value, classes.get(name)) for name, value in known.get(one, {}).items() if _is_plain(value)}
        genre, part = place or ("", "")
        if genre and not (known and part_of(genre)):
            row.setdefault(FOLDER_COLUMN, genre)
        songs.append({"file": one, "name": one, "digest": digests[one], "split": split or part, "columns": row})
    return songs


def _metadata_rows(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        return _arrow()[1].read_table(path).to_pylist()
    text = path.read_bytes().decode("utf-8-sig")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return list(csv.DictReader(io.StringIO(text, newline="")))


def _class_names(feature: Any) -> list[str]:
    """The names of a ClassLabel, or of a list of these, in the schema of a parquet file; empty for other features."""
    while isinstance(feature, list) and feature:
        feature = feature[0]
    if not isinstance(feature, dict):
        return []
    return feature.get("names") or [] if feature.get("_type") == "ClassLabel" else _class_names(feature.get("feature"))


def _card_classes(card: dict, config: str | None) -> Classes:
    """The names of the classes of each column, by the `dataset_info` of a card; other columns have none."""
    entries = card.get("dataset_info") or []
    entries = entries if isinstance(entries, list) else [entries]
    chosen = [one for one in entries if config is None or one.get("config_name", config) == config]
    classes: Classes = {}
    for feature in (feature for one in chosen[:1] for feature in one.get("features") or ()):
        kind = feature.get("dtype") or feature.get("sequence") or feature.get("list")
        label = kind.get("class_label") if isinstance(kind, dict) else None
        names = label.get("names") if isinstance(label, dict) else None
        classes[feature["name"]] = list(map(str, names.values() if isinstance(names, dict) else names or ()))
    return {name: names for name, names in classes.items() if names}


def _named(value: Any, names: list[str] | None) -> Any:
    """A value with the names of its classes; None for a number that has none, as -1 in test splits."""
    if isinstance(value, list):
        return [_named(one, names) for one in value]
    if names and isinstance(value, int):
        return names[value] if 0 <= value < len(names) else None
    return value
