"""Downloads from a local server with a reduced FMA-small, also with errors."""

import hashlib
import io
import re
import shutil
import socket
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest

from genre.audio.audio import Audio
from genre.data import download
from genre.data.download import ATTEMPTS, PARTS, Part, fetch_fma_small
from genre.data.sources import fma_small, is_fma_small
from genre.errors import DataError
from tests.data.test_sources import write_fma

METADATA, AUDIO = (part.name for part in PARTS)
TRACKS = [
    (2, "Hip-Hop", "training", "small"),
    (5, "Hip-Hop", "test", "small"),
    (1040, "Rock", "validation", "small"),
    (1069, "Rock", "training", "medium"),
]
SMALL = [track for track, *_, subset in TRACKS if subset == "small"]
CUT = 100_000  # bytes of a clip, some seconds


class Server(ThreadingHTTPServer):
    """Serves `files` by name; `requests` are its methods and names, `sent` the bytes of all bodies.

    Each download of the audio breaks off at the next of `breaks`, places in the file, while there are any.
    """

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/fma/"
        self.files = dict(files)
        self.takes_ranges = True
        self.breaks: list[int] = []
        self.requests: list[str] = []
        self.sent = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/fma/")
        self.server.requests.append(f"{self.command} {name}")
        if name not in self.server.files:
            self.send_error(404)
            return
        content = self.server.files[name]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")) if self.server.takes_ranges else None
        start = int(asked[1]) if asked else 0
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if self.command == "GET":
            self.send_body(content, start, name)

    do_HEAD = do_GET

    def send_body(self, content: bytes, start: int, name: str) -> None:
        end = len(content)
        if name == AUDIO and self.server.breaks:
            end = self.server.breaks.pop(0)
            self.close_connection = True
        self.wfile.write(content[start:end])
        self.server.sent += max(0, end - start)

    def log_message(self, *_) -> None:
        """Log nothing: the tests read `requests`."""


def zipped(files: dict[str, bytes]) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return memory.getvalue()


@pytest.fixture(scope="module")
def audio(fma_clips) -> dict[str, bytes]:
    """The files of fma_small.zip for the clips of the small subset, cut short."""
    clips = {f"fma_small/{track:06}"[:13] + f"/{track:06}.mp3": fma_clips[track] for track in SMALL}
    cut = {name: path.read_bytes()[:CUT] for name, path in clips.items()}
    return {"fma_small/": b"", "fma_small/checksums": b"sums", "fma_small/README.txt": b"FMA", **cut}


@pytest.fixture(scope="module")
def zips(audio, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("fma")
    write_fma(folder, TRACKS)
    tracks = (folder / "fma_metadata" / "tracks.csv").read_bytes()
    metadata = {"fma_metadata/README.txt": b"FMA", "fma_metadata/tracks.csv": tracks, "fma_metadata/genres.csv": b"1"}
    return {METADATA: zipped(metadata), AUDIO: zipped(audio)}


@pytest.fixture
def server(zips, monkeypatch) -> Server:
    publish(monkeypatch, zips)
    monkeypatch.setattr(download, "WAIT_SECONDS", 0)
    server = Server(zips)
    monkeypatch.setattr(download, "FMA_URL", server.url)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def publish(monkeypatch, files: dict[str, bytes]) -> None:
    """Replace the published checksums by those of these files."""
    parts = tuple(Part(part.name, hashlib.sha1(files[part.name]).hexdigest(), part.result) for part in PARTS)
    monkeypatch.setattr(download, "PARTS", parts)


def check_whole(folder: Path, audio: dict[str, bytes]) -> None:
    assert is_fma_small(folder)
    sources = fma_small(folder)
    assert [(s.track_id, s.genre, s.split) for s in sources] == [
        (str(t), g, s) for t, g, s, one in TRACKS if one == "small"
    ]
    unpacked = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.glob("fma_small/**/*") if p.is_file()}
    assert unpacked == {name: content for name, content in audio.items() if not name.endswith("/")}
    assert {p.name for p in folder.iterdir()} == {"fma_metadata", "fma_small", METADATA, AUDIO}


def test_from_nothing_to_sources(server, zips, audio, tmp_path):
    folder = tmp_path / "data" / "fma"
    fetch_fma_small(folder)
    check_whole(folder, audio)
    assert all(Audio(source.path).samples(22050).any() for source in fma_small(folder))
    assert [p.name for p in (folder / "fma_metadata").iterdir()] == ["tracks.csv"]
    assert server.sent == sum(map(len, zips.values()))

    server.requests.clear()
    fetch_fma_small(folder)
    for name in zips:
        (folder / name).unlink()
    fetch_fma_small(folder)
    assert server.requests == []


