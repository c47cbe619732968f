"""The values that travel between the rooms of the house, and subsets of them that keep the
proportions of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from synthgen.images import TOP, as_pictures, bands_shown


@dataclass(frozen=True)
class Levels:
    """What the lowest and the highest level of an image stood for in its source."""

    low: float
    high: float


def _figure(level: float, ends: Levels) -> str:
    """A level of a scale with such ends, in as many digits as tell levels apart."""
    return f"{level:,.0f}" if ends.high - ends.low >= 100 else f"{level:.3g}"


@dataclass(frozen=True)
class ImageSpec:
    """Shape of one image and the names of the classes; label ``i`` means ``classes[i]``.

    Attributes:
        bits: of a level, 8 or 16.
        levels: what the lowest and the highest level stand for, if the source has others than 0
            and 255.
        view: the channels shown as red, green and blue, or the one shown as grey; None: the first
            three, or the first.
        shown: the levels that are black and white in pictures for people; None: the lowest and the
            highest that ``bits`` allow. Two kinds that differ in this alone are equal.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...]
    bits: int = 8
    levels: Levels | None = None
    view: tuple[int, ...] | None = None
    shown: tuple[int, int] | None = field(default=None, compare=False)

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8 if self.bits == 8 else torch.uint16

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return self.channels, self.height, self.width

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def pictures(self, images: Tensor) -> Tensor:
        """What people look at, uint8 ``(N, 1 or 3, H, W)``, of uint8 or uint16 images of this kind
        ``(N, C, H, W)``."""
        return as_pictures(images, self.view, self.shown)

    def picture_note(self) -> str:
        """What pictures of such images show, in a few words: levels and bands where it isn't all of
        them; else nothing."""
        said = []
        if self.shown not in (None, (0, TOP[self.bits])):
            ends = self.levels or Levels(0, TOP[self.bits])
            low, high, top = (_figure(one, ends) for one in (*self.levels_shown, ends.high))
            said.append(f"shown from {low} to {high} of {top}")
        bands = bands_shown(self.channels, self.view)
        if bands != tuple(range(self.channels)):
            numbers = ", ".join(map(str, bands))
            said.append(
                f"band {numbers} of {self.channels} (counted from 0) as grey"
                if len(bands) == 1
                else f"bands {numbers} of {self.channels} (counted from 0) as red, green, blue"
            )
        return "; ".join(said)

    @property
    def levels_shown(self) -> tuple[float, float]:
        """What is black and what is white in pictures, in the levels of the source."""
        top = TOP[self.bits]
        ends, shown = self.levels or Levels(0, top), self.shown or (0, top)
        low, high = (ends.low + level * (ends.high - ends.low) / top for level in shown)
        return low, high

    def to_json(self) -> dict[str, Any]:
        """What is as usual (8 bits, no view) isn't written."""
        content: dict[str, Any] = {
            "channels": self.channels,
            "height": self.height,
            "width": self.width,
            "classes": list(self.classes),
        }
        if self.bits != 8:
            content["bits"] = self.bits
        if self.levels is not None:
            content["levels"] = [self.levels.low, self.levels.high]
        if self.view is not None:
            content["view"] = list(self.view)
        if self.shown is not None:
            content["shown"] = list(self.shown)
        return content

    @classmethod
    def from_json(cls, value: Any) -> ImageSpec:
        """The inverse of :meth:`to_json`.

        Raises:
            SynthgenError: ``value`` describes no image.
        """
        from synthgen.schema import Image  # whoever reads no file needs no pydantic

        image = Image.from_json(value, "The description of the images")
        levels = None if image.levels is None else Levels(*image.levels)
        return cls(
            image.channels,
            image.height,
            image.width,
            image.classes,
            image.bits,
            levels,
            image.view,
            image.shown,
        )


