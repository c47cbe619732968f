"""How long a classifier trains when nobody says."""

from __future__ import annotations

FEWEST, MOST = 400, 2000
PASSES = 40


def automatic_steps(images: int, batch_size: int) -> int:
    """Forty passes over the real training images, but 400 steps at least and 2,000 at most.

    Chosen from the real training split alone and then the same for every arm, so that no arm trains
    longer than another.
    """
    return max(FEWEST, min(MOST, images * PASSES // batch_size))
