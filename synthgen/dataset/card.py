"""What a set says about itself: YAML for machines, Markdown for people, and its contact sheet."""

from __future__ import annotations

import base64
import html
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from synthgen.dataset.schema import Dataset, Fact, PublicDataset
from synthgen.errors import SynthgenError
from synthgen.images import TOP
from synthgen.schema import Image
from synthgen.types import ImageSpec

# What only the person knows about a set: where the real images came from, and what is allowed.

NOT_STATED = "not stated"


@dataclass(frozen=True, kw_only=True)
class Papers:
    """Answers for the card; None is shown as "not stated".

    Attributes:
        title: of the card.
        source: where the real images behind the set came from.
        licence: of the set, an identifier such as ``cc-by-4.0`` or a sentence.
        legal_basis: on which the real images were used: consent, contract, public interest …
        intended_use: what the set was made for.
    """

    title: str | None = None
    source: str | None = None
    licence: str | None = None
    legal_basis: str | None = None
    intended_use: str | None = None

    def to_json(self) -> dict[str, str | None]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any] | None) -> Papers:
        """Raises SynthgenError for a question that isn't asked."""
        known = [field.name for field in fields(cls)]
        for name in value or {}:
            if name not in known:
                raise SynthgenError(
                    f"The card has no entry {name!r}.\nIts entries are {', '.join(known)}."
                )
        return cls(
            **{name: None if item is None else str(item) for name, item in (value or {}).items()}
        )

    @classmethod
    def stated_in(cls, dataset: Dataset | PublicDataset) -> Papers:
        """What a set says."""
        return cls(**{field.name: getattr(dataset.papers, field.name) for field in fields(cls)})


def stated(answer: str | None) -> str:
    return answer.strip() if answer and answer.strip() else NOT_STATED


# What opens a set of each format. tests/synthesis/test_other_tools.py tries every line of it.


@dataclass(frozen=True)
class Opening:
    """What a card says of a format.

    Attributes:
        by: what opens the set, or its shards, in Markdown.
        hub: the lines of the card's YAML that lead `datasets` to the images; without them it may
            take the manifest for the data, or a class folder called "test" for a split.
    """

    by: str
    hub: str


def _folders(ending: str, fidelity: str) -> Opening:
    """A file per image. `datasets` needs to be told that folders are labels even if there is but
    one, and passes by folders that begin with two underscores unless they are asked for."""
    return Opening(
        by="`torchvision.datasets.ImageFolder`, `datasets.load_dataset(FOLDER)`, clean-fid and "
        f"torch-fidelity ({fidelity}) open it",
        hub=f"configs:\n- config_name: default\n  data_files:\n  - '*/*.{ending}'\n"
        f"  - '__*/*.{ending}'\n  drop_labels: false",
    )


def _shards(by: str, ending: str) -> Opening:
    return Opening(
        by=f"{by} opens its shards, `datasets.load_dataset(FOLDER)` the whole",
        hub=f"configs:\n- config_name: default\n  data_files: shards/*.{ending}",
    )


NOT_BY_OTHERS = "`datasets`, `ImageFolder`, clean-fid and torch-fidelity do not"
OPENINGS = {
    "png": _folders("png", "`samples_find_deep=True`"),
    "jpeg": _folders("jpg", "`samples_find_deep=True`"),
    "webp": _folders("webp", '`samples_find_deep=True, samples_find_ext="webp"`'),
    "tiff": Opening("`tifffile.imread` reads each file, of any bands and bits", "viewer: false"),
    "webdataset": _shards("`webdataset.WebDataset`", "tar"),
    "parquet": _shards("`pyarrow.parquet.read_table`", "parquet"),
    "hdf5": _shards("`h5py.File`", "h5"),
    "npz": Opening(f"`numpy.load` opens its shards; {NOT_BY_OTHERS}", "viewer: false"),
    "npy": Opening(
        f"`numpy.load` opens its shards; {NOT_BY_OTHERS}, and clean-fid takes each of these files "
        "for one image",
        "viewer: false",
    ),
}
UNKNOWN = Opening("open it with the software that wrote it", "")


# The contact sheet as a page: a person opens it in a browser, and no image reader takes it for an
# image of the set. (A picture beside the class folders costs a set all its labels in `datasets`, is
# one image more for clean-fid, and for torch-fidelity the only one.)

