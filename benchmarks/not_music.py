"""Measure the music detector, which tells music from speech, noise, tones and silence.

    python -m benchmarks.make_not_music MATERIAL
    python train.py --mode detector --data DATA [DATA ...] --not-music MATERIAL/choose --out CHECKPOINT
    python -m benchmarks.not_music CHECKPOINT MATERIAL SONGS

The first two commands make recordings that are not music and fit the detector to one half of them. This one classifies
the other half, MATERIAL/held_back, and the mp3 files in the folders of SONGS, and writes the result into the
metrics.json and the model card of the checkpoint, which is the name of a folder in checkpoints/, or a path.
"""

import argparse
import sys
from pathlib import Path

import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from genre.audio.audio import CLIP_SECONDS
from genre.errors import GenreError
from genre.hub.card import add_note
from genre.inference.classify import Classifier
from genre.models.model import SHIPPED, GenreModel, MusicDetector
from genre.training.probe import embed


def measure(folder: Path, material: Path, songs: Path) -> None:
    """Print how many songs and held-back recordings are classified as not music, and note it in the checkpoint."""
    classifier = Classifier(GenreModel.from_pretrained(folder))
    detector = classifier.model.detector
    if detector is None:
        raise GenreError(f"{folder} has no music detector; train.py --mode detector fits one.")
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
    command = "python -m benchmarks.not_music CHECKPOINT MATERIAL SONGS"
    add_note(folder, command, f"Classified as not music: {'; '.join(notes)}.")


def score(classifier: Classifier, detector: MusicDetector, paths: list[Path], seconds: float | None = None) -> Tensor:
    """Probability of music of each file, or of its first `seconds`, shape (files,)."""
    features = (embed(classifier, path, seconds).features[detector.member] for path in paths)
    return torch.tensor([detector.recording(detector(one)) for one in features])


def area_under_curve(higher: Tensor, lower: Tensor) -> float:
    """AUROC: how often one of the first scores, shape (scores,), is above one of the second; ties count half."""
    above = torch.cat([torch.ones(len(higher)), torch.zeros(len(lower))])
    return float(roc_auc_score(above, torch.cat([higher, lower])))


def count(flags: Tensor) -> str:
    return f"{flags.sum()} of {len(flags)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="CHECKPOINT", type=_checkpoint_folder)
    parser.add_argument("material", metavar="MATERIAL", type=Path)
    parser.add_argument("songs", metavar="SONGS", type=Path)
    try:
        measure(**vars(parser.parse_args()))
    except GenreError as error:
        sys.exit(str(error))


def _checkpoint_folder(name: str) -> Path:
    return SHIPPED / name if (SHIPPED / name).is_dir() else Path(name)


if __name__ == "__main__":
    main()
