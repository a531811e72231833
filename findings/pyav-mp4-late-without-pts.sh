#!/usr/bin/env bash
# PyAV 18.1.0 (FFmpeg 8): sound that is encoded to MP4 from frames without a time stamp plays late by the encoder's
# delay, 1,024 samples (23 ms) for AAC and 1,105 for mp3: the edit list that is written starts at the delay's first
# sample. With `frame.pts = 0` it skips the delay, as it should. Nothing is said of it, and the sample stays in Matroska
# where it belongs either way. Seen: a click at 22,150 is decoded at 23,173 (AAC) and 23,254 (mp3), with pts at 22,149.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys
from fractions import Fraction

import av
import numpy as np


def late(codec: str, file: str, pts: int | None) -> int:
    sound = np.zeros((1, 44100), np.float32)
    sound[0, 22050:22250] = np.hanning(200)
    with av.open(file, "w") as container:
        stream = container.add_stream(codec, rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = 44100, Fraction(1, 44100), pts
        container.mux([*stream.encode(frame), *stream.encode(None)])
    with av.open(file) as container:
        heard = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    return int(np.abs(heard).argmax()) - int(sound.argmax())


seen = {(codec, pts): late(codec, "song.mp4", pts) for codec in ("aac", "libmp3lame") for pts in (None, 0)}
print("samples late:", seen, "Matroska:", late("aac", "song.mkv", None))
expected = {("aac", None): 1024, ("aac", 0): 0, ("libmp3lame", None): 1105, ("libmp3lame", 0): 0}
sys.exit(any(abs(seen[key] - expected[key]) > 2 for key in seen) or abs(late("aac", "song.mkv", None)) > 2)
PYTHON
echo "as described"
