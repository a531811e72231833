"""Data sets of songs on the Hugging Face Hub as sources of training: `hf:USER/DATASET[@REVISION][:CONFIG]`.

A data set is read in one of the three layouts that the `datasets` library writes and loads:

    parquet         tables with a column of audio, a struct of `bytes` and `path`, as `push_to_hub` makes them
    audiofolder     audio files in folders that name their class, or with a metadata.csv, .jsonl or .parquet, or both
    WebDataset      tar shards, whose files of one name up to the first dot are a sample: song.mp3, song.json, song.cls

`huggingface_hub` downloads its files to its cache. Songs within tables and shards are unpacked, once for each revision,
to the folder for assets beside that cache, so that the decoder reads every song from a file of its own. An index of the
songs is kept there, by which a later training needs no network.
"""

import csv
import glob
import io
import json
import posixpath
import re
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
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
    snapshot_download,
    try_to_load_from_cache,
)
from tqdm import tqdm

from genre.audio.audio import Audio
from genre.audio.decode import SUFFIXES
from genre.audio.folders import is_left_out, main_artist
from genre.data.sources import (
    SongFile,
    fma_tracks,
    genres_by_folder,
    one_spelling_of,
    part_of,
    report_shared_artists,
    same_files,
)
from genre.errors import DataError
from genre.files import clean_genre, one_line, read_json, replaced, write_json
from genre.models.downloads import HUB_ERRORS, hub_errors

PREFIX = "hf:"
TIMEOUT = 20  # seconds for the first response of the Hub
# Columns of genres and of artists by their names, in lower case. Where no column is named as those of genres are, one
# with another name for labels or of type ClassLabel is used.
GENRE_COLUMNS = ("genre", "genres", "genre_top", "top_genre", "main_genre", "music_genre", "track_genre", "genre_name")
LABEL_COLUMNS = ("label", "labels", "class", "cls", "category", "style", "genre_id")
NO_GENRES = ("license", "licence", "split", "subset", "language")  # also where they are of type ClassLabel
FOLDER_COLUMN = "folder"  # of an audiofolder: the folder that names the class
ARTIST_COLUMNS = (
    *("artist", "artist_name", "artists", "main_artist", "album_artist", "track_artist", "performer", "band", "singer"),
    *("composer", "artist_id"),
)  # the best first
TITLE_COLUMNS = ("title", "track_title", "song_title", "song", "name")
METADATA = re.compile(r"metadata\.(csv|jsonl|parquet)")
FILE_COLUMNS = ("file_name", "audio_file_name", "file", "path")  # of such metadata: the file, relative to it
ROWS = 8  # of a table, read at a time with their audio
MAX_TEXT = 2**20  # bytes of a file of text in a shard
LISTED = 20  # columns and configurations that a message lists

Classes = dict[str, list[str]]  # names of the classes of columns
Reader = Callable[[Path, Classes], Iterator[tuple[str, bytes, dict]]]  # name of the audio, its bytes, other columns
Choose = Callable[[list[str], Classes], str]  # of columns that of genres, see `choose_label`


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


# From rows to songs


