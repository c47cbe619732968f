"""A drawn set: the names of its files, and what is written in them (:mod:`.schema`)."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthgen.dataset.card import Papers
    from synthgen.dataset.source import Synthetic, SyntheticSet, read_synthetic

DESCRIPTION = "dataset.json"
MANIFEST = "manifest.jsonl"  # a row per image
INDEX = "index.jsonl"  # a row per file, of a set that keeps its images in shards
README = "README.md"

__all__ = [
    "DESCRIPTION",
    "INDEX",
    "MANIFEST",
    "README",
    "Papers",
    "Synthetic",
    "SyntheticSet",
    "read_synthetic",
]

PLACES = {
    "Papers": "card",
    "Synthetic": "source",
    "SyntheticSet": "source",
    "read_synthetic": "source",
}


def __getattr__(name: str) -> Any:
    """Import what reads images, and torch with it, only when it is needed."""
    if name not in PLACES:
        raise AttributeError(f"module 'synthgen.dataset' has no attribute {name!r}")
    found = getattr(importlib.import_module(f"synthgen.dataset.{PLACES[name]}"), name)
    globals()[name] = found
    return found
