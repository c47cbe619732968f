"""The scripts import each other by name, as they do when one of them is run."""

import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "scripts"
OWN = {path.stem for path in SCRIPTS.glob("*.py")}


@pytest.fixture(autouse=True)
def scripts_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPTS)
    yield
    for name in OWN:
        sys.modules.pop(name, None)
