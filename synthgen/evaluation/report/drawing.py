"""Each drawing of the page as a file of its own, and the templates that draw them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from synthgen.evaluation.report.charts import DotPlot, LineChart
from synthgen.evaluation.report.forest import Forest
from synthgen.evaluation.report.scatter import Scatter
from synthgen.evaluation.report.wording import TOO_FEW
from synthgen.paths import write_text

if TYPE_CHECKING:
    from jinja2 import Environment, Template

TEMPLATES = Path(__file__).resolve().parent / "templates"
FIGURES = "figures"
HEADING, LEGEND_ROW = 44, 17  # SVG units above a drawing that stands alone
Drawing = DotPlot | LineChart | Forest | Scatter
AnyDrawing = TypeVar("AnyDrawing", DotPlot, LineChart, Forest, Scatter)


def environment(*folders: Path) -> Environment:
    """Jinja with the shared templates and those in ``folders``; everything is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["too_few"] = TOO_FEW
    return made


@cache
def template(name: str) -> Template:
    """Parsed once: a page has dozens of drawings."""
    return environment().get_template(name)


def filed(drawing: AnyDrawing, folder: Path, name: str) -> AnyDrawing:
    """Write the drawing to ``folder/figures/<name>.svg`` and return it with that ``file``."""
    file = f"{FIGURES}/{slug(name)}.svg"
    (folder / FIGURES).mkdir(exist_ok=True)
    write_svg(drawing, folder / file)
    return replace(drawing, file=file)


def all_filed(drawings: Sequence[AnyDrawing], folder: Path, prefix: str) -> list[AnyDrawing]:
    """Named by ``prefix`` and title; drawings of one title are numbered."""
    seen: dict[str, int] = {}
    made = []
    for drawing in drawings:
        name = slug(f"{prefix} {drawing.title}")
        seen[name] = seen.get(name, 0) + 1
        made.append(filed(drawing, folder, name if seen[name] == 1 else f"{name}_{seen[name]}"))
    return made


def write_svg(drawing: Drawing, path: Path, *, heading: str = "heading") -> None:
    """One SVG that needs no other file and follows the reader's light or dark screen. An empty
    ``heading`` leaves title and note to whoever shows it."""
    legend = drawing.lines if isinstance(drawing, LineChart) and len(drawing.lines) > 1 else []
    above = (HEADING if heading else 0) + LEGEND_ROW * len(legend) + 10
    kinds = {Forest: "forest", LineChart: "lines", Scatter: "scatter"}
    kind = kinds.get(type(drawing), "dots")
    text = template("figure.svg.j2").render(
        drawing=drawing, kind=kind, legend=legend, above=above, heading=heading
    )
    write_text(path, text.strip() + "\n")


def slug(text: str) -> str:
    """A file name out of a title: letters, digits and underscores."""
    return re.sub(r"[^a-z0-9.-]+", "_", text.lower().replace("é", "e")).strip("_.")[:80] or "figure"
