"""Splits by artist: no artist is in two of training, validation and test, over all sources."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

SPLITS = ("training", "validation", "test")
SEED = 0  # of the draw, which otherwise depends on the names alone


@dataclass(frozen=True)
class HeldOut:
    """Fractions of a genre's tracks for validation and test, by whole artists, at least one artist each."""

    validation: float = 0.1
    test: float = 0.1


def assign_splits(
    genres: list[str], artists: list[str], official: list[str], held_out: HeldOut, split_of: dict[str, str]
) -> list[str]:
    """Assign splits to one source's tracks.

    Official splits are not changed, but where they have a test part and none for validation, that is drawn from
    training. Other artists are drawn genre by genre, until their tracks are about the held-out fractions. Artists in
    `split_of` are not drawn again.

    Args:
        genres, artists, official: of each track; an empty string in `genres` where it is not known, whose artists are
            for training unless they are in `split_of`, and in `official` where a track has no official split.
        split_of: splits of artists; those of this source are added.

    Returns:
        the split of each track.
    """
    if "test" in official and "validation" not in official:
        official = _with_validation(genres, artists, official, held_out, split_of)
    for artist, split in zip(artists, official, strict=True):
        if split:
            split_of.setdefault(artist, split)
    for genre in sorted(set(genres) - {""}):
        tracks = Counter(artist for artist, other in zip(artists, genres, strict=True) if other == genre)
        _assign_genre(tracks, split_of, held_out, np.random.default_rng(SEED))
    return [split or split_of.get(artist, "training") for split, artist in zip(official, artists, strict=True)]


def _with_validation(
    genres: list[str], artists: list[str], official: list[str], held_out: HeldOut, split_of: dict[str, str]
) -> list[str]:
    """An official split of training and test, with artists of training drawn for validation if a genre has several."""
    tracks = list(zip(genres, artists, official, strict=True))
    drawn = split_of | {artist: split for _, artist, split in tracks if split == "test"}
    for genre in sorted(set(genres)):
        counts = Counter(artist for own, artist, split in tracks if own == genre and split == "training")
        if len(counts) > 1:
            _assign_genre(counts, drawn, held_out, np.random.default_rng(SEED), ("validation",))
    moved = {artist for artist, split in drawn.items() if split == "validation"}
    return ["validation" if split == "training" and artist in moved else split for _, artist, split in tracks]


def _assign_genre(
    tracks: Counter[str],
    split_of: dict[str, str],
    held_out: HeldOut,
    random: np.random.Generator,
    splits: tuple[str, ...] = ("test", "validation"),
) -> None:
    """Assign splits to the artists of a genre, given their numbers of tracks: these, and training to the rest."""
    names = sorted(tracks)
    free = [names[i] for i in random.permutation(len(names)) if names[i] not in split_of]
    for split in splits:
        placed = [artist for artist in tracks if split_of.get(artist) == split]
        missing = getattr(held_out, split) * tracks.total() - sum(tracks[artist] for artist in placed)
        taken = []
        for artist in free:
            if tracks[artist] / 2 < missing:  # closer to the fraction with this artist than without
                taken.append(artist)
                missing -= tracks[artist]
        if not placed and not taken and free:
            taken = [min(free, key=tracks.__getitem__)]
        split_of.update(dict.fromkeys(taken, split))
        free = [artist for artist in free if artist not in taken]
    split_of.update(dict.fromkeys(free, "training"))
