"""``manifest.jsonl``: one line per image, saying what it is, how to draw it again, and its hash."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from synthgen.errors import SynthgenError
from synthgen.synthesis.rows import Rows

MANIFEST = "manifest.jsonl"


def manifest_lines(
    rows: Rows, numbers: range, digests: Sequence[str], *, sampler: str, source: str
) -> str:
    """The lines of some rows. ``sampler`` is the hash of the sampler, ``source`` its kind."""
    part = slice(numbers.start, numbers.stop)
    labels, seeds = rows.labels[part].tolist(), rows.seeds[part].tolist()
    entries = (
        {
            "file": file,
            "label": label,
            "class": rows.classes[label],
            "seed": seed,
            "sampler": sampler,
            "origin": "synthetic",
            "source": source,
            "sha256": digest,
        }
        for file, label, seed, digest in zip(
            rows.files(numbers), labels, seeds, digests, strict=True
        )
    )
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """All rows of a set, or a sentence about what is missing or damaged."""
    path = Path(folder) / MANIFEST
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        entries = [json.loads(line) for line in lines]
    except FileNotFoundError:
        raise SynthgenError(f"{path} does not exist.\nGive the folder of a set.") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SynthgenError(f"{path} is damaged: {error}.") from None
    keys = {"file", "label", "seed", "sha256"}
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or not keys <= entry.keys():
            raise SynthgenError(f"{path} is damaged: line {number} lacks some of {sorted(keys)}.")
    return entries


def rows_from_manifest(entries: Sequence[dict[str, Any]], classes: tuple[str, ...]) -> Rows:
    """The rows as they were drawn; file names must be the ones that follow from them."""
    wrong = SynthgenError(
        "The manifest doesn't belong to this sampler's classes.\n"
        "Use the sampler that the set was made with."
    )
    if not all(entry["label"] in range(len(classes)) for entry in entries):
        raise wrong
    labels = torch.tensor([entry["label"] for entry in entries], dtype=torch.int64)
    seeds = torch.tensor([entry["seed"] for entry in entries], dtype=torch.int64)
    rows = Rows(classes, labels, seeds)
    if rows.files(range(len(rows))) != [entry["file"] for entry in entries]:
        raise wrong
    return rows
