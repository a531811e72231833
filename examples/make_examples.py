"""Compose and synthesise the example songs of the page, which need no licence: `python examples/make_examples.py`.

NumPy makes all of the sound: drums, basses, pads, plucked strings, leads and voices that babble or sing without words.
Two runs write the same files.
"""

from functools import cache
from pathlib import Path

import av
import numpy as np

RATE = 44100
HERE = Path(__file__).parent
PITCHES = {name: i for i, name in enumerate("C C# D D# E F F# G G# A A# B".split())}
CYCLE = 4096  # samples of a stored cycle of a wave
CONTROL = 64  # samples from one value of a voice's slow curves to the next
BODY = (105, 25, 1.2), (205, 40, 1.0), (400, 120, 0.5)  # of a guitar: resonances in Hz, their widths, their gains
VOWELS = {  # first three formants of a man's vowels in Hz (Peterson and Barney, 1952)
    "a": (730, 1090, 2440),
    "e": (530, 1840, 2480),
    "i": (270, 2290, 3010),
    "o": (570, 840, 2410),
    "u": (300, 870, 2240),
    "m": (250, 1000, 2200),
}


def hertz(note: str) -> float:
    """The frequency of a note such as "F#3", in equal temperament with A4 = 440 Hz."""
    return 440 * 2.0 ** ((PITCHES[note[:-1]] - 9) / 12 + int(note[-1]) - 4)


class Mix:
    """A song that grows: stereo, with one reverb, to which each sound sends a part of itself."""

    def __init__(self, seconds: float, seed: int):
        self.random = np.random.default_rng(seed)
        self.level = 1.0  # of what is added
        self.dry, self.sent = np.zeros((2, 2, round(seconds * RATE)))

    def add(self, sound: np.ndarray, at: float, level: float, pan: float = 0.0, wet: float = 0.15) -> None:
        """Mix in a mono sound from a time in seconds on; what is beyond the end of the song is cut off.

        Args:
            pan: -1 (left) to 1 (right).
            wet: the part that goes to the reverb.
        """
        start = round(at * RATE)
        sound = sound[: max(0, self.dry.shape[1] - start)]
        sides = self.level * level * np.outer([np.cos((pan + 1) * np.pi / 4), np.sin((pan + 1) * np.pi / 4)], sound)
        self.dry[:, start : start + len(sound)] += sides
        self.sent[:, start : start + len(sound)] += wet * sides

    def master(self, drive: float = 1.1, hiss: float = 0.0) -> np.ndarray:
        """The finished song: with its reverb, without rumble, gently limited, faded, peaks at 0.89 (-1 dB)."""
        size = 2 ** int(np.ceil(np.log2(self.dry.shape[1] + 2 * RATE)))
        time = np.arange(2 * RATE) / RATE
        echoes = self.random.normal(size=(2, 2 * RATE)) * np.exp(-time * 4.5) * np.minimum(1, time / 0.01)
        echoes *= 2.5 / np.sqrt(np.square(echoes).sum(1, keepdims=True))
        frequencies = np.fft.rfftfreq(size, 1 / RATE)
        room = np.fft.rfft(echoes, size) / (1 + (frequencies / 5000) ** 2)
        song = np.fft.rfft(self.dry, size) + np.fft.rfft(self.sent, size) * room
        song = np.fft.irfft(song * (frequencies / 30) ** 4 / (1 + (frequencies / 30) ** 4))[:, : self.dry.shape[1]]
        song += hiss * self.random.normal(size=song.shape)
        song = np.tanh(drive * song / np.quantile(np.abs(song), 0.998))
        time = np.arange(song.shape[1]) / RATE
        song *= np.minimum(1, time / 0.01) * np.minimum(1, (time[-1] - time) / 2)
        return 0.89 * song / np.abs(song).max()


def seconds_of(seconds: float) -> np.ndarray:
    """The time of each sample, shape (samples,)."""
    return np.arange(round(seconds * RATE)) / RATE


def envelope(seconds: float, attack: float, release: float, decay: float = 0.0) -> np.ndarray:
    """A curve that rises within `attack` s, falls `decay` nepers a second, and ends within `release` s."""
    time = seconds_of(seconds)
    return np.minimum(1, time / attack) * np.exp(-decay * time) * np.clip((seconds - time) / release, 0, 1)


