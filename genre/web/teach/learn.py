"""From the songs of a lesson to a model that the page can use and the visitor can take along."""

import secrets
import shutil
import tempfile
from pathlib import Path

from gradio.utils import get_upload_folder

from genre.audio import worker
from genre.errors import AudioError, DataError
from genre.hub.card import write_card
from genre.inference.classify import Classifier
from genre.inference.embed import embed
from genre.models.checkpoint import load_checkpoint
from genre.training.probe import fit_probe
from genre.training.probe_run import save_probe
from genre.web import upload_reader
from genre.web.limits import MAX_TAUGHT_SECONDS
from genre.web.models import Models
from genre.web.teach import texts
from genre.web.teach.lesson import Lesson, TaughtSong

NAME = "my-genres"  # of the checkpoint
SOURCE = "songs"  # in its metrics.json, in place of the visitor's folder
COMMAND = f"python train.py --data {SOURCE} --from {{base}} --probe --out checkpoints/{NAME}"


def read_song(classifier: Classifier, song: TaughtSong) -> None:
    """Set artist and features of a song, or the error."""
    try:
        song.embedding = embed(classifier, song.path, MAX_TAUGHT_SECONDS)
        song.artist = worker.tags(song.path).artist
    except AudioError as error:
        song.error = error


def learn(lesson: Lesson, models: Models) -> Path:
    """Fit the songs that have been read; sets the lesson's result, unless songs were added meanwhile.

    Returns:
        the zip of the model's checkpoint, in the folder of uploads, where files are deleted within the hour.

    Raises:
        GenreError: the songs cannot be learned from, or the base model is no longer there.
    """
    base = models.checkpoint(lesson.base or models.first)
    if base.digest != lesson.digest:
        raise DataError(texts.BASE_CHANGED)
    songs = lesson.songs
    probe = fit_probe(lesson.examples, base)
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / NAME
        save_probe(folder, base, probe, SOURCE, COMMAND.format(base=base.name))
        write_card(folder)
        target = Path(get_upload_folder()) / secrets.token_hex(16)
        target.mkdir(parents=True)
        archive = shutil.make_archive(str(target / NAME), "zip", work, NAME)
        classifier = Classifier(load_checkpoint(folder), upload_reader.read)
    lesson.learned(probe, classifier, models.add_taught(classifier), songs)
    return Path(archive)
