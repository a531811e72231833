"""Does a song keep its genre when it is soft, muffled, squeezed or re-recorded?

    python -m benchmarks.robustness SONGS [--checkpoint NAME] [--note]

SONGS holds mp3 files in folders. The first four minutes of each are changed by sox and PyAV and classified again.
With --note the counts are written into the checkpoint's metrics.json and card.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import av

import genre
from genre.audio.decode import decode
from genre.hub.card import add_note
from genre.models.checkpoint import DEFAULT, SHIPPED

LONGEST_SECONDS = 240
RATE = 44100  # Hz
NOISE_BELOW = 25  # dB
BIT_RATE = 64  # kb/s
GOAL = 0.85  # part of the changed songs that keep their genre


def softer(song: Path) -> Path:
    return sox(song, song.with_name("softer.wav"), "gain -20")


def muffled(song: Path) -> Path:
    return sox(song, song.with_name("muffled.wav"), "sinc -8000")


def squeezed(song: Path) -> Path:
    return sox(song, "-C", BIT_RATE, song.with_name("squeezed.mp3"), "gain -1")


def phoned(song: Path) -> Path:
    """Recorded by a phone across a room, with the noise of both."""
    room = sox(song, song.with_name("room.wav"), f"gain -6 remix - reverb 50 50 60 rate {RATE}")
    noise = sox("-n", "-r", RATE, song.with_name("noise.wav"), f"synth {LONGEST_SECONDS} pinknoise")
    heard, hiss = decode(room, RATE), decode(noise, RATE)
    level = heard.square().mean().sqrt() / hiss.square().mean().sqrt() * 10 ** (-NOISE_BELOW / 20)
    length = len(heard) / RATE
    mixture = ("-m", "-v", 1, room, "-v", level.item(), noise)
    band = sox(*mixture, song.with_name("band.wav"), f"sinc 300-7000 trim 0 {length}")
    return encode_aac(band, song.with_name("phone.m4a"))


VARIANTS: dict[str, Callable[[Path], Path]] = {
    "20 dB softer": softer,
    "nothing above 8 kHz": muffled,
    f"mp3 of {BIT_RATE} kb/s": squeezed,
    "a phone in a room (300 to 7,000 Hz, reverberation, noise 25 dB below, mono, AAC of 64 kb/s)": phoned,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("songs", type=Path)
    parser.add_argument("--checkpoint", default=DEFAULT, help="a name in checkpoints/")
    parser.add_argument("--note", action="store_true", help="write the counts into the checkpoint")
    arguments = parser.parse_args()
    if shutil.which("sox") is None:
        sys.exit("sox is missing: apt-get install sox libsox-fmt-mp3")
    classifier = genre.load(arguments.checkpoint)
    songs = sorted(arguments.songs.glob("*/*.mp3"))
    if not songs:
        sys.exit(f"{arguments.songs} has no mp3 files in folders.")
    outcomes = {variant: [] for variant in VARIANTS}
    for song in songs:
        for variant, outcome in compare(classifier, song).items():
            outcomes[variant].append(outcome)
        print(song.name, {variant.split(" (")[0]: same[-1][0] for variant, same in outcomes.items()}, file=sys.stderr)
    print(table(outcomes))
    if arguments.note:
        command = "python -m benchmarks.robustness SONGS --note"
        add_note(SHIPPED / arguments.checkpoint, command, in_words(outcomes, len(songs)))


def compare(classifier: genre.Classifier, song: Path) -> dict[str, tuple[bool, float]]:
    """For each variant of a song: whether the genre stays, and how far the probability of the first genre moves."""
    with tempfile.TemporaryDirectory() as folder:
        original = sox(song, Path(folder) / "song.wav", f"trim 0 {LONGEST_SECONDS}")
        expected = classifier.classify(original)
        results = {}
        for variant, change in VARIANTS.items():
            prediction = classifier.classify(change(original))
            moved = abs(prediction.probabilities[expected.genre] - expected.confidence)
            results[variant] = prediction.genre == expected.genre, moved
        return results


def table(outcomes: dict[str, list[tuple[bool, float]]]) -> str:
    everything = [result for results in outcomes.values() for result in results]
    lines = ["| variant | keeps its genre | mean change of the genre's probability |", "| --- | --- | --- |"]
    for variant, results in [*outcomes.items(), (f"all (goal {GOAL:.0%})", everything)]:
        kept = sum(same for same, _ in results)
        moved = sum(moved for _, moved in results) / len(results)
        lines.append(f"| {variant} | {kept} of {len(results)}, {kept / len(results):.0%} | {moved:.3f} |")
    return "\n".join(lines)


def in_words(outcomes: dict[str, list[tuple[bool, float]]], songs: int) -> str:
    kept = {variant: sum(same for same, _ in results) for variant, results in outcomes.items()}
    total = sum(len(results) for results in outcomes.values())
    each = "; ".join(f"{variant}: {count}" for variant, count in kept.items())
    return f"{songs} songs, changed, keep their genre in {sum(kept.values())} of {total} cases. {each}."


if __name__ == "__main__":
    main()
