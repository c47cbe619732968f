"""The text of a dataset card: YAML for machines on top, Markdown for people below."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from synthgen.dataset.schema import Dataset, Fact, PublicDataset
from synthgen.synthesis.opened_with import OPENINGS, UNKNOWN
from synthgen.synthesis.papers import Papers, stated
from synthgen.synthesis.sheet_page import CONTACT_SHEET

WARNING = """**Every image here was drawn by a program; none is a record of anything real.
Do not mix them into a test set.**"""
COPIES_WARNING = """**These images are copies of real ones, or each was made from a few real ones.
Treat them as confidentially as the originals, and do not mix them into a test set.**"""
AUGMENTED_WARNING = """**Some images here are real ones: see `origin` in the manifest.
Treat the set as confidentially as the real images, and do not mix it into a test set.**"""

# Identifiers that dataset hubs know; any other answer is put down as "other", with its name.
LICENCES = frozenset(
    {
        "apache-2.0",
        "cc-by-2.0",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-nc-4.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-4.0",
        "cc-by-nd-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc0-1.0",
        "cdla-permissive-2.0",
        "mit",
        "odbl",
        "odc-by",
        "pddl",
    }
)
SIZES = [(1_000, "1K"), (10_000, "10K"), (100_000, "100K"), (1_000_000, "1M"), (10_000_000, "10M")]
IN_FOLDERS = ("png", "jpeg", "webp")


Described = Dataset | PublicDataset


def card_text(
    dataset: Described,
    papers: Papers,
    report: Mapping[str, Any] | None = None,
    *,
    picture: bool = True,
) -> str:
    """The card of the set that ``dataset`` (its ``dataset.json``) describes; with ``report`` (a
    ``report.json``) what an evaluation found. ``picture``: there is a contact sheet beside it."""
    sections = [
        front_matter(dataset, papers),
        f"# {_title(dataset, papers)}\n\n{_warning(dataset)}",
        _what(dataset),
        _made(dataset),
        _use_and_limits(papers),
        _counts(dataset, picture),
        *([_metrics(report)] if report else []),
        _papers(papers),
    ]
    return "\n\n".join(sections) + "\n"


def front_matter(dataset: Described, papers: Papers) -> str:
    """YAML, in the form that dataset hubs read; JSON strings are YAML strings."""
    licence = (papers.licence or "").strip()
    known = licence.lower() in LICENCES
    lines = [f"license: {licence.lower() if known else 'other' if licence else 'unknown'}"]
    if licence and not known:
        lines.append(f"license_name: {_quoted(' '.join(licence.split())[:80])}")
    lines += [
        f"pretty_name: {_quoted(_title(dataset, papers))}",
        "task_categories:\n- image-classification",
        f"size_categories:\n- {size_category(dataset.count)}",
        "tags:\n- synthetic\n- image\n- synthgen",
    ]
    hub = OPENINGS.get(dataset.file_format.name, UNKNOWN).hub
    lines += [hub] if hub else []
    return "---\n" + "\n".join(lines) + "\n---"


def size_category(count: int) -> str:
    if count < SIZES[0][0]:
        return "n<1K"
    lower = SIZES[0][1]
    for limit, name in SIZES[1:]:
        if count < limit:
            return f"{lower}<n<{name}"
        lower = name
    return "n>10M"


def _title(dataset: Described, papers: Papers) -> str:
    if papers.title and papers.title.strip():
        return " ".join(papers.title.split())
    real = _real_count(dataset)
    drawn = f"{dataset.count - real:,} synthetic"
    return f"{drawn} and {real:,} real images" if real else f"{drawn} images"


def _real_count(dataset: Described) -> int:
    return dataset.real_count if isinstance(dataset, Dataset) else 0


def _warning(dataset: Described) -> str:
    if _real_count(dataset):
        return AUGMENTED_WARNING
    return COPIES_WARNING if dataset.exposes_real else WARNING


def _what(dataset: Described) -> str:
    image, form = dataset.image, dataset.file_format.name
    channels = "grey" if image.channels == 1 else "colour"
    lines = [
        "## What it is\n",
        f"- {dataset.count:,} labelled {channels} images of {image.height} × "
        f"{image.width} pixels (height × width), {len(dataset.classes)} classes",
        f"- Format: {form}; {OPENINGS.get(form, UNKNOWN).by}",
        "- Every row of `manifest.jsonl` is an image: its file, label and SHA-256; labels follow "
        "the class order in `dataset.json`",
    ]
    if form in IN_FOLDERS:
        lines.append(
            "- `ImageFolder` and `datasets` number the classes in alphabetical order, which may be "
            "another one"
        )
        empty = [name for name, count in dataset.quotas.items() if not count]
        if empty and not _real_count(dataset):
            lines.append(
                f"- No folder for {', '.join(empty)} (0 images): those readers number the other "
                "classes without a gap, not as in a folder of all classes. Match classes by name"
            )
    return "\n".join(lines)


def _made(dataset: Described) -> str:
    lines = ["## How it was made\n", *_origin(dataset)]
    facts = dataset.parts[-1].facts
    rejected = _rejected(dataset)
    lines += [
        f"- Curated by `{name}`{_keeps(fact)}: {rejected[name]:,} draws rejected"
        for name, fact in facts.items()
    ]
    if facts:
        lines.append("- A rejected image was drawn again with another seed until one was kept")
    else:
        lines.append("- Not curated: every drawn image is in the set")
    return "\n".join(lines)


def _origin(dataset: Described) -> list[str]:
    """By what it was drawn, and how; public papers say only by what."""
    if not isinstance(dataset, Dataset):
        return [f"- Drawn by `{dataset.sampler.target}`"]
    sampler, data = dataset.sampler, dataset.provenance.data
    digest = f" (SHA-256 `{sampler.sha256}`)" if sampler.sha256 else ""
    latents = dataset.parts[-1].latents
    spread = {"Temperature": latents.temperature, "Truncation": latents.truncation}
    return [
        f"- Drawn by `{sampler.target}`{digest}",
        f"- Fitted on the training split of: {(data and data.name) or 'not stated'}",
        f"- Plan seed: {dataset.seed}; every row has its own seed",
        *(f"- {k} of the latents: {value:g}" for k, value in spread.items() if value is not None),
    ]


def _keeps(fact: Fact) -> str:
    share, spread = fact.keeps_of_real, fact.keeps_of_real_95
    if share is None:
        return ""
    about = f" ({100 * spread[0]:.1f}–{100 * spread[1]:.1f})" if spread else ""
    few = "; its held-out images are too few to keep more" if fact.too_few_to_promise else ""
    misses = f"; it misses {fact.misses}" if fact.misses else ""
    return f", which would keep {100 * share:.1f} %{about} of new real images{few}{misses}"


def _rejected(dataset: Described) -> Counter[str]:
    """Draws by the filter that rejected them, over all classes."""
    total: Counter[str] = Counter()
    for one in (dataset.acceptance or {}).values():
        total.update(one.rejected)
    return total


def _use_and_limits(papers: Papers) -> str:
    lines = [
        f"## Intended use\n\n{stated(papers.intended_use)}",
        "",
        "## Limits\n",
        "- The images show what their generator learned from its training images, with the gaps "
        "and biases of both; they add no observation to them.",
        "- A label is what the generator was asked for; nobody has looked at every image.",
        "- That an image is synthetic does not make it anonymous: without a filter for copies, "
        "and with one too, some may resemble a training image.",
        "- Never test on them. Whether they help a model is measured on real images.",
    ]
    return "\n".join(lines)


def _counts(dataset: Described, picture: bool) -> str:
    acceptance, real = dataset.acceptance or {}, _real_count(dataset)
    head = ["class", "images"] + (["drawn", "accepted"] if acceptance else [])
    lines = ["## Counts\n", _row(head), _row(["---"] * len(head))]
    for name, count in dataset.quotas.items():
        cells = [_cell(name), f"{count:,}"]
        if acceptance:
            mine = acceptance.get(name)
            cells += [f"{mine.drawn:,}", f"{100 * mine.share:.1f} %"] if mine else ["", ""]
        lines.append(_row(cells))
    if real:
        lines += ["", f"and {real:,} real images."]
    if picture:
        lines += ["", f"[First images of each class]({CONTACT_SHEET})"]
    return "\n".join(lines)


def _metrics(report: Mapping[str, Any]) -> str:
    """The sentences of a report, and its numbers over all classes with their intervals."""
    lines = ["## Metrics\n", *(f"- {sentence}" for sentence in report.get("sentences") or ())]
    rows = [one for one in report.get("results") or () if one.get("scope") is None]
    if rows:
        head = ["metric", "value", "95 % interval", "measured with"]
        lines += ["", _row(head), _row(["---"] * len(head))]
    for one in rows:
        interval = f"{_number(one.get('ci_low'))} – {_number(one.get('ci_high'))}"
        unknown = one.get("ci_low") is None or one.get("ci_high") is None
        instrument = one.get("extractor") or one.get("classifier") or ""
        cells = [one["name"], _number(one.get("value")), "" if unknown else interval, instrument]
        lines.append(_row([_cell(str(cell)) for cell in cells]))
    return "\n".join(lines)


def _papers(papers: Papers) -> str:
    return "\n".join(
        [
            "## Source, licence and legal basis\n",
            f"- Source of the real images: {stated(papers.source)}",
            f"- Licence: {stated(papers.licence)}",
            f"- Consent or legal basis for using them: {stated(papers.legal_basis)}",
        ]
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
