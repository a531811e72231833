"""The structure of the package: imports go one way, modules and rooms stay small."""

import ast
from pathlib import Path

import pytest

from tests.conftest import ROOT

# Each room imports only from itself and those before it; modules at the top of the package belong to the first or last.
ROOMS = ["", "audio", "features", "models", "inference", "data", "training", "hub", "cli", "web"]
ENTRANCES = {"__init__", "__main__"}  # public names and the command line, which lead into the rooms
MODULES = sorted((ROOT / "genre").rglob("*.py"))
MAX_LINES, MAX_MODULES = 300, 10


def room_of(module: Path) -> str:
    parts = module.relative_to(ROOT / "genre").parts
    return parts[0] if len(parts) > 1 else ""


def imported_rooms(module: Path) -> set[str]:
    """Rooms that a module imports from, also within functions and for type checking."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "genre":
            parts = node.module.split(".")[1:]
            names = parts[:1] or [alias.name for alias in node.names]
            found |= {name if name in ROOMS else "" for name in names}
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way_and_modules_are_short(module):
    assert len(module.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    room = room_of(module)
    if room or module.stem not in ENTRANCES:
        allowed = ROOMS[: ROOMS.index(room) + 1]
        assert imported_rooms(module) <= set(allowed)


def test_every_room_is_known_and_has_room():
    folders = [path for path in (ROOT / "genre").rglob("*") if path.is_dir() and list(path.glob("*.py"))]
    assert {path.relative_to(ROOT / "genre").parts[0] for path in folders} == set(ROOMS) - {""}
    for folder in folders:
        assert len([path for path in folder.glob("*.py") if path.stem != "__init__"]) <= MAX_MODULES
