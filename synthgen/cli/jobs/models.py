"""``synthgen models``: everything that there is, as a table or as JSON."""

from __future__ import annotations

import io
import json
import re
import shutil
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

import synthgen
from synthgen.cli.listing import Option, counted, inside, kept
from synthgen.errors import SynthgenError, printable

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation
    from synthgen.cli.settings import ModelsSettings
    from synthgen.types import ImageSpec

FORMAT = "synthgen-models/1"
DEFAULT_IMAGE, DEFAULT_CLASSES = "3x32x32", 10
Shape = tuple[int, int, int]
WIDEST = 120  # columns of the table
UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))
COUNTED = (
    "Multiply-adds of products, convolutions and attention, one image forwards; of a model, of "
    "drawing one image."
)


def run(settings: ModelsSettings, invocation: Invocation) -> str:
    text = settings.image or DEFAULT_IMAGE
    shape = shape_of(text)
    default = settings.image is None and settings.classes == DEFAULT_CLASSES
    folders = config_folders()
    options = kept(folders) if default else None
    if options is None or len(folders) > 1:
        options = counted(
            folders,
            settings.allow,
            image_of(text, settings.classes),
            own_sizes=settings.image is None,
            group=settings.group,
            known=options or (),
        )
    groups = inside([one["group"] for one in options], settings.group)
    options = [one for one in options if one["group"] in groups]
    if settings.show == "json":
        return as_json(options, shape, settings.classes)
    return as_tables(options, shape, settings.classes)


def shape_of(text: str) -> Shape:
    """ "3x32x32" as channels, height and width."""
    sizes = re.fullmatch(r"([1-9]\d{0,2})x([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if sizes is None:
        raise SynthgenError(
            f"image is {text!r}, but must be channels, height and width.\n"
            "For example image=1x28x28."
        )
    channels, height, width = map(int, sizes.groups())
    return channels, height, width


def image_of(text: str, classes: int) -> ImageSpec:
    from synthgen.types import ImageSpec  # with torch

    return ImageSpec(*shape_of(text), tuple(f"class {i}" for i in range(classes)))


def config_folders() -> list[Path]:
    """The person's own (``--config-dir``) and ours."""
    sources = HydraConfig.get().runtime.config_sources
    ours = [source for source in sources if source.schema == "file" and source.path]
    return [Path(source.path) for source in ours]


def as_json(options: list[Option], shape: Shape, classes: int) -> str:
    found = {
        "format": FORMAT,
        "synthgen": synthgen.__version__,
        "image": {"shape": list(shape), "classes": classes},
        "multiply_adds": COUNTED,
        "options": options,
    }
    return json.dumps(found, indent=2, ensure_ascii=False)


def as_tables(options: list[Option], shape: Shape, classes: int) -> str:
    """One table per group, no wider than the terminal."""
    columns = min(shutil.get_terminal_size((80, 24)).columns, WIDEST)
    console = Console(file=io.StringIO(), width=columns, highlight=False)
    for group, members in groupby(options, key=lambda one: str(one["group"])):
        console.print(table(group, list(members)), "")
    if any(one["parameters"] for one in options):
        named = any(one["pixels"] and one["parameters"] for one in options)
        own = " (a network that names its pixels: of those)" if named else ""
        size = " x ".join(map(str, shape))
        console.print(f"For images of {size}{own}, {classes} classes. {COUNTED}")
        console.print("Another size: image=1x28x28 classes=10.")
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().rstrip().split("\n")
    return printable("\n".join(line.rstrip() for line in lines))


def table(group: str, options: list[Option]) -> Table:
    counts = any(one["parameters"] or one["note"] for one in options)
    shown = Table(
        title=group, title_justify="left", title_style="bold", expand=True, box=None, pad_edge=False
    )
    shown.add_column("name", no_wrap=True, overflow="fold")
    shown.add_column("what it is", ratio=1)
    if counts:
        shown.add_column("params", justify="right", no_wrap=True)
        shown.add_column("mult-adds", justify="right", no_wrap=True)
    shown.add_column("needs", max_width=16)
    for one in options:
        papers = f" ({'; '.join(one['papers'])})" if one["papers"] else ""
        note = f" [{one['note']}]" if one["note"] else ""
        cells = [one["name"], escape(one["what"] + papers + note)]
        if counts:
            cells += [short(one["parameters"]), short(one["multiply_adds"])]
        shown.add_row(*cells, escape(", ".join(one["needs"])), end_section=True)
    return shown


def short(count: int | None) -> str:
    """Three digits: 7.04 G."""
    if count is None:
        return ""
    for unit, letter in UNITS:
        if count >= unit:
            return f"{count / unit:.3g} {letter}"
    return str(count)
