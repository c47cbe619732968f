"""Imports go down the floors only, and a few libraries stop at the door. Read from the source."""

import ast
from pathlib import Path

import pytest

import synthgen

PACKAGE = Path(synthgen.__file__).parent
FLOORS = {
    "types": 0, "images": 0, "seeds": 0, "roles": 0, "serialization": 0, "moved": 0, "io": 0,
    "errors": 0, "progress": 0, "device": 0, "ranges": 0, "stats": 0, "neighbors": 0, "masking": 0,
    "schema": 0, "pages": 0, "pictures": 0, "processes": 0, "launch": 0,
    "private_folders": 0,
    "data": 1, "dataset": 1, "metrics": 1, "networks": 1, "transforms": 1,
    "samplers": 2, "training": 2,
    "gan": 3, "vae": 3, "synthesis": 3, "visualize": 3, "evaluation": 3,
    "hybrids": 4, "tracking": 4,
    "cli": 5,
}  # fmt: skip
AT_THE_DOOR = {"hydra", "omegaconf", "wandb"}
FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = [path for path in FILES if path.parent != PACKAGE or path.stem != "__init__"]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too, but not for type checkers only."""
    tree = ast.parse(path.read_text())
    package = ["synthgen", *path.relative_to(PACKAGE).parent.parts]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def rooms_imported(path: Path) -> set[str]:
    parts = [name.split(".") for name in imported_modules(path)]
    return {part[1] for part in parts if part[0] == "synthgen" and len(part) > 1} & set(FLOORS)


def test_every_room_has_a_floor():
    assert len(MODULES) > 20
    assert {room_of(path) for path in MODULES} <= set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_only(path):
    room = room_of(path)
    for other in rooms_imported(path) - {room}:
        level = FLOORS[other] == FLOORS[room] == 0  # the ground floor is one room
        assert FLOORS[other] < FLOORS[room] or level or same_floor(room, other), (
            f"{path.relative_to(PACKAGE)} ({room}) imports {other}"
        )


def same_floor(room: str, other: str) -> bool:
    """Neighbours may talk, except the two families of models."""
    return FLOORS[room] == FLOORS[other] and {room, other} != {"gan", "vae"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_hydra_and_wandb_stop_at_the_door(path):
    if room_of(path) in ("cli", "tracking"):
        return
    roots = {name.split(".")[0] for name in imported_modules(path)}
    assert not roots & AT_THE_DOOR


def test_the_artifact_needs_neither_lightning_nor_pickle():
    for name in ("artifact.py", "base.py"):
        roots = {n.split(".")[0] for n in imported_modules(PACKAGE / "samplers" / name)}
        assert not roots & {"pytorch_lightning", "lightning", "pickle"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_fit_a_reading(path):
    assert len(path.read_text().splitlines()) <= 500


def test_the_reader_of_imports_sees_them(tmp_path, monkeypatch):
    """The checks above would pass on anything if this reader were blind."""
    file = PACKAGE / "cli" / "compose.py"
    assert {"hydra", "synthgen.io", "synthgen.cli.trust"} <= imported_modules(file)
    assert {"cli", "io"} <= rooms_imported(file)
