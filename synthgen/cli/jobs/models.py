"""``synthgen models``: everything that there is, as a table or as JSON."""

from __future__ import annotations

import io
import json
import re
import shutil
from dataclasses import asdict, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import synthgen
from synthgen.cli.catalogue import Entry, entries
from synthgen.cli.costs import Costs, costs
from synthgen.cli.typed import suggestion
from synthgen.errors import SynthgenError
from synthgen.strange_names import printable
from synthgen.types import ImageSpec

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.validate import ModelsSettings

FORMAT = "synthgen-models/1"
DEFAULT_IMAGE = "3x32x32"
WIDEST = 120  # columns of the table
UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
COUNTED = (
    "Multiply-adds of products, convolutions and attention, one image forwards; of a model, of "
    "drawing one image."
)


def run(settings: ModelsSettings, invocation: Invocation) -> str:
    image = image_of(settings.image or DEFAULT_IMAGE, settings.classes)
    everything = entries(config_folders(), settings.allow)
    if settings.image is not None:
        everything = [replace(one, pixels=None) for one in everything]
    listed = of_group(everything, settings.group)
    models = [one.name for one in everything if one.group == "model"]
    counted = costs(listed, models, image, settings.allow)
    rows = [(one, counted.get((one.group, one.name), Costs())) for one in listed]
    return as_json(rows, image) if settings.show == "json" else as_tables(rows, image)


def image_of(text: str, classes: int) -> ImageSpec:
    """ "3x32x32" as channels, height and width."""
    sizes = re.fullmatch(r"([13])x([1-9]\d*)x([1-9]\d*)", text)
    if sizes is None:
        raise SynthgenError(
            f"image is {text!r}, but must be channels (1 or 3), height and width.\n"
            "For example image=1x28x28."
        )
    if classes < 1:
        raise SynthgenError(f"classes is {classes}, but must be 1 or more.")
    channels, height, width = map(int, sizes.groups())
    return ImageSpec(channels, height, width, tuple(f"class {i}" for i in range(classes)))


def config_folders() -> list[Path]:
    """The person's own (``--config-dir``) and ours."""
    sources = HydraConfig.get().runtime.config_sources
    ours = [source for source in sources if source.schema == "file" and source.path]
    return [Path(source.path) for source in ours]


def of_group(everything: list[Entry], group: str | None) -> list[Entry]:
    """All, or those of a group and the groups inside it."""
    if group is None:
        return everything
    name = group.rstrip("/")
    found = [one for one in everything if one.group == name or one.group.startswith(f"{name}/")]
    if not found:
        known = sorted({one.group for one in everything})
        raise SynthgenError(
            f"There is no group '{group}'.{suggestion(group, known)}\n"
            f"The groups are {', '.join(known)}."
        )
    return found


def as_json(rows: list[tuple[Entry, Costs]], image: ImageSpec) -> str:
    options: list[dict[str, Any]] = [asdict(entry) | asdict(cost) for entry, cost in rows]
    found = {
        "format": FORMAT,
        "synthgen": synthgen.__version__,
        "image": {"shape": list(image.shape), "classes": image.num_classes},
        "multiply_adds": COUNTED,
        "options": options,
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


def as_tables(rows: list[tuple[Entry, Costs]], image: ImageSpec) -> str:
    """One table per group, no wider than the terminal."""
    width = min(shutil.get_terminal_size((80, 24)).columns, WIDEST)
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for group, options in groupby(rows, key=lambda row: row[0].group):
        console.print(table(group, list(options)), "")
    shape = " x ".join(map(str, image.shape))
    numbers = any(cost.parameters for _, cost in rows)
    if numbers:
        own = " (a network that names its pixels: of those)" if own_sizes(rows) else ""
        console.print(f"For images of {shape}{own}, {image.num_classes} classes. {COUNTED}")
        console.print("Another size: image=1x28x28 classes=10.")
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().rstrip().split("\n")
    return printable("\n".join(line.rstrip() for line in lines))


def own_sizes(rows: list[tuple[Entry, Costs]]) -> bool:
    return any(entry.pixels and cost.parameters for entry, cost in rows)


def table(group: str, rows: list[tuple[Entry, Costs]]) -> Table:
    counted = any(cost.parameters or cost.note for _, cost in rows)
    shown = Table(
        title=group, title_justify="left", title_style="bold", expand=True, box=None, pad_edge=False
    )
    shown.add_column("name", no_wrap=True, overflow="fold")
    shown.add_column("what it is", ratio=1)
    if counted:
        shown.add_column("params", justify="right", no_wrap=True)
        shown.add_column("mult-adds", justify="right", no_wrap=True)
    shown.add_column("needs", max_width=16)
    for entry, cost in rows:
        papers = f" ({'; '.join(entry.papers)})" if entry.papers else ""
        cells = [entry.name, escape(entry.what + papers + (f" [{cost.note}]" if cost.note else ""))]
        if counted:
            cells += [short(cost.parameters), short(cost.multiply_adds)]
        shown.add_row(*cells, escape(", ".join(entry.needs)), end_section=True)
    return shown


def short(count: int | None) -> str:
    """Three digits: 7.04 G."""
    if count is None:
        return ""
    for unit, letter in UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {letter}"
    return str(count)
