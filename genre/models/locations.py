"""Where checkpoints are: in `checkpoints/`, in a folder, or on the Hugging Face Hub, from which they are downloaded."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genre.errors import CheckpointError

PACKAGE = Path(__file__).resolve().parents[1]
SHIPPED = next(  # within the package where it is installed, beside it in the repository
    (folder for folder in (PACKAGE / "checkpoints", PACKAGE.parent / "checkpoints") if folder.is_dir()),
    PACKAGE.parent / "checkpoints",
)
DEFAULT = "fma-small"
HUB_PREFIX = "hf-hub:"


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
        return
    from genre.models.downloads import downloaded  # here, since importing the Hub's library takes half a second

    with downloaded(name, visitor_bytes) as folder:
        yield folder


def _local_folder(name: str) -> Path:
    for folder in (SHIPPED / name, Path(name)):
        if (folder / "config.json").is_file():
            return folder
    raise CheckpointError(
        f"There is no checkpoint {name!r}; there is {', '.join(available()) or 'none here'}, or give a folder or "
        f"{HUB_PREFIX}user/repo."
    )
