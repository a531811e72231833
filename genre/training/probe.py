"""Linear probe: new heads for other genres, on the networks of a model as they are; for train.py and the page.

The head of a member is a multinomial logistic regression on its pooled features (Alain and Bengio, 2016,
"Understanding intermediate layers using linear classifier probes"). Fusion, thresholds and figures come from
cross-validation: every song is classified by heads that were fitted without it and without the other songs of its
artist.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from genre.audio.audio import Audio, cut_clips
from genre.data.dataset import report_unused
from genre.data.hub import hub_songs, is_on_hub, parse
from genre.data.sources import folder_songs
from genre.errors import AudioError, CheckpointError, DataError
from genre.files import one_spelling, printable, renamed
from genre.inference.classify import Classifier, audible
from genre.models.member import Member
from genre.models.model import Fusion, GenreModel, Thresholds, average_windows
from genre.training.calibrate import Samples, fit_fusion, fit_thresholds
from genre.training.evaluate import summary

SONG_SECONDS = 120  # of a song that are embedded, so that long songs take no more time and memory than others
FOLDS = 10
COMPARED, FEWEST = 16, 8  # windows of a song by which copies are found: at most, and at least
# Similarity of patterns from which they are of one recording, see `_pattern`. Of 9 songs and their copies as Opus and
# WMA of 64 kb/s, as mp3, and as mp3 with 0.7 s of silence before it, the lowest was 0.68. Of 9,730 pairs of songs the
# highest was 0.41, and 0.50 of their first 8 windows, but for two pairs by one artist each (0.77 and 0.81).
COPY = 0.6
PENALTY = 1.0  # factor of the squared weights of the standardised features in the loss, see docs/experiments.md
MAX_ITERATIONS, TOLERANCE, HISTORY = 200, 1e-4, 10  # of L-BFGS
MOST_CONTRADICTED = 8  # songs that are listed


@dataclass(frozen=True)
class Embedding:
    """Features of a recording.

    Attributes:
        features: by member, of the windows that are not silent, shape (windows, features), float32; of the clips with
            such windows for a member whose input is a whole clip.
        digest: SHA-256 of the decoded samples, which copies of a file with other names and tags share.
    """

    features: dict[str, Tensor]
    digest: str


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


@dataclass(frozen=True)
class Head:
    """A linear classifier on a member's pooled features: weight (labels, features), bias (labels,)."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Features (windows, features) to log-probabilities (windows, labels)."""
        return functional.linear(features, self.weight, self.bias).log_softmax(-1)


@dataclass(frozen=True)
class Probe:
    """What was fitted to songs, and how right it is on songs that it was not fitted to.

    Attributes:
        genres: labels, sorted.
        heads: by member.
        window_fusion, track_fusion, thresholds: as in a model.
        songs: those that were used.
        probabilities: of the songs by cross-validation, shape (songs, labels).
        figures: of these, as in metrics.json.
        folds: number of them.
        left_out: a sentence for each song that was not used.
        caveats: sentences on what may make the figures too high.
    """

    genres: list[str]
    heads: dict[str, Head]
    window_fusion: Fusion
    track_fusion: Fusion
    thresholds: Thresholds
    songs: list[Song]
    probabilities: Tensor
    figures: dict
    folds: int
    left_out: list[str]
    caveats: list[str]

    def contradicted(self) -> list[tuple[Song, str, float]]:
        """Songs that the others contradict, most first: the song, the genre it got, the probability of its own."""
        rows = zip(self.songs, self.probabilities.argmax(-1).tolist(), self.probabilities.tolist(), strict=True)
        found = [(song, self.genres[top], row[self.genres.index(song.genre)]) for song, top, row in rows]
        return sorted((one for one in found if one[0].genre != one[1]), key=lambda one: one[2])


