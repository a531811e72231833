"""No access to files of the server, private addresses, stack traces or files of other visitors."""

import hashlib
import http.client
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import gradio as gr
import pytest
from gradio import processing_utils

from genre.models.model import SHIPPED
from genre.web import api, texts
from tests.conftest import ROOT, run_async
from tests.visitor import Visitor, file, mcp_session

ROUTES = "/gradio_api/file=", "/file=", "/static/", "/gradio_api/static/", "/assets/", "/custom_component/"
SECRETS = [
    ROOT / "app.py",
    ROOT / "genre" / "models" / "member.py",
    ROOT / ".git" / "config",
    ROOT / "examples" / "arpeggio.mp3",
]


@pytest.fixture(scope="module")
def visitor(server):
    return Visitor(server)


@pytest.fixture(scope="module")
def upload(visitor, example):
    """Path of an upload on the server."""
    return visitor.upload(example)["path"]


def ways_to(path):
    """URL paths that might lead to a file."""
    dots = "../" * 12
    return [
        str(path),
        dots + str(path)[1:],
        f"x/{dots}{str(path)[1:]}",
        str(path).replace("/", "%2f"),
        str(path).replace("/", "%252f"),
        (dots + str(path)[1:]).replace(".", "%2e"),
        f"/%2e%2e{path}",
        f"file://{path}",
        f"file:{path}",
        str(path) + "%00.mp3",
    ]


@pytest.mark.parametrize("path", ["/etc/passwd", *SECRETS], ids=str)
def test_no_address_leads_to_a_file_of_the_server(server, upload, path):
    beside = [f"{upload}/../../../{path}", f"{upload}/..%2f..%2f..%2f{path}"]
    for way in [*ways_to(path), *beside]:
        for route in ROUTES:
            status, content = get(server, route + way)
            assert status in (400, 403, 404), route + way
            assert b"Traceback" not in content


def get(server, target):
    """Status and content of an URL path that is sent without normalisation."""
    connection = http.client.HTTPConnection(urlsplit(server).netloc, timeout=60)
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_an_upload_is_served_under_its_unguessable_path_only(server, upload, example):
    assert get(server, f"/gradio_api/file={upload}") == (200, example.read_bytes())
    folder = upload.rpartition("/")[0]
    assert hashlib.sha256(example.read_bytes()).hexdigest() not in folder  # the path does not depend on it
    for above in (folder, folder.rpartition("/")[0], folder.rpartition("/")[0] + "/"):
        assert get(server, f"/gradio_api/file={above}")[0] == 403


def test_a_file_that_was_not_uploaded_is_not_classified(visitor):
    """With the metadata that makes Gradio check a path, and without."""
    song = str(ROOT / "examples" / "arpeggio.mp3")
    assert visitor.classify(file(song)) is None
    assert visitor.classify({"path": song}) == texts.NOT_SENT
    assert visitor.classify({"path": "/etc/shadow"}) == texts.NOT_SENT
    assert visitor.classify({"path": "/no/such/file"}) == texts.NOT_SENT
    assert visitor.classify({"path": "a\0b"}) == texts.NOT_SENT
    assert texts.NOT_SENT in visitor.ask("classify_batch", [{"path": song}])
    assert texts.NOT_SENT in visitor.ask("classify_batch", [{"path": "a\0b"}])


@pytest.mark.parametrize("marked", [True, False])
def test_the_functions_of_the_page_take_no_path(visitor, marked):
    path = str(ROOT / "examples" / "arpeggio.mp3")
    song = file(path) if marked else {"path": path}
    why = visitor.ask("why", song, None, 0, None, event={"genre": "Electronic", "start": 0})
    for answer in (visitor.ask("show", song, None, 0, None), why):
        assert '"success":false' in answer
        assert "Traceback" not in answer and str(ROOT) not in answer


def test_songs_that_were_not_sent_are_rows_and_no_path_leads_to_a_file_of_the_server(server, upload):
    visitor, path = Visitor(server), str(ROOT / "examples" / "arpeggio.mp3")
    songs = [
        ["", "lost.mp3"],
        [path, "path.mp3"],
        ["a\0b", "nul.mp3"],
        [upload, "song.mp3"],
        None,
        [5, 5],
        ["", "", ""],
    ]
    visitor.ask("add", None, None, event={"files": songs})
    answer = visitor.ask("classify_songs", None)
    assert "1 song classified, 3 could not be." in answer
    assert answer.count(texts.UPLOAD_FAILED) >= 3 and str(ROOT) not in answer
    for event in (None, {}, {"files": None}, {"files": {"a": 1}}):
        assert "Traceback" not in visitor.ask("add", None, None, event=event)


@pytest.mark.parametrize("name", ["../../etc", "/etc", str(SHIPPED / "fma-small"), "hf-hub:../x", "a/../b"])
def test_a_model_name_is_not_used_as_a_path(visitor, upload, name):
    answer = visitor.ask("show", file(upload), name, 0, None)
    assert '"success":true' in answer and texts.NO_RESULT in answer
    assert "Traceback" not in answer and str(ROOT) not in answer


