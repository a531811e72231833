"""Audio files that mutants are derived from: three seconds of music in every container that is decoded."""

import struct
from pathlib import Path

import numpy as np

from tests.conftest import RATE, music, write_audio

SECONDS = 3
CONTAINERS = {
    "mp3": ("mp3", {}),
    "m4a": ("aac", {}),
    "alac.m4a": ("alac", {}),
    "aac": ("aac", {"format": "adts"}),
    "3gp": ("aac", {}),
    "ogg": ("vorbis", {}),
    "opus": ("libopus", {"rate": 48000}),
    "webm": ("libopus", {"rate": 48000}),
    "flac": ("flac", {}),
    "wav": ("pcm_s16le", {}),
    "f32.wav": ("pcm_f32le", {}),
    "adpcm.wav": ("adpcm_ms", {}),
    "w64": ("pcm_s24le", {}),
    "aiff": ("pcm_s16be", {}),
    "au": ("pcm_s16be", {}),
    "caf": ("pcm_s16be", {}),
    "wma": ("wmav2", {"format": "asf"}),
    "wv": ("wavpack", {}),
    "tta": ("tta", {}),
    "ac3": ("ac3", {}),
    "eac3": ("eac3", {}),
    "mkv": ("vorbis", {"video": "mpeg4"}),
    "mp4": ("aac", {"video": "mpeg4"}),
    "mov": ("aac", {"video": "mpeg4"}),
    "avi": ("mp3", {"video": "mpeg4"}),
    "flv": ("mp3", {"video": "flv"}),
    "ts": ("mp2", {"video": "mpeg2video", "format": "mpegts"}),
}
LOSSLESS = {
    "flac": "flac",
    "wav": "pcm_s16le",
    "f32.wav": "pcm_f32le",
    "aiff": "pcm_s16be",
    "au": "pcm_s16be",
    "wv": "wavpack",
    "alac.m4a": "alac",
}
SILENT_SECONDS, SILENT_RATE = 2000, 8000  # longer than the limit of the page


def make_seeds(folder: Path) -> dict[str, bytes]:
    """Deterministic files: the music by container, and `tiny.*` and `silent.*` recordings."""
    seeds = {}
    for name, (codec, options) in CONTAINERS.items():
        sound = music(SECONDS, options.get("rate", RATE))
        seeds[name] = _write(folder / f"seed.{name}", [sound, 0.5 * sound], codec, **options)
    for name, codec in LOSSLESS.items():
        for samples in (1, 2, 7, 100):
            tiny = np.linspace(0.1, 0.5, samples, dtype=np.float32)
            seeds[f"tiny.{samples}.{name}"] = _write(folder / f"tiny.{samples}.{name}", [tiny], codec)
    silence = [np.zeros(SILENT_SECONDS * SILENT_RATE, np.float32)]
    seeds["silent.flac"] = _write(folder / "silent.flac", silence, "flac", rate=SILENT_RATE)
    seeds["silent.mp3"] = _write(folder / "silent.mp3", [silence[0][:480_000]], "mp3", rate=SILENT_RATE)
    seeds["silent.aac"] = _write(folder / "silent.aac", [silence[0][:480_000]], "aac", rate=SILENT_RATE, format="adts")
    return seeds


def wav(samples: bytes, *, tag: int = 1, channels: int = 1, rate: int = RATE, bits: int = 16) -> bytes:
    """A WAV file with any header."""
    align = channels * bits // 8
    header = struct.pack(
        "<HHIIHH", tag & 0xFFFF, channels & 0xFFFF, rate & 0xFFFFFFFF, rate * align & 0xFFFFFFFF, align & 0xFFFF, bits
    )
    body = b"WAVE" + _chunk(b"fmt ", header) + _chunk(b"data", samples)
    return _chunk(b"RIFF", body)


def box(kind: bytes, *content: bytes) -> bytes:
    """An MP4 box."""
    body = b"".join(content)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body


def _write(path: Path, channels: list[np.ndarray], codec: str, **options) -> bytes:
    bitexact = {"options": {"fflags": "+bitexact"}}  # without random serial numbers and dates
    data = write_audio(path, channels, codec, **options, **bitexact).read_bytes()
    path.unlink()
    return data
