"""Models from the Hugging Face Hub, and why a request to it failed, in words."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from httpx2 import HTTPError, InvalidURL
from huggingface_hub import HfApi, RepoFile, constants, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import filter_repo_objects

from genre.errors import CheckpointError, GenreError
from genre.models.model import HUB_PREFIX

HUB_FILES = ["*.json", "*.safetensors", "README.md"]  # downloaded from the Hub: no executable code
HUB_FILE_BYTES = 2**20  # minimum size that counts for a file, since each costs a request
# What a download raises: hf_xet RuntimeError, also for a full disk; for an answer that is not the Hub's, a ValueError
# where it is no JSON, and else what its code happens to raise.
NOT_THE_HUB = (ValueError, LookupError, TypeError, AttributeError)
HUB_ERRORS = (HTTPError, InvalidURL, EntryNotFoundError, OSError, RuntimeError, *NOT_THE_HUB)
OS_ERROR = re.compile(r"\(os error (\d+)\)")  # in the messages of libraries in Rust


@contextmanager
def downloaded(name: str, visitor_bytes: int | None = None) -> Iterator[Path]:
    """The folder of a model on the Hub.

    Args:
        name: "hf-hub:user/repo@revision".
        visitor_bytes: see `genre.models.model.checkpoint_folder`.

    Raises:
        CheckpointError: there is none of that name, it is too large, or it cannot be downloaded.
    """
    repo, _, revision = name.removeprefix(HUB_PREFIX).partition("@")
    with ExitStack() as stack:
        if visitor_bytes is None:
            with hub_errors(name):  # what is there needs no network
                folder = snapshot_download(repo, revision=revision or None, allow_patterns=HUB_FILES)
        else:
            with hub_errors(name, "the server's temporary folder"):
                cache = stack.enter_context(TemporaryDirectory(prefix="genre-", ignore_cleanup_errors=True))
                commit = _check_on_hub(name, repo, revision or None, visitor_bytes)
                folder = snapshot_download(
                    repo, revision=commit, allow_patterns=HUB_FILES, cache_dir=cache, token=False
                )
        yield Path(folder)


def _check_on_hub(name: str, repo: str, revision: str | None, max_bytes: int) -> str | None:
    """The commit of a repository; raises CheckpointError if it is too large, or no checkpoint of this project."""
    hub = HfApi(token=False)
    commit = hub.model_info(repo, revision=revision).sha  # fails at once without a network, a listing after retries
    entries = hub.list_repo_tree(repo, recursive=True, revision=commit)
    files = (entry for entry in entries if isinstance(entry, RepoFile))
    sizes = {one.path: one.size for one in filter_repo_objects(files, allow_patterns=HUB_FILES, key=lambda f: f.path)}
    if "config.json" not in sizes or not any(path.count("/") == 1 for path in sizes):
        raise CheckpointError(f"{name} is no checkpoint of this project: it has no folders of members.")
    if sum(max(size, HUB_FILE_BYTES) for size in sizes.values()) > max_bytes:
        raise CheckpointError(f"{name} is too large: models of at most {max_bytes / 2**20:.0f} MB are fetched.")
    return commit


@contextmanager
def hub_errors(name: object, store: str | None = None, kind: type[GenreError] = CheckpointError) -> Iterator[None]:
    """Raise an error of a kind in place of all of the Hub, the network, and the disk.

    Args:
        name: of what is downloaded.
        store: where it is stored, for the message; by default the Hub's cache.
    """
    try:
        yield
    except HUB_ERRORS as error:
        reason = hub_reason(error, store or f"the cache {constants.HF_HUB_CACHE}")
        raise kind(f"{name} could not be downloaded from the Hugging Face Hub: {reason}") from error


def hub_reason(error: BaseException, store: str = "the cache") -> str:
    """Why a request to the Hub failed, as the end of a sentence: what the Hub answered, or that it did not.

    Args:
        error: one of `HUB_ERRORS`.
        store: where downloaded files are stored, for the message.
    """
    cause: BaseException | None = error
    while cause is not None:  # the library has an error of its own for what is not in the cache either
        match cause:
            case HfHubHTTPError():
                return _answer(cause)
            case OfflineModeIsEnabled():
                return "it is not in the cache, and HF_HUB_OFFLINE does not let the Hub be asked."
            case HFValidationError():
                return "is the name right? It has the form user/repo."
            case HTTPError() if "CERTIFICATE_VERIFY_FAILED" in str(cause):
                return f"the certificate of {constants.ENDPOINT} is not valid; does a proxy of the network replace it?"
            case HTTPError() | InvalidURL():
                return f"the Hub at {constants.ENDPOINT} cannot be reached; is there a network?"
            case OSError(errno=int(number)):
                return f"{store} cannot be written: {os.strerror(number)}."
            case RuntimeError() if found := OS_ERROR.search(str(cause)):
                return f"{store} cannot be written: {os.strerror(int(found[1]))}."
        cause = cause.__cause__
    if isinstance(error, NOT_THE_HUB):
        return "what answers is not the Hub; does the network first ask to log in?"
    return "the download broke off; try again."


def _answer(error: HfHubHTTPError) -> str:
    """What the Hub answered, by the status of its response."""
    status, with_token = error.response.status_code, "authorization" in error.response.request.headers
    if isinstance(error, RevisionNotFoundError):
        return "it has no such revision."
    if isinstance(error, GatedRepoError):
        return "it is gated: accept its conditions on its page, and log in with hf auth login."
    if status == 401 and with_token:  # what a valid token may not read is "not found"
        return "the Hub does not take the stored token (401): log in with hf auth login, or unset HF_TOKEN."
    if status == 403:
        return "the Hub refuses access to it (403)."
    if isinstance(error, RepositoryNotFoundError):
        return f"is the name right, and {'may your token read it' if with_token else 'is it public'}?"
    if status == 429:
        return "the Hub asks to wait (429); try again later."
    if status >= 500:
        return f"the Hub is out of order ({status}); try again later."
    return f"the Hub answers with status {status}."
