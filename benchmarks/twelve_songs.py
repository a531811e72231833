"""What other packages do with the songs of a folder, as a table: `python benchmarks/twelve_songs.py SONGS docs/peers.md`.

Each package is installed by pip into an environment of its own, in the pinned version, and called as its documentation
says on every file of SONGS, which has a sub-folder for each genre. What pip or Python say is in the table. Environments
are deleted afterwards. Results are also written to a JSON file beside the table's name in the temporary folder, from
which an interrupted run goes on; packages may be named after the two arguments to run these alone.
"""

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

INSTALL_SECONDS, RUN_SECONDS = 900, 600
SYNONYMS = {"rap": "hip-hop", "hip hop": "hip-hop", "techno": "electronic", "house": "electronic", "edm": "electronic"}
HERE = """
import genre
classifier = genre.load()
def classify(path):
    return classifier.classify(path).genre
"""
PYAUDIOANALYSIS = """
from pathlib import Path
import pyAudioAnalysis
from pyAudioAnalysis.audioTrainTest import file_classification
models = Path(pyAudioAnalysis.__file__).parent / "data" / "models"
def classify(path):
    _, probabilities, classes = file_classification(path, str(models / "MODEL"), "KIND")
    return classes[max(range(len(classes)), key=lambda i: probabilities[i])]
"""
BEATLYZE = """
from beatlyze_analyzer import analyze
def classify(path):
    answer = analyze(path)
    return (answer if isinstance(answer, dict) else answer.to_dict())["genre_suggestions"][0]
"""
MUSICNN = """
from PACKAGE.tagger import top_tags
def classify(path):
    return top_tags(path, model="MTT_musicnn", topN=1)[0]
"""
GENREML = """
from genreml.model.__main__ import main
def classify(path):
    raise NotImplementedError
"""
PANNS = """
import librosa
from panns_inference import AudioTagging, labels
tagger = AudioTagging(checkpoint_path=None, device="cpu")
def classify(path):
    probabilities, _ = tagger.inference(librosa.load(path, sr=32000)[0][None])
    return labels[probabilities[0].argmax()]
"""
CLAP = """
import laion_clap
model = laion_clap.CLAP_Module(enable_fusion=False)
model.load_ckpt()
def classify(path):
    return ""
"""
MAEST = """
import torchaudio
from maest_infer import get_maest
model = get_maest(arch="discogs-maest-30s-pw-129e")
def classify(path):
    sound, rate = torchaudio.load(path)
    activations, labels = model.predict_labels(torchaudio.functional.resample(sound.mean(0), rate, 16000))
    return labels[activations.argmax()]
"""
OPENL3 = """
import librosa, openl3
def classify(path):
    openl3.get_audio_embedding(*librosa.load(path))
    return ""
"""
ESSENTIA = """
from essentia.standard import MonoLoader, TensorflowPredictMusiCNN
tagger = TensorflowPredictMusiCNN(graphFilename="msd-musicnn-1.pb")
def classify(path):
    return tagger(MonoLoader(filename=path, sampleRate=16000)()).mean(0).argmax()
"""
NEEDED = "numpy scipy scikit-learn matplotlib plotly hmmlearn eyed3 pydub imbalanced-learn tqdm simplejson".split()


@dataclass
class Peer:
    """A package, what pip is told to install, and the code that defines `classify(path)`, which returns a label."""

    name: str
    requirements: list[str]
    code: str
    note: str = ""


PEERS = [
    Peer("this project", [], HERE),
    Peer("beatlyze-analyzer", ["beatlyze-analyzer==0.1.0"], BEATLYZE),
    Peer("beatlyze-analyzer[light]", ["beatlyze-analyzer[light]==0.1.0"], BEATLYZE, "a rule on tempo and brightness"),
    Peer("pyAudioAnalysis", ["pyAudioAnalysis==0.3.14"], PYAUDIOANALYSIS, "declares no dependency"),
    Peer(
        "pyAudioAnalysis, kNN, and what it imports",
        ["pyAudioAnalysis==0.3.14", *NEEDED],
        PYAUDIOANALYSIS.replace("MODEL", "knn_musical_genre_6").replace("KIND", "knn"),
        "has Blues, Classical, Electronic, Jazz, Rap, Rock",
    ),
    Peer(
        "pyAudioAnalysis, SVM, and what it imports",
        ["pyAudioAnalysis==0.3.14", *NEEDED],
        PYAUDIOANALYSIS.replace("MODEL", "svm_rbf_musical_genre_6").replace("KIND", "svm"),
    ),
    Peer("panns-inference", ["panns-inference==0.1.1"], PANNS),
    Peer("musicnn", ["musicnn==0.1.0"], MUSICNN.replace("PACKAGE", "musicnn")),
    Peer("musicnn-keras", ["musicnn-keras==0.1.0"], MUSICNN.replace("PACKAGE", "musicnn_keras")),
    Peer("genreml", ["genreml==0.3.7"], GENREML),
    Peer("essentia-tensorflow", ["essentia-tensorflow==2.1b6.dev1438"], ESSENTIA),
    Peer("openl3", ["openl3==0.4.2"], OPENL3, "embeddings, no genres"),
    Peer("maest-infer", ["maest-infer==0.2.0"], MAEST),
    Peer("laion-clap", ["laion-clap==1.1.7"], CLAP),
]
