"""What other packages do with the songs of a folder, as a table: `python benchmarks/twelve_songs.py SONGS TABLE`.

Each package is installed by pip in a pinned version, into an environment of its own that is deleted afterwards and is
then called as its documentation says on every song. SONGS has a folder for each genre. The table has the last line of
the errors of pip and Python. TABLE.json keeps the results, so that an interrupted run goes on.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

INSTALL_SECONDS, RUN_SECONDS = 1800, 1200
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
    _, probabilities, classes = file_classification(path, str(models / "knn_musical_genre_6"), "knn")
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


OLD_NUMPY = "while an old NumPy is built from source"


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
    Peer("beatlyze-analyzer[light]", ["beatlyze-analyzer[light]==0.1.0"], BEATLYZE, "documented as without Essentia"),
    Peer("beatlyze-analyzer[full]", ["beatlyze-analyzer[full]==0.1.0"], BEATLYZE, "rules on tempo, brightness, onsets"),
    Peer("pyAudioAnalysis", ["pyAudioAnalysis==0.3.14"], PYAUDIOANALYSIS, "declares no dependency"),
    Peer(
        "pyAudioAnalysis, with what it imports",
        ["pyAudioAnalysis==0.3.14", *NEEDED],
        PYAUDIOANALYSIS,
        "no mp3 decoded; of WAV: `np.Inf` was removed in NumPy 2",
    ),
    Peer("panns-inference", ["panns-inference==0.1.1"], PANNS, "not among its dependencies"),
    Peer("musicnn", ["musicnn==0.1.0"], MUSICNN.replace("PACKAGE", "musicnn"), OLD_NUMPY),
    Peer("musicnn-keras", ["musicnn-keras==0.1.0"], MUSICNN.replace("PACKAGE", "musicnn_keras"), OLD_NUMPY),
    Peer("genreml", ["genreml==0.3.7"], "", "while scikit-learn 0.22 is built from source"),
    Peer("essentia-tensorflow", ["essentia-tensorflow==2.1b6.dev1389"], ESSENTIA),
    Peer("openl3", ["openl3==0.4.2"], OPENL3, "embeddings, no genres"),
    Peer("maest-infer", ["maest-infer==0.2.0"], MAEST),
    Peer("laion-clap", ["laion-clap==1.1.7"], CLAP),
]


CALL = """
import json, sys
for path in sys.argv[1:]:
    print("label", json.dumps([path, classify(path)]), flush=True)
"""
HEAD = """# Other packages and the same songs

`python benchmarks/twelve_songs.py SONGS docs/peers.md` wrote this table: what a plain `pip install` of a pinned version
into an empty environment of Python {python} did with {songs} songs of {genres} genres, on {processor}.
Right counts the songs whose first label is the genre of their folder.
Seconds are of CPU, with one thread, for all songs, with the start; megabytes are the environment's.
Only the package index could be reached, so what fetches its weights elsewhere could not be tried.
None of the other packages was made for these genres, and {songs} songs do not say which package is better.{untried}

| package | works | names a genre | right | CPU seconds | MB | what was seen |
| --- | --- | --- | --- | --- | --- | --- |
"""


def try_out(peer: Peer, songs: list[Path]) -> dict:
    """Install and call a package.

    Returns:
        its labels by path, CPU seconds, megabytes, and what went wrong, if anything did.
    """
    with tempfile.TemporaryDirectory() as folder:
        python, megabytes = sys.executable, None
        if peer.requirements:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            python = f"{folder}/bin/python"
            error = run(
                ["nice", "-n", "15", python, "-m", "pip", "install", "-q", "--no-compile", *peer.requirements],
                INSTALL_SECONDS,
            )[1]
            if error:
                return {"labels": {}, "seconds": None, "megabytes": None, "seen": f"pip: {error}"}
            megabytes = sum(one.stat().st_size for one in Path(folder).rglob("*") if one.is_file()) / 1e6
        before = os.times()
        out, error = run([python, "-c", peer.code + CALL, *map(str, songs)], RUN_SECONDS)
        after = os.times()
        labels = dict(json.loads(line[6:]) for line in out.splitlines() if line.startswith("label "))
        seconds = sum(after[2:4]) - sum(before[2:4])
        return {"labels": labels, "seconds": seconds, "megabytes": megabytes, "seen": error}


def run(command: list[str], seconds: float) -> tuple[str, str]:
    """The output of a command, and the last line of its errors where it failed."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    except subprocess.TimeoutExpired:
        return "", f"nothing after {seconds:.0f} s"
    if done.returncode == 0:
        return done.stdout, ""
    lines = [line.strip() for line in done.stderr.splitlines() if re.match(r"\s*(\w+\.)*\w*(Error|Exception)\b", line)]
    return done.stdout, (lines or done.stderr.splitlines() or ["no message"])[-1]


def row(peer: Peer, result: dict, songs: list[Path]) -> str:
    """The row of a package."""
    labels = {path: str(label).lower() for path, label in result["labels"].items()}
    right = sum(SYNONYMS.get(label, label) == Path(path).parent.name.lower() for path, label in labels.items())
    seen = "; ".join(filter(None, [result["seen"][:150].replace("|", "/"), peer.note]))
    name = peer.name + "".join(f" {one.partition('==')[2]}" for one in peer.requirements[:1])
    works = "yes" if len(labels) == len(songs) else f"{len(labels)} of {len(songs)} songs" if labels else "no"
    cells = [name, works, "yes" if labels else "no", f"{right} of {len(songs)}" if labels else ""]
    cells += [f"{result['seconds']:.0f}" if labels else "", f"{result['megabytes']:.0f}" if result["megabytes"] else ""]
    return "| " + " | ".join([*cells, seen]) + " |\n"


def main(folder: Path, table: Path) -> None:
    songs = sorted(path.resolve() for path in folder.glob("*/*") if path.suffix in (".mp3", ".opus", ".flac", ".wav"))
    kept = table.with_suffix(".json")
    results = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for peer in PEERS:
        if peer.name not in results:
            results[peer.name] = try_out(peer, songs)
            print(peer.name, results[peer.name], flush=True)
            kept.write_text(json.dumps(results), encoding="utf-8")
            write(table, songs, results)
    kept.unlink()


def write(table: Path, songs: list[Path], results: dict[str, dict]) -> None:
    """Write the table, with the packages that were tried so far."""
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    untried = [peer.name for peer in PEERS if peer.name not in results]
    text = HEAD.format(
        python=sys.version.split()[0],
        songs=len(songs),
        genres=len({song.parent for song in songs}),
        processor=processor[1] if processor else "this processor",
        untried=f" Not tried: {', '.join(untried)}." if untried else "",
    )
    rows = [row(peer, results[peer.name], songs) for peer in PEERS if peer.name in results]
    table.write_text(text + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
