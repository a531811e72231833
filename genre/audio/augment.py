"""Augmentation of waveforms before the front end: what recordings go through between studio and playback.

Codecs and filters are FFmpeg's, through PyAV, which is installed already, encodes mp3, AAC and Opus in memory and takes
every parameter as an argument. audiomentations would add librosa, numba and a soxr older than 1.0, draws from global
random states and has no AAC or Opus; torch-audiomentations has no codec at all, and pedalboard is under the GPL.

Waveforms are mono, float32, shape (samples,), and the results as long; `rate` is their sample rate, in Hz. Log-mel
arrays are augmented by `genre.features.augment` instead.
"""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from scipy.fft import next_fast_len
from scipy.signal import fftconvolve

# Encoder: container that stores the encoder delay, and bit rates in bits a second, mono.
CODECS = {
    "libmp3lame": ("mp3", (32_000, 48_000, 64_000, 96_000, 128_000)),
    "aac": ("mp4", (32_000, 48_000, 64_000, 96_000)),
    "libopus": ("ogg", (16_000, 24_000, 32_000, 48_000, 64_000)),
}
ENCODER_OPTIONS = {"libmp3lame": {"compression_level": "7"}, "aac": {"aac_coder": "fast"}, "libopus": {}}
ROOM_TREBLE = 6_000  # Hz, cutoff of the reverberation, since air and walls absorb high frequencies
CEILING = 0.97  # of full scale: limit of the limiter that follows a positive gain


@dataclass(frozen=True)
class AudioAugmentation:
    """Probability of each kind of change; they are drawn independently and applied in this order.

    Attributes:
        speed: tempo by up to 4 % and pitch by up to half a semitone, independent of each other.
        equaliser: shelves at both ends and three peaks, by up to 6 dB.
        room: reverberation of 0.15 to 1.2 s.
        noise: steady noise at 15 to 45 dB SNR, between white and brown.
        phone: phone recording, simulated: noise at 20 to 45 dB SNR, band-pass from 200 to 500 Hz up to 3.4 to 8 kHz.
        level: gain of -12 to 12 dB, limited at full scale.
        clipping: samples clipped 1 to 6 dB below the peak.
        lead_in: 0.5 to 4 s of silence or faint noise in front; the end is cut off.
        codec: encoded as mp3 (32 to 128 kb/s), AAC (32 to 96) or Opus (16 to 64), and decoded.
    """

    speed: float = 0.3
    equaliser: float = 0.4
    room: float = 0.25
    noise: float = 0.25
    phone: float = 0.15
    level: float = 0.4
    clipping: float = 0.03
    lead_in: float = 0.1
    codec: float = 0.4

    def __call__(self, waveform: np.ndarray, rate: int, generator: np.random.Generator) -> np.ndarray:
        """Change a clip at random.

        Args:
            waveform: mono, float32, shape (samples,); finite.
            rate: sample rate, in Hz; one that mp3 and AAC have, such as 44,100.
            generator: everything random is drawn from it, so that the same state gives the same result.

        Returns:
            mono float32, shape (samples,), as long as `waveform`, and not silent unless that is.
        """
        waveform = np.array(waveform, np.float32)
        uniform, choice = generator.uniform, generator.choice
        changes = {
            "speed": lambda: change_speed(waveform, rate, uniform(0.96, 1.04), uniform(-0.5, 0.5)),
            "equaliser": lambda: equalise(waveform, rate, _random_bands(rate, generator)),
            "room": lambda: add_room(waveform, rate, np.exp(uniform(*np.log((0.15, 1.2)))), uniform(-3, 12), generator),
            "noise": lambda: add_noise(waveform, uniform(15, 45), uniform(0, 6), generator),
            "phone": lambda: limit_band(
                add_noise(waveform, uniform(20, 45), uniform(0, 6), generator),
                rate,
                uniform(200, 500),
                np.exp(uniform(*np.log((3_400, 8_000)))),
            ),
            "level": lambda: change_level(waveform, rate, uniform(-12, 12)),
            "clipping": lambda: clip_peaks(waveform, uniform(1, 6)),
            "lead_in": lambda: add_lead_in(
                waveform,
                rate,
                choice([0.0, 10 ** uniform(-4.5, -3)]),  # silence, or -90 to -60 dB of full scale
                min(uniform(0.5, 4), len(waveform) / rate / 2),
                generator,
            ),
            "codec": lambda: transcode(
                waveform,
                rate,
                encoder := list(CODECS)[generator.integers(len(CODECS))],
                int(choice(CODECS[encoder][1])),
            ),
        }
        silent = not waveform.any()
        for name, change in changes.items():
            if not silent and generator.random() < getattr(self, name):
                changed = change()
                if np.any(changed):  # a shift or a codec may turn a short or very faint clip into zeros
                    waveform = changed
        return waveform


