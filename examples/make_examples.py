"""Synthesise the example clips of the page, so that they need no licence."""

from pathlib import Path

import av
import numpy as np

RATE = 44100
SECONDS = 15
HERE = Path(__file__).parent
NOTES = {name: 2 ** (i / 12) for i, name in enumerate("C C# D D# E F F# G G# A A# B".split())}


def frequency(note: str, octave: int) -> float:
    """Frequency of a note in Hz, in equal temperament with A4 = 440 Hz."""
    return 440 * NOTES[note] / NOTES["A"] * 2.0 ** (octave - 4)


def place(song: np.ndarray, sound: np.ndarray, seconds: float, level: float = 1.0) -> None:
    """Mix `sound` into `song` from a time in seconds on, in place; cut at the end of the song."""
    start = int(seconds * RATE)
    length = min(len(sound), len(song) - start)
    if length > 0:
        song[start : start + length] += level * sound[:length]


def pluck(hz: float, seconds: float, random: np.random.Generator) -> np.ndarray:
    """A plucked string (Karplus and Strong, 1983): noise in a delay line with a low-pass filter in the feedback."""
    period = int(RATE / hz)
    ring = random.uniform(-1, 1, period)
    rounds = []
    for _ in range(int(seconds * hz) + 1):
        rounds.append(ring)
        ring = 0.996 * 0.5 * (ring + np.roll(ring, 1))
    return np.concatenate(rounds)


def kick() -> np.ndarray:
    t = np.arange(int(0.35 * RATE)) / RATE
    return np.sin(2 * np.pi * (48 * t + 9 * (1 - np.exp(-t * 30)))) * np.exp(-t * 11)


def snare(random: np.random.Generator) -> np.ndarray:
    t = np.arange(int(0.22 * RATE)) / RATE
    return 0.6 * random.normal(size=len(t)) * np.exp(-t * 22) + 0.5 * np.sin(2 * np.pi * 190 * t) * np.exp(-t * 25)


def hat(random: np.random.Generator) -> np.ndarray:
    t = np.arange(int(0.06 * RATE)) / RATE
    return np.diff(random.normal(size=len(t) + 1)) * np.exp(-t * 70)


def saw(hz: float, seconds: float, brightness: float) -> np.ndarray:
    """A sawtooth by additive synthesis; higher partials decay faster, and the more so at low `brightness` (0 to 1)."""
    t = np.arange(int(seconds * RATE)) / RATE
    partials = range(1, min(40, int(16000 / hz)))
    wave = sum(np.sin(2 * np.pi * k * hz * t) / k * np.exp(-k * t * (6 - 5 * brightness)) for k in partials)
    return wave * np.minimum(1, t / 0.004) * np.minimum(1, (seconds - t) / 0.02)


def drum_loop(random: np.random.Generator) -> np.ndarray:
    song, sixteenth = np.zeros(SECONDS * RATE), 60 / 90 / 4
    bass = ["C", "C", "D#", "F"]
    for bar in range(6):
        at = bar * 16 * sixteenth
        for step in (0, 7, 10):
            place(song, kick(), at + step * sixteenth)
        for step in (4, 12):
            place(song, snare(random), at + step * sixteenth, 0.6)
        for step in range(0, 16, 2):
            swing = 0.03 if step % 4 else 0.0
            place(song, hat(random), at + step * sixteenth + swing, 0.12 if step % 4 else 0.18)
        for step in (0, 6, 11):
            place(song, saw(frequency(bass[bar % 4], 2), 3 * sixteenth, 0.2), at + step * sixteenth, 0.35)
    return song


def arpeggio(random: np.random.Generator) -> np.ndarray:
    song, sixteenth = np.zeros(SECONDS * RATE), 60 / 126 / 4
    chords = [("A", "C", "E"), ("F", "A", "C"), ("C", "E", "G"), ("G", "B", "D")]
    for step in range(int(SECONDS / sixteenth)):
        chord = chords[step // 16 % 4]
        brightness = 0.5 + 0.5 * np.sin(2 * np.pi * step / 128)
        place(song, saw(frequency(chord[step % 3], 4 + step // 3 % 2), 0.3, brightness), step * sixteenth, 0.25)
        if step % 4 == 0:
            place(song, kick(), step * sixteenth, 0.8)
        if step % 4 == 2:
            place(song, hat(random), step * sixteenth, 0.15)
    return song


def strummed_chords(random: np.random.Generator) -> np.ndarray:
    song, eighth = np.zeros(SECONDS * RATE), 60 / 96 / 2
    chords = [
        [("G", 2), ("B", 2), ("D", 3), ("G", 3), ("B", 3), ("G", 4)],
        [("E", 2), ("B", 2), ("E", 3), ("G", 3), ("B", 3), ("E", 4)],
        [("C", 3), ("E", 3), ("G", 3), ("C", 4), ("E", 4)],
        [("D", 3), ("A", 3), ("D", 4), ("F#", 4)],
    ]
    for bar in range(int(SECONDS / (8 * eighth)) + 1):
        for step in (0, 2, 3, 5, 6, 7):
            strings = chords[bar % 4] if step in (0, 3, 6) else chords[bar % 4][::-1][:4]
            for i, (note, octave) in enumerate(strings):
                at = (bar * 8 + step) * eighth + i * 0.012
                place(song, pluck(frequency(note, octave), 1.2, random), at, 0.16)
    return song


def write_mp3(song: np.ndarray, path: Path) -> None:
    fade = np.minimum(1, (len(song) - np.arange(len(song))) / RATE)
    samples = (0.8 * fade * song / np.abs(song).max()).astype(np.float32)
    with av.open(str(path), "w") as container:
        track = container.add_stream("mp3", rate=RATE, layout="mono")
        track.bit_rate = 96_000
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        for packet in [*track.encode(frame), *track.encode(None)]:
            container.mux(packet)


if __name__ == "__main__":
    for make in (drum_loop, arpeggio, strummed_chords):
        write_mp3(make(np.random.default_rng(0)), HERE / f"{make.__name__}.mp3")
