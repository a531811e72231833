"""The structure of the package: imports go one way, and what it needs goes along when it is installed."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each sub-package imports only from itself and those before it. Modules at the top of the package belong to the first
# one, but for the entry points.
PACKAGES = ["", "audio", "features", "models", "inference", "data", "training", "hub", "web"]
ENTRY_POINTS = {"__init__", "__main__", "cli"}  # public names and the command line, which import from all of them
MODULES = sorted((ROOT / "genre").rglob("*.py"))


def package_of(module: Path) -> str:
    parts = module.relative_to(ROOT / "genre").parts
    return parts[0] if len(parts) > 1 else ""


def imported_packages(module: Path) -> set[str]:
    """Sub-packages that a module imports from, also within functions and for type checking."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "genre":
            parts = node.module.split(".")[1:]
            names = parts[:1] or [alias.name for alias in node.names]
            found |= {name if name in PACKAGES else "" for name in names}
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(module):
    package = package_of(module)
    if package or module.stem not in ENTRY_POINTS:
        allowed = PACKAGES[: PACKAGES.index(package) + 1]
        assert imported_packages(module) <= set(allowed)


def test_every_sub_package_is_in_the_list():
    folders = [path for path in (ROOT / "genre").rglob("*") if path.is_dir() and list(path.glob("*.py"))]
    assert {path.relative_to(ROOT / "genre").parts[0] for path in folders} == set(PACKAGES) - {""}


@pytest.mark.slow
def test_the_wheel_has_the_weights_and_a_command_that_runs_in_any_folder(tmp_path, example):
    source, site = tmp_path / "source", tmp_path / "site"  # in the project, building would leave a folder there
    no_caches = shutil.ignore_patterns("__pycache__")
    for name in ("genre", "checkpoints", "examples"):
        shutil.copytree(ROOT / name, source / name, ignore=no_caches)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", *(one.name for one in ROOT.glob("*.txt"))):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-index"]
    build = [*pip, "wheel", *options, "--no-build-isolation", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", *options, "--target", str(site), str(wheel)], check=True)
    shutil.copytree(source / "genre", tmp_path / "wanted", ignore=no_caches)
    shutil.rmtree(source)

    wanted = [path.relative_to(tmp_path / "wanted") for path in (tmp_path / "wanted").rglob("*.*")]
    assert [path for path in wanted if not (site / "genre" / path).is_file()] == []
    assert {path.name for path in (site / "genre" / "examples").glob("*.mp3")} >= {example.name}
    command, environment = [str(site / "bin" / "genre"), str(example)], os.environ | {"PYTHONPATH": str(site)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{example}: Electronic "), done.stderr