def change_speed(waveform: np.ndarray, rate: int, tempo: float, semitones: float) -> np.ndarray:
    """Change tempo by a factor and pitch by semitones. A result that is shorter continues from its beginning."""
    pitch = 2 ** (semitones / 12)
    changed = _filtered(
        waveform,
        rate,
        ("asetrate", str(round(rate * pitch))),
        ("aresample", str(rate)),
        ("atempo", f"{tempo / pitch:.6f}"),
    )
    return np.resize(changed, len(waveform))


def equalise(waveform: np.ndarray, rate: int, bands: list[tuple[str, float, float]]) -> np.ndarray:
    """Apply second-order filters: kind (bass, treble or equalizer), frequency in Hz and gain in dB of each.

    bass and treble are shelves, equalizer is a peak of two octaves.
    """
    width = {"bass": "width_type=q:width=0.7", "treble": "width_type=q:width=0.7", "equalizer": "width_type=o:width=2"}
    return _filtered(waveform, rate, *((kind, f"f={hz:.1f}:g={gain:.2f}:{width[kind]}") for kind, hz, gain in bands))


def add_room(
    waveform: np.ndarray, rate: int, seconds: float, direct: float, generator: np.random.Generator
) -> np.ndarray:
    """Add reverberation: noise that decays exponentially after the direct sound (Polack, 1988; Moorer, 1979).

    Args:
        seconds: RT60, until the reverberation has decayed by 60 dB.
        direct: energy of the direct sound over that of the reverberation, in dB.
    """
    time = np.arange(1, max(2, round(seconds * rate)), dtype=np.float32) / rate
    tail = generator.standard_normal(len(time), np.float32) * 10 ** (-3 * time / np.float32(seconds))
    tail = _filtered(tail, rate, ("lowpass", f"f={ROOM_TREBLE}:poles=1"))
    tail *= np.float32(10 ** (-direct / 20)) / np.linalg.norm(tail)
    response = np.concatenate([np.ones(1, np.float32), tail])
    return fftconvolve(waveform, response)[: len(waveform)]


def add_noise(waveform: np.ndarray, snr: float, slope: float, generator: np.random.Generator) -> np.ndarray:
    """Add steady noise at `snr` dB below the signal; its power falls by `slope` dB an octave: 0 white, 6 brown."""
    samples, length = len(waveform), next_fast_len(len(waveform))
    spectrum = np.fft.rfft(generator.standard_normal(length, np.float32))
    bins = np.arange(len(spectrum), dtype=np.float32)
    octave = np.log2(np.maximum(bins, len(spectrum) / 1000))  # flat below a thousandth of the bandwidth
    noise = np.fft.irfft(spectrum * 10 ** (-np.float32(slope / 20) * octave), length)[:samples]
    return waveform + noise * (np.linalg.norm(waveform) / np.linalg.norm(noise) * np.float32(10 ** (-snr / 20)))


def limit_band(waveform: np.ndarray, rate: int, low: float, high: float) -> np.ndarray:
    """Band-pass from `low` to `high`, in Hz, by fourth-order filters: 24 dB an octave beyond."""
    return _filtered(waveform, rate, *[("highpass", f"f={low:.1f}")] * 2, *[("lowpass", f"f={high:.1f}")] * 2)


