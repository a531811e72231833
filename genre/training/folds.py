"""Songs for a linear probe: which can be used, and the folds of their cross-validation."""

from collections import Counter, defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from genre.errors import DataError
from genre.inference.embed import Embedding

FOLDS = 10
COMPARED, FEWEST = 16, 8  # windows of a song by which copies are found: at most, and at least
# Similarity of patterns from which they are of one recording, see `_pattern`. Of 12 songs and their copies as Opus of
# 64 kb/s, as mp3, and as mp3 with 0.7 s of silence before it, the lowest was 0.62; of 1,770 pairs of songs the highest
# was 0.34, and 0.44 of 11,236 pairs of pieces of 8 windows.
COPY = 0.6


@dataclass(frozen=True)
class Song:
    """A song to learn from.

    Attributes:
        name: for messages.
        genre: label.
        artist: by the tags, in lower case; empty where they name none.
        embedding: its features.
    """

    name: str
    genre: str
    artist: str
    embedding: Embedding


def check_songs(songs: list[Song]) -> tuple[list[Song], list[str]]:
    """The songs without copies of a recording in the same genre, and a sentence for each copy.

    Copies have equal samples, or nearly equal features, as the same song in two formats does.

    Raises:
        DataError: a recording is in two genres, there are fewer than two genres, or a genre has one song.
    """
    first: list[Song] = []
    copies, conflicts = [], []
    for song, other in zip(songs, _originals(songs), strict=True):
        if song is other:
            first.append(song)
            continue
        if song.genre != other.genre:
            conflicts.append(f"{other.name} in {other.genre} and {song.name} in {song.genre} are the same recording")
        else:
            copies.append(f"{song.name} is the same recording as {other.name} and was left out.")
    if conflicts:
        raise DataError(f"{'; '.join(conflicts)}. Leave each in one genre.")
    counts = Counter(song.genre for song in first)
    if len(counts) < 2:
        has = f"all songs are {next(iter(counts))}" if counts else "there is no song"
        raise DataError(f"At least two genres are needed, and {has}. Add songs of another genre.")
    if single := sorted(genre for genre, count in counts.items() if count == 1):
        raise DataError(f"One song is not enough: add songs to {' and '.join(single)}, or leave out what has only one.")
    return first, copies


def _originals(songs: list[Song]) -> list[Song]:
    """For each song the first one of the same recording, which is the song itself where it is no copy."""
    by_digest: dict[str, Song] = {}
    patterns = torch.stack([_pattern(song) for song in songs]) if songs else torch.empty(0)
    originals: list[Song] = []
    for i, song in enumerate(songs):
        original = by_digest.get(song.embedding.digest, song)
        if original is song and i:
            similarity, nearest = (patterns[:i] @ patterns[i]).max(0)
            original = originals[int(nearest)] if similarity >= COPY else song
        by_digest[song.embedding.digest] = original
        originals.append(original)
    return originals


def _pattern(song: Song) -> Tensor:
    """How a song's features change from window to window, of unit length, shape (COMPARED * features,).

    The scalar product of two is near 1 for a recording in two formats and near 0 for two songs, however much these
    sound alike. It is zero for a song of fewer windows than `FEWEST`.
    """
    windows = max(song.embedding.features.values(), key=len)[:COMPARED]
    changes = functional.pad(windows - windows.mean(0), (0, 0, 0, COMPARED - len(windows)))
    return functional.normalize(changes.flatten(), dim=0) * (len(windows) >= FEWEST)


def group_songs(songs: list[Song]) -> tuple[list[str], list[str]]:
    """The group of each song, by artist or else by file, and sentences on what that does to the figures.

    A genre by a single artist could not be learned without them, so its songs are grouped by file.
    """
    known: dict[str, set[str]] = defaultdict(set)
    for song in songs:
        known[song.genre].add(song.artist or song.embedding.digest)
    alone = sorted(genre for genre, found in known.items() if len(found) == 1)
    groups = [song.artist if song.artist and song.genre not in alone else song.embedding.digest for song in songs]
    notes = [f"All songs of {genre} are by one artist, so its figures are too high." for genre in alone]
    if unnamed := sum(not song.artist for song in songs):
        count = (
            f"{unnamed} songs name no artist and count as artists of their own"
            if unnamed > 1
            else ("1 song names no artist and counts as an artist of its own")
        )
        notes.append(f"{count}; if some artist has several songs, the figures are too high.")
    return groups, notes


def assign_folds(genres: list[str], groups: list[str]) -> list[int]:
    """The fold of each song, at most `FOLDS`: all songs of a group in one fold, each genre over as many as possible.

    The largest groups are placed first, each in the fold with the fewest songs of its genres, and of those in the one
    with the fewest songs in all.

    Args:
        genres, groups: of each song.
    """
    songs: dict[str, Counter[str]] = defaultdict(Counter)
    for genre, group in zip(genres, groups, strict=True):
        songs[group][genre] += 1
    placed: list[Counter[str]] = [Counter() for _ in range(min(FOLDS, len(songs)))]
    fold_of = {}
    for group in sorted(songs, key=lambda one: (-songs[one].total(), one)):
        costs = [(sum(fold[genre] for genre in songs[group]), fold.total()) for fold in placed]
        fold_of[group] = costs.index(min(costs))
        placed[fold_of[group]] += songs[group]
    return [fold_of[group] for group in groups]
