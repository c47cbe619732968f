"""A folder that can be read in several ways: each as a tree, with the setting that chooses it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from synthgen.data.checks.page import PAGE, TEMPLATES
from synthgen.data.files import FileSource
from synthgen.data.folders.tree import Tree
from synthgen.data.folders.ways import UnclearLayoutError
from synthgen.data.source import Source
from synthgen.errors import SynthgenError, printable
from synthgen.io import new_folder, write_text
from synthgen.pages import environment


@dataclass(frozen=True)
class Reading:
    """One way to read it.

    Attributes:
        setting: as it is typed.
        tree: what would be read; None if nothing would.
        problem: what would then be wrong, or why nothing would be read.
    """

    setting: str
    tree: Tree | None
    problem: str | None = None

    def __str__(self) -> str:
        parts = (self.setting, self.tree, self.problem)
        return "\n".join(str(one) for one in parts if one is not None)


def readings_of(source: Source, error: UnclearLayoutError) -> tuple[Reading, ...]:
    """What each of the ways that ``error`` names would make of the files of ``source``, by their
    names: no picture is decoded."""
    return tuple(_readings(source, error)) if isinstance(source, FileSource) else ()


def _readings(source: FileSource, error: UnclearLayoutError) -> Iterator[Reading]:
    for way in error.ways:
        try:
            listing = source.with_options(**way.options).listing()
        except SynthgenError as refused:
            yield Reading(str(way), None, _first_line(refused))
        else:
            problem = next(map(_first_line, listing.problems), None)
            yield Reading(str(way), listing.tree, problem)


def _first_line(error: SynthgenError) -> str:
    return printable(str(error).partition("\n")[0])


def write_readings(
    name: str, error: UnclearLayoutError, readings: tuple[Reading, ...], out: Path
) -> Path:
    """Write ``check.html`` into the new folder ``out``: what is unclear about the data called
    ``name``, and each reading."""
    what, _, advice = printable(str(error)).partition("\n")
    page = environment(TEMPLATES).get_template("readings.html.j2")
    content = page.render(name=printable(name), what=what, advice=advice, readings=readings)
    with new_folder(Path(out)) as staging:
        write_text(staging / PAGE, content)
    return Path(out)
