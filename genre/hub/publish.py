"""Publish checkpoints and the page on the Hugging Face Hub.

A checkpoint becomes a model repository `user/repo` with the same layout as its folder, so that "hf-hub:user/repo@v1"
can be loaded like a folder, and timm can load its first member. A push is one tag on one commit, or on the last of
several where the upload takes minutes. The uploaded card gets the front matter from which the Hub reads the metrics,
and an image of the confusion matrix; the local folder is not changed. A card that was edited on the Hub is kept: the
last line of one that was pushed has the hash of the others.
"""

import glob
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from httpx2 import TransportError
from huggingface_hub import CommitInfo, HfApi, RepoCard, constants, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from genre.errors import CheckpointError, GenreError
from genre.files import read_json
from genre.hub.card import CONFUSION_PNG, CURVES_PNG, card_metadata, confusion_image
from genre.models.downloads import hub_reason
from genre.models.member import WEIGHTS_FILE
from genre.models.model import HUB_PREFIX, MUSIC_FILE, GenreModel, best_split, main_source, named_split

ROOT = Path(__file__).resolve().parents[2]
SPACE_FILES = ("app.py", "requirements.txt", "examples/*.mp3", "genre/**/*")
CHECKPOINT_VARIABLE = "GENRE_CHECKPOINT"  # environment variable with the checkpoint that the app loads
CARD = "README.md"
# The Hub's badge, https://huggingface.co/datasets/huggingface/badges
BADGE = "https://huggingface.co/datasets/huggingface/badges/resolve/main/duplicate-this-space-md.svg"
LAST_LINE = "<!-- Written by train.py --push, which keeps this file once it has been edited. {} -->\n"
TIMEOUT = 20  # seconds for the first response of the Hub


class PublishError(GenreError):
    """Something cannot be published on the Hub."""


@dataclass(frozen=True)
class Published:
    """What a push uploaded, or would upload in a dry run.

    `files` maps paths to sizes in bytes; the card is not among them where the one in the repository was kept. `tag` is
    empty for a Space, and after a dry run unless one was given.
    """

    url: str
    files: dict[str, int]
    tag: str = ""


def push_checkpoint(
    folder: Path,
    repo: str,
    *,
    public: bool = False,
    tag: str | None = None,
    replace_card: bool = False,
    dry_run: bool = False,
) -> Published:
    """Upload a checkpoint as one commit with one tag.

    Args:
        folder: a complete checkpoint, see `genre.models.model`.
        repo: model repository "user/repo", created if it does not exist. The visibility of an existing one is not
            changed; files of an earlier push that this one does not contain are removed.
        public: whether a new repository is public.
        tag: name of the revision; by default the next of v1, v2, v3 and so on.
        replace_card: also a card that was edited in the repository, or written there.
        dry_run: only return what would be uploaded, without using the network.

    Raises:
        PublishError: it cannot be published; nothing was uploaded unless the connection was lost during the upload.
    """
    check_names(repo, tag=tag)
    try:
        model = GenreModel.from_pretrained(folder.resolve())  # checks that it loads
    except CheckpointError as error:
        raise PublishError(f"{folder} is not a complete checkpoint, so it was not uploaded.") from error
    files = _checkpoint_files(folder, model, repo)
    if dry_run:
        return Published(f"{constants.ENDPOINT}/{repo}", _sizes(files), tag or "")
    with _hub(repo) as api:
        earlier = _earlier_config(api, repo)
        if earlier and earlier.get("labels") != model.labels:
            raise PublishError(f"{repo} holds a model with other labels; choose another repository for this one.")
        url = api.create_repo(repo, private=not public, exist_ok=True)
        tag = _free_tag(api, repo, tag)
        if not replace_card:
            files = _without_edited_card(api, repo, "model", files)
        ours = {"metrics.json", MUSIC_FILE, CONFUSION_PNG, CURVES_PNG}
        ours |= {member["folder"] for member in earlier.get("members", [])}
        commit = _commit(api, repo, "model", files, ours, f"{model.name} {tag}")
        api.create_tag(repo, tag=tag, revision=commit.oid)
    return Published(f"{url}/tree/{tag}", _sizes(files), tag)


