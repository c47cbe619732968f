"""From stored values of a grey DICOM picture to those that are meant: rescale, look-up tables,
window, and which end is white."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from synthgen.data.readers.base import Sample

WINDOWED_BITS = 15  # of levels that went through a window: 32,768 of them, all 15 bits in use
Ends = tuple[float, float]


@dataclass(frozen=True)
class Window:
    """Values around ``center`` that black to white is made of (DICOM PS3.3 C.11.2.1.2 and 3)."""

    center: float
    width: float
    function: str = "LINEAR"

    def shown(self, values: np.ndarray) -> np.ndarray:
        """float64 in 0..1."""
        center, width = self.center, self.width
        values = values.astype(np.float64)
        if self.function == "SIGMOID":
            return 1 / (1 + np.exp((-4 * (values - center) / width).clip(-700, 700)))
        if self.function == "LINEAR" and width > 1:  # whole values: 255 steps between 256 of them
            center, width = center - 0.5, width - 1
        return ((values - center) / width + 0.5).clip(0, 1)


@dataclass(frozen=True)
class Table:
    """A look-up table: ``entries`` for the values ``first``, ``first`` + 1, …; what lies outside
    gets the nearest."""

    first: int
    entries: np.ndarray
    bits: int

    @classmethod
    def of(cls, item: Any, descriptor: str, data: str, *, little_endian: bool) -> Table:
        """That of the data set ``item``. Raises ValueError if it isn't as it says."""
        count, first, bits = (int(value) for value in item[descriptor].value)
        count = count or 2**16
        found = item[data].value
        if isinstance(found, bytes):
            words = "u1" if len(found) < 2 * count else "<u2" if little_endian else ">u2"
            found = np.frombuffer(found, dtype=words)
        entries = np.atleast_1d(np.asarray(found)).astype(np.uint16)
        if len(entries) < count or not 1 <= bits <= 16:
            raise ValueError(f"its {data} doesn't hold {count} entries")
        return cls(first, entries[:count], bits)

    @property
    def top(self) -> int:
        return 2**self.bits - 1

    def looked_up(self, values: np.ndarray) -> np.ndarray:
        """uint16, of any whole or real values."""
        places = np.rint(values).astype(np.int64) - self.first
        return self.entries[places.clip(0, len(self.entries) - 1)]


@dataclass(frozen=True)
class Grey:
    """What the stored values of a picture mean.

    Attributes:
        stored: the lowest and the highest value that its bits can hold.
        rescale: a table, or slope and intercept.
        shown: how values become black to white; None: they stay as they are.
        inverted: the lowest value is white.
        padding: stored values, from the one to the other, that are no part of the picture.
    """

    stored: tuple[int, int]
    rescale: Table | Ends = (1.0, 0.0)
    shown: Window | Table | None = None
    inverted: bool = False
    padding: tuple[int, int] | None = None

    @property
    def whole(self) -> bool:
        """Whether values are whole numbers."""
        return isinstance(self.rescale, Table) or all(each.is_integer() for each in self.rescale)

    @property
    def ends(self) -> Ends:
        """The lowest and the highest value that there can be, before they are shown."""
        if isinstance(self.rescale, Table):
            return 0, self.rescale.top
        slope, intercept = self.rescale
        low, high = sorted(slope * value + intercept for value in self.stored)
        return low, high

    @property
    def sample(self) -> Sample:
        if self.shown is not None:
            return "unsigned"
        return "float" if not self.whole else "signed" if self.ends[0] < 0 else "unsigned"

    @property
    def bits(self) -> int:
        if self.shown is not None:
            return WINDOWED_BITS
        low, high = self.ends
        if not self.whole:
            return 32
        return max(int(high).bit_length() + (low < 0), int(-low).bit_length() if low < 0 else 1)

    def levels(self, values: np.ndarray) -> np.ndarray:
        """Stored whole values ``(H, W)`` -> what ``sample`` and ``bits`` say, where more is
        brighter.

        Raises:
            ValueError: a value needs more bits than there are.
        """
        values = values.astype(np.int64)
        outside = self._outside(values)
        picture = values[~outside]
        if picture.size and (picture.min() < self.stored[0] or picture.max() > self.stored[1]):
            raise ValueError(
                f"it holds values from {picture.min()} to {picture.max()}, beyond "
                f"{self.stored[0]} to {self.stored[1]}, which its bits allow"
            )
        levels = self._meant(values)
        low, high = self.ends
        if self.shown is not None:
            top = 2**WINDOWED_BITS - 1
            low, high = 0, top
            if isinstance(self.shown, Window):
                levels = np.rint(self.shown.shown(levels) * top)
            else:
                levels = np.rint(self.shown.looked_up(levels) * (top / self.shown.top))
        if self.inverted:
            levels = low + high - levels
        if outside.any() and not outside.all():
            levels[outside] = 0 if self.shown is not None else levels[~outside].min()
        return levels.astype(self._type)

    @property
    def _type(self) -> np.dtype:
        if self.sample == "float":
            return np.dtype(np.float32)
        if self.sample == "signed":
            return np.dtype(np.int32 if self.bits <= 32 else np.int64)
        return np.min_scalar_type(2**self.bits - 1)

    def _outside(self, values: np.ndarray) -> np.ndarray:
        if self.padding is None:
            return np.zeros(values.shape, dtype=bool)
        return (values >= self.padding[0]) & (values <= self.padding[1])

    def _meant(self, values: np.ndarray) -> np.ndarray:
        if isinstance(self.rescale, Table):
            return self.rescale.looked_up(values).astype(np.int64)
        slope, intercept = self.rescale
        if self.whole:
            return values * int(slope) + int(intercept)
        return values * slope + intercept