def embed(classifier: Classifier, audio: Audio | str | os.PathLike, seconds: float | None = SONG_SECONDS) -> Embedding:
    """Features of the beginning of a recording, of the clips and windows that `Classifier.classify` has.

    Args:
        classifier: whose members compute them.
        audio: the recording, or the path of one.
        seconds: length of the beginning; None for all of it.

    Raises:
        AudioError: the file cannot be decoded, or it is silent.
    """
    recording = audio if isinstance(audio, Audio) else Audio(audio)
    digest, features, levels = hashlib.sha256(), [], []

    def pieces() -> Iterator[np.ndarray]:
        for piece in recording.pieces(classifier.sample_rate, seconds=seconds):
            digest.update(piece.data)
            yield piece

    for clip in cut_clips(pieces(), classifier.sample_rate, classifier.window_seconds, classifier.window_seconds):
        features.append(classifier.run(clip)[1])
        levels.append(classifier.window_rms(clip))
    joined = audible(features, levels)
    if not joined:
        raise AudioError("This recording is silent.")
    return Embedding({name: one.float().cpu() for name, one in joined.items()}, digest.hexdigest())


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
        DataError: as `folder_songs` or `hub_songs`, or none of the songs of a genre can be decoded.
    """
    found = hub_songs(parse(folder), label=label, fma=fma_metadata) if is_on_hub(folder) else folder_songs(folder)
    if tests := sum(song.split == "test" for song in found):
        print(f"  songs for test, which are left out: {tests}; --evaluate CHECKPOINT --test evaluates them")
    found = [song for song in found if song.split != "test"]
    counts_as = counts_as or {}
    report_unused(counts_as, {song.genre for song in found})
    genre_of = one_spelling(renamed(song.genre, counts_as) for song in found)
    songs = []
    with tqdm(total=len(found), desc=f"{folder.name}: features", unit="song", mininterval=1) as bar:
        for one in found:
            name, genre = printable(one.name), genre_of[renamed(one.genre, counts_as)]
            try:
                songs.append(Song(name, genre, one.artist, embed(classifier, one.path)))
            except AudioError as error:
                bar.write(f"{name}: {error} It is left out.")
            bar.update()
    if missing := sorted(set(genre_of.values()) - {song.genre for song in songs}):
        raise DataError(f"None of the songs of {' and '.join(missing)} can be decoded; add others, or leave it out.")
    return songs


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
    """How a song's features change from window to window, of unit length, shape (members * COMPARED * features,).

    The scalar product of two is near 1 for a recording in two formats and near 0 for two songs, however much these
    sound alike. It is zero for a song of fewer windows than `FEWEST`.
    """
    number = max(map(len, song.embedding.features.values()))
    by_member = []
    for windows in (one[:COMPARED] for one in song.embedding.features.values() if len(one) == number):
        changes = functional.pad(windows - windows.mean(0), (0, 0, 0, COMPARED - len(windows)))
        by_member.append(functional.normalize(changes.flatten(), dim=0))
    return functional.normalize(torch.cat(by_member), dim=0) * (number >= FEWEST)


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
        many = f"{unnamed} songs name no artist and count as artists of their own"
        count = many if unnamed > 1 else "1 song names no artist and counts as an artist of its own"
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


def fit_probe(songs: list[Song], model: GenreModel) -> Probe:
    """Fit heads, fusion and thresholds to songs.

    Args:
        songs: with the features of all members of the model.
        model: to whose members the heads belong.

    Raises:
        DataError: these songs cannot be learned from, see `check_songs`.
    """
    songs, left_out = check_songs(songs)
    songs = sorted(songs, key=lambda song: song.embedding.digest)  # so that the result does not depend on the order
    groups, caveats = group_songs(songs)
    genres = sorted({song.genre for song in songs})
    labels = torch.tensor([genres.index(song.genre) for song in songs])
    folds = torch.tensor(assign_folds([song.genre for song in songs], groups))
    features = {name: [song.embedding.features[name] for song in songs] for name in model.members}
    held_out = {name: _held_out(one, labels, folds, len(genres)) for name, one in features.items()}
    windows = [torch.stack(one) for one in zip(*(held_out[name] for name in model.window_members), strict=True)]
    tracks = torch.stack([torch.stack(list(map(average_windows, one))) for one in held_out.values()])
    window = _fit_fusion(windows, labels)
    track = _fit_fusion(list(tracks[:, :, None].unbind(1)), labels)
    probabilities = _cross_fitted(tracks, labels, folds)
    equal = torch.full((len(labels),), 1 / len(labels))
    thresholds = fit_thresholds(probabilities, labels, equal, [len(labels)])
    first = torch.stack([window(song[:, 0]) for song in windows])
    return Probe(
        genres=genres,
        heads={name: fit_head(one, labels, len(genres)) for name, one in features.items()},
        window_fusion=window,
        track_fusion=track,
        thresholds=thresholds,
        songs=songs,
        probabilities=probabilities,
        figures=summary(first, probabilities, labels, genres, thresholds) | _members(tracks, labels, list(held_out)),
        folds=len(folds.unique()),
        left_out=left_out,
        caveats=caveats,
    )


def fit_head(features: list[Tensor], labels: Tensor, genres: int) -> Head:
    """Multinomial logistic regression on windows, by L-BFGS; genres have the same weight, and so have songs of one.

    Args:
        features: of each song, shape (windows, features).
        labels: of the songs, shape (songs,).
        genres: number of labels; a label may have no song.
    """
    windows, counts = torch.cat(features), torch.tensor([len(one) for one in features])
    mean, std = windows.mean(0), windows.std(0, correction=0) + 1e-3
    standardised, targets = (windows - mean) / std, labels.repeat_interleave(counts)
    songs_of_label = labels.bincount(minlength=genres)
    weights = (1 / (songs_of_label[labels] * counts * labels.unique().numel())).repeat_interleave(counts)
    weight, bias = torch.zeros(genres, windows.shape[1], requires_grad=True), torch.zeros(genres, requires_grad=True)
    optimizer = torch.optim.LBFGS(
        [weight, bias],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=TOLERANCE,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = functional.linear(standardised, weight, bias)
        loss = weights @ functional.cross_entropy(logits, targets, reduction="none") + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    raw = weight.detach() / std
    return Head(raw, bias.detach() - raw @ mean)


def _held_out(features: list[Tensor], labels: Tensor, folds: Tensor, genres: int) -> list[Tensor]:
    """Log-probabilities of each song's windows, (windows, labels), by a head that was fitted without its fold."""
    results: dict[int, Tensor] = {}
    for fold in folds.unique():
        others, own = (folds != fold).nonzero()[:, 0].tolist(), (folds == fold).nonzero()[:, 0].tolist()
        head = fit_head([features[i] for i in others], labels[others], genres)
        results |= {i: head(features[i]) for i in own}
    return [results[i] for i in range(len(features))]


