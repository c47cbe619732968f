"""Synthetic images beside the training images that they lie suspiciously near to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from synthgen.evaluation.pictures import draw_rows

ROWS = 6
ACROSS = 4


def copy_figure(
    pairs: Sequence[dict[str, Any]],
    synthetic: Tensor,
    train: Tensor,
    folder: Path,
    *,
    extractor: str,
    file: str,
) -> dict[str, Any] | None:
    """Write a PNG of the first pairs and return its entry for ``figures``; None without pairs.

    ``pairs`` name positions in ``synthetic`` and ``train``, uint8 ``(N, C, H, W)`` each. Beside
    each pair stands the absolute difference of its pixels: black means equal.
    """
    shown = pairs[: ROWS * ACROSS]
    if not shown:
        return None
    blocks = [triple(synthetic[pair["synthetic"]], train[pair["train"]]) for pair in shown]
    rows = [blocks[start : start + ACROSS] for start in range(0, len(blocks), ACROSS)]
    names = [
        str(start + 1) if len(row) == 1 else f"{start + 1}-{start + len(row)}"
        for start, row in zip(range(0, len(blocks), ACROSS), rows, strict=True)
    ]
    across = min(ACROSS, len(blocks))
    draw_rows(rows, names, ("set|train|diff",) * across, (3,) * across, folder / file)
    caption = (
        f"The {len(shown)} nearest pairs of {len(pairs)} by {extractor}, nearest first: synthetic "
        "image, training image, and the difference of their pixels (black: equal)."
    )
    return {"file": file, "kind": "copies", "class": None, "extractor": extractor,
            "caption": caption}  # fmt: skip


def triple(synthetic: Tensor, training: Tensor) -> list[Tensor]:
    difference = (synthetic.short() - training.short()).abs().to(synthetic.dtype)
    return [synthetic, training, difference]
