"""Robustness of predictions against changes of the recording: level, filters, codecs, rooms, phones.

    python -m benchmarks.robustness songs SONGS [--checkpoint NAME] [--note]
    python -m benchmarks.robustness validation DATA [DATA ...] [--checkpoint NAME]

`songs` changes the first four minutes of each mp3 file in the folders of SONGS by sox and PyAV, and compares the
prediction with that for the unchanged song. With --note the counts are written into the metrics.json and the model card
of the checkpoint.

`validation` changes the log-mel windows of all validation tracks by `genre.features.augment`, more strongly than the
training does, and in one more row raises all levels to a common floor. DATA are folders of prepared arrays or archives
(see genre/data/dataset.py); name all that the checkpoint was trained on, so that they are split as in its training.
Prints top-1 accuracy and negative log-likelihood for each source: of each member on tracks, and of the fused members on
first windows and on tracks. These are figures on validation, so choices may be made by them.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
from torch import Tensor
from torch.nn.functional import nll_loss

import genre
from benchmarks.shipped_data import read_shipped_data
from genre.audio.audio import Audio
from genre.data.dataset import Source
from genre.errors import GenreError
from genre.features.augment import NO_CHANGE
from genre.hub.card import add_note
from genre.models.model import DEFAULT, SHIPPED, GenreModel, average_windows
from genre.training.calibrate import BY_PHONE, member_log_probabilities
from genre.training.evaluate import check_genres

LONGEST_SECONDS = 240
RATE = 44100  # Hz
NOISE_BELOW = 25  # dB
BIT_RATE = 64  # kb/s
RANGE = 70  # dB, of 80, that are left where levels are raised to a common floor
GOAL = 0.85  # fraction of the changed songs with the same genre as before


def attenuate(song: Path) -> Path:
    return sox(song, song.with_name("attenuated.wav"), "gain -20")


def low_pass(song: Path) -> Path:
    return sox(song, song.with_name("low-pass.wav"), "sinc -8000")


def encode_mp3(song: Path) -> Path:
    return sox(song, "-C", BIT_RATE, song.with_name("encoded.mp3"), "gain -1")


def simulate_phone(song: Path) -> Path:
    """A phone's recording across a room, with noise."""
    room = sox(song, song.with_name("room.wav"), f"gain -6 remix - reverb 50 50 60 rate {RATE}")
    noise = sox("-n", "-r", RATE, song.with_name("noise.wav"), f"synth {LONGEST_SECONDS} pinknoise")
    signal, background = Audio(room).samples(RATE), Audio(noise).samples(RATE)
    level = np.sqrt(np.square(signal).mean() / np.square(background).mean()) * 10 ** (-NOISE_BELOW / 20)
    length = len(signal) / RATE
    mixture = ("-m", "-v", 1, room, "-v", level, noise)
    band = sox(*mixture, song.with_name("band.wav"), f"sinc 300-7000 trim 0 {length}")
    return encode_aac(band, song.with_name("phone.m4a"))


VARIANTS: dict[str, Callable[[Path], Path]] = {
    "20 dB softer": attenuate,
    "nothing above 8 kHz": low_pass,
    f"mp3 of {BIT_RATE} kb/s": encode_mp3,
    "a phone in a room (300 to 7,000 Hz, reverberation, noise 25 dB below, mono, AAC of 64 kb/s)": simulate_phone,
}


def raise_floor(windows: Tensor) -> Tensor:
    """Levels in dB, shape (batch, bands, columns), raised to `RANGE` below the loudest one of each."""
    return windows.maximum(windows.amax(dim=(1, 2), keepdim=True) - RANGE)


CHANGES: dict[str, Callable[[Tensor], Tensor] | None] = {
    "unchanged": None,
    "equalised by 6 dB": replace(NO_CHANGE, equaliser=6.0),
    "another dynamic range, tilt and level": replace(NO_CHANGE, dynamic_range=0.3, tilt=15.0, gain=10.0),
    "low-pass at a random band": replace(NO_CHANGE, low_pass=1.0),
    "spectral holes of a codec": replace(NO_CHANGE, codec=1.0),
    "by a phone": BY_PHONE,
    f"levels raised to {RANGE} dB below the loudest": raise_floor,
}


def sox(*arguments) -> Path:
    """Run sox: files and their options, then the effects in one string. Returns the file it writes."""
    *files, effects = arguments
    command = ["sox", "-R", "-V1", *map(str, files), *effects.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"sox failed: {done.stderr.strip()}")
    return files[-1]