def hub_songs(
    dataset: HubDataset, *, labelled: bool = True, label: str | None = None, fma: Path | None = None
) -> list[SongFile]:
    """Download a data set, unpack its songs and choose the columns of genres and artists; prints what it finds.

    Args:
        labelled: whether genres are wanted; songs without one are then left out.
        label: the column of genres; None chooses the one that is named so.
        fma: FMA's tracks.csv, or the folder with it, by which songs get their official split; None for none.

    Raises:
        DataError: the data set cannot be downloaded, holds no audio or no genres, has several columns or configurations
            to choose from, or is damaged.
    """
    places = (fma, fma / "tracks.csv", fma / "fma_metadata" / "tracks.csv") if fma else ()
    table = next((place for place in places if place.is_file()), None)
    if fma and not table:
        raise DataError(f"There is no tracks.csv of FMA at {fma}.")
    choose = partial(choose_label, dataset=dataset, label=label) if labelled else lambda *_: ""
    index = _index(dataset, choose)
    rows, genre = index["rows"], choose(index["columns"], index["classes"])
    columns = {_key(name): name for name in index["columns"]}
    artist, title = (
        next((columns[name] for name in names if name in columns), "") for names in (ARTIST_COLUMNS, TITLE_COLUMNS)
    )
    split_of = _split_names(dataset, {row["split"] for row in rows})
    songs = []
    for row in rows:
        named = _first(row["columns"].get(artist))
        songs.append(
            SongFile(
                path=Path(index["folder"]) / row["file"],
                name=row["name"],
                genre=_first(row["columns"].get(genre)),
                # An artist who is a number is one of this data set alone.
                artist=f"{dataset.repo}/{named}" if named.isdecimal() else main_artist(named),
                split=split_of[row["split"]],
                seconds=0.0,  # below
            )
        )
    if table:
        names = [(_first(row["columns"].get(title)), _first(row["columns"].get(artist))) for row in rows]
        songs = _with_fmas_split(dataset, songs, names, table)
    elif dataset.name.startswith("free-music-archive"):
        print(f"  {dataset.name} has no official split; --fma-metadata TRACKS.CSV restores that of FMA")
    if labelled:
        if missing := sum(not song.genre for song in songs):
            print(f"  {missing} of {len(songs)} songs have no genre and are left out")
        genre_of = one_spelling_of({song.genre: clean_genre(song.genre) for song in songs if song.genre})
        songs = [replace(song, genre=genre_of[song.genre]) for song in songs if song.genre]
    songs = _without_copies(songs)
    if not songs:
        column = f"; is {genre!r} its column of genres?" if labelled else "."
        raise DataError(f"No song of {dataset} can be used{column}")
    bar = tqdm(songs, desc=f"{dataset.name}: headers", unit="song", mininterval=1, delay=2)
    tags = [Audio(song.path).tags for song in bar]
    songs = [
        replace(song, artist=song.artist or one.artist, seconds=one.seconds)
        for song, one in zip(songs, tags, strict=True)
    ]
    unnamed = sum(not song.artist for song in songs)
    print(
        f"{dataset.name}: {len(songs)} songs"
        + (f" in {len({song.genre for song in songs})} genres by the column {genre!r}" if labelled else "")
        + f"; artists by {f'the column {artist!r}' if artist else 'the tags of the files'}"
        + (f", {unnamed} name none and count as artists of their own" if unnamed else "")
    )
    report_shared_artists(songs)
    return songs


def choose_label(columns: list[str], classes: Iterable[str], dataset: HubDataset, label: str | None = None) -> str:
    """The column of genres.

    Args:
        columns: names of the columns of text and numbers.
        classes: those of type ClassLabel.
        label: the one that is asked for.

    Raises:
        DataError: there is no such column, none that looks like genres, or several.
    """
    if label is not None:
        if label not in columns:
            raise DataError(f"{dataset} has no column {label!r}; it has {_listed(columns)}.")
        return label
    usable = [name for name in columns if _key(name) not in NO_GENRES]
    tiers = (
        [name for name in usable if _key(name) in GENRE_COLUMNS],
        [name for name in usable if _key(name) in LABEL_COLUMNS or name in classes],
        [name for name in usable if name == FOLDER_COLUMN],
    )
    fitting: list[str] = next(filter(None, tiers), [])
    if len(fitting) > 1:
        raise DataError(f"{dataset} has several columns of labels: choose one with --label: {_listed(fitting)}.")
    if not fitting:
        others = [name for name in usable if _key(name) not in ARTIST_COLUMNS]
        more = f"; if one of these holds them, name it with --label: {_listed(others)}" if others else ""
        raise DataError(f"{dataset} has no labels: no column is named genre or label, or of type ClassLabel{more}.")
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


def _split_names(dataset: HubDataset, names: set[str]) -> dict[str, str]:
    """The split of each name of a split; all empty where they are not at least one for training and another one."""
    parts = {name: part_of(name) for name in names}
    if "training" not in parts.values() or len(set(parts.values()) - {""}) < 2:
        return dict.fromkeys(parts, "")
    if others := sorted(name for name, part in parts.items() if not part):
        print(f"  {dataset.name}: {_listed(others)} is no name of a split, so its songs are split by artist")
    return parts


def _without_copies(songs: list[SongFile]) -> list[SongFile]:
    """Of equal files the first; none of them where they have different genres."""
    original_of = same_files(song.path for song in songs)
    genres: dict[Path, set[str]] = defaultdict(set)
    for song in songs:
        genres[original_of[song.path]].add(song.genre)
    sure = [song for song in songs if len(genres[original_of[song.path]]) == 1]
    kept = [song for song in sure if original_of[song.path] is song.path]
    if len(kept) < len(sure):
        print(f"  {len(sure) - len(kept)} songs are copies of others and are left out")
    if len(sure) < len(songs):
        print(f"  {len(songs) - len(sure)} songs are left out, since they are the same file in different genres")
    return kept


