#!/usr/bin/env bash
# FFmpeg 8 (in PyAV 18.1.0) drops up to half a packet, 2,047 samples, from the end of ALAC in CAF as libsndfile 1.2.2
# (soundfile 0.14.0) writes it: the last packet holds fewer samples than 4,096, and FFmpeg takes the missing ones off
# what there is, too. It does so where the last packet is more than half full, so other lengths come back whole.
# Seen: 441,000 samples come back as 439,632 (4,096 - 441,000 mod 4,096 = 1,368 fewer), 100,000 as 100,000.
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

missing = {}
for samples in (441000, 100000, 44100, 50000, 4000):
    sound = (np.random.default_rng(0).normal(size=samples) * 3000).astype(np.int16)
    soundfile.write("song.caf", sound, 44100, format="CAF", subtype="ALAC_16")
    assert np.array_equal(soundfile.read("song.caf", dtype="int16")[0], sound)
    with av.open("song.caf") as container:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert np.array_equal(heard, sound[: len(heard)])
    missing[samples] = samples - len(heard)
print("samples missing at the end:", missing)
sys.exit(any(lost != (4096 - n % 4096 if n % 4096 > 2048 else 0) for n, lost in missing.items()))
PYTHON
echo "as described"
