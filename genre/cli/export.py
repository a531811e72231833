"""`--labels` and `--picture`: one file per song in a folder."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from genre.errors import AudioError, GenreError
from genre.features.clips import Clip
from genre.features.image import Spectrogram
from genre.files import replaced
from genre.inference.classify import Classifier
from genre.inference.export import label_track, picture
from genre.inference.export.names import unique_names
from genre.inference.prediction import Prediction

Result = tuple[Path, Prediction | AudioError]


class Export:
    """Writes label tracks and pictures of the songs of a run.

    Args:
        files: the songs.
        labels, pictures: folders, made if they are missing; None for none.

    Raises:
        GenreError: a folder cannot be written to.
    """

    def __init__(self, classifier: Classifier, files: list[Path], labels: Path | None, pictures: Path | None):
        self._classifier, self._labels, self._pictures = classifier, labels, pictures
        songs = list(dict.fromkeys(files))
        self._names = dict(zip(songs, unique_names(songs), strict=True))
        self._spectrogram: Spectrogram | None = None
        for folder in filter(None, (labels, pictures)):
            try:
                folder.mkdir(parents=True, exist_ok=True)
                tempfile.TemporaryFile(dir=folder).close()
            except OSError as error:
                raise _not_writable(folder, error) from error

    def new_spectrogram(self) -> Callable[[Clip], None] | None:
        """A function for the clips of the next song; None if there are no pictures to draw."""
        self._spectrogram = Spectrogram(self._classifier.sample_rate) if self._pictures else None
        return self._spectrogram.add if self._spectrogram else None

    def each(self, results: Iterable[Result]) -> Iterator[Result]:
        """Write the files of each result, then pass it on.

        Raises:
            GenreError: a file cannot be written.
        """
        for path, result in results:
            if isinstance(result, Prediction) and (self._labels or self._pictures):
                self._write(path, result)
            yield path, result

    def _write(self, path: Path, prediction: Prediction) -> None:
        name = self._names[path]
        if self._labels:
            text = label_track.label_track(prediction)
            _write(self._labels / f"{name}{label_track.SUFFIX}", lambda file: file.write_text(text, encoding="utf-8"))
        if self._pictures and self._spectrogram:
            image = picture.picture(prediction, self._classifier.labels, str(path), self._spectrogram.image())
            _write(self._pictures / f"{name}{picture.SUFFIX}", lambda file: image.save(file, "png"))


def _write(file: Path, write: Callable[[Path], object]) -> None:
    try:
        with replaced(file) as new:
            write(new)
    except OSError as error:
        raise _not_writable(file, error) from error


def _not_writable(path: Path, error: OSError) -> GenreError:
    return GenreError(f"{path} cannot be written: {error.strerror}.")
