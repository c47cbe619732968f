"""The papers of a set as they may be shown to anyone: nothing in them points to a real image."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from synthgen.errors import SynthgenError
from synthgen.paths import (
    file_digest,
    new_folder,
    read_json,
    readable_os_errors,
    require_absent,
    write_json,
    write_text,
)
from synthgen.spec import find_class
from synthgen.synthesis.card import classes_shown
from synthgen.synthesis.card_text import card_text
from synthgen.synthesis.papers import Papers
from synthgen.synthesis.sheet_page import CONTACT_SHEET, sheet_page, sheet_picture

FORMAT = "synthgen-public/1"
MANIFEST, DESCRIPTION, README = "manifest.jsonl", "dataset.json", "README.md"

# What is named here is shown and nothing else: a key that is added later stays at home.
ROW = ("file", "index", "label", "class", "origin", "attributes", "sha256")
SET = ("classes", "image", "file_format", "shard_size", "versions")
FACTS = ("asked_to_keep_of_real", "keeps_of_real")
REPORT_ROW = ("name", "extractor", "classifier", "scope", "value", "ci_low", "ci_high")
# Left out: the plan and its seed, seeds and hashes of samplers, scores and thresholds of filters
# (they measure how far a training image is), the training split's digest, recipe and class counts,
# its name (often a path), hashes and rows of real images in an augmented set.


def public_papers(
    folder: str | Path,
    out: str | Path,
    *,
    papers: Papers | None = None,
    report: str | Path | None = None,
    allow: Iterable[str] = (),
) -> Path:
    """Write ``manifest.jsonl``, ``dataset.json``, ``README.md`` and the contact sheet of the set in
    ``folder`` to the new folder ``out``, without what points back to real images.

    ``papers`` replaces what the set says itself; ``report`` is the folder of an evaluation, whose
    numbers over all classes go into the card. Rows that are real images, or copies of such, are
    left out. Raises SynthgenError if no others are there.
    """
    folder, out = Path(folder), Path(out)
    require_absent(out)
    dataset = read_json(folder / DESCRIPTION)
    if not isinstance(dataset, dict) or "quotas" not in dataset or "image" not in dataset:
        raise SynthgenError(f"{folder / DESCRIPTION} does not describe a set of synthgen's.")
    papers = papers or Papers.from_json(dataset.get("papers"))
    found = None if report is None else _report_on(dataset, Path(report) / "report.json")
    with new_folder(out) as staging:
        counts = _write_rows(folder, staging, _shows_nothing_real(dataset, tuple(allow)))
        shown = public_dataset(dataset, counts)
        picture = None if dataset["exposes_real"] else sheet_picture(folder)
        if picture:
            write_text(staging / CONTACT_SHEET, sheet_page(picture, classes_shown(dataset)))
        text = card_text(shown, papers, found and public_report(found), picture=bool(picture))
        write_text(staging / README, text)
        digest = file_digest(staging / MANIFEST)
        write_json(staging / DESCRIPTION, {**shown, "papers": papers.to_json(), "digest": digest})
    return out


def _report_on(dataset: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Raises SynthgenError for a report on another set."""
    report = read_json(path)
    judged = ((report.get("provenance") or {}).get("synthetic") or {}).get("dataset") or {}
    if judged.get("digest") != dataset.get("digest"):
        raise SynthgenError(
            f"{path} is not a report on this set.\nEvaluate the set, or leave the report out."
        )
    return dict(report)


def public_dataset(dataset: Mapping[str, Any], counts: Mapping[str, int]) -> dict[str, Any]:
    """What may be known of ``dataset.json``; ``counts`` are the rows shown, by class."""
    facts = {
        name: {key: fact[key] for key in FACTS if key in fact}
        for part in dataset.get("parts") or ()
        for name, fact in (part.get("facts") or {}).items()
    }
    return {
        "format": FORMAT,
        **{key: dataset[key] for key in SET if key in dataset},
        "count": sum(counts.values()),
        "quotas": {name: counts.get(name, 0) for name in dataset["classes"]},
        "exposes_real": False,
        "sampler": {"target": dataset["sampler"]["target"]},
        "acceptance": _acceptance(dataset),
        "parts": [{"facts": facts}],
    }


def public_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """The sentences and the numbers of a report, without pictures, neighbours and paths."""
    results = report.get("results") or ()
    rows = [{key: one.get(key) for key in REPORT_ROW} for one in results]
    return {"sentences": list(report.get("sentences") or ()), "results": rows}


def _acceptance(dataset: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {key: one[key] for key in ("drawn", "share", "rejected") if key in one}
        for name, one in (dataset.get("acceptance") or {}).items()
    }


def _write_rows(
    folder: Path, staging: Path, shown: Callable[[Mapping[str, Any]], bool]
) -> dict[str, int]:
    """The public manifest; returns the number of its rows by class."""
    counts: dict[str, int] = {}
    source, target = folder / MANIFEST, staging / MANIFEST
    if not source.is_file():
        raise SynthgenError(f"{source} is missing.\nGive the folder of a complete set.")
    with (
        readable_os_errors(target),
        source.open(encoding="utf-8") as lines,
        target.open("w", encoding="utf-8", newline="\n") as written,
    ):
        for number, line in enumerate(lines, start=1):
            row = _parsed(line, source, number)
            if shown(row):
                public = {key: row[key] for key in ROW if key in row}
                written.write(json.dumps(public, ensure_ascii=False) + "\n")
                counts[row["class"]] = counts.get(row["class"], 0) + 1
    if not counts:
        raise SynthgenError(
            f"Every image in {folder} is a real one or a copy of one, so nothing of it can be "
            "made public.\nDraw a set with a sampler that doesn't copy."
        )
    return counts


def _parsed(line: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise SynthgenError(f"{path} is damaged: line {number}, {error}.") from None
    if not isinstance(row, dict) or not {"class", "origin"} <= row.keys():
        raise SynthgenError(f"{path} is damaged: line {number} lacks class or origin.")
    return row


def _shows_nothing_real(
    dataset: Mapping[str, Any], allow: tuple[str, ...]
) -> Callable[[Mapping[str, Any]], bool]:
    """Whether a row of the manifest is neither a real image nor drawn by a sampler of copies; what
    can't be known for sure is taken for one."""

    @functools.cache
    def copies(target: str) -> bool:
        try:
            return bool(getattr(find_class(target, allow), "exposes_real", True))
        except SynthgenError:
            return True

    def shown(row: Mapping[str, Any]) -> bool:
        if row["origin"] != "synthetic":
            return False
        return not dataset["exposes_real"] or not copies(str(row.get("source")))

    return shown