def encode_aac(source: Path, path: Path) -> Path:
    with av.open(str(source)) as sound, av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=RATE, layout="mono")
        stream.bit_rate = BIT_RATE * 1000
        for frame in sound.decode(audio=0):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def measure_songs(songs: Path, checkpoint: str, note: bool) -> None:
    """Print how many songs have the same genre after each change."""
    if shutil.which("sox") is None:
        sys.exit("sox is missing: apt-get install sox libsox-fmt-mp3")
    classifier = genre.load(checkpoint)
    paths = sorted(songs.glob("*/*.mp3"))
    if not paths:
        sys.exit(f"{songs} has no mp3 files in folders.")
    outcomes = {variant: [] for variant in VARIANTS}
    for song in paths:
        for variant, outcome in compare(classifier, song).items():
            outcomes[variant].append(outcome)
        print(song.name, {variant.split(" (")[0]: same[-1][0] for variant, same in outcomes.items()}, file=sys.stderr)
    print(table(outcomes))
    if note:
        command = "python -m benchmarks.robustness songs SONGS --note"
        add_note(SHIPPED / checkpoint, command, in_words(outcomes, len(paths)))


def compare(classifier: genre.Classifier, song: Path) -> dict[str, tuple[bool, float]]:
    """For each variant of a song: whether the genre is the same, and how much that genre's probability changes."""
    with tempfile.TemporaryDirectory() as folder:
        original = sox(song, Path(folder) / "song.wav", f"trim 0 {LONGEST_SECONDS}")
        expected = classifier.classify(original)
        results = {}
        for variant, change in VARIANTS.items():
            prediction = classifier.classify(change(original))
            difference = abs(prediction.probabilities[expected.genre] - expected.confidence)
            results[variant] = prediction.genre == expected.genre, difference
        return results


def table(outcomes: dict[str, list[tuple[bool, float]]]) -> str:
    everything = [result for results in outcomes.values() for result in results]
    lines = ["| variant | same genre | mean change of the genre's probability |", "| --- | --- | --- |"]
    for variant, results in [*outcomes.items(), (f"all (goal {GOAL:.0%})", everything)]:
        same = sum(same for same, _ in results)
        mean = sum(difference for _, difference in results) / len(results)
        lines.append(f"| {variant} | {same} of {len(results)}, {same / len(results):.0%} | {mean:.3f} |")
    return "\n".join(lines)


def in_words(outcomes: dict[str, list[tuple[bool, float]]], songs: int) -> str:
    same = {variant: sum(one for one, _ in results) for variant, results in outcomes.items()}
    total = sum(len(results) for results in outcomes.values())
    each = "; ".join(f"{variant}: {count}" for variant, count in same.items())
    return f"{songs} songs, changed, have the same genre as before in {sum(same.values())} of {total} cases. {each}."


def measure_validation(data: list[Path], checkpoint: str) -> None:
    """Print top-1 and negative log-likelihood of each source's validation tracks after each change."""
    loaded = GenreModel.from_pretrained(checkpoint)
    shipped = read_shipped_data(data)
    check_genres(loaded, shipped)
    for source in shipped.sources:
        print(f"\n{source.name}\n\n| recordings | {' | '.join(loaded.members)} | first window | track |")
        print("| --- |" + " --- |" * (len(loaded.members) + 2))
        for title, change in CHANGES.items():
            print(f"| {title} | {' | '.join(figures(loaded, source, change))} |", flush=True)


def figures(model: GenreModel, source: Source, change: Callable[[Tensor], Tensor] | None) -> list[str]:
    """Figures of each member, of the ensemble's first windows and of its tracks."""
    log_probabilities, labels = member_log_probabilities(model, source, "validation", change)
    results = [average_windows(one) for one in log_probabilities.values()]
    first_windows = {name: one[:, 0] for name, one in log_probabilities.items()}
    results += [model.window_probabilities(first_windows).log()]
    results += [model.track_probabilities(log_probabilities).log()]
    return [f"{(one.argmax(-1) == labels).float().mean():.1%}, {nll_loss(one, labels):.3f}" for one in results]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(required=True)
    for name, run, folder, many in (
        ("songs", measure_songs, "songs", None),
        ("validation", measure_validation, "data", "+"),
    ):
        command = tasks.add_parser(name, help=run.__doc__)
        command.add_argument(folder, metavar=folder.upper(), type=Path, nargs=many)
        command.add_argument("--checkpoint", default=DEFAULT, help="a name in checkpoints/")
        command.set_defaults(run=run)
        if run is measure_songs:
            command.add_argument("--note", action="store_true", help="write the counts into the checkpoint")
    arguments = vars(parser.parse_args())
    try:
        arguments.pop("run")(**arguments)
    except GenreError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