@pytest.mark.parametrize("takes_ranges", [True, False])
def test_a_dropped_connection_is_resumed_or_without_ranges_the_download_starts_over(
    server, zips, audio, tmp_path, takes_ranges
):
    server.takes_ranges = takes_ranges
    server.breaks = [100_000, 100_000, 200_000][: 3 if takes_ranges else 1]
    fetch_fma_small(tmp_path)
    check_whole(tmp_path, audio)
    assert server.sent == sum(map(len, zips.values())) + (0 if takes_ranges else 100_000)


def test_a_later_call_downloads_only_the_rest(server, zips, audio, tmp_path):
    server.breaks = [100_000] * (ATTEMPTS + 1)
    with pytest.raises(DataError, match=f"{AUDIO} cannot be fetched .* goes on where it stopped"):
        fetch_fma_small(tmp_path)
    assert (tmp_path / f"{AUDIO}.part").stat().st_size == 100_000
    assert not is_fma_small(tmp_path)
    server.sent = 0
    fetch_fma_small(tmp_path)
    check_whole(tmp_path, audio)
    assert server.sent == len(zips[AUDIO]) - 100_000


def test_a_wrong_checksum_raises_and_the_next_call_starts_over(server, audio, tmp_path):
    (tmp_path / f"{AUDIO}.part").write_bytes(b"of something else")
    with pytest.raises(DataError, match=f"{AUDIO} arrived damaged and was removed; try again"):
        fetch_fma_small(tmp_path)
    assert not list(tmp_path.glob(f"{AUDIO}*"))
    fetch_fma_small(tmp_path)
    check_whole(tmp_path, audio)


def test_free_space_is_checked_before_the_download(server, zips, audio, tmp_path, monkeypatch):
    needed = 2 * sum(map(len, zips.values()))
    with monkeypatch.context() as tight:
        tight.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed - 1))
        with pytest.raises(DataError, match="needs .* GiB more .* are free"):
            fetch_fma_small(tmp_path)
        assert server.sent == 0
        tight.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=needed))
        fetch_fma_small(tmp_path)
    check_whole(tmp_path, audio)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_up_while_downloading(server, audio, tmp_path):
    full = tmp_path / f"{AUDIO}.part"
    full.symlink_to("/dev/full")
    with pytest.raises(DataError, match="No space left on device.*start again: it goes on"):
        fetch_fma_small(tmp_path)
    full.unlink()
    fetch_fma_small(tmp_path)
    check_whole(tmp_path, audio)


def test_a_killed_unpacking_is_resumed(server, zips, audio, tmp_path):
    for name, content in zips.items():
        (tmp_path / name).write_bytes(content)
    staging = tmp_path / f"{AUDIO}.unpacking"
    there, cut_off, *_ = (staging / name for name in audio if name.endswith(".mp3"))
    there.parent.mkdir(parents=True)
    there.write_bytes(bytes(CUT))  # zeros of the right length, to detect that it is written again
    cut_off.write_bytes(bytes(CUT // 2))
    cut_off.with_name(cut_off.name + ".tmp").write_bytes(b"stale")
    fetch_fma_small(tmp_path)
    check_whole(tmp_path, audio | {there.relative_to(staging).as_posix(): bytes(CUT)})
    assert server.requests == []


@pytest.mark.parametrize("name", ["../outside.mp3", "fma_small/../../outside.mp3", "/outside.mp3"])
def test_a_zip_with_paths_outside_of_the_folder_is_refused(server, audio, tmp_path, monkeypatch, name):
    server.files[AUDIO] = zipped({**audio, name: b"gotcha"})
    publish(monkeypatch, server.files)
    with pytest.raises(DataError, match="a path outside of the folder"):
        fetch_fma_small(tmp_path / "data")
    assert not (tmp_path / "data" / "fma_small").exists()
    assert not list(tmp_path.rglob("outside.mp3"))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda _: b"<html>Please log in</html>", "is not an intact zip file; remove it and try again"),
        (lambda zip: zip[:5000] + bytes(9) + zip[5009:], "is not an intact zip file; remove it and try again"),
        (lambda _: zipped({"holiday.jpg": b""}), "does not hold fma_small, so it is not FMA's"),
    ],
)
def test_a_damaged_or_another_zip_raises(server, zips, tmp_path, damage, message):
    (tmp_path / AUDIO).write_bytes(damage(zips[AUDIO]))
    with pytest.raises(DataError, match=f"{AUDIO} {message}"):
        fetch_fma_small(tmp_path)
    assert not is_fma_small(tmp_path)


def test_a_missing_file_on_the_server_raises(server, tmp_path):
    del server.files[AUDIO]
    with pytest.raises(DataError, match=f"/fma/{AUDIO} answers 404 Not Found; try again later, or put the file"):
        fetch_fma_small(tmp_path)
    assert server.sent == 0


def test_no_network_raises(tmp_path, monkeypatch):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.setattr(download, "FMA_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/")
        with pytest.raises(DataError, match="cannot be fetched .*refused.*; check the network"):
            fetch_fma_small(tmp_path)
