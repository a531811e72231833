"""A minimal local Hugging Face Hub: the endpoints that `huggingface_hub` uses to write and read repositories.

Files are stored in memory; weights are uploaded by the Git LFS protocol. There are two tokens: `OWNER` has write access
to the name space "user", `READER` only read access.
"""

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

OWNER, READER = "hf_owner", "hf_reader"
NAMESPACE = "user"


class Refusal(Exception):
    """An error response: HTTP status, error code of the Hub and a message."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Repo:
    """A repository: files by commit, the newest of which is `main`, tags, and the variables of a Space."""

    private: bool
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    main: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes]) -> str:
        self.main = hashlib.sha1(repr((len(self.commits), sorted(files.items()))).encode()).hexdigest()
        self.commits[self.main] = files
        return self.main

    def resolve(self, revision: str) -> str:
        commit = self.main if revision == "main" else self.tags.get(revision, revision)
        if commit not in self.commits:
            raise Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.resolve(revision)]


class Hub(ThreadingHTTPServer):
    """The server and its repositories; `requests` lists method and path of each request, in order.

    It answers every request with `outage`, a status and a body, once that is set.
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[tuple[str, str], Repo] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.accepts_uploads = True
        self.outage: tuple[int, bytes] | None = None

    def repo(self, name: str, kind: str = "models") -> Repo:
        return self.repos[kind, name]

    def create(self, name: str, kind: str = "models", private: bool = True) -> Repo:
        """Create a repository with an initial commit, as the Hub does."""
        repo = self.repos[kind, name] = Repo(private)
        files = {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}
        repo.commit(files | ({"README.md": b"---\nsdk: gradio\n---\nA template.\n"} if kind == "spaces" else {}))
        return repo


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def handle_request(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(f"{self.command} {path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.server.outage:
            status, content = self.server.outage
            return self.reply(content, status)
        try:
            for pattern, answer in ROUTES.items():
                if match := re.fullmatch(pattern, f"{self.command.replace('HEAD', 'GET')} {path}"):
                    return answer(self, **match.groupdict())
            raise Refusal(404, "", f"no such endpoint: {self.command} {path}")
        except Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": str(refusal)}
            self.reply(json.dumps({"error": str(refusal)}).encode(), refusal.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def reply(self, content: bytes | dict | list, status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_) -> None:
        """Log nothing: tests read `requests`."""

    def find(self, repo: str, kind: str | None, to_write: bool = False) -> Repo:
        """The repository, if the token has access to it."""
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in ("", OWNER, READER) or (to_write and not token):
            raise Refusal(401, "", "Invalid credentials in Authorization header")
        if to_write and (token != OWNER or repo.split("/")[0] != NAMESPACE):
            raise Refusal(403, "", f"You don't have the rights to write to {repo}")
        found = self.server.repos.get((kind or "models", repo))
        if found is None or (found.private and not token):
            raise Refusal(404 if token else 401, "RepoNotFound", "Repository not found")
        if found.gated:
            raise Refusal(403 if token else 401, "GatedRepo", "Access to it is restricted")
        return found

    def create_repo(self) -> None:
        request = json.loads(self.body)
        name, kind = f"{request['organization']}/{request['name']}", request.get("type", "model") + "s"
        if kind == "spaces" and request["sdk"] != "gradio":
            raise Refusal(400, "", "not a Gradio Space")
        exists = True
        try:
            self.find(name, kind, to_write=True)
        except Refusal as refusal:
            if refusal.code != "RepoNotFound":
                raise
            exists = False
            self.server.create(name, kind, private=request.get("visibility") == "private")
        url = f"{self.server.url}/{'spaces/' if kind == 'spaces' else ''}{name}"
        self.reply({"url": url}, 409 if exists else 200)

    def info(self, kind: str, repo: str, revision: str | None = None) -> None:
        found = self.find(repo, kind)
        files = found.files(revision or "main")
        siblings = [
            {"rfilename": one["path"], "size": one["size"], "lfs": one["lfs"]} for one in map(_entry, files.items())
        ]
        commit = found.resolve(revision or "main")
        self.reply({"id": repo, "sha": commit, "private": found.private, "siblings": siblings})

    def tree(self, kind: str, repo: str, revision: str) -> None:
        self.reply(list(map(_entry, self.find(repo, kind).files(revision).items())))

    def refs(self, kind: str, repo: str) -> None:
        found = self.find(repo, kind)
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": commit} for tag, commit in found.tags.items()]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": found.main}
        self.reply({"branches": [main], "converts": [], "tags": tags})

    def preupload(self, kind: str, repo: str, revision: str) -> None:
        self.find(repo, kind, to_write=True).resolve(revision)
        paths = [file["path"] for file in json.loads(self.body)["files"]]
        modes = ["lfs" if path.endswith((".safetensors", ".png")) else "regular" for path in paths]
        files = [dict(path=path, uploadMode=mode, shouldIgnore=False) for path, mode in zip(paths, modes, strict=True)]
        self.reply({"files": files})

    def lfs_batch(self, repo: str, kind: str | None = None) -> None:
        self.find(repo, kind, to_write=True)
        objects = [
            one | {"actions": {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}}}
            for one in json.loads(self.body)["objects"]
        ]
        self.reply({"transfer": "basic", "objects": objects})

    def lfs_upload(self, oid: str) -> None:
        if not self.server.accepts_uploads or _digest(self.body) != oid:
            raise Refusal(400, "", "the upload is rejected")
        self.server.uploads[oid] = self.body
        self.reply(b"")

    def commit(self, kind: str, repo: str, revision: str) -> None:
        found = self.find(repo, kind, to_write=True)
        files = dict(found.files(revision))
        for line in map(json.loads, self.body.splitlines()):
            key, value = line["key"], line["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.uploads[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        commit = found.commit(files)
        self.reply({"commitUrl": f"{self.server.url}/{repo}/commit/{commit}", "commitOid": commit})

    def tag(self, kind: str, repo: str, revision: str) -> None:
        found = self.find(repo, kind, to_write=True)
        found.tags[json.loads(self.body)["tag"]] = found.resolve(revision)
        self.reply(b"")

    def variable(self, repo: str) -> None:
        request = json.loads(self.body)
        self.find(repo, "spaces", to_write=True).variables[request["key"]] = request["value"]
        self.reply({})

    def download(self, repo: str, revision: str, path: str, kind: str | None = None) -> None:
        found = self.find(repo, kind)
        if path not in found.files(revision):
            raise Refusal(404, "EntryNotFound", "Entry not found")
        content = found.files(revision)[path]
        self.reply(content, headers={"ETag": f'"{_digest(content)}"', "X-Repo-Commit": found.resolve(revision)})


REPO = "(?P<repo>[^/]+/[^/]+)"
API = f"/api/(?P<kind>models|spaces|datasets)/{REPO}"
FILES = f"/(?:(?P<kind>spaces|datasets)/)?{REPO}"
ROUTES = {
    "POST /api/repos/create": Handler.create_repo,
    "POST /api/validate-yaml": lambda handler: handler.reply({"warnings": [], "errors": []}),
    f"GET {API}": Handler.info,
    f"GET {API}/revision/(?P<revision>.+)": Handler.info,
    f"GET {API}/tree/(?P<revision>.+)": Handler.tree,
    f"GET {API}/refs": Handler.refs,
    f"POST {API}/preupload/(?P<revision>.+)": Handler.preupload,
    f"POST {API}/commit/(?P<revision>.+)": Handler.commit,
    f"POST {API}/tag/(?P<revision>.+)": Handler.tag,
    f"POST /api/spaces/{REPO}/variables": Handler.variable,
    rf"POST {FILES}\.git/info/lfs/objects/batch": Handler.lfs_batch,
    "PUT /lfs/(?P<oid>[0-9a-f]{64})": Handler.lfs_upload,
    f"GET {FILES}/resolve/(?P<revision>[^/]+)/(?P<path>.+)": Handler.download,
}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _entry(item: tuple[str, bytes]) -> dict:
    """A file in a listing."""
    path, content = item
    lfs = {"size": len(content), "sha256": _digest(content), "oid": _digest(content), "pointerSize": 130}
    return {"type": "file", "path": path, "size": len(content), "oid": _digest(content), "lfs": lfs}


@contextmanager
def running_hub() -> Iterator[Hub]:
    hub = Hub()
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()


def use_hub(monkeypatch, url: str, token: str | None, folder: Path) -> None:
    """The effect of HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_DISABLE_XET if set before the import."""
    settings = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(folder / "cache"),
        "HF_ASSETS_CACHE": str(folder / "assets"),
        "HF_TOKEN_PATH": str(folder / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
    }
    for name, value in settings.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
        monkeypatch.delenv(name, raising=False)
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