def _with_fmas_split(
    dataset: HubDataset, songs: list[SongFile], names: list[tuple[str, str]], table: Path
) -> list[SongFile]:
    """The songs with the part of FMA's official split that alone has their title and artist.

    Args:
        names: title and artist of each song.
        table: FMA's tracks.csv.
    """

    def plain(text: str) -> str:  # copies of the table differ in case and punctuation
        return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split()) or text.strip()

    official: dict[tuple[str, str], set[str]] = defaultdict(set)
    for track in fma_tracks(table):
        official[plain(track.title), plain(track.artist)].add(track.split)
    parts = [official.get((plain(title), plain(artist)), set()) for title, artist in names]
    print(
        f"{dataset.name}: {sum(len(one) == 1 for one in parts)} of {len(songs)} songs have FMA's official split, "
        f"by title and artist; {sum(not one for one in parts)} are not in its table and "
        f"{sum(len(one) > 1 for one in parts)} in two parts of it, and are split by artist"
    )
    return [
        replace(song, split=next(iter(one)) if len(one) == 1 else "") for song, one in zip(songs, parts, strict=True)
    ]


# From a repository to rows


def _index(dataset: HubDataset, choose: Choose) -> dict:
    """The index of a data set, whose songs are downloaded and unpacked where they are missing.

    Args:
        choose: is called with the columns and their classes as soon as these are known, before the rest is downloaded.

    Returns:
        its `commit` and `license`; `columns` of text and numbers, with the names of `classes`; `folder`, that of the
        songs; and `rows`, for each song its `file` in that folder, `name`, `split` as the data set names it, and
        `columns` with their values.
    """
    store = cached_assets_path("genre", dataset.repo, "songs", assets_dir=constants.HF_ASSETS_CACHE)
    path = store / f"{quote(str(dataset), safe='')}.json"
    with FileLock(store.with_suffix(".lock")):  # of two trainings one unpacks
        index = _read_index(path)
        with hub_errors(dataset, kind=DataError):
            try:
                api = HfApi()
                info = api.dataset_info(dataset.repo, revision=dataset.revision, files_metadata=True, timeout=TIMEOUT)
            except HUB_ERRORS as error:
                if not index or getattr(error, "response", None) is not None:  # a refusal
                    raise
                print(f"{dataset}: the Hub does not answer, so what was downloaded earlier is used")
                return index
        if index and index["commit"] == info.sha:
            print(f"{dataset}: {len(index['rows'])} songs, downloaded earlier; license: {index['license']}", flush=True)
            return index
        index = _new_index(dataset, info, store, choose)
        write_json(path, index)
        return index


def _read_index(path: Path) -> dict | None:
    """An index whose songs are all there; None for any other."""
    try:
        index = read_json(path)
        return index if all((Path(index["folder"]) / row["file"]).is_file() for row in index["rows"]) else None
    except (OSError, ValueError, LookupError):
        return None


def _new_index(dataset: HubDataset, info: DatasetInfo, store: Path, choose: Choose) -> dict:
    def download(files: list[str]) -> Path:
        patterns = [glob.escape(one) for one in files]
        with hub_errors(dataset, kind=DataError):
            folder = snapshot_download(dataset.repo, repo_type="dataset", revision=info.sha, allow_patterns=patterns)
        return Path(folder)

    sizes = {one.rfilename: one.size or 0 for one in info.siblings or ()}
    card: dict = {}
    if "README.md" in sizes:
        text = (download(["README.md"]) / "README.md").read_text(encoding="utf-8", errors="replace")
        with suppress(Exception):  # of YAML
            card = DatasetCard(text).data.to_dict()
    try:
        splits, classes = _chosen_files(dataset, card, list(sizes)), _card_classes(card, dataset.config)
    except (AttributeError, LookupError, TypeError) as error:
        raise DataError(f"The card of {dataset} lists its files in a form that is not known.") from error
    seen = sorted(one for one in splits if not any(map(is_left_out, one.split("/"))))
    audio = [one for one in seen if posixpath.splitext(one)[1].lower() in SUFFIXES]
    tables = [one for one in seen if one.endswith(".parquet") and not (audio and METADATA.search(one))]
    packed = tables or [one for one in seen if one.endswith(".tar")]
    metadata = [] if packed else [one for one in splits if METADATA.fullmatch(posixpath.basename(one))]
    if not (packed or audio):
        raise DataError(
            f"{dataset} holds neither parquet files nor audio files nor tar shards; the Hub converts many others: try "
            f"{PREFIX}{dataset.repo}@refs/convert/parquet."
        )
    licence = card.get("license_name") or card.get("license") or "not stated"
    wanted = packed or [*audio, *metadata]
    _announce(dataset, info.sha, {one: sizes[one] for one in wanted}, licence, bool(packed))
    if packed:
        read = _table_rows if tables else _shard_rows
        first = download(packed[:1]) / packed[0]
        with _intact(dataset, first):
            classes |= _table_classes(first) if tables else {}
            columns = list(next(read(first, classes))[2])
        choose(columns, classes)
        base = store / "-".join(quote(one, safe="") for one in (info.sha, dataset.config) if one)
        rows = _unpacked(dataset, read, download(packed), {one: splits[one] for one in packed}, classes, base)
    else:
        base = download(metadata) if metadata else Path()
        rows = _folder_rows(dataset, base, metadata, {one: splits[one] for one in audio}, classes)
        columns = list(dict.fromkeys(name for row in rows for name in row["columns"]))
        choose(columns, classes)
        base = download(wanted)
    names = {"commit": info.sha, "license": licence, "folder": str(base), "columns": columns, "classes": classes}
    return names | {"rows": rows}


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


