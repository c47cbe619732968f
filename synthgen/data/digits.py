"""scikit-learn's 1,797 handwritten digits: real images that come with the installation."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from synthgen.data.arrays import Arrays, ArraySource


@dataclass(frozen=True, kw_only=True)
class Digits(ArraySource):
    """1,797 real handwritten digits of 43 people, 8 × 8 grey (UCI Optical Recognition of
    Handwritten Digits, its test half). Levels 0..16 become 0..255."""

    kind: ClassVar[str] = "digits"

    def arrays(self) -> Arrays:
        from sklearn.datasets import load_digits  # takes a second to import

        bunch = load_digits()
        pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
        classes = tuple(str(name) for name in bunch.target_names)
        return Arrays(pixels, bunch.target, classes, (None,) * len(pixels))
