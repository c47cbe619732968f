"""The papers of a set as they may be shown to anyone: nothing in them points to a real image."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from synthgen.dataset import DESCRIPTION, MANIFEST, README
from synthgen.dataset.card import (
    CONTACT_SHEET,
    Papers,
    card_text,
    classes_shown,
    sheet_page,
    sheet_picture,
)
from synthgen.dataset.schema import (
    SYNTHETIC,
    Acceptance,
    CardAnswers,
    Dataset,
    Fact,
    ManifestRow,
    PublicDataset,
    PublicPart,
    PublicRow,
    PublicSampler,
    signed,
)
from synthgen.errors import SynthgenError
from synthgen.io import (
    file_digest,
    new_folder,
    read_json,
    readable_os_errors,
    require_absent,
    write_json,
    write_text,
)
from synthgen.serialization import find_class
from synthgen.synthesis.manifest import read_dataset, read_manifest

# What is named here and in PublicRow is shown and nothing else: a key that is added later stays at
# home.
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

    Rows that are real images, or copies of such, are left out.

    Args:
        papers: replaces what the set says itself.
        report: the folder of an evaluation, whose numbers over all classes go into the card.
        allow: further packages whose samplers may be looked up.

    Raises:
        SynthgenError: no rows are left, or the report is on another set.
    """
    folder, out = Path(folder), Path(out)
    require_absent(out)
    dataset = read_dataset(folder)
    papers = papers or Papers.stated_in(dataset)
    found = None if report is None else _report_on(dataset, Path(report) / "report.json")
    with new_folder(out) as staging:
        counts = _write_rows(folder, staging, _shows_nothing_real(dataset, tuple(allow)))
        digest = file_digest(staging / MANIFEST)
        shown = public_dataset(dataset, counts, papers, digest)
        picture = None if dataset.exposes_real else sheet_picture(folder)
        if picture:
            write_text(staging / CONTACT_SHEET, sheet_page(picture, classes_shown(dataset)))
        text = card_text(shown, papers, found and public_report(found), picture=bool(picture))
        write_text(staging / README, text)
        write_json(staging / DESCRIPTION, signed(shown.to_json()))
    return out


def _report_on(dataset: Dataset, path: Path) -> dict[str, object]:
    """Raises SynthgenError for a report on another set."""
    report = read_json(path)
    judged = ((report.get("provenance") or {}).get("synthetic") or {}).get("dataset") or {}
    if judged.get("digest") != dataset.digest:
        raise SynthgenError(
            f"{path} is not a report on this set.\nEvaluate the set, or leave the report out."
        )
    return dict(report)


def public_dataset(
    dataset: Dataset, counts: Mapping[str, int], papers: Papers, digest: str
) -> PublicDataset:
    """What may be known of ``dataset.json``; ``counts`` are the rows shown, by class, ``digest``
    is that of the manifest that shows them."""
    facts = {
        name: Fact(**{key: getattr(fact, key) for key in FACTS if key in fact.model_fields_set})
        for part in dataset.parts
        for name, fact in part.facts.items()
    }
    acceptance = {
        name: Acceptance(drawn=one.drawn, share=one.share, rejected=one.rejected)
        for name, one in (dataset.acceptance or {}).items()
    }
    return PublicDataset(
        format="synthgen-public/1",
        classes=dataset.classes,
        image=dataset.image,
        file_format=dataset.file_format,
        shard_size=dataset.shard_size,
        versions=dataset.versions,
        count=sum(counts.values()),
        quotas={name: counts.get(name, 0) for name in dataset.classes},
        exposes_real=False,
        sampler=PublicSampler(target=dataset.sampler.target),
        acceptance=acceptance,
        parts=(PublicPart(facts=facts),),
        papers=CardAnswers(**papers.to_json()),
        digest=digest,
    )


def public_report(report: Mapping[str, Any]) -> dict[str, object]:
    """The sentences and the numbers of a report, without pictures, neighbours and paths."""
    results = report.get("results") or ()
    rows = [{key: one.get(key) for key in REPORT_ROW} for one in results]
    return {"sentences": list(report.get("sentences") or ()), "results": rows}


def _write_rows(
    folder: Path, staging: Path, shown: Callable[[ManifestRow], bool]
) -> dict[str, int]:
    """The public manifest; returns the number of its rows by class."""
    counts: Counter[str] = Counter()
    target = staging / MANIFEST
    with readable_os_errors(target), target.open("w", encoding="utf-8", newline="\n") as written:
        for row in read_manifest(folder):
            if shown(row):
                public = PublicRow.of(row).to_json()
                written.write(json.dumps(public, ensure_ascii=False) + "\n")
                counts[row.class_] += 1
    if not counts:
        raise SynthgenError(
            f"Every image in {folder} is a real one or a copy of one, so nothing of it can be "
            "made public.\nDraw a set with a sampler that doesn't copy."
        )
    return counts


def _shows_nothing_real(dataset: Dataset, allow: tuple[str, ...]) -> Callable[[ManifestRow], bool]:
    """Whether a row of the manifest is neither a real image nor drawn by a sampler of copies; what
    can't be known for sure is taken for one."""

    @functools.cache
    def copies(target: str | None) -> bool:
        try:
            return bool(getattr(find_class(str(target), allow), "exposes_real", True))
        except SynthgenError:
            return True

    def shown(row: ManifestRow) -> bool:
        if row.origin != SYNTHETIC:
            return False
        return not dataset.exposes_real or not copies(row.source)

    return shown