@cache
def cycle(hz: float, cutoff: float, step: int) -> np.ndarray:
    """One cycle of a wave, low-pass filtered: a saw-tooth (step 1) or a square wave (step 2)."""
    partials = np.arange(1, max(2, min(CYCLE // 2, int(17000 / hz))), step)
    spectrum = np.zeros(CYCLE // 2 + 1, complex)
    spectrum[partials] = -0.5j * CYCLE / partials / (1 + (partials * hz / cutoff) ** 4)
    return np.append(np.fft.irfft(spectrum), 0.0)


def wave(hz: float, seconds: float, cutoff: float, step: int = 1, bend: np.ndarray | float = 1.0) -> np.ndarray:
    """An oscillator through a low-pass filter; `bend` multiplies its frequency, for vibrato and glides."""
    phase = np.cumsum(np.broadcast_to(hz * bend / RATE, round(seconds * RATE))) % 1
    return np.interp(phase * CYCLE, np.arange(CYCLE + 1), cycle(round(hz, 3), cutoff, step))


def filtered(random: np.random.Generator, seconds: float, low: float, high: float) -> np.ndarray:
    """Noise between two frequencies in Hz, with an effective value of 1."""
    size = round(seconds * RATE)
    frequencies = np.fft.rfftfreq(size, 1 / RATE) + 1e-9
    gain = 1 / (1 + (low / frequencies) ** 4) / (1 + (frequencies / high) ** 4)
    noise = np.fft.irfft(np.fft.rfft(random.normal(size=size)) * gain, size)
    return noise / noise.std()


# Instruments: each function returns a mono sound, shape (samples,).


def kick(hz: float = 48, length: float = 0.4) -> np.ndarray:
    time = seconds_of(length)
    click = np.sin(2 * np.pi * 1500 * time) * np.exp(-time * 400)
    return np.sin(2 * np.pi * (hz * time + 4 * (1 - np.exp(-time * 35)))) * np.exp(-time * 9) + 0.2 * click


def snare(random: np.random.Generator, tone: float = 185) -> np.ndarray:
    time = seconds_of(0.28)
    body = np.sin(2 * np.pi * (tone * time + 0.6 * (1 - np.exp(-time * 60)))) * np.exp(-time * 22)
    return 0.7 * body + 0.3 * filtered(random, 0.28, 900, 11000) * np.exp(-time * 17)


def clap(random: np.random.Generator) -> np.ndarray:
    time = seconds_of(0.25)
    hands = sum(
        np.where(time >= at, np.exp(-(time - at) * (150 if at < 0.03 else 20)), 0) for at in (0, 0.011, 0.023, 0.033)
    )
    return 0.3 * filtered(random, 0.25, 900, 6000) * hands


def hat(random: np.random.Generator, decay: float = 60) -> np.ndarray:
    time = seconds_of(min(0.4, 6 / decay))
    return 0.3 * filtered(random, len(time) / RATE, 6500, 15000) * np.exp(-time * decay)


def crash(random: np.random.Generator) -> np.ndarray:
    return 0.3 * filtered(random, 2.0, 3500, 14000) * envelope(2.0, 0.002, 0.5, 2.2)


def bass(hz: float, seconds: float, cutoff: float = 500) -> np.ndarray:
    sound = np.sin(2 * np.pi * hz * seconds_of(seconds)) + 0.5 * wave(hz, seconds, cutoff)
    return 0.7 * sound * envelope(seconds, 0.006, 0.03, 1.5)


def pad(notes: tuple[str, ...], seconds: float, cutoff: float = 1500) -> np.ndarray:
    """A chord of detuned saw-teeth with a slow attack."""
    parts = [wave(hertz(note) * tune, seconds, cutoff) for note in notes for tune in (0.9965, 1.0, 1.0042)]
    return 0.35 * np.sum(parts, axis=0) / len(notes) * envelope(seconds, 0.25, 0.3)


def synth(hz: float, seconds: float, bright: float) -> np.ndarray:
    """A short note whose filter closes; `bright` is 0 to 1."""
    closing = np.exp(-seconds_of(seconds) * 14) * bright
    dark, open_ = wave(hz, seconds, 900), wave(hz, seconds, 7000)
    return 0.6 * (dark + (open_ - dark) * closing) * envelope(seconds, 0.003, 0.03, 4)


def lead(hz: float, seconds: float) -> np.ndarray:
    vibrato = 1 + 0.006 * np.sin(2 * np.pi * 5.5 * seconds_of(seconds)) * np.minimum(1, seconds_of(seconds) / 0.3)
    both = wave(hz, seconds, 4500, 2, vibrato) + 0.6 * wave(hz * 1.005, seconds, 4500, 1, vibrato)
    return 0.5 * both * envelope(seconds, 0.012, 0.06)


def keys(hz: float, seconds: float) -> np.ndarray:
    """An electric piano by frequency modulation."""
    time = seconds_of(seconds)
    tine = 0.8 * np.exp(-time * 9) * np.sin(2 * np.pi * 14 * hz * time) * (hz < 600)
    tone = np.sin(2 * np.pi * hz * time + 1.4 * np.exp(-time * 3) * np.sin(2 * np.pi * hz * time) + 0.15 * tine)
    return 0.8 * tone * envelope(seconds, 0.004, 0.08, 1.6) * (1 + 0.15 * np.sin(2 * np.pi * 4.5 * time))


def pluck(random: np.random.Generator, hz: float, seconds: float) -> np.ndarray:
    """A plucked string (Karplus and Strong, 1983): noise in a delay line with a low-pass filter in the feedback."""
    period = RATE / hz - 0.5  # the filter delays by half a sample
    ring = random.uniform(-1, 1, int(period))
    for _ in range(3):  # as soft as a finger
        ring = 0.5 * (ring + np.roll(ring, 1))
    ring -= np.roll(ring, int(period) // 5)  # plucked at a fifth of its length
    cycles = []
    for _ in range(int(seconds * hz) + 2):
        cycles.append(ring)
        ring = 0.4985 * (ring + np.roll(ring, 1))
    string = np.concatenate(cycles)
    string = np.interp(np.arange(round(seconds * RATE)) * int(period) / period, np.arange(len(string)), string)
    return string / np.abs(string).max() * envelope(seconds, 0.001, 0.05)


def guitar_body(string: np.ndarray) -> np.ndarray:
    """A string through the resonances of air and wood."""
    size = 2 ** int(np.ceil(np.log2(len(string) + RATE // 10)))
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    gain = 0.35 + sum(a / (1 + ((frequencies - hz) / width) ** 2) for hz, width, a in BODY)
    return np.fft.irfft(np.fft.rfft(string, size) * gain / (1 + (frequencies / 10000) ** 4))[: len(string)]


def fiddle(hz: float, seconds: float) -> np.ndarray:
    time = seconds_of(seconds)
    vibrato = 1 + 0.007 * np.sin(2 * np.pi * 5.8 * time) * np.minimum(1, time / 0.25)
    return guitar_body(wave(hz, seconds, 3500, 1, vibrato)) * envelope(seconds, 0.06, 0.06)


def voice(
    random: np.random.Generator, pitch: np.ndarray, formants: np.ndarray, loudness: np.ndarray, breath: np.ndarray
) -> np.ndarray:
    """A voice by additive synthesis of its harmonics, weighted by resonances of the vocal tract.

    Args:
        pitch: in Hz, shape (samples / CONTROL,), and so are the loudness and the loudness of the breath, 0 to 1.
        formants: three frequencies in Hz, shape (3, samples / CONTROL).
    """
    samples = np.arange(len(pitch) * CONTROL)
    times = np.arange(len(pitch)) * CONTROL
    phase = 2 * np.pi * np.cumsum(np.interp(samples, times, pitch)) / RATE
    sound = np.zeros(len(samples))
    for harmonic in range(1, int(5500 / pitch.min())):
        offset = (harmonic * pitch - formants) / np.array([[70], [90], [140]])
        gain = (np.array([[1.0], [0.6], [0.35]]) / (1 + offset**2)).sum(0) + 0.004
        sound += np.interp(samples, times, gain * loudness / harmonic**0.6) * np.sin(harmonic * phase)
    noise = filtered(random, len(samples) / RATE, 3500, 9000)
    return sound + 0.12 * noise * np.interp(samples, times, breath)


def spoken(random: np.random.Generator, syllables: list[tuple[float, float, float]], seconds: float) -> np.ndarray:
    """Babble: syllables of (start in s, duration in s, pitch in Hz) with vowels and consonants at random."""
    count = round(seconds * RATE / CONTROL)
    time = np.arange(count) * CONTROL / RATE
    pitch, loudness, breath = np.full(count, 110.0), np.zeros(count), np.zeros(count)
    formants = np.tile(np.array(VOWELS["a"], float)[:, None], count)
    for start, duration, hz in syllables:
        first, second = (np.array(VOWELS[v], float) for v in random.choice(list("aeiou"), 2))
        inside = (time >= start) & (time < start + duration)
        along = (time[inside] - start) / duration
        pitch[time >= start] = hz
        pitch[inside] = hz * (1.06 - 0.12 * along) * (1 + 0.01 * random.normal())
        glide = np.clip((along - 0.45) * 3, 0, 1) * random.choice([0, 0, 1])
        formants[:, inside] = first[:, None] * (1 - glide) + second[:, None] * glide
        voiced = np.clip(along / 0.12, 0, 1) * np.clip((1 - along) / 0.25, 0, 1) * random.uniform(0.75, 1)
        kind = random.integers(4)
        if kind == 0:  # s, sh
            breath[inside] = np.where(along < 0.3, np.sin(np.pi * along / 0.3), 0)
            voiced *= np.clip((along - 0.22) / 0.1, 0, 1)
        elif kind == 1:  # t, k
            breath[inside] = np.where((along > 0.12) & (along < 0.2), 1.2, 0)
            voiced *= np.clip((along - 0.2) / 0.06, 0, 1)
        elif kind == 2:  # m, n
            nasal = np.clip((0.3 - along) / 0.08, 0, 1)
            formants[:, inside] += nasal * (np.array(VOWELS["m"], float)[:, None] - formants[:, inside])
            voiced *= 1 - 0.5 * nasal
        loudness[inside] = voiced
    kernel = np.hanning(21) / np.hanning(21).sum()
    formants = np.array([np.convolve(np.pad(one, 10, mode="edge"), kernel, "valid") for one in formants])
    return voice(random, np.convolve(np.pad(pitch, 10, mode="edge"), kernel, "valid"), formants, loudness, breath)


def sung(random: np.random.Generator, notes: list[tuple[float, float, str, str]], seconds: float) -> np.ndarray:
    """A sung melody: notes of (start in s, duration in s, note, vowel) with glides and vibrato."""
    count = round(seconds * RATE / CONTROL)
    time = np.arange(count) * CONTROL / RATE
    pitch, loudness = np.full(count, hertz(notes[0][2])), np.zeros(count)
    formants = np.tile(np.array(VOWELS["a"], float)[:, None], count)
    for start, duration, note, vowel in notes:
        inside = (time >= start) & (time < start + duration)
        along = time[inside] - start
        pitch[time >= start - 0.03] = hertz(note)
        formants[:, time >= start - 0.02] = np.array(VOWELS[vowel], float)[:, None] * 1.08
        loudness[inside] = np.minimum(1, along / 0.07) * np.clip((duration - along) / 0.1, 0, 1) * np.exp(-0.4 * along)
    kernel = np.hanning(41) / np.hanning(41).sum()
    smooth = [np.convolve(np.pad(one, 20, mode="edge"), kernel, "valid") for one in (pitch, *formants)]
    vibrato = 1 + 0.008 * np.sin(2 * np.pi * 5.2 * time)
    return voice(random, smooth[0] * vibrato, np.array(smooth[1:]), loudness, 0.08 * loudness)


def static(random: np.random.Generator, seconds: float) -> np.ndarray:
    """The noise of a radio between two stations, with a whistle that falls."""
    time = seconds_of(seconds)
    whistle = np.sin(2 * np.pi * np.cumsum(300 + 2500 * (1 - time / seconds) ** 2) / RATE)
    return (filtered(random, seconds, 300, 6000) + 0.3 * whistle) * envelope(seconds, 0.15, 0.3)


def speech(random: np.random.Generator, seconds: float) -> list[tuple[float, float, float]]:
    """Syllables of a sentence: five a second, whose pitch falls towards its end."""
    found, at = [], 0.05
    while at < seconds - 0.3:
        duration = random.uniform(0.13, 0.24)
        found.append((at, duration, 125 * (1.2 - 0.35 * at / seconds) * random.uniform(0.93, 1.12)))
        at += duration + (0.08 if random.random() < 0.15 else 0.01)
    return found


# Songs


def electronic(mix: Mix, start: float, bars: int, intro: int = 4, rest: int = 10) -> None:
    """Four on the floor at 126 a minute: arpeggios whose filter opens, then bass and drums, a break, then a lead."""
    sixteenth = 60 / 126 / 4
    chords = [("A3", "C4", "E4"), ("F3", "A3", "C4"), ("C4", "E4", "G4"), ("G3", "B3", "D4")]
    tune = ["E5", "", "", "D5", "", "", "C5", "", "D5", "", "", "C5", "", "", "A4", ""]
    for bar in range(bars):
        chord, at = chords[bar % 4], start + bar * 16 * sixteenth
        quiet = bar < intro or rest <= bar < rest + 2
        mix.add(pad(chord, 16 * sixteenth + 0.3, 1100), at, 0.28, wet=0.4)
        for step in range(16):
            now = at + step * sixteenth
            bright = 0.25 + 0.75 * min(1, (bar * 16 + step) / (16 * intro))
            hz = hertz(chord[step % 3]) * (2 if step // 3 % 2 else 1)
            mix.add(synth(hz * 2, 0.28, bright), now, 0.3, 0.6 * np.sin(step * 1.3), 0.3)
            if not quiet:
                if step % 4 == 0:
                    mix.add(kick(), now, 1.0, wet=0)
                if step % 4 == 2:
                    mix.add(hat(mix.random, 25), now, 0.3, 0.15, 0.05)
                if step % 4 != 0:
                    mix.add(bass(hertz(chord[0]) / 4, 0.9 * sixteenth, 900), now, 0.5, wet=0)
                if step in (4, 12):
                    mix.add(clap(mix.random), now, 0.7, 0, 0.3)
                if tune[step] and bar >= rest:
                    mix.add(lead(hertz(tune[step]), 3 * sixteenth), now, 0.28, 0, 0.35)
            elif bar == rest + 1:  # a roll before the drop
                mix.add(snare(mix.random), now, 0.05 + 0.03 * step, 0, 0.3)
        if bar in (intro, rest + 2):
            mix.add(crash(mix.random), at, 0.5, 0, 0.3)


def hip_hop(mix: Mix, start: float, bars: int, verse: int = 4, rest: int = 8) -> None:
    """Boom bap at 88 a minute: electric piano, then swinging drums and a hook, then a voice that raps without words."""
    sixteenth = 60 / 88 / 4
    chords = [("D3", "F3", "A3", "C4", "E4"), ("A#2", "D3", "F3", "A3", "C4")]
    hook = {0: "A5", 3: "F5", 6: "E5", 8: "D5", 11: "C5", 14: "D5"}
    for bar in range(bars):
        at, chord = start + bar * 16 * sixteenth, chords[bar % 2]
        for step, length in ((0, 5), (6, 3), (10, 5)):
            for number, note in enumerate(chord):
                now = at + step * sixteenth + 0.006 * number
                mix.add(keys(hertz(note), length * sixteenth), now, 0.13, 0.2 * number - 0.4, 0.2)
        if bar < 2:
            continue
        for step in range(16):
            now = at + (step + (0.3 if step % 2 else 0)) * sixteenth
            if step in hook and not verse <= bar < rest:
                mix.add(keys(hertz(hook[step]), 4 * sixteenth), now, 0.1, 0.3, 0.35)
            if step % 2 == 0:
                swing, loud = (0.3 * sixteenth, 0.22) if step % 4 else (0, 0.32)
                mix.add(hat(mix.random, 25 if step == 14 else 70), now + swing, loud, 0.25, 0.03)
            if bar == rest:  # a bar without drums and bass
                continue
            if step in ((0, 3, 7, 10) if bar % 2 else (0, 7, 10)):
                mix.add(kick(52, 0.35), now, 1.0, wet=0)
            if step in (4, 12):
                mix.add(snare(mix.random, 175), now + 0.008, 0.9, 0, 0.12)
            if step in (0, 3, 7, 10):
                length = (2 if step == 7 else 3) * sixteenth
                mix.add(bass(hertz(chord[0]) / 2, length, 250), now, 0.75, wet=0)
        if bar >= verse:
            mix.add(spoken(mix.random, rap(mix.random, sixteenth), 17 * sixteenth), at, 0.55, 0, 0.06)


def rap(random: np.random.Generator, sixteenth: float) -> list[tuple[float, float, float]]:
    """Syllables of a bar, with the stress on the beats."""
    found = []
    for step in range(15):
        stressed = step % 4 == 0
        if stressed or random.random() < 0.75:
            hz = 118 * (1.18 if stressed else 1) * random.uniform(0.94, 1.06)
            found.append(((step + 0.25 * (step % 2)) * sixteenth, sixteenth * (0.95 if stressed else 0.8), hz))
    return found


def folk(mix: Mix, start: float, bars: int, verse: int = 2, rest: int = 9) -> None:
    """A picked guitar at 104 a minute: alone, with a sung melody, with a fiddle, then both and a second voice."""
    eighth = 60 / 104 / 2
    chords = [
        ("G2", "D3", "G3", "B3", "D4"),
        ("D3", "A3", "D4", "F#4", "A4"),
        ("E2", "B2", "G3", "B3", "E4"),
        ("C3", "G3", "C4", "E4", "G4"),
    ]
    picking = [0, 2, 3, 1, 4, 2, 3, 2]
    tune = [
        [(0, 3, "B4", "G4", "o"), (3, 1, "D5", "B4", "a"), (4, 4, "D5", "B4", "e")],
        [(0, 2, "A4", "F#4", "o"), (2, 2, "F#4", "D4", "u"), (4, 4, "A4", "F#4", "a")],
        [(0, 3, "G4", "E4", "e"), (3, 1, "A4", "G4", "i"), (4, 2, "B4", "G4", "a"), (6, 2, "A4", "F#4", "o")],
        [(0, 2, "G4", "E4", "a"), (2, 1, "E4", "C4", "e"), (3, 5, "G4", "E4", "o")],
    ]
    for bar in range(bars):
        at, chord = start + bar * 8 * eighth, chords[bar % 4]
        for step, string in enumerate(picking):
            late, loud = mix.random.normal(0, 0.004), 0.6 if step in (0, 3) else mix.random.uniform(0.4, 0.48)
            note = guitar_body(pluck(mix.random, hertz(chord[string]), 1.8))
            mix.add(note, at + step * eighth + late, 1.2 * loud, 0.1 * string - 0.2, 0.06)
        if bar < verse:
            continue
        notes = tune[bar % 4]
        if not rest <= bar < rest + 2:
            words = [(step * eighth, 0.95 * length * eighth, note, vowel) for step, length, note, _, vowel in notes]
            mix.add(sung(mix.random, words, 8.5 * eighth), at, 0.45, 0.1, 0.1)
        if bar >= rest + 2:
            words = [(step * eighth, 0.95 * length * eighth, note, vowel) for step, length, _, note, vowel in notes]
            mix.add(sung(mix.random, words, 8.5 * eighth), at, 0.25, -0.3, 0.1)
        if bar >= rest:
            for step, length, note, *_ in notes:
                mix.add(fiddle(hertz(note), length * eighth), at + step * eighth, 0.16, 0.4, 0.15)


def write_mp3(song: np.ndarray, path: Path) -> None:
    """Write a stereo song, shape (2, samples)."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("mp3", rate=RATE, layout="stereo")
        track.bit_rate = 128_000
        frame = av.AudioFrame.from_ndarray(song.astype(np.float32), format="fltp", layout="stereo")
        frame.sample_rate = RATE
        for packet in [*track.encode(frame), *track.encode(None)]:
            container.mux(packet)


def arpeggio() -> np.ndarray:
    mix = Mix(34.5, seed=1)
    electronic(mix, 0, 18)
    return mix.master()


def boom_bap() -> np.ndarray:
    mix = Mix(34, seed=2)
    hip_hop(mix, 0, 13)
    return mix.master()


def guitar() -> np.ndarray:
    mix = Mix(36, seed=3)
    folk(mix, 0.1, 15)
    return mix.master(drive=0.5, hiss=0.002)


def radio() -> np.ndarray:
    """An announcer, then two stations, with the noise between them."""
    mix = Mix(40, seed=4)
    for at, sentence in ((0.3, 2.2), (2.8, 1.7), (4.8, 2.4)):
        mix.add(spoken(mix.random, speech(mix.random, sentence), sentence), at, 0.8, 0, 0.02)
    mix.add(static(mix.random, 1.2), 7.2, 0.2)
    mix.level = 1.6
    folk(mix, 8.2, 7, 1, 4)
    mix.level = 1.0
    mix.dry[:, 25 * RATE :] = mix.sent[:, 25 * RATE :] = 0  # the first station ends in the middle of its song
    mix.add(static(mix.random, 1.2), 24.6, 0.2)
    electronic(mix, 25.6, 8, 2, 4)
    return mix.master(drive=0.7, hiss=0.001)


if __name__ == "__main__":
    for make in (arpeggio, boom_bap, guitar, radio):
        write_mp3(make(), HERE / f"{make.__name__}.mp3")
