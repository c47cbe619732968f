"""Whether both sets hold the classes in the same proportions."""

from __future__ import annotations

from typing import Any

import numpy as np

from synthgen.types import LabelledImages


def compare_labels(real: LabelledImages, fake: LabelledImages) -> dict[str, Any]:
    """Chi-squared test of homogeneity (two rows, one column per class that occurs) and total
    variation, 0 (same proportions) .. 1 (no class in common). ``chi2`` and ``p`` are None where
    one class only occurs."""
    from scipy.stats import chi2_contingency

    counts = np.array([real.counts, fake.counts], dtype=np.float64)
    counts = counts[:, counts.sum(0) > 0]
    shares = counts / counts.sum(1, keepdims=True)
    found: dict[str, Any] = {
        "chi2": None,
        "p": None,
        "degrees": None,
        "total_variation": float(abs(shares[0] - shares[1]).sum() / 2),
        "n_real": len(real),
        "n_fake": len(fake),
        "balanced": max(fake.counts) - min(fake.counts) <= 1,
        "missing": [
            name
            for name, ours, theirs in zip(real.classes, real.counts, fake.counts, strict=True)
            if ours and not theirs
        ],
    }
    if counts.shape[1] > 1:
        test = chi2_contingency(counts, correction=False)
        found |= {"chi2": float(test[0]), "p": float(test[1]), "degrees": int(test[2])}
    return found
