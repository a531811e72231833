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
REPO = r"(?P<repo>[^/]+/[^/]+)"
KIND = r"/api/(?P<kind>models|spaces|datasets)/" + REPO


class Refusal(Exception):
    """An error response: HTTP status, error code of the Hub and a message."""

    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code = status, code


@dataclass
class Repo:
    """A repository: files by commit, branch and tags, and the variables of a Space."""

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
            for method, pattern, answer in ROUTES:
                if self.command in method and (match := re.fullmatch(pattern, path)):
                    return answer(self, **match.groupdict())
            raise Refusal(404, "", f"no such endpoint: {self.command} {path}")
        except Refusal as refusal:
            error = json.dumps({"error": str(refusal)}).encode()
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": str(refusal)}
            self.reply(error, refusal.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def reply(self, content: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def reply_json(self, content: object) -> None:
        self.reply(json.dumps(content).encode(), headers={"Content-Type": "application/json"})

    def log_message(self, *_) -> None:
        """Log nothing: tests read `requests`."""

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def find(self, repo: str, kind: str | None) -> Repo:
        """The repository, if the token has read access to it."""
        if self.token not in ("", OWNER, READER):
            raise Refusal(401, "", "Invalid credentials in Authorization header")
        found = self.server.repos.get((kind or "models", repo))
        if found is None or (found.private and not self.token):
            raise Refusal(404 if self.token else 401, "RepoNotFound", "Repository not found")
        if found.gated:
            raise Refusal(403 if self.token else 401, "GatedRepo", "Access to it is restricted")
        return found

    def find_to_write(self, repo: str, kind: str | None) -> Repo:
        self.check_writer(repo.split("/")[0])
        return self.find(repo, kind)

    def check_writer(self, namespace: str) -> None:
        if self.token not in (OWNER, READER):
            raise Refusal(401, "", "Invalid credentials in Authorization header")
        if self.token != OWNER or namespace != NAMESPACE:
            raise Refusal(403, "", f"You don't have the rights to write in the namespace {namespace}")

    def create_repo(self) -> None:
        request = json.loads(self.body)
        name, kind = f"{request['organization']}/{request['name']}", request.get("type", "model") + "s"
        self.check_writer(request["organization"])
        if kind == "spaces" and request["sdk"] != "gradio":
            raise Refusal(400, "", "not a Gradio Space")
        exists = (kind, name) in self.server.repos
        if not exists:
            self.server.create(name, kind, private=request.get("visibility") == "private")
        url = f"{self.server.url}/{'spaces/' if kind == 'spaces' else ''}{name}"
        self.reply(json.dumps({"url": url}).encode(), 409 if exists else 200)

    def info(self, kind: str, repo: str, revision: str | None = None) -> None:
        found = self.find(repo, kind)
        commit = found.resolve(revision or "main")
        files = found.commits[commit]
        siblings = [
            {"rfilename": path, "size": len(one), "blobId": _etag(one), "lfs": _lfs(one)} for path, one in files.items()
        ]
        self.reply_json({"id": repo, "sha": commit, "private": found.private, "siblings": siblings})

    def tree(self, kind: str, repo: str, revision: str) -> None:
        files = self.find(repo, kind).files(revision)
        entries = [{"type": "file", "path": path, "size": len(one), "oid": _etag(one)} for path, one in files.items()]
        self.reply_json(entries)

    def refs(self, kind: str, repo: str) -> None:
        found = self.find(repo, kind)
        tags = [{"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": commit} for tag, commit in found.tags.items()]
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": found.main}
        self.reply_json({"branches": [main], "converts": [], "tags": tags})

    def preupload(self, kind: str, repo: str, revision: str) -> None:
        self.find_to_write(repo, kind).resolve(revision)
        files = [
            {
                "path": path,
                "uploadMode": "lfs" if path.endswith((".safetensors", ".png")) else "regular",
                "shouldIgnore": False,
            }
            for path in (file["path"] for file in json.loads(self.body)["files"])
        ]
        self.reply_json({"files": files})

    def lfs_batch(self, repo: str, kind: str | None = None) -> None:
        self.find_to_write(repo, kind)
        requested = json.loads(self.body)["objects"]
        objects = [
            {
                "oid": one["oid"],
                "size": one["size"],
                "actions": {"upload": {"href": f"{self.server.url}/lfs/{one['oid']}"}},
            }
            for one in requested
        ]
        self.reply_json({"transfer": "basic", "objects": objects})

    def lfs_upload(self, oid: str) -> None:
        if not self.server.accepts_uploads or hashlib.sha256(self.body).hexdigest() != oid:
            raise Refusal(400, "", "the upload is rejected")
        self.server.uploads[oid] = self.body
        self.reply(b"")

    def commit(self, kind: str, repo: str, revision: str) -> None:
        found = self.find_to_write(repo, kind)
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
        self.reply_json({"commitUrl": f"{self.server.url}/{repo}/commit/{commit}", "commitOid": commit})

    def tag(self, kind: str, repo: str, revision: str) -> None:
        found = self.find_to_write(repo, kind)
        found.tags[json.loads(self.body)["tag"]] = found.resolve(revision)
        self.reply(b"")

    def variable(self, repo: str) -> None:
        variables = self.find_to_write(repo, "spaces").variables
        request = json.loads(self.body)
        variables[request["key"]] = request["value"]
        self.reply_json({key: {"value": value} for key, value in variables.items()})

    def validate_yaml(self) -> None:
        self.reply_json({"warnings": [], "errors": []})

    def download(self, repo: str, revision: str, path: str, kind: str | None = None) -> None:
        found = self.find(repo, kind)
        commit = found.resolve(revision)
        if path not in found.commits[commit]:
            raise Refusal(404, "EntryNotFound", "Entry not found")
        content = found.commits[commit][path]
        self.reply(content, headers={"ETag": f'"{_etag(content)}"', "X-Repo-Commit": commit})


ROUTES = (
    (("POST",), "/api/repos/create", Handler.create_repo),
    (("POST",), "/api/validate-yaml", Handler.validate_yaml),
    (("GET",), KIND, Handler.info),
    (("GET",), KIND + "/revision/(?P<revision>.+)", Handler.info),
    (("GET",), KIND + "/tree/(?P<revision>.+)", Handler.tree),
    (("GET",), KIND + "/refs", Handler.refs),
    (("POST",), KIND + "/preupload/(?P<revision>.+)", Handler.preupload),
    (("POST",), KIND + "/commit/(?P<revision>.+)", Handler.commit),
    (("POST",), KIND + "/tag/(?P<revision>.+)", Handler.tag),
    (("POST",), "/api/spaces/" + REPO + "/variables", Handler.variable),
    (("POST",), "/(?:(?P<kind>spaces|datasets)/)?" + REPO + r"\.git/info/lfs/objects/batch", Handler.lfs_batch),
    (("PUT",), "/lfs/(?P<oid>[0-9a-f]{64})", Handler.lfs_upload),
    (
        ("HEAD", "GET"),
        "/(?:(?P<kind>spaces|datasets)/)?" + REPO + "/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
        Handler.download,
    ),
)


def _etag(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _lfs(content: bytes) -> dict:
    return {"size": len(content), "sha256": _etag(content), "pointerSize": 130}


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
