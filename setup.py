"""What pyproject.toml cannot say: the lists of dependencies, and that the checkpoint and the examples go along."""

from pathlib import Path

from setuptools import find_packages, setup

BASE = "requirements.txt"  # what Hugging Face Spaces installs


def requirements(file: str) -> list[str]:
    """Requirements of a file and of those that it includes, without those of `BASE`."""
    found = []
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        if line.startswith("-r "):
            included = line.removeprefix("-r ")
            found += [] if included == BASE else requirements(included)
        elif line and not line.startswith("#"):
            found.append(line)
    return found


setup(
    install_requires=requirements(BASE),
    extras_require={extra: requirements(f"requirements-{extra}.txt") for extra in ("train", "cluster", "dev")},
    packages=[*find_packages(include=["genre", "genre.*"]), "genre.checkpoints", "genre.examples"],
    package_dir={"genre.checkpoints": "checkpoints", "genre.examples": "examples"},
    package_data={
        "genre.web": ["static/*"],
        "genre.checkpoints": [f"fma-small/{one}" for one in ("README.md", "*.json", "*/*.json", "**/*.safetensors")],
        "genre.examples": ["*.mp3"],
    },
)
