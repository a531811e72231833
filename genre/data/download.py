"""Download FMA-small and unpack it to the layout that `genre.data.sources` reads."""

import hashlib
import shutil
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from tqdm import tqdm

from genre.errors import DataError
from genre.files import move, replaced

FMA_URL = "https://os.unil.cloud.switch.ch/fma/"
TIMEOUT = 30.0  # seconds without a byte received
ATTEMPTS = 6  # without a byte in a row, before a download fails
WAIT_SECONDS = 2.0  # before the second of those, twice that before the third, and so on
BLOCK = 2**20


@dataclass(frozen=True)
class Part:
    """A zip file to download, its SHA-1, and the file or folder that is unpacked from it."""

    name: str
    sha1: str
    result: str


# Names and checksums by the README of https://github.com/mdeff/fma.
PARTS = (
    Part("fma_metadata.zip", "f0df49ffe5f2a6008d7dc83c6915b31835dfe733", "fma_metadata/tracks.csv"),
    Part("fma_small.zip", "ade154f733639d52e35e32f5593efe5be76c6d70", "fma_small"),
)


def fetch_fma_small(folder: Path) -> None:
    """Download FMA-small (7.5 GiB) and unpack it, or resume where an earlier call stopped.

    `fma_metadata/tracks.csv` and `fma_small/` appear in the folder only when they are complete; existing ones are
    neither downloaded nor unpacked again. The zips are not deleted, and may be. A zip that was copied to the folder by
    hand is used without a check.

    Args:
        folder: the destination, which is created where it is missing.

    Raises:
        DataError: the disk has too little room, the server cannot be reached, or the files are not FMA-small.
    """
    missing = [part for part in PARTS if not (folder / part.result).exists()]
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Ranges of bytes are requested, which a compressed response would not preserve.
        identity = {"Accept-Encoding": "identity"}
        with httpx2.Client(base_url=FMA_URL, headers=identity, timeout=TIMEOUT, follow_redirects=True) as client:
            _fetch(client, folder, missing)
        for part in missing:
            _unpack(folder, part)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Convert errors of network and disk to DataError."""
    try:
        yield
    except httpx2.HTTPStatusError as error:
        answer = f"{error.response.status_code} {error.response.reason_phrase}"
        raise DataError(
            f"{error.request.url} answers {answer}; try again later, or put the file into {folder} yourself."
        ) from error
    except httpx2.RequestError as error:
        raise DataError(
            f"{error.request.url} cannot be fetched ({error}); check the network and start again: "
            "it goes on where it stopped."
        ) from error
    except OSError as error:
        raise DataError(
            f"Writing to {folder} failed ({error.strerror or error}); put that right and start again: "
            "it goes on where it stopped."
        ) from error


def _fetch(client: httpx2.Client, folder: Path, missing: list[Part]) -> None:
    """Download the missing zips, if the disk has room for them and for the content of all."""
    sizes = {part: _size_on_server(client, part) for part in missing if not (folder / part.name).exists()}
    needed = sum(
        # The content of a zip is estimated by its size: mp3 does not compress, most metadata is not unpacked.
        2 * sizes[part] - _size(_partial(folder, part)) if part in sizes else _left_to_unpack(folder, part)
        for part in missing
    )
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DataError(
            f"FMA-small needs {needed / 2**30:.1f} GiB more in {folder}, but only {free / 2**30:.1f} GiB are free; "
            "make room or name another folder."
        )
    for part, size in sizes.items():
        _download(client, folder, part, size)


def _size_on_server(client: httpx2.Client, part: Part) -> int:
    response = client.head(part.name).raise_for_status()
    if "Content-Length" not in response.headers:
        raise DataError(f"{response.url} sends no Content-Length, so it is not FMA's; try again later.")
    return int(response.headers["Content-Length"])


def _download(client: httpx2.Client, folder: Path, part: Part, size: int) -> None:
    """Download one zip, with retries, and check its SHA-1."""
    partial = _partial(folder, part)
    idle = 0
    with _bar(f"{part.name}: download", size, _size(partial)) as bar:
        while (have := _size(partial)) < size:
            try:
                _fetch_rest(client, part.name, partial, bar)
                break
            except httpx2.TransportError:
                idle = 0 if _size(partial) > have else idle + 1
                if idle == ATTEMPTS:
                    raise
                time.sleep(WAIT_SECONDS * idle)
    if _sha1(partial, f"{part.name}: check") != part.sha1:
        partial.unlink()
        raise DataError(f"{part.name} arrived damaged and was removed; try again to fetch it anew.")
    move(partial, folder / part.name)


def _fetch_rest(client: httpx2.Client, name: str, partial: Path, bar: tqdm) -> None:
    """Append the missing bytes to a file, or rewrite it where the server sends the whole file.

    No ETag is compared, since the checksum is known beforehand.
    """
    with client.stream("GET", name, headers={"Range": f"bytes={_size(partial)}-"}) as response:
        response.raise_for_status()
        partly = response.status_code == httpx2.codes.PARTIAL_CONTENT
        if not partly:
            bar.reset()
        with partial.open("ab" if partly else "wb") as file:
            for block in response.iter_raw():
                file.write(block)
                bar.update(len(block))


def _sha1(path: Path, description: str) -> str:
    digest = hashlib.sha1()
    with path.open("rb") as file, _bar(description, _size(path)) as bar:
        while block := file.read(BLOCK):
            digest.update(block)
            bar.update(len(block))
    return digest.hexdigest()


def _unpack(folder: Path, part: Part) -> None:
    """Unpack a zip to a staging folder, and move the result into place when it is complete."""
    staging = _staging(folder, part)
    with _opened(folder / part.name) as archive:
        members = _to_unpack(archive, part, folder)
        with _bar(f"{part.name}: unpack", sum(member.file_size for member in members)) as bar:
            for member in members:
                _unpack_member(archive, member, staging / member.filename)
                bar.update(member.file_size)
    (folder / part.result).parent.mkdir(exist_ok=True)
    move(staging / part.result, folder / part.result)
    shutil.rmtree(staging)


def _unpack_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with replaced(target) as new, archive.open(member) as source, new.open("wb") as file:
        shutil.copyfileobj(source, file)


def _left_to_unpack(folder: Path, part: Part) -> int:
    """Bytes of an existing zip that are still to be unpacked."""
    with _opened(folder / part.name) as archive:
        return sum(member.file_size for member in _to_unpack(archive, part, folder))


def _to_unpack(archive: zipfile.ZipFile, part: Part, folder: Path) -> list[zipfile.ZipInfo]:
    """The files of a zip that belong to its result and are not unpacked yet."""
    staging = _staging(folder, part).resolve()
    for name in archive.namelist():
        if not (staging / name).resolve().is_relative_to(staging):
            raise DataError(f"{folder / part.name} holds {name}, a path outside of the folder; remove it, try again.")
    files = [
        member
        for member in archive.infolist()
        if not member.is_dir() and (member.filename == part.result or member.filename.startswith(part.result + "/"))
    ]
    if not files:
        raise DataError(f"{folder / part.name} does not hold {part.result}, so it is not FMA's; remove it, try again.")
    return [member for member in files if _size(staging / member.filename, absent=-1) != member.file_size]


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip file.

    Raises:
        DataError: it is not a zip file, or is damaged, also while it is read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path} is not an intact zip file; remove it and try again.") from error


def _partial(folder: Path, part: Part) -> Path:
    return folder / f"{part.name}.part"


def _staging(folder: Path, part: Part) -> Path:
    return folder / f"{part.name}.unpacking"


def _size(path: Path, absent: int = 0) -> int:
    return path.stat().st_size if path.exists() else absent


def _bar(description: str, total: int, initial: int = 0) -> tqdm:
    return tqdm(desc=description, total=total, initial=initial, unit="B", unit_scale=True, unit_divisor=1024)
