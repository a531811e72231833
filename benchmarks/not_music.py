"""Fit and measure the music detector, which tells music from speech, noise, tones and silence.

    python -m benchmarks.not_music make MATERIAL
    python -m benchmarks.not_music fit CHECKPOINT MATERIAL DATA [DATA ...]
    python -m benchmarks.not_music measure CHECKPOINT MATERIAL SONGS

CHECKPOINT is the name of a folder in checkpoints/, or a path. `make` writes recordings that are not music into MATERIAL
(see benchmarks/make_not_music.py). `fit` fits the detector to MATERIAL/choose and to the training tracks of DATA, with
penalty and threshold chosen on the validation tracks, on the features of the member with the shortest windows, and
writes it into the checkpoint's folder as music.safetensors. DATA are folders of prepared arrays or archives (see
genre/data/dataset.py). `measure` classifies MATERIAL/held_back and the mp3 files in the folders of SONGS, and writes
the result into the metrics.json and the model card of the checkpoint.
"""

import argparse
import sys
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from benchmarks.make_not_music import make
from benchmarks.shipped_data import read_shipped_data
from genre.audio.clips import CLIP_SECONDS
from genre.errors import GenreError
from genre.hub.card import add_note
from genre.inference.classify import Classifier
from genre.inference.embed import embed
from genre.models.checkpoint import add_music_detector, load_checkpoint, window_members
from genre.models.locations import SHIPPED
from genre.models.music import MusicDetector
from genre.training.detector import fit_examples, gather


def fit_and_save(folder: Path, material: Path, data: list[Path]) -> None:
    """Write the detector of a checkpoint and print how many validation tracks it rejects, by source."""
    sources = read_shipped_data(data)
    members = load_checkpoint(folder).members
    name = window_members(members)[0]
    examples = gather(members[name], name, sources, material / "choose")
    detector = fit_examples(examples)
    add_music_detector(folder, detector)
    print(f"Threshold of the probability of music: {detector.threshold:.4f}\n")
    print("| validation tracks of | classified as not music |\n| --- | --- |")
    for source, tracks in examples.validation.items():
        print(f"| {source} | {count(torch.tensor([not detector.is_music(track) for track in tracks]))} |")


def measure(folder: Path, material: Path, songs: Path) -> None:
    """Print how many songs and held-back recordings are classified as not music, and note it in the checkpoint."""
    classifier = Classifier(load_checkpoint(folder))
    detector = classifier.checkpoint.music
    if detector is None:
        raise GenreError(f"{folder} has no music detector; fit one first.")
    kinds = {
        kind.name: score(classifier, detector, sorted(kind.iterdir()))
        for kind in sorted((material / "held_back").iterdir())
    }
    others, paths = torch.cat(list(kinds.values())), sorted(songs.glob("*/*.mp3"))
    excerpts, notes = (("whole songs", None), (f"their first {CLIP_SECONDS:g} s", CLIP_SECONDS)), []
    print("| recordings | classified as not music | AUROC against all that is not music |\n| --- | --- | --- |")
    for title, seconds in excerpts:
        scores = score(classifier, detector, paths, seconds)
        rejected, area = count(scores < detector.threshold), area_under_curve(scores, others)
        print(f"| {title} | {rejected} | {area:.4f} |")
        notes.append(f"of {title} {rejected} (AUROC {area:.3f})")
    for kind, scores in [*kinds.items(), ("all that is not music", others)]:
        print(f"| {kind} | {count(scores < detector.threshold)} | |")
    notes.append(f"of held-back speech, noise, tones, rooms and crowds {count(others < detector.threshold)}")
    command = "python -m benchmarks.not_music measure CHECKPOINT MATERIAL SONGS"
    add_note(folder, command, f"Classified as not music: {'; '.join(notes)}.")


def score(classifier: Classifier, detector: MusicDetector, paths: list[Path], seconds: float | None = None) -> Tensor:
    """Probability of music of each file, or of its first `seconds`, shape (files,)."""
    features = (embed(classifier, path, seconds).features[detector.member] for path in paths)
    return torch.tensor([detector.recording(one) for one in features])


def area_under_curve(higher: Tensor, lower: Tensor) -> float:
    """AUROC: how often one of the first scores, shape (scores,), is above one of the second; ties count half."""
    above = torch.cat([torch.ones(len(higher)), torch.zeros(len(lower))])
    return float(roc_auc_score(above, torch.cat([higher, lower])))


def count(flags: Tensor) -> str:
    return f"{flags.sum()} of {len(flags)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(required=True)
    making = tasks.add_parser("make", help=make.__doc__)
    making.add_argument("folder", metavar="MATERIAL", type=Path)
    making.set_defaults(run=make)
    for name, run, last, many in (("fit", fit_and_save, "data", "+"), ("measure", measure, "songs", None)):
        command = tasks.add_parser(name, help=run.__doc__)
        command.add_argument("folder", metavar="CHECKPOINT", type=_checkpoint_folder)
        command.add_argument("material", metavar="MATERIAL", type=Path)
        command.add_argument(last, metavar=last.upper(), type=Path, nargs=many)
        command.set_defaults(run=run)
    arguments = vars(parser.parse_args())
    run = arguments.pop("run")
    try:
        run(**arguments)
    except GenreError as error:
        sys.exit(str(error))


def _checkpoint_folder(name: str) -> Path:
    return SHIPPED / name if (SHIPPED / name).is_dir() else Path(name)


if __name__ == "__main__":
    main()
