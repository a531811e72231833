#!/usr/bin/env bash
# tinytag 2.3.2 reads a bare AAC stream (ADTS, .aac) as if it were mp3, since both begin with eleven set bits, and gets its
# length wrong in both directions, without an error: 10 s of mono noise are 0.05 s, 60 s of stereo noise are 164 s.
# mutagen 1.48.1 is within a few percent of the truth.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q tinytag==2.3.2 mutagen==1.48.1 av==18.1.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import av
import mutagen
import numpy as np
from tinytag import TinyTag

seen = {}
for seconds, layout in ((10, "mono"), (60, "stereo")):
    with av.open("song.aac", "w") as container:
        stream = container.add_stream("aac", rate=44100, layout=layout)
        noise = 0.1 * np.random.default_rng(0).normal(size=(len(stream.layout.channels), 44100 * seconds))
        frame = av.AudioFrame.from_ndarray(noise.astype(np.float32), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = 44100, 0
        container.mux([*stream.encode(frame), *stream.encode(None)])
    seen[seconds] = TinyTag.get("song.aac").duration, mutagen.File("song.aac").info.length
print("seconds by tinytag and by mutagen:", seen)
right = all(abs(by_mutagen / seconds - 1) < 0.1 for seconds, (_, by_mutagen) in seen.items())
sys.exit(not right or seen[10][0] > 1 or seen[60][0] < 120)
PYTHON
echo "as described"