@dataclass(frozen=True)
class LabelledImages:
    """Images in memory.

    Args:
        images: uint8 or uint16 ``(N, C, H, W)``.
        labels: int64 ``(N,)``, positions in ``classes``.
        groups: int64 ``(N,)``, equal for images that belong together (of one patient, or nearly the
            same), so that whoever divides them keeps groups whole; None: each is by itself.
        levels: what the lowest and the highest level stand for, see :class:`ImageSpec`.
        view: the channels that are shown, see :class:`ImageSpec`.
        shown: the levels that are shown, see there.
    """

    DTYPES: ClassVar[tuple[torch.dtype, ...]] = (torch.uint8, torch.uint16)

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    groups: Tensor | None = None
    levels: Levels | None = None
    view: tuple[int, ...] | None = None
    shown: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype not in self.DTYPES or self.images.ndim != 4:
            wanted = " or ".join(str(dtype).removeprefix("torch.") for dtype in self.DTYPES)
            raise ValueError(
                f"images must be {wanted} (N, C, H, W), got {self.images.dtype} "
                f"{tuple(self.images.shape)}"
            )
        if self.labels.dtype != torch.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError("labels must be int64 (N,), one per image")
        if self.groups is not None and self.groups.shape != self.labels.shape:
            raise ValueError("groups must be (N,), one per image")

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def image(self) -> ImageSpec:
        _, channels, height, width = self.images.shape
        bits = 16 if self.images.dtype == torch.uint16 else 8
        return ImageSpec(
            channels, height, width, self.classes, bits, self.levels, self.view, self.shown
        )

    @property
    def counts(self) -> list[int]:
        """Number of images of each class, in label order."""
        return torch.bincount(self.labels, minlength=len(self.classes)).tolist()

    @property
    def pictures(self) -> Tensor:
        """What people look at, uint8 ``(N, 1 or 3, H, W)``."""
        return as_pictures(self.images, self.view, self.shown)

    def subset(self, index: Tensor | Sequence[int]) -> Self:
        """The images at ``index`` (int64 positions or a bool mask), in that order."""
        index = torch.as_tensor(index)
        if index.dtype != torch.bool:
            index = index.to(torch.int64)  # an empty list would be float
        groups = None if self.groups is None else self.groups[index]
        return replace(self, images=self.images[index], labels=self.labels[index], groups=groups)

    def of_class(self, label: int) -> Self:
        return self.subset(self.labels == label)


@dataclass(frozen=True)
class Samples:
    """Drawn images: uint8 or uint16 ``(N, C, H, W)``, with the int64 labels and seeds that they
    came from."""

    images: Tensor
    labels: Tensor
    seeds: Tensor


def spread_by_class(images: LabelledImages, at_most: int) -> LabelledImages:
    """All images, or ``at_most`` of them: every n-th after sorting by class, in their own order."""
    return images.subset(positions_by_class(images.labels, at_most))


def positions_by_class(labels: Tensor, at_most: int) -> Tensor:
    """Ascending int64 positions of :func:`spread_by_class`."""
    count = len(labels)
    if count <= at_most:
        return torch.arange(count)
    every = torch.arange(at_most) * count // at_most
    return labels.argsort(stable=True)[every].sort().values


# A part of some images, held out to see what is said about new ones, that tears no group apart.


def whole_groups(labels: Tensor, groups: Tensor, share: float, random: torch.Generator) -> Tensor:
    """bool ``(N,)``: about ``share`` of each class, in whole groups (of one patient, say).

    int64 labels and groups ``(N,)``. The largest groups are dealt out first, each to the side that
    lacks more of its classes; at least one image of a class is held out if it is in several groups.
    """
    _, unit = groups.unique(return_inverse=True)
    units, classes = int(unit.max()) + 1, int(labels.max()) + 1
    content = torch.bincount(unit * classes + labels, minlength=units * classes)
    content = content.view(units, classes).double()
    wanted = (share * content.sum(0)).round()
    left = (content > 0).sum(0)  # groups of each class still to be dealt out
    without = left > 1  # classes of which some must be held out, and nothing is yet
    lacking = [content.sum(0) - wanted, wanted]
    order = torch.randperm(units, generator=random)
    order = order[content.sum(1)[order].argsort(descending=True, stable=True)]
    held = torch.zeros(units, dtype=torch.bool)
    for one in order.tolist():
        needs = [float(content[one] @ side) for side in lacking]
        here = content[one] > 0
        held[one] = needs[1] > needs[0] or bool((here & without & (left == 1)).any())
        lacking[int(held[one])] -= content[one]
        left -= here.long()
        without &= ~(here & held[one])
    return held[unit]
