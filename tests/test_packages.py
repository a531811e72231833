"""The structure of the package: imports go one way."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each sub-package imports only from itself and those before it. Modules at the top of the package belong to the first
# one, but for the entry points.
PACKAGES = ["", "audio", "features", "models", "inference", "data", "training", "hub", "cli", "web"]
ENTRY_POINTS = {"__init__", "__main__"}  # public names and the command line, which import from all of them
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
