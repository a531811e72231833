#!/usr/bin/env bash
# An mp3 of variable bit rate without a Xing header, as streams and cutters leave them, is longer than two readers read:
# libsndfile 1.2.2 (soundfile 0.14.0, so librosa, too) and pedalboard 0.9.26 stop where it would end if all of it had
# the bit rate of its start, without an error. miniaudio 1.71 and FFmpeg (PyAV 18.1.0) read all of it.
# Seen: soundfile and pedalboard read 13 of 40 s, and so none of the second half, which is the loud one.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6 soundfile==0.14.0 pedalboard==0.9.26 miniaudio==1.71
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import av
import miniaudio
import numpy as np
import soundfile
from pedalboard.io import AudioFile

noise = np.random.default_rng(0).normal(size=40 * 44100)
noise[: 20 * 44100] *= 0.001
noise[20 * 44100 :] *= 0.3
for file, xing in (("with.mp3", "1"), ("without.mp3", "0")):
    with av.open(file, "w", options={"write_xing": xing, "id3v2_version": "0"}) as container:
        stream = container.add_stream("libmp3lame", rate=44100, layout="mono")
        stream.codec_context.options = {"flags": "+qscale", "global_quality": str(4 * 118)}
        frame = av.AudioFrame.from_ndarray(noise[None].astype(np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])


def seconds(file: str) -> dict[str, float]:
    with av.open(file) as container, AudioFile(file) as opened:
        samples = {
            "av": sum(frame.samples for frame in container.decode(audio=0)),
            "miniaudio": len(miniaudio.decode_file(file, nchannels=1, sample_rate=44100).samples),
            "soundfile": len(soundfile.read(file)[0]),
            "pedalboard": opened.read(opened.frames).shape[1],
        }
    return {reader: round(count / 44100, 1) for reader, count in samples.items()}


whole, cut = seconds("with.mp3"), seconds("without.mp3")
print("with the header:", whole, "without:", cut)
sys.exit(min(whole.values()) < 40 or min(cut["av"], cut["miniaudio"]) < 40 or max(cut["soundfile"], cut["pedalboard"]) > 15)
PYTHON
echo "as described"