def change_level(waveform: np.ndarray, rate: int, gain: float) -> np.ndarray:
    """Apply a gain in dB; samples beyond full scale are limited, not clipped, as in loud masters."""
    changed = waveform * np.float32(10 ** (gain / 20))
    if np.abs(changed).max() <= max(CEILING, np.abs(waveform).max()):
        return changed
    return _fit(_filtered(changed, rate, ("alimiter", f"limit={CEILING}:level=0:latency=1")), len(waveform))


def clip_peaks(waveform: np.ndarray, depth: float) -> np.ndarray:
    """Clip samples at `depth` dB below the peak."""
    ceiling = np.abs(waveform).max() * 10 ** (-depth / 20)
    return waveform.clip(-ceiling, ceiling)


def add_lead_in(
    waveform: np.ndarray, rate: int, noise: float, seconds: float, generator: np.random.Generator
) -> np.ndarray:
    """Prepend noise with an RMS of `noise` (of full scale; 0 is silence) and cut the end off to the same length."""
    lead = generator.standard_normal(round(seconds * rate), np.float32) * np.float32(noise)
    return np.concatenate([lead, waveform])[: len(waveform)]


def transcode(waveform: np.ndarray, rate: int, encoder: str, bit_rate: int) -> np.ndarray:
    """Encode in memory by one of `CODECS` at `bit_rate` bits a second and decode, without delay, to the same length."""
    file = io.BytesIO()
    container_format, _ = CODECS[encoder]
    with av.open(file, "w", format=container_format) as container:
        track_rate = 48_000 if encoder == "libopus" else rate
        options = ENCODER_OPTIONS[encoder]
        # PyAV's annotation does not know which encoders are of audio.
        track = cast(av.AudioStream, container.add_stream(encoder, rate=track_rate, layout="mono", options=options))
        track.bit_rate = bit_rate
        container.mux(track.encode(_frame(_fit(waveform, max(len(waveform), rate // 10)), rate)))  # encoders need 0.1 s
        container.mux(track.encode(None))
    file.seek(0)
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(file, "r") as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    frames += resampler.resample(None)
    return _fit(_joined(frames), len(waveform))


def _random_bands(rate: int, generator: np.random.Generator) -> list[tuple[str, float, float]]:
    """Bands for `equalise`: a low shelf, three peaks and a high shelf."""
    kinds = ["bass", "equalizer", "equalizer", "equalizer", "treble"]
    frequencies = np.sort(np.exp(generator.uniform(np.log(100.0), np.log(min(12_000.0, rate / 3)), len(kinds))))
    return list(zip(kinds, frequencies, generator.uniform(-6, 6, len(kinds)), strict=True))


def _frame(waveform: np.ndarray, rate: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(waveform[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    return frame


def _filtered(waveform: np.ndarray, rate: int, *filters: tuple[str, str]) -> np.ndarray:
    """Apply a chain of FFmpeg's filters, each a name and its arguments (https://ffmpeg.org/ffmpeg-filters.html)."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(format="flt", layout="mono", sample_rate=rate, time_base=Fraction(1, rate))
    nodes = [graph.add(name, arguments) for name, arguments in filters]
    end = [graph.add("aformat", "sample_fmts=flt"), graph.add("abuffersink")]
    graph.link_nodes(source, *nodes, *end).configure()
    graph.push(_frame(waveform, rate))
    graph.push(None)
    return _joined(_pulled(graph))


def _pulled(graph: av.filter.Graph) -> Iterator[av.AudioFrame]:
    while True:
        try:
            yield cast(av.AudioFrame, graph.pull())  # of a graph for audio
        except av.EOFError:
            return


def _joined(frames: Iterable[av.AudioFrame]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.float32), *(frame.to_ndarray()[0] for frame in frames)])


def _fit(waveform: np.ndarray, samples: int) -> np.ndarray:
    """Cut or zero-pad the end, to shape (samples,)."""
    return np.pad(waveform[:samples], (0, max(0, samples - len(waveform))))
