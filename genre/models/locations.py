"""Where checkpoints are: in `checkpoints/`, in a folder, or on the Hugging Face Hub, from which they are downloaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from httpx2 import TransportError
from huggingface_hub import HfApi, RepoFile, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import filter_repo_objects

from genre.errors import CheckpointError

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = next(  # within the package where it is installed, beside it in the repository
    (folder for folder in (PACKAGE / "checkpoints", PACKAGE.parent / "checkpoints") if folder.is_dir()),
    PACKAGE.parent / "checkpoints",
)
DEFAULT = "fma-small"
HUB_PREFIX = "hf-hub:"
HUB_FILES = ["*.json", "*.safetensors", "README.md"]  # downloaded from the Hub: no executable code
HUB_FILE_BYTES = 2**20  # minimum size that counts for a file, since each costs a request


def available() -> list[str]:
    """Names of the checkpoints in `checkpoints/`, sorted."""
    return sorted(config.parent.name for config in SHIPPED.glob("*/config.json"))


@contextmanager
def checkpoint_folder(name: str, visitor_bytes: int | None = None) -> Iterator[Path]:
    """The folder of a checkpoint, which is downloaded if it is on the Hub.

    Args:
        name: of a folder in `checkpoints/`, a path, or "hf-hub:user/repo@revision".
        visitor_bytes: maximum size of a model from the Hub that a visitor names. It is fetched without the token of
            this machine, which may read private models, to a temporary folder, so that visitors cannot fill the disk.

    Raises:
        CheckpointError: there is none of that name, it is too large, or it cannot be downloaded.
    """
    if not name.startswith(HUB_PREFIX):
        yield _local_folder(name)
    elif visitor_bytes is None:
        with _hub_errors(name):
            yield _download(name)
    else:
        with _hub_errors(name), TemporaryDirectory(prefix="genre-", ignore_cleanup_errors=True) as folder:
            repo, _ = _repository(name)
            commit = _check_on_hub(name, visitor_bytes)
            yield _download(f"{repo}@{commit}", cache_dir=folder, token=False)


def _local_folder(name: str) -> Path:
    for folder in (SHIPPED / name, Path(name)):
        if (folder / "config.json").is_file():
            return folder
    raise CheckpointError(
        f"There is no checkpoint {name!r}; there is {', '.join(available()) or 'none here'}, or give a folder or "
        f"{HUB_PREFIX}user/repo."
    )


def _download(name: str, **options: Any) -> Path:
    """Download a repository; one in the cache needs no network."""
    repo, revision = _repository(name)
    return Path(snapshot_download(repo, revision=revision, allow_patterns=HUB_FILES, **options))


def _check_on_hub(name: str, max_bytes: int) -> str | None:
    """The commit of a repository; raises CheckpointError if it is too large, or no checkpoint of this project."""
    repo, revision = _repository(name)
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


def _repository(name: str) -> tuple[str, str | None]:
    """Repository and revision of "hf-hub:user/repo@revision"."""
    repo, _, revision = name.removeprefix(HUB_PREFIX).partition("@")
    return repo, revision or None


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    """Raise CheckpointError in place of all errors of the Hub and the network."""
    try:
        yield
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, TransportError, OSError) as error:
        raise CheckpointError(
            f"{name} could not be downloaded from the Hugging Face Hub: is the name right, is it public, and is there "
            "a network?"
        ) from error
