"""Where checkpoints are: in `checkpoints/`, in a folder, or on the Hugging Face Hub, from which they are downloaded."""

import math
from pathlib import Path

from httpx2 import TransportError
from huggingface_hub import HfApi, RepoFile, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OfflineModeIsEnabled
from huggingface_hub.utils import filter_repo_objects

from genre.errors import CheckpointError

SHIPPED = Path(__file__).resolve().parents[2] / "checkpoints"
DEFAULT = "fma-small"
HUB_PREFIX = "hf-hub:"
HUB_FILES = ["*.json", "*.safetensors", "README.md"]  # downloaded from the Hub: no executable code
HUB_FILE_BYTES = 2**20  # minimum size that counts for a file, since each costs a request


def available() -> list[str]:
    """Names of the checkpoints in `checkpoints/`, sorted."""
    return sorted(config.parent.name for config in SHIPPED.glob("*/config.json"))


def find_checkpoint(name: str, max_bytes: float = math.inf) -> Path:
    """The folder of a checkpoint, which is downloaded if it is on the Hub.

    Args:
        name: of a folder in `checkpoints/`, a path, or "hf-hub:user/repo@revision".
        max_bytes: maximum size of a download.

    Raises:
        CheckpointError: there is none of that name, it is too large, or it cannot be downloaded.
    """
    if name.startswith(HUB_PREFIX):
        return _download(name.removeprefix(HUB_PREFIX), max_bytes)
    for folder in (SHIPPED / name, Path(name)):
        if (folder / "config.json").is_file():
            return folder
    raise CheckpointError(
        f"There is no checkpoint {name!r}; there is {', '.join(available()) or 'none here'}, or give a folder or "
        f"{HUB_PREFIX}user/repo."
    )


def _download(repository: str, max_bytes: float) -> Path:
    repo, _, named = repository.partition("@")
    revision = named or None
    try:
        size = _size_on_hub(repo, revision)
        if size is not None and size > max_bytes:
            raise CheckpointError(
                f"{HUB_PREFIX}{repository} is too large: models of at most {max_bytes / 2**20:.0f} MB are fetched."
            )
        cached = size is None  # a checkpoint in the cache needs no Hub
        return Path(
            snapshot_download(repo, revision=revision or None, allow_patterns=HUB_FILES, local_files_only=cached)
        )
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, TransportError, OSError) as error:
        raise CheckpointError(
            f"{HUB_PREFIX}{repository} could not be downloaded from the Hugging Face Hub: is the name right, is it "
            "public, and is there a network?"
        ) from error


def _size_on_hub(repo: str, revision: str | None) -> int | None:
    """Bytes of a repository that would be downloaded; None where the Hub does not tell."""
    hub = HfApi()
    try:
        commit = hub.model_info(repo, revision=revision).sha  # fails at once without a network, a listing after retries
        entries = list(hub.list_repo_tree(repo, recursive=True, revision=commit))
    except (TransportError, OfflineModeIsEnabled, HfHubHTTPError):
        return None
    files = (entry for entry in entries if isinstance(entry, RepoFile))
    wanted = filter_repo_objects(files, allow_patterns=HUB_FILES, key=lambda file: file.path)
    return sum(max(file.size, HUB_FILE_BYTES) for file in wanted)
