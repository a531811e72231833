"""Cut mp3 files of any length (44.1 kHz, stereo, 192 kb/s) out of a folder of songs, as input of the benchmarks."""

import os
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

import av

RATE, BIT_RATE = 44100, 192_000
CLIP_SECONDS = 30
DIFFERENT_CLIPS = 96  # as many as a dozen songs give; further clips are hard links to them


def cut_file(songs: Path, path: Path, seconds: float) -> Path:
    """One mp3 with the songs one after the other, starting again after the last one."""
    return _write_mp3(path, _frames(songs), seconds)


def cut_clips(songs: Path, folder: Path, count: int) -> Path:
    """A folder of clips of 30 s that follow each other in the songs."""
    folder.mkdir()
    frames = _frames(songs)
    for i in range(count):
        path = folder / f"{i:05}.mp3"
        if i < DIFFERENT_CLIPS:
            _write_mp3(path, frames, CLIP_SECONDS)
        else:
            os.link(folder / f"{i % DIFFERENT_CLIPS:05}.mp3", path)
    return folder


def repeat_file(mp3: Path, path: Path, times: int) -> Path:
    """One mp3 with another one again and again, without another encoding."""
    with av.open(str(path), "w") as container:
        track, end = None, 0
        for _ in range(times):
            with av.open(str(mp3)) as source:
                track = track or container.add_stream_from_template(source.streams.audio[0])
                start = end
                for packet in source.demux(audio=0):
                    if packet.pts is not None:
                        packet.pts = packet.dts = start + packet.pts
                        end = packet.pts + packet.duration
                        packet.stream = track
                        container.mux(packet)
    return path


def _frames(songs: Path) -> Iterator[av.AudioFrame]:
    """The songs as stereo frames at `RATE`, again and again."""
    paths = sorted(songs.rglob("*.mp3"))
    if not paths:
        raise SystemExit(f"{songs}: no mp3s in this folder")
    for path in cycle(paths):
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                yield from resampler.resample(frame)


def _write_mp3(path: Path, frames: Iterator[av.AudioFrame], seconds: float) -> Path:
    """Encode the next `seconds` of the frames, rounded up to a whole frame (26 ms)."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("mp3", rate=RATE, layout="stereo")
        track.bit_rate = BIT_RATE
        missing = seconds * RATE
        while missing > 0:
            frame = next(frames)
            frame.pts = None
            missing -= frame.samples
            container.mux(track.encode(frame))
        container.mux(track.encode(None))
    return path
