"""What ``check.json`` holds."""

from __future__ import annotations

from typing import Annotated, ClassVar

from annotated_types import Interval
from pydantic import Field

from synthgen.ranges import MOST, Share, Side
from synthgen.schema import Counts, Document, Schema, Word

Natural = Annotated[int, Interval(ge=0, le=MOST)]
Text = Annotated[str, Field(max_length=10_000)]  # names of files and classes stand in it


class FoundItem(Schema):
    """One thing to look at: its kind, the file (or class) and what is the matter; the file that it
    is like, for pictures that come twice."""

    kind: Word
    file: Text
    detail: Text
    other: Text | None = None


class LevelCounts(Schema):
    """Levels as stored: pixels in equal steps from ``low`` to ``high``."""

    low: float
    high: float
    distinct: Natural
    counts: tuple[Natural, ...]


class LabelCounts(Schema):
    """Labels that look wrong, beside the number if all were right: mean, lowest and highest of
    simulated sets. ``agreement`` is that of the classifiers with the labels."""

    judged: Natural
    agreement: Share
    flagged: Natural
    if_all_right: tuple[float, float, float]
    listed: Natural
    classes_left_out: tuple[str, ...]


class CheckFile(Document):
    """``check.json``."""

    FORM: ClassVar[str] = "synthgen-check/1"
    ADVICE: ClassVar[str] = "Check the data again."
    LARGEST: ClassVar[int] = 2**30

    format: Word
    name: Text
    usable: bool
    refusal: Text | None
    images: Natural
    size: tuple[Side, Side]  # height, width
    channels: Natural
    classes: Counts
    stored_sizes: tuple[tuple[Natural, Natural, Natural], ...]  # height, width, images
    stored_modes: dict[str, Natural]
    findings: tuple[FoundItem, ...]  # the first 1,000 of each kind
    findings_in_all: dict[str, Natural] | None = None  # how many there are of each kind
    notes: tuple[Text, ...]
    splits: dict[str, Counts] | None = None
    padding: Share | None = None
    shown: tuple[float, float] | None = None  # black and white of pictures, in stored levels
    view: tuple[Natural, ...] | None = None  # bands that pictures show, counted from 0
    clipped: tuple[Share, Share] | None = None  # of the training levels: to black, to white
    levels: LevelCounts | None = None
    labels: LabelCounts | None = None