@contextmanager
def _intact(dataset: HubDataset, path: Path) -> Iterator[None]:
    """Raise DataError for a damaged file, which is removed from the cache, so that it is fetched again."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # which one depends on the damage
        if isinstance(error, OSError) and error.errno:  # of the disk
            raise
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise DataError(
            f"{path.name} of {dataset} was damaged and is removed; start again to fetch it, or name an earlier "
            "revision if it is damaged on the Hub, too."
        ) from error


def _chosen_files(dataset: HubDataset, card: dict, files: list[str]) -> dict[str, str]:
    """The files of a configuration with the names of their splits.

    They are those that the card lists; without such a list all of them, with splits by the names of files and folders,
    or those in the folder of the configuration.
    """
    listed = [one for one in card.get("configs") or () if "data_files" in one or "data_dir" in one]
    configs = {str(one.get("config_name", "default")): one for one in listed}
    name = dataset.config
    if not configs:
        folders = {one.split("/")[0] for one in files if one.count("/") > 1 and one.endswith(".parquet")}
        named = sorted(one for one in folders if not part_of(one) and one != "data")
        named = named if len(named) > 1 else [name] if name else []
        configs = {one: {"data_dir": one} for one in named} or {"default": {}}
    defaults = [one for one, config in configs.items() if config.get("default") or one == "default"]
    if name is None and len(configs) > 1 and not defaults:
        raise DataError(
            f"{dataset} has several configurations: add one to its name, after a colon: {_listed(configs)}."
        )
    name = name or next(iter(defaults or configs))
    if name not in configs:
        raise DataError(f"{dataset}: there is no configuration {name!r}; there is {_listed(configs)}.")
    config = configs[name]
    chosen: dict[str, str] = {}
    for split, patterns in _patterns(config.get("data_files", "**")):
        for pattern in patterns:
            full = _glob(posixpath.normpath(posixpath.join(config.get("data_dir", ""), pattern)))
            chosen |= {one: split if split is not None else _split_of_path(one) for one in files if full.fullmatch(one)}
    if not chosen:
        raise DataError(f"{dataset}: the files of its configuration {name!r} are not there.")
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


def _unpacked(
    dataset: HubDataset, read: Reader, snapshot: Path, splits: dict[str, str], classes: Classes, folder: Path
) -> list[dict]:
    """Write each song of tables and shards to a file; those of an interrupted run that are there stay."""
    (folder / "songs").mkdir(parents=True, exist_ok=True)
    rows, without = [], 0
    with tqdm(desc=f"{dataset.name}: unpack", unit="song", mininterval=1) as bar:
        for number, (file, split) in enumerate(splits.items()):
            with _intact(dataset, snapshot / file):
                for row, (name, audio, columns) in enumerate(read(snapshot / file, classes)):
                    bar.update()
                    if not audio:
                        without += 1
                        continue
                    suffix = posixpath.splitext(name)[1].lower()
                    target = folder / "songs" / f"{number:04}-{row:07}{suffix if suffix in SUFFIXES else ''}"
                    if not target.is_file() or target.stat().st_size != len(audio):
                        with replaced(target) as new:
                            new.write_bytes(audio)
                    rows.append(
                        {
                            "file": target.relative_to(folder).as_posix(),
                            "name": f"{posixpath.basename(name) or 'song'} ({file}, {row})",
                            "split": split,
                            "columns": columns,
                        }
                    )
    if not rows:
        raise DataError(f"{dataset} holds no audio itself, at most the paths of some.")
    if without:
        print(f"  {without} rows of {dataset.name} hold no audio and are left out")
    return rows


# Parquet, which pyarrow reads; it is imported here, since the app does without


def _table_classes(path: Path) -> Classes:
    """The names of the classes of columns, as `datasets` stores them in a parquet file."""
    from pyarrow.parquet import read_schema

    return {name: names for name, feature in _features(read_schema(path)).items() if (names := _class_names(feature))}


def _features(schema: Any) -> dict[str, Any]:
    return json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})


def _table_rows(path: Path, classes: Classes) -> Iterator[tuple[str, bytes, dict]]:
    """The rows of a parquet file, with the columns of text and whole numbers; raises DataError without audio."""
    from pyarrow import types
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        features, audio, columns = _features(file.schema_arrow), [], []
        for field in file.schema_arrow:
            kind = field.type
            if types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
                audio.append(field.name)
            while types.is_list(kind) or types.is_large_list(kind) or types.is_dictionary(kind):
                kind = kind.value_type
            is_number = types.is_integer(kind) and (field.name in classes or kind == field.type)
            if is_number or types.is_string(kind) or types.is_large_string(kind):
                columns.append(field.name)
        typed = {name: features.get(name, {}).get("_type") for name in audio}
        column = next((name for wanted in ("Audio", None) for name in audio if typed[name] == wanted), None)
        if column is None:
            raise DataError(f"{path.name} has no column of audio; it has {_listed(columns)}.")
        for batch in file.iter_batches(ROWS, columns=[column, *columns]):
            for row in batch.to_pylist():
                sound = row.pop(column) or {}
                yield sound.get("path") or "", sound.get("bytes") or b"", _plain_columns(row, classes)


# WebDataset


def _shard_rows(path: Path, classes: Classes) -> Iterator[tuple[str, bytes, dict]]:
    """The samples of a WebDataset shard; a file of text is the column that its suffix names."""
    with tarfile.open(path, "r:") as shard:
        files = (one for one in shard if one.isfile() and not is_left_out(posixpath.basename(one.name)))
        for stem, members in groupby(files, key=lambda one: re.sub(r"\.[^/]*$", "", one.name)):
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
            yield name, audio, _plain_columns(columns, classes)


def _content(shard: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = shard.extractfile(member)
    return file.read() if file else b""


# Audiofolder


def _folder_rows(
    dataset: HubDataset, base: Path, metadata: list[str], splits: dict[str, str], classes: Classes
) -> list[dict]:
    """The songs of an audiofolder, with the columns of its metadata and the folder that names the class."""
    known: dict[str, dict] = {}
    for one in metadata:
        with _intact(dataset, base / one):
            for row in _metadata_rows(base / one):
                file = next((str(row.pop(name)) for name in FILE_COLUMNS if row.get(name)), "")
                known[posixpath.normpath(posixpath.join(posixpath.dirname(one), file))] = row
    try:
        places = genres_by_folder([tuple(one.split("/")[:-1]) for one in splits])
    except DataError:  # the folders are the parts of a split alone
        places = [None] * len(splits)
    rows = []
    for (one, split), place in zip(splits.items(), places, strict=True):
        columns = _plain_columns(known.get(one, {}), classes)
        genre, part = place or ("", "")
        if genre and not (known and part_of(genre)):
            columns.setdefault(FOLDER_COLUMN, genre)
        rows.append({"file": one, "name": one, "split": split or part, "columns": columns})
    return rows


def _metadata_rows(path: Path) -> list[dict]:
    if path.suffix == ".parquet":
        from pyarrow.parquet import read_table

        return read_table(path).to_pylist()
    text = path.read_bytes().decode("utf-8-sig")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return list(csv.DictReader(io.StringIO(text, newline="")))


# Columns and the names of their classes


def _plain_columns(columns: dict[str, Any], classes: Classes) -> dict[str, Any]:
    """The columns of text, whole numbers and lists of these, with the names of classes."""
    return {name: _named(value, classes.get(name)) for name, value in columns.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | None) or (isinstance(value, list) and all(map(_is_plain, value)))


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