CONTACT_SHEET = "contact_sheet.html"
PICTURE_OF_OLD_SETS = "contact_sheet.png"
LEAST_LINE = 24  # CSS pixels between two rows of the sheet, so that a name fits
PADDING = 2  # of synthgen.images.grid
EMBEDDED = re.compile(r'src="data:image/png;base64,([A-Za-z0-9+/=]+)"')
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>First images of each class</title>
<style>
body {{ margin: 1em; font: 14px sans-serif; background: #fff; color: #000 }}
.sheet {{ display: flex; gap: 1em; overflow-x: auto }} /* scrolls by itself where it is too broad */
ol {{ list-style: none; margin: 0; padding: {top}px 0; line-height: {line}px; min-width: 5em;
  max-width: 40%; flex: none; overflow-x: auto }}
li {{ white-space: pre; height: {line}px }}
/* pre: of the list it would make lines of the breaks between the names */
img {{ width: {width}px; height: {height}px; image-rendering: pixelated }}
</style>
{note}<div class="sheet">
<ol>
{names}
</ol>
<img alt="First images of each class, a row per class" src="data:image/png;base64,{picture}">
</div>
</html>
"""


def sheet_page(png: bytes, names: Sequence[str], note: str = "") -> str:
    """HTML that needs no other file.

    Args:
        png: the picture, a row of images per name, as :func:`synthgen.images.grid` lays them out.
        names: of the classes, one per row.
        note: what the picture shows of the images, as a sentence above it.
    """
    width, height = (int.from_bytes(png[place : place + 4]) for place in (16, 20))  # of its header
    row = max(1, (height - PADDING) // max(1, len(names)))
    factor = -(-LEAST_LINE // row)  # whole, so that every pixel stays a square
    return PAGE.format(
        top=factor * PADDING // 2,
        line=factor * row,
        width=factor * width,
        height=factor * height,
        note=f"<p>{html.escape(note)}</p>\n" if note else "",
        names="\n".join(
            f'<li title="{html.escape(name)}">{html.escape(name)}</li>' for name in names
        ),
        picture=base64.b64encode(png).decode(),
    )


def sheet_picture(folder: Path) -> bytes | None:
    """The contact sheet of the set in ``folder`` as PNG; None where it has none."""
    page, picture = folder / CONTACT_SHEET, folder / PICTURE_OF_OLD_SETS
    if page.is_file():
        found = EMBEDDED.search(page.read_text(encoding="utf-8", errors="replace"))
        return base64.b64decode(found[1]) if found else None
    return picture.read_bytes() if picture.is_file() else None


# The text of a dataset card: YAML for machines on top, Markdown for people below.

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
IN_FOLDERS = ("png", "jpeg", "webp", "tiff")


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
    channels = {1: "grey", 3: "colour"}.get(image.channels, f"{image.channels}-band")
    lines = [
        "## What it is\n",
        f"- {dataset.count:,} labelled {channels} images of {image.height} × "
        f"{image.width} pixels (height × width), {len(dataset.classes)} classes",
        f"- Format: {form}; {OPENINGS.get(form, UNKNOWN).by}",
        "- Every row of `manifest.jsonl` is an image: its file, label and SHA-256; labels follow "
        "the class order in `dataset.json`",
        *_levels(image, form),
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


def _levels(image: Image, form: str) -> list[str]:
    """What a level stands for, and how more than 8 bits are read without losing any."""
    said = []
    if image.levels is not None:
        low, high = image.levels
        said.append(
            f"- Level 0 stands for {low:g} in the images as read, {TOP[image.bits]:,} for "
            f"{high:g}, and those between for equal steps"
        )
    if note := ImageSpec.from_json(image.to_json()).picture_note():
        said.append(f"- The contact sheet: {note}")
    if image.bits == 16 and form in IN_FOLDERS:
        if form == "tiff":
            way = "`tifffile.imread(file)` reads a file"
        elif image.channels == 1:
            way = "`numpy.asarray(PIL.Image.open(file))` reads a file"
        else:
            way = "`imagecodecs.imread(file)` reads a file; Pillow cuts colours to 8 bits"
        said.append(f"- 16 bits a level: {way}; `ImageFolder` and `datasets` lose levels")
    return said


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


def classes_shown(dataset: Dataset) -> list[str]:
    """The classes whose images the contact sheet shows: the sheet of an appended set stays."""
    quotas = dataset.parts[0].quotas
    return [name for name in dataset.classes if quotas.get(name)][:SHEET_CLASSES]


SHEET_CLASSES = 20  # with more, the sheet shows the first ones
