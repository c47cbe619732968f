"""p-values corrected for the number of tests of one family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (1979): below alpha, and the chance of *any* false alarm in the
    family is at most alpha, however the tests depend on each other."""
    p = np.asarray(p_values, dtype=np.float64)
    order = p.argsort(kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return _in_place(np.minimum(stepped, 1.0), order)


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values (1995): of what lies below alpha, at most the
    share alpha are false alarms in the long run (independent or positively dependent tests)."""
    p = np.asarray(p_values, dtype=np.float64)
    order = p.argsort(kind="stable")
    stepped = p[order] * len(p) / np.arange(1, len(p) + 1)
    return _in_place(np.minimum(np.minimum.accumulate(stepped[::-1])[::-1], 1.0), order)


def _in_place(values: np.ndarray, order: np.ndarray) -> list[float]:
    found = np.empty_like(values)
    found[order] = values
    return [float(value) for value in found]
