"""Makes recordings that are not music, by espeak-ng and sox: speech, noise, tones, clicks, crowds, quiet rooms.

`python -m benchmarks.make_not_music FOLDER` writes two halves into FOLDER: `choose/`, to which a detector is fitted,
and `held_back/`, on which it is measured. Each half has a folder for each kind of sound. The halves differ in

    the languages and voices of speech (seven languages and sixteen voices each), its rooms, bands and background noise;
    claps (moments at random, noise that decays; people who clap at a rate of their own, noise that swells and decays),
        their number a second, and what a crowd calls;
    the spectra of noise (white and brown; pink and triangular) and the settings of its filters;
    the waveforms of tones (sines, triangles, linear sweeps; squares, saw-teeth, trapeziums, exponential sweeps), except
    for pairs of sines, whose frequencies differ (dialling; ringing), and the rhythms of beeps and clicks;
    the mains frequency of the hum (50 Hz; 60 Hz).

About half of the files are mp3, so that traces of a codec do not tell the classes apart. Two runs write the same sound.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genre.files import read_json

RATE = 44100  # Hz
SPEECH_FILES = 54  # in each half
SECONDS = (6, 30)  # shortest and longest recording
SENTENCES = read_json(Path(__file__).with_name("sentences.json"))  # by espeak-ng language
CLAP_SAMPLES = RATE // 25  # of a clap, at most
PEOPLE = (6, 20)  # fewest and most voices of a crowd
FORMATS = ("flac", "flac", "mp3 64", "mp3 128")  # suffix and bit rate in kb/s, drawn for each file


def claps_at_random(generator: np.random.Generator, per_second: float) -> tuple[np.ndarray, np.ndarray]:
    """Moments of claps, which come at random, and an envelope for each that decays within 2 to 12 ms.

    Returns:
        moments in s, shape (claps,), and envelopes, shape (claps, samples).
    """
    count = generator.poisson(per_second * SECONDS[1])
    decay = generator.uniform(0.002, 0.012, (count, 1)) * RATE
    return generator.uniform(0, SECONDS[1], count), np.exp(-np.arange(CLAP_SAMPLES) / decay)


def claps_of_people(generator: np.random.Generator, per_second: float) -> tuple[np.ndarray, np.ndarray]:
    """As `claps_at_random`, but of people who clap 2.5 to 5 times a second, with envelopes that swell, too."""
    moments: list[np.ndarray] = []
    while sum(map(len, moments)) < per_second * SECONDS[1]:
        rate = generator.uniform(2.5, 5)
        steps = generator.normal(1, 0.06, round(rate * SECONDS[1])).clip(0.5) / rate
        moments.append(generator.uniform(0, 1) + steps.cumsum() - steps[0])
    together = np.concatenate(moments)
    together = together[together < SECONDS[1]]
    shape = len(together), 1
    peak, length = generator.uniform(0.001, 0.004, shape), generator.uniform(0.008, 0.03, shape)
    time = np.arange(CLAP_SAMPLES) / RATE
    return together, np.clip(np.minimum(time / peak, 1 - (time - peak) / length), 0, None) ** 2


@dataclass(frozen=True)
class Half:
    """Ingredients of a half. Rooms and what follows are sox effects; {d} stands for the length in seconds.

    Attributes:
        name: of its folder.
        languages: of espeak-ng.
        voices: variants of espeak-ng.
        rooms, bands: effects on speech.
        claps: moments and envelopes of a number of claps a second.
        applause: claps a second.
        clap_bands: lowest and highest frequency of the resonance of a clap in Hz, and its width in octaves.
        halls: effects on a crowd.
        calls: what a crowd calls.
        noise, tones, clicks: effects that synthesise them.
        mains: frequency of the hum in Hz.
    """

    name: str
    languages: list[str]
    voices: list[str]
    rooms: list[str]
    bands: list[str]
    claps: Callable[[np.random.Generator, float], tuple[np.ndarray, np.ndarray]]
    applause: tuple[float, ...]
    clap_bands: tuple[float, float, float]
    halls: list[str]
    calls: str
    noise: list[str]
    tones: list[str]
    clicks: list[str]
    mains: int


HALVES = [
    Half(
        name="choose",
        languages="fr-fr it pl sv tr fi id".split(),
        voices="f1 f3 f5 m1 m3 m5 m7 Andy Annie Denis Marco Mario klatt klatt3 linda pablo".split(),
        rooms=["reverb 30 50 40", "reverb 60 30 90"],
        bands=["sinc 300-3400", "sinc 100-5000"],
        claps=claps_at_random,
        applause=(45, 60, 80, 110, 150, 210),
        clap_bands=(500, 4000, 1.5),
        halls=["", "reverb 40 40 60", "reverb 70 20 100 lowpass 6000", "reverb 90 60 80 treble -6"],
        calls="bravo ole uuu jaa hee bis",
        noise=[
            f"synth {{d}} {colour}noise {effect}"
            for colour in ("white", "brown")
            for effect in (
                "",
                "lowpass 1000",
                "lowpass 6000",
                "highpass 4000",
                "bandpass 500 100",
                "bandpass 3000 1000",
                "tremolo 0.3 70",
                "tremolo 5 40",
                "treble -12 gain -40",
                "bass +10 gain -20",
            )
        ],
        tones=[
            "synth {d} sine 110",
            "synth {d} sine 1000",
            "synth {d} sine 3150",
            "synth {d} sine 440 sine 443 remix -",
            "synth {d} triangle 330",
            "synth {d} triangle 90",
            "synth {d} sine 100:8000",
            "synth {d} sine 2000:300",
            "synth {d} triangle 200:1500",
            "synth 0.2 sine 697 sine 1209 remix - pad 0 0.1 repeat 99",
            "synth 0.08 sine 770 sine 1477 remix - pad 0 0.08 repeat 199",
            "synth 0.1 sine 800 pad 0 0.9 repeat 29",
            "synth 0.5 sine 2500 pad 0 0.5 repeat 29",
            "synth 2 sine 600:900 repeat 14",
        ],
        clicks=[
            "synth 0.003 whitenoise pad 0 0.497 repeat 59",
            "synth 0.003 whitenoise pad 0 0.997 repeat 29",
            "synth 0.02 brownnoise pad 0 0.23 repeat 119",
            "synth 0.001 whitenoise pad 0 0.07 repeat 419",
        ],
        mains=50,
    ),
    Half(
        name="held_back",
        languages="en-us de es pt-br nl hu sw".split(),
        voices="f2 f4 m2 m4 m6 m8 Alicia Andrea Gene Hugo Jacky Lee Michael grandma klatt2 steph".split(),
        rooms=["reverb 45 70 60", "reverb 80 20 100"],
        bands=["sinc 200-3600", "sinc 400-2800"],
        claps=claps_of_people,
        applause=(50, 70, 95, 130, 200),
        clap_bands=(800, 2500, 1.0),
        halls=["", "reverb 55 50 80", "reverb 85 30 50 treble -4", "highpass 200 lowpass 8000"],
        calls="yeah whoo hurray encore hey",
        noise=[
            f"synth {{d}} {colour}noise {effect}"
            for colour in ("pink", "tpdf")
            for effect in (
                "",
                "lowpass 400",
                "lowpass 2500",
                "highpass 1500",
                "bandpass 1200 300",
                "bandpass 5000 500",
                "tremolo 0.15 90",
                "tremolo 2 60",
                "treble -6 gain -30",
                "bass +15 gain -10",
            )
        ],
        tones=[
            "synth {d} square 150",
            "synth {d} square 523",
            "synth {d} sawtooth 82",
            "synth {d} sawtooth 1700",
            "synth {d} trapezium 260",
            "synth {d} square 700 square 709 remix -",
            "synth {d} sine 50/12000",
            "synth {d} sine 6000/200",
            "synth {d} square 80/1000",
            "synth 2 sine 440 sine 480 remix - pad 0 4 repeat 4",
            "synth 0.5 sine 480 sine 620 remix - pad 0 0.5 repeat 29",
            "synth 0.25 square 1400 pad 0 0.35 repeat 49",
            "synth 0.06 square 2000 pad 0 1.94 repeat 14",
            "synth 1.2 sine 500/1500 repeat 24",
        ],
        clicks=[
            "synth 0.006 pinknoise pad 0 0.66 repeat 44",
            "synth 0.006 pinknoise pad 0 0.33 repeat 89",
            "synth 0.04 tpdfnoise pad 0 1.4 repeat 19",
            "synth 0.002 tpdfnoise pad 0 0.12 repeat 249",
        ],
        mains=60,
    ),
]


class Maker:
    """Writes the files of one half.

    Args:
        half: its ingredients.
        folder: that gets the folder of the half.
        scratch: folder for files on the way.
    """

    def __init__(self, half: Half, folder: Path, scratch: Path):
        self.half, self.folder, self.scratch = half, folder / half.name, scratch
        self.random = random.Random(half.name)

    def make(self) -> int:
        """Write all files of the half; returns their number."""
        treatments = [self.plain, self.by_microphone, self.in_noise, self.in_room, self.in_band, self.in_turns]
        for number in range(SPEECH_FILES):
            treatments[number % len(treatments)](number)
        for kind in ("noise", "tones", "clicks"):
            for number, effects in enumerate(getattr(self.half, kind)):
                self.synthesise(kind, number, effects)
        for number, level in enumerate((-35, -40, -45, -50, -55, -60)):
            self.silence(number, level)
        for number, per_second in enumerate(self.half.applause):
            for treatment in (self.applause, self.applause_with_calls, self.applause_with_murmur):
                treatment(number, per_second)
            self.save(self.crowd(self.murmur), "crowds", f"{number:02d}_murmur", self.random.choice(self.half.halls))
        return len(list(self.folder.glob("*/*")))

    def plain(self, number: int) -> None:
        self.save(self.speak(), "speech", f"{number:02d}_plain")

    def by_microphone(self, number: int) -> None:
        """Speech with long gaps between the words, a microphone's bass and treble, and its faint noise."""
        bass, treble = (self.random.uniform(-9, 9) for _ in "bt")
        spoken = self.with_noise(self.speak(gap=self.random.randint(0, 40)), quietest=50, loudest=25)
        self.save(spoken, "speech", f"{number:02d}_microphone", f"bass {bass} treble {treble} gain -n -3")

    def in_noise(self, number: int) -> None:
        self.save(self.with_noise(self.speak(), quietest=25, loudest=8), "speech", f"{number:02d}_noise")

    def with_noise(self, spoken: Path, quietest: float, loudest: float) -> Path:
        """Speech with noise, whose peak is `loudest` to `quietest` dB below that of the speech."""
        effects = self.random.choice(self.half.noise).format(d=SECONDS[1])
        level = 10 ** (-self.random.uniform(loudest, quietest) / 20)
        noise, mixed = self.scratch / "noise.wav", self.scratch / "mixed.wav"
        sox("-n", "-r", RATE, noise, f"{effects} gain -n -3")
        sox("-m", spoken, "-v", level, noise, mixed, f"trim 0 {seconds_of(spoken)}")
        return mixed

    def in_room(self, number: int) -> None:
        self.save(self.speak(), "speech", f"{number:02d}_room", self.random.choice(self.half.rooms))

    def in_band(self, number: int) -> None:
        self.save(self.speak(), "speech", f"{number:02d}_band", self.random.choice(self.half.bands))

    def in_turns(self, number: int) -> None:
        """Three speakers, one after another, with pauses."""
        turns = [self.speak(f"turn{turn}.wav", sentences=2) for turn in range(3)]
        together = self.scratch / "together.wav"
        sox(*turns, together, "")
        self.save(together, "speech", f"{number:02d}_turns")

    def speak(self, name: str = "speech.wav", sentences: int = 5, gap: int = 0) -> Path:
        """Sentences by one voice and half a second of silence; `gap` is the pause between words in units of 10 ms."""
        language = self.random.choice(self.half.languages)
        voice = self.random.choice(self.half.voices)
        spoken = " ".join(self.random.sample(SENTENCES[language], sentences))
        raw, path = self.scratch / "raw.wav", self.scratch / name
        speed, pitch = self.random.randint(110, 210), self.random.randint(20, 80)
        run("espeak-ng", "-v", f"{language}+{voice}", "-s", speed, "-p", pitch, "-g", gap, "-w", raw, spoken)
        sox(raw, "-r", RATE, path, "gain -n -3 pad 0 0.5")
        return path

    def applause(self, number: int, per_second: float) -> None:
        self.save_crowd([self.clap(per_second)], f"{number:02d}_applause")

    def applause_with_calls(self, number: int, per_second: float) -> None:
        self.save_crowd([self.clap(per_second), self.crowd(self.call)], f"{number:02d}_calls")

    def applause_with_murmur(self, number: int, per_second: float) -> None:
        self.save_crowd([self.clap(per_second), self.crowd(self.murmur)], f"{number:02d}_murmur_applause")

    def save_crowd(self, parts: list[Path], name: str) -> None:
        """Mix applause with voices that are up to 15 dB softer, or louder by up to 5, in a hall."""
        levels = [1.0, *(10 ** (self.random.uniform(-15, 5) / 20) for _ in parts[1:])]
        mixed, hall = self.scratch / "crowd.wav", self.random.choice(self.half.halls)
        inputs = [word for level, part in zip(levels, parts, strict=True) for word in ("-v", level, part)]
        sox(*(["-m"] if len(parts) > 1 else []), *inputs, mixed, "gain -n -3")
        length = self.random.uniform(*SECONDS)
        swell = self.random.choice(("", f"fade t {length / 2} {length} {length / 3}"))
        self.save(mixed, "crowds", name, f"{hall} trim 0 {length} {swell} gain -n {self.random.uniform(-20, -1)}")

    def clap(self, per_second: float) -> Path:
        """Claps of different loudness, each a piece of noise of one of some resonances."""
        generator = np.random.default_rng(self.random.randrange(2**32))
        moments, envelopes = self.half.claps(generator, per_second)
        lowest, highest, width = self.half.clap_bands
        octaves = np.log2(np.maximum(np.fft.rfftfreq(RATE, 1 / RATE), 1))
        centres = np.log2(np.geomspace(lowest, highest, 12))
        bands = np.exp(-(((octaves - centres[:, None]) / width) ** 2)) + 0.03
        noise = np.fft.irfft(np.fft.rfft(generator.standard_normal((12, RATE))) * bands)
        sound = np.zeros(RATE * (SECONDS[1] + 1))
        for moment, envelope in zip((moments * RATE).astype(int), envelopes, strict=True):
            at = generator.integers(RATE - CLAP_SAMPLES)
            piece = noise[generator.integers(12), at : at + CLAP_SAMPLES]
            sound[moment : moment + CLAP_SAMPLES] += generator.lognormal(0, 0.7) * envelope * piece
        path = self.scratch / "claps.wav"
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((sound / np.abs(sound).max() * 0.7 * 2**15).astype("<i2").tobytes())
        return path

    def crowd(self, voice: Callable[[Path], None]) -> Path:
        """Many voices at once, each from a moment of its own on."""
        voices = []
        for number in range(self.random.randint(*PEOPLE)):
            one, path = self.scratch / "one.wav", self.scratch / f"voice{number}.wav"
            voice(one)
            late, level = self.random.uniform(0, 3), self.random.uniform(-12, 0)
            sox(one, path, f"gain -n {level} pad {late} {self.random.uniform(0, 1.5)} repeat 20 trim 0 {SECONDS[1]}")
            voices.append(path)
        together = self.scratch / "voices.wav"
        sox("-m", *voices, together, "gain -n -3")
        return together

    def murmur(self, path: Path) -> None:
        self.speak(path.name, sentences=4)

    def call(self, path: Path) -> None:
        """A word, drawn out, with a pitch that glides."""
        raw, word = self.scratch / "raw.wav", self.random.choice(self.half.calls.split())
        language, voice = self.random.choice(self.half.languages), self.random.choice(self.half.voices)
        run("espeak-ng", "-v", f"{language}+{voice}", "-p", self.random.randint(30, 99), "-w", raw, word)
        glide = f"bend 0.05,{self.random.randint(-500, 500)},0.3"
        sox(raw, "-r", RATE, path, f"tempo -s {self.random.uniform(0.3, 0.8)} pad 0 0.6 {glide} gain -n -3")

    def synthesise(self, kind: str, number: int, effects: str) -> None:
        path = self.scratch / "synthetic.wav"
        sox("-n", "-r", RATE, "-c", 1, path, f"{effects.format(d=SECONDS[1])} gain -3")
        length = self.random.uniform(*SECONDS)
        self.save(path, kind, f"{number:02d}", f"trim {self.random.uniform(0, SECONDS[1] - length)} {length}")

    def silence(self, number: int, level: float) -> None:
        """A quiet room: noise and the hum of the mains with two harmonics, peaking at `level` dB of full scale."""
        noise, hum, room = (self.scratch / f"{name}.wav" for name in ("noise", "hum", "room"))
        mains, length = self.half.mains, self.random.uniform(*SECONDS)
        sox("-n", "-r", RATE, noise, f"{self.half.noise[number].format(d=length)} gain -n -6")
        tones = " ".join(f"sine {mains * harmonic}" for harmonic in (1, 2, 3))
        sox("-n", "-r", RATE, hum, f"synth {length} {tones} remix - gain -n {-6 - 4 * number}")
        sox("-m", noise, hum, room, f"gain -n {level}")
        self.save(room, "silence", f"{number:02d}")

    def save(self, source: Path, kind: str, name: str, effects: str = "") -> None:
        """Write a finished recording in a randomly drawn format."""
        suffix, *bit_rate = self.random.choice(FORMATS).split()
        path = self.folder / kind / f"{name}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        compression = ("-C", *bit_rate) if bit_rate else ("-b", 16)
        sox(source, *compression, path, f"{effects} trim 0 {SECONDS[1]}")


def sox(*arguments) -> None:
    """Run sox: files and their options, then the effects in one string."""
    *files, effects = arguments
    run("sox", "-R", *files, *effects.split())


def seconds_of(path: Path) -> str:
    return run("soxi", "-D", path).strip()


def run(*command) -> str:
    """Run a program; returns its output, or ends with its error message."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def make(folder: Path) -> None:
    """Write both halves into a new folder."""
    missing = [tool for tool in ("espeak-ng", "sox", "soxi") if shutil.which(tool) is None]
    if missing:
        sys.exit(f"Missing: {', '.join(missing)} (apt-get install espeak-ng sox libsox-fmt-mp3)")
    if any((folder / half.name).exists() for half in HALVES):
        sys.exit(f"{folder} holds such recordings already; name a new folder.")
    for half in HALVES:
        with tempfile.TemporaryDirectory() as scratch:
            print(f"{Maker(half, folder, Path(scratch)).make()} files in {folder / half.name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="FOLDER", type=Path)
    make(parser.parse_args().folder)