def push_space(
    repo: str, space: str, revision: str, *, public: bool = False, replace_card: bool = False, dry_run: bool = False
) -> Published:
    """Create or update a Gradio Space that runs the page on a published checkpoint.

    No token is copied: for a private checkpoint the Space needs a secret HF_TOKEN with read access to it.

    Args:
        repo: model repository "user/repo".
        space: Space "user/name"; the visibility of an existing one is not changed.
        revision: tag or commit of the model, to which the Space is pinned.
        public: whether a new Space is public.
        replace_card: also a README.md that was edited in the Space.
        dry_run: only return what would be uploaded, without using the network.

    Raises:
        PublishError: there is no such checkpoint, or the Space cannot be written.
    """
    check_names(repo, space)
    files = _space_files(space, repo, revision)
    if dry_run:
        return Published(f"{constants.ENDPOINT}/spaces/{space}", _sizes(files))
    with _hub(space) as api:
        try:
            api.model_info(repo, revision=revision, timeout=TIMEOUT)
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise PublishError(f"There is no {repo}@{revision} on the Hub; push the checkpoint first.") from error
        is_new = not api.repo_exists(space, repo_type="space")  # then its README.md is the Hub's template
        url = api.create_repo(space, repo_type="space", space_sdk="gradio", private=not public, exist_ok=True)
        if not (replace_card or is_new):
            files = _without_edited_card(api, space, "space", files)
        # Before the files: each of the two restarts the Space, which should not start with another checkpoint.
        api.add_space_variable(space, CHECKPOINT_VARIABLE, f"{HUB_PREFIX}{repo}@{revision}")
        _commit(api, space, "space", files, {"genre", "examples"}, f"The page, on {repo}@{revision}")
    return Published(str(url), _sizes(files))


def _sizes(files: dict[str, Path | bytes]) -> dict[str, int]:
    return {path: len(one) if isinstance(one, bytes) else one.stat().st_size for path, one in files.items()}


def _checkpoint_files(folder: Path, model: GenreModel, repo: str) -> dict[str, Path | bytes]:
    """Files to upload by path in the repository: only those of the checkpoint, not others in its folder."""
    paths = [
        "config.json",
        *(f"{member}/{file}" for member in model.members for file in ("config.json", WEIGHTS_FILE)),
    ]
    if model.detector:
        paths.append(MUSIC_FILE)
    files: dict[str, Path | bytes] = {path: folder / path for path in paths}
    first = next(iter(model.members))
    files["config.json"] = _with_timm(folder, first)
    card = model.card.strip() or f"# {model.name}"
    card += (
        f'\n\n`timm.create_model("{HUB_PREFIX}user/repo", pretrained=True)` loads the network of the member {first} '
        "alone, whose input is a window of its log-mel spectrogram."
    )
    if model.metrics:
        split = best_split(model.metrics)
        source = main_source(model.metrics, split)
        files["metrics.json"] = folder / "metrics.json"
        files[CONFUSION_PNG] = confusion_image(model.metrics[split][source]["track"]["confusion"])
        caption = f"Tracks of {named_split(model.metrics, split, source)}, true genre by row, predicted genre by column"
        card += f"\n\n![{caption}]({CONFUSION_PNG})"
        if (folder / CURVES_PNG).is_file():
            files[CURVES_PNG] = folder / CURVES_PNG
            card += f"\n\n![Loss and accuracy of the epochs of each stage, a line for each run]({CURVES_PNG})"
    card = card.replace(f"{HUB_PREFIX}user/repo", f"{HUB_PREFIX}{repo}")
    files[CARD] = _signed(f"---\n{card_metadata(model).to_yaml()}\n---\n\n{card}\n")
    return files


def _with_timm(folder: Path, member: str) -> bytes:
    """config.json with what timm reads of it, so that timm.create_model("hf-hub:user/repo") loads this member."""
    config = read_json(folder / member / "config.json")
    network = {
        key: config[key] for key in ("architecture", "num_classes", "num_features", "model_args") if key in config
    }
    weights = {"pretrained_cfg": config["pretrained_cfg"] | {"hf_hub_filename": f"{member}/{WEIGHTS_FILE}"}}
    return (json.dumps(read_json(folder / "config.json") | network | weights, indent=2) + "\n").encode()


def _space_files(space: str, repo: str, revision: str) -> dict[str, Path | bytes]:
    paths = (path for pattern in SPACE_FILES for path in sorted(ROOT.glob(pattern)))
    files: dict[str, Path | bytes] = {
        path.relative_to(ROOT).as_posix(): path
        for path in paths
        if path.is_file() and path.parent.name != "__pycache__"
    }
    # The front matter of the project's README configures the Space; its text links to files that are not uploaded.
    settings = (ROOT / "README.md").read_text(encoding="utf-8").split("\n---\n", 1)[0]
    text = f"The page, on the model [{repo}]({constants.ENDPOINT}/{repo}/tree/{revision}), revision {revision}."
    badge = f"[![Duplicate this Space]({BADGE})]({constants.ENDPOINT}/spaces/{space}?duplicate=true)"
    return files | {CARD: _signed(f"{settings}\n---\n\n# What genre is this?\n\n{badge}\n\n{text}\n")}


