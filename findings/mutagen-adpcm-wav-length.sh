#!/usr/bin/env bash
# mutagen 1.48.1 gives a WAV of 10 s a length of 20 ms where it is compressed to ADPCM, and of 31 ms for GSM 6.10, as
# answering machines and phone recorders write: it divides by the block's size as if a block were one sample. PCM,
# float and u-law are right. Who sorts or filters files by that length leaves them out as too short.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q mutagen==1.48.1 numpy==2.4.6 soundfile==0.14.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import mutagen
import numpy as np
import soundfile

seen = {}
for subtype in ("PCM_16", "FLOAT", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"):
    soundfile.write("ten.wav", np.zeros(80000), 8000, subtype=subtype)
    seen[subtype] = mutagen.File("ten.wav").info.length
print("seconds:", seen)
expected = {"PCM_16": 10, "FLOAT": 10, "ULAW": 10, "IMA_ADPCM": 0.02, "MS_ADPCM": 0.02, "GSM610": 0.031}
sys.exit(any(abs(seen[key] - expected[key]) > 0.001 for key in expected))
PYTHON
echo "as described"
