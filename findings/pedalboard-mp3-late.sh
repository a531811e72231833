#!/usr/bin/env bash
# pedalboard 0.9.26 does not skip the delay that an mp3's LAME header states: the same file starts 1,105 samples (25 ms)
# later than in soundfile 0.14.0, miniaudio 1.71 and PyAV 18.1.0, and has 1,368 samples more. Labels, beats or copies
# from one reader do not fit the sound of the other.
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

sound = np.zeros(441000)
sound[22050:22250] = np.hanning(200)
soundfile.write("click.mp3", sound, 44100)
with AudioFile("click.mp3") as opened, av.open("click.mp3") as container:
    heard = {
        "pedalboard": opened.read(opened.frames)[0],
        "soundfile": soundfile.read("click.mp3")[0],
        "miniaudio": np.array(miniaudio.decode_file("click.mp3", nchannels=1, sample_rate=44100).samples),
        "av": np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)[0],
    }
seen = {reader: (int(np.abs(one).argmax()) - int(sound.argmax()), len(one) - len(sound)) for reader, one in heard.items()}
print("samples late, samples more:", seen)
late, more = seen.pop("pedalboard")
sys.exit(abs(late - 1105) > 2 or more != 1368 or any(abs(late) > 2 or more for late, more in seen.values()))
PYTHON
echo "as described"