def _signed(card: str) -> bytes:
    """A card with the last line by which it is recognised as long as nobody edits it."""
    return f"{card}\n{LAST_LINE.format(_digest(card))}".encode()


def _digest(card: str) -> str:
    return hashlib.sha256(card.encode()).hexdigest()


def _without_edited_card(
    api: HfApi, repo: str, repo_type: str, files: dict[str, Path | bytes]
) -> dict[str, Path | bytes]:
    """The files to upload: without the card where that in the repository is not as one was pushed.

    One without text, as the Hub writes it for a licence that is chosen there, gets the text below its front matter.
    """
    try:
        there = Path(api.hf_hub_download(repo, CARD, repo_type=repo_type)).read_bytes().decode(errors="replace")
    except RemoteEntryNotFoundError:
        return files
    new = bytes(files[CARD]).decode()
    if there == _signed(there[: there.rfind("\n<!--")]).decode():
        return files
    others = {path: content for path, content in files.items() if path != CARD}
    try:
        edited, ours = RepoCard(there), RepoCard(new)
    except Exception:  # of its front matter
        return others
    if edited.text.strip():
        return others
    for name, value in edited.data.to_dict().items():
        ours.data[name] = value
    return others | {CARD: str(ours).encode()}


def check_names(repo: str, space: str | None = None, tag: str | None = None) -> None:
    """Raise PublishError for names that the Hub does not take, without using the network."""
    for name in (repo, space or repo):
        try:
            validate_repo_id(name)
        except HFValidationError as error:
            raise PublishError(f"{name!r} is not a valid repository name; use the form user/repo.") from error
        if "/" not in name:
            raise PublishError(f"{name!r} has no user name; write user/{name}.")
    if tag and not re.fullmatch(r"\w[\w.-]*", tag):
        raise PublishError(f"{tag!r} is not a valid tag; use letters, digits, '.', '-' and '_'.")


def _earlier_config(api: HfApi, repo: str) -> dict:
    """config.json in the repository now; empty if there is none."""
    try:
        api.model_info(repo, timeout=TIMEOUT)
        return read_json(Path(api.hf_hub_download(repo, "config.json")))
    except (RepositoryNotFoundError, RemoteEntryNotFoundError):
        return {}


def _free_tag(api: HfApi, repo: str, tag: str | None) -> str:
    """The given tag, if it is free, or the next number."""
    refs = api.list_repo_refs(repo)
    taken = [ref.name for ref in (*refs.branches, *refs.tags)]
    if tag in taken:
        raise PublishError(f"{repo} already has a revision {tag}, which must not change; choose another tag.")
    numbers = [int(name[1:]) for name in taken if re.fullmatch(r"v\d+", name)]
    return tag or f"v{max(numbers, default=0) + 1}"


def _commit(
    api: HfApi, repo: str, repo_type: str, files: dict[str, Path | bytes], ours: set[str], message: str
) -> CommitInfo:
    """Commit `files`, and the removal of others whose top-level name is in `ours`."""
    with TemporaryDirectory(prefix="genre-", ignore_cleanup_errors=True) as folder:
        for path, content in files.items():
            copy = Path(folder) / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
        return api.upload_folder(
            repo_id=repo,
            repo_type=repo_type,
            folder_path=folder,
            commit_message=message,
            delete_patterns=[pattern for name in ours for pattern in (glob.escape(name), f"{glob.escape(name)}/*")],
        )


@contextmanager
def _hub(repo: str) -> Iterator[HfApi]:
    """The API of the Hub for writing to `repo` with the stored token; translates its errors to PublishError."""
    token = get_token()
    if token is None:
        raise PublishError("You are not logged in to the Hugging Face Hub; run `hf auth login` or set HF_TOKEN.")
    try:
        yield HfApi(token=token)
    except (TransportError, OfflineModeIsEnabled) as error:
        raise PublishError(f"The Hub at {constants.ENDPOINT} cannot be reached; is there a network?") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        if status == 403:
            raise PublishError(
                f"Your token may not write to {repo}; is it your name space, and has the token write access?"
            ) from error
        message = error.server_message if status < 429 and status != 401 else None
        reason = f"{message.rstrip('.')}." if message else hub_reason(error)
        raise PublishError(f"The Hub rejected the upload to {repo}: {reason}") from error
    except (OSError, RuntimeError, ValueError) as error:  # raised during the transfer of a file
        raise PublishError(f"The upload to {repo} was interrupted; push it again.") from error