@pytest.mark.parametrize("overlap", [None, 0.999999, 1, -1, "0.5", "a", [], {}, 1e308])
def test_an_overlap_that_is_not_a_choice_is_refused(visitor, upload, overlap):
    answer = visitor.ask("show", file(upload), None, overlap, None)
    assert '"success":false' in answer or "Classified 0:15 in 5 windows" in answer
    assert "Traceback" not in answer and str(ROOT) not in answer


def test_a_job_for_a_song_that_was_replaced_ends(server, example):
    visitor = Visitor(server)
    old, new = visitor.upload(example), visitor.upload(ROOT / "examples" / "guitar.mp3")
    visitor.ask("ask", new, None, 0, None)
    assert "Nearest of 8 genres" not in visitor.ask("show", old, None, 0, None)
    assert "Nearest of 8 genres" in visitor.ask("show", new, None, 0, None)
    click = {"genre": "Electronic", "start": 0}
    assert "Why Electronic" not in visitor.ask("why", old, None, 0, None, event=click)
    assert "Why Electronic" in visitor.ask("why", new, None, 0, None, event=click)


def test_a_song_that_has_been_deleted_is_to_be_dropped_again(server, example, tmp_path):
    visitor = Visitor(server)
    copy = tmp_path / "deleted.mp3"
    copy.write_bytes(example.read_bytes() + b"\0")  # uploads of equal content are one file
    song = visitor.upload(copy)
    Path(song["path"]).unlink()
    assert texts.DELETED in visitor.ask("show", song, None, 0, None)
    assert visitor.classify(song) == texts.DELETED


@pytest.mark.parametrize("song", [None, 5, "song.mp3", [], {}, {"path": None}, {"path": 5}, {"path": "a\0b"}])
def test_invalid_values_get_no_stack_trace(visitor, server, song):
    for answer in (
        visitor.classify(song),
        visitor.ask("show", song, None, 0, None),
        visitor.ask("classify_batch", song),
    ):
        assert "Traceback" not in str(answer) and str(ROOT) not in str(answer)
    answer = visitor.http.post("/call/classify", content=b"{")
    assert answer.status_code == 422 and str(ROOT) not in answer.text


class Neighbour(BaseHTTPRequestHandler):
    """HTTP server on the same machine, to which the app must send no request."""

    def do_GET(self):
        self.server.visits.append(self.path)
        self.send_response(200)
        for name, value in self.server.headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_):
        pass


@contextmanager
def running_neighbour(content=b"a song", headers=()):
    with ThreadingHTTPServer(("127.0.0.1", 0), Neighbour) as neighbour:
        neighbour.visits, neighbour.content, neighbour.headers = [], content, headers
        threading.Thread(target=neighbour.serve_forever, daemon=True).start()
        yield neighbour
        neighbour.shutdown()


def test_the_server_sends_no_request_to_private_addresses(server, visitor):
    with running_neighbour() as neighbour:
        for host in ("127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "127.1"):
            address = f"http://{host}:{neighbour.server_port}/song.mp3"
            assert not isinstance(visitor.classify(file(address)), dict)
            assert get(server, f"/gradio_api/file={address}")[0] in (403, 502)
            assert run_async(by_mcp(server, address)).isError
        assert neighbour.visits == []


async def by_mcp(server, song):
    async with mcp_session(server) as session:
        return await session.call_tool("classify", {"song": song})


@pytest.fixture
def fetch(monkeypatch, tmp_path):
    """Downloads from a neighbour as from a public host."""

    async def public(host):
        return "127.0.0.1"

    monkeypatch.setattr(api, "async_validate_url", public)
    monkeypatch.setattr(api, "MAX_FILE_SIZE", 10_000)
    monkeypatch.setattr(processing_utils, "async_transport", api.BoundedTransport())
    return lambda neighbour: Path(
        processing_utils.ssrf_protected_download(
            f"http://songs.example:{neighbour.server_port}/song.mp3", str(tmp_path)
        )
    )


def test_a_song_named_by_url_is_downloaded_undecoded(fetch):
    packed = (("Content-Encoding", "gzip"),)
    for content, headers in ((bytes(10_000), ()), (b"\x1f\x8b that would unpack", packed)):
        with running_neighbour(content, headers) as neighbour:
            assert fetch(neighbour).read_bytes() == content
            assert neighbour.visits == ["/song.mp3"]


def test_an_address_that_does_not_answer_is_one_sentence(fetch):
    with running_neighbour() as neighbour:
        pass
    with pytest.raises(gr.Error, match="Nothing can be fetched from this address"):
        fetch(neighbour)


def test_a_song_named_by_url_that_is_too_large_is_refused(fetch, tmp_path):
    with running_neighbour(bytes(10_001)) as neighbour, pytest.raises(gr.Error, match="This file is too large"):
        fetch(neighbour)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