def _fit_fusion(songs: list[Tensor], labels: Tensor) -> Fusion:
    """Fusion weights and temperature by the log-probabilities of songs, (members, windows, labels) each.

    Few songs may all be right, for which the best temperature would be zero. The targets are therefore those of Platt
    (1999): the true genre of n songs has (n + 1) / (n + labels), every other one 1 / (n + labels).
    """
    counts, genres = torch.tensor([song.shape[1] for song in songs]), songs[0].shape[2]
    numbers = labels.bincount(minlength=genres)[labels][:, None]
    targets = (functional.one_hot(labels, genres) * numbers + 1) / (numbers + genres)
    weights = (1 / (len(songs) * counts)).repeat_interleave(counts)
    return fit_fusion(Samples(torch.cat(songs, dim=1), targets.repeat_interleave(counts, dim=0), weights))


def _cross_fitted(tracks: Tensor, labels: Tensor, folds: Tensor) -> Tensor:
    """Probabilities of songs, (songs, labels), by a fusion of (members, songs, labels) fitted without their fold."""
    probabilities = torch.empty(tracks.shape[1:])
    for fold in folds.unique():
        own = folds == fold
        fusion = _fit_fusion(list(tracks[:, ~own, None].unbind(1)), labels[~own])
        probabilities[own] = fusion(tracks[:, own])
    return probabilities


def _members(tracks: Tensor, labels: Tensor, names: list[str]) -> dict:
    """The entry `members` of the figures."""
    correct = (tracks.argmax(-1) == labels).float().mean(-1).tolist()
    return {"members": {name: {"track_top1": round(one, 4)} for name, one in zip(names, correct, strict=True)}}


def probe_model(base: GenreModel, probe: Probe, source: str, command: str) -> GenreModel:
    """A probe as a model, with its metrics and without a card.

    Args:
        base: for whose members the heads are, with batch norms; its music detector is kept.
        source: name of the songs.
        command: by which it can be repeated.

    Raises:
        CheckpointError: a member has no linear head.
    """
    songs = {genre: sum(song.genre == genre for song in probe.songs) for genre in probe.genres}
    total = len(probe.songs)
    training = {
        "command": command,
        "start": base.name,
        "genres": probe.genres,
        "sources": {source: {"share": 1.0, "training": total, "validation": total, "test": 0}},
        "members": dict.fromkeys(probe.heads, "linear probe"),
        "probe": {"folds": probe.folds, "songs": songs, "caveats": probe.caveats},
    }
    return GenreModel(
        probe.genres,
        {name: _with_head(base.members[name], head) for name, head in probe.heads.items()},
        probe.window_fusion,
        probe.track_fusion,
        probe.thresholds,
        base.detector,
        metrics={"training": training, "validation": {source: probe.figures}},
    )


def _with_head(member: Member, head: Head) -> Member:
    """A copy of a member with another head."""
    from genre.models.backbones import replace_head  # here, since the page imports this module and does without timm

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
