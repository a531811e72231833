#!/usr/bin/env bash
# musicnn 0.1.0 stores mel powers as float16 and multiplies them by 10,000 in float16, whose largest value is 65,504: a
# power above 6.55 becomes infinite. Different loud tones then get the same tags, without an error.
# Seen with NumPy 2.4.6, librosa 0.11.0, tensorflow-cpu 2.21.0 and tf-keras 2.21.0 on Python 3.11: the log-mel of a tone
# of 0.9 of full scale holds inf, that of the same tone 40 dB softer does not; tags of two different loud tones are equal
# to the last bit, those of the same two tones 40 dB softer are not.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --no-deps musicnn==0.1.0
"$folder/venv/bin/pip" install -q tensorflow-cpu==2.21.0 tf-keras==2.21.0 librosa==0.11.0 numpy==2.4.6 soundfile==0.14.0
cd "$folder"
TF_USE_LEGACY_KERAS=1 TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import sys

import numpy as np
import soundfile
from musicnn.extractor import batch_data, extractor

time = np.arange(16_000 * 4) / 16_000
tags, finite = {}, {}
for hertz in (220, 1500):
    for level in (0.9, 0.009):
        name = f"{hertz}-{level}.wav"
        soundfile.write(name, level * np.sin(2 * np.pi * hertz * time), 16_000, subtype="FLOAT")
        finite[hertz, level] = bool(np.isfinite(batch_data(name, 187, 187)[0]).all())
        tags[hertz, level] = extractor(name, model="MSD_musicnn", extract_features=False)[0]
loud_equal = np.array_equal(tags[220, 0.9], tags[1500, 0.9])
soft_equal = np.array_equal(tags[220, 0.009], tags[1500, 0.009])
print(f"finite: {finite}; loud tones have equal tags: {loud_equal}; soft tones: {soft_equal}")
sys.exit(finite != {k: k[1] < 0.1 for k in finite} or not loud_equal or soft_equal)
PYTHON
echo "as described"
