#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8) writes Ogg Vorbis whose header gives it a sixteenth of its length unless frames have a time
# stamp. libsndfile 1.2.2 (soundfile 0.14.0) reads only that part, without an error, while FFmpeg decodes all of it.
# With `frame.pts = 0` both read all.
# Seen: 40 s of noise last 2.52 s by the header and by soundfile, and 40.01 s as PyAV decodes them.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6 soundfile==0.14.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import av
import numpy as np
import soundfile

RATE, SECONDS = 44100, 40
noise = (np.random.default_rng(0).normal(size=(2, RATE * SECONDS)) * 0.1).astype(np.float32)
seen = {}
for has_time_stamp in (False, True):
    with av.open("song.ogg", "w") as container:
        stream = container.add_stream("vorbis", rate=RATE, layout="stereo")
        stream.codec_context.options = {"strict": "experimental"}
        frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="stereo")
        frame.sample_rate = RATE
        if has_time_stamp:
            frame.pts = 0
        for one in (frame, None):
            for packet in stream.encode(one):
                container.mux(packet)
    with av.open("song.ogg") as container:
        header = container.duration / 1e6
        decoded = sum(frame.samples for frame in container.decode(audio=0)) / RATE
    seen[has_time_stamp] = header, decoded, len(soundfile.read("song.ogg")[0]) / RATE
    print(f"time stamp {has_time_stamp}: header %.2f s, PyAV %.2f s, soundfile %.2f s" % seen[has_time_stamp])
as_described = np.allclose(seen[False], (2.52, 40.01, 2.52), atol=0.02) and np.allclose(seen[True], 40, atol=0.02)
sys.exit(not as_described)
PYTHON
echo "as described"
