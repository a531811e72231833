"""A folder of songs to a linear probe, and a probe to a checkpoint, for train.py and the page."""

from pathlib import Path

import torch
from tqdm import tqdm

from genre.audio.audio import Audio
from genre.data.dataset import report_unused
from genre.data.hub import hub_songs, is_on_hub, parse
from genre.data.sources import find_songs, report_tags, without_copies
from genre.errors import AudioError, CheckpointError, DataError
from genre.files import one_spelling, printable, renamed, write_json
from genre.inference.classify import Classifier
from genre.inference.embed import embed
from genre.models.checkpoint import Checkpoint, add_music_detector, save_checkpoint
from genre.models.member import Member, replace_head
from genre.models.metrics import FILE
from genre.training.folds import Song
from genre.training.probe import Head, Probe

MOST_CONTRADICTED = 8  # songs that are listed


def embed_folder(
    folder: Path,
    classifier: Classifier,
    counts_as: dict[str, str] | None = None,
    *,
    label: str | None = None,
    fma_metadata: Path | None = None,
) -> list[Song]:
    """The songs of a folder with a sub-folder for each genre, or of a data set of the Hub; prints those not decoded.

    The test part of an official split is left out, and so can be evaluated.

    Args:
        folder: its path, or `hf:` and the name of a data set.
        counts_as: genres that are renamed, such as {"Classical": "Instrumental"}.
        label, fma_metadata: see `genre.data.hub.hub_songs`.

    Raises:
        DataError: there is no such folder, it has no sub-folder with a song, the name of one is too long, or none of
            its songs can be decoded; or as `hub_songs`.
    """
    found = _hub_rows(folder, label, fma_metadata) if is_on_hub(folder) else _folder_rows(folder)
    counts_as = counts_as or {}
    report_unused(counts_as, {genre for _, _, genre, _ in found})
    spelling = one_spelling(renamed(genre, counts_as) for _, _, genre, _ in found)
    songs = []
    genres = {spelling[renamed(genre, counts_as)] for _, _, genre, _ in found}
    with tqdm(total=len(found), desc=f"{folder.name}: features", unit="song", mininterval=1) as bar:
        for path, name, genre, artist in found:
            try:
                songs.append(Song(name, spelling[renamed(genre, counts_as)], artist, embed(classifier, path)))
            except AudioError as error:
                bar.write(f"{name}: {error} It is left out.")
            bar.update()
    if missing := sorted(genres - {song.genre for song in songs}):
        raise DataError(f"None of the songs of {' and '.join(missing)} can be decoded; add others, or leave it out.")
    return songs


def _hub_rows(folder: Path, label: str | None, fma_metadata: Path | None) -> list[tuple[Path, str, str, str]]:
    """Path, name, genre and artist of the songs of a data set of the Hub that are not for test."""
    songs = hub_songs(parse(folder), label=label, fma=fma_metadata)
    _report_tests(sum(song.split == "test" for song in songs))
    return [(song.path, printable(song.name), song.genre, song.artist) for song in songs if song.split != "test"]


def _folder_rows(folder: Path) -> list[tuple[Path, str, str, str]]:
    """As `_hub_rows`, of a folder with a sub-folder for each genre."""
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}.")
    found = find_songs(folder)
    if tests := sum(split == "test" for known in found.values() for split in known.values()):
        _report_tests(tests)
        found = without_copies(found, folder)
    learned = [(path, genre) for genre, known in found.items() for path, split in known.items() if split != "test"]
    tags = {path: Audio(path).tags for path, _ in learned}
    report_tags(folder, len({genre for _, genre in learned}), tags)
    return [(path, printable(path.relative_to(folder).as_posix()), genre, tags[path].artist) for path, genre in learned]


def _report_tests(tests: int) -> None:
    if tests:
        print(f"  songs for test, which are left out: {tests}; --evaluate CHECKPOINT --test evaluates them")


def save_probe(folder: Path, checkpoint: Checkpoint, probe: Probe, source: str, command: str) -> None:
    """Write a probe as a checkpoint with its metrics.json, without the card.

    Args:
        checkpoint: whose members, with batch norms, the heads are for; its music detector is kept.
        source: name of the songs.
        command: by which it can be repeated.

    Raises:
        CheckpointError: a member of the checkpoint has no linear head.
    """
    members = {name: _with_head(checkpoint.members[name], head) for name, head in probe.heads.items()}
    save_checkpoint(folder, probe.genres, members, probe.window, probe.track, probe.limits)
    if checkpoint.music:
        add_music_detector(folder, checkpoint.music)
    songs = {genre: sum(song.genre == genre for song in probe.songs) for genre in probe.genres}
    total = len(probe.songs)
    training = {
        "command": command,
        "start": checkpoint.name,
        "genres": probe.genres,
        "sources": {source: {"share": 1.0, "training": total, "validation": total, "test": 0}},
        "members": dict.fromkeys(members, "linear probe"),
        "probe": {"folds": probe.folds, "songs": songs, "caveats": probe.caveats},
    }
    write_json(folder / FILE, {"training": training, "validation": {source: probe.figures}})


def _with_head(member: Member, head: Head) -> Member:
    """A copy of a member with another head."""
    changed = replace_head(member, len(head.bias))
    linear = changed.backbone.get_classifier()
    if not isinstance(linear, torch.nn.Linear):
        raise CheckpointError("The networks of this model have no linear head, so they cannot learn other genres.")
    with torch.no_grad():
        linear.weight.copy_(head.weight)
        linear.bias.copy_(head.bias)
    return changed


def describe_probe(probe: Probe) -> str:
    """Lines with the figures of a probe, and the songs that the others contradict most."""
    track, total = probe.figures["track"], len(probe.songs)
    right, (low, high) = round(track["top1"] * total), track["top1_interval_95"]
    width = max(map(len, probe.genres))
    counts = track["confusion"]["counts"]
    lines = [
        f"{right} of {total} songs right, {right / total:.1%} ({low:.1%} to {high:.1%}), by cross-validation in "
        f"{probe.folds} folds",
        *probe.left_out,
        *probe.caveats,
        "true genre by row, predicted by column:",
        *(
            f"  {genre:<{width}} {' '.join(f'{count:4}' for count in row)}   recall {track['recall'][genre]:.0%}"
            for genre, row in zip(probe.genres, counts, strict=True)
        ),
    ]
    contradicted = probe.contradicted()[:MOST_CONTRADICTED]
    if contradicted:
        lines.append("the songs that the others contradict most; are their genres right?")
    lines += [f"  {song.name}: {song.genre} {p:.0%}, predicted {predicted}" for song, predicted, p in contradicted]
    return "\n".join(lines)
