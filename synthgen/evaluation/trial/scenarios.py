"""Test images made harder, at rising strength: what every arm's classifier is asked besides."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from synthgen.data.splits import Splits
from synthgen.errors import SynthgenError
from synthgen.evaluation.subsets import spread_by_class
from synthgen.seeds import row_seeds

SCENARIO_IMAGES = 1000  # of the test split, so that many strengths stay affordable
SEED = 17  # one for all reports: every set is asked about the same corrupted images


def scenario_exams(
    splits: Splits, names: Sequence[str], strengths: Sequence[float]
) -> dict[str, Tensor]:
    """``scenario/<name>/<strength>`` -> uint8 images; the labels are :func:`scenario_labels`."""
    from synthgen.rules.corruptions import CORRUPTIONS

    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown:
        raise SynthgenError(
            f"trial.scenarios names {', '.join(unknown)}, which is unknown.\n"
            f"There are {', '.join(CORRUPTIONS)}."
        )
    clean = spread_by_class(splits.test, SCENARIO_IMAGES).images
    seeds = row_seeds(SEED, 0, len(clean))
    return {
        f"scenario/{name}/{strength:g}": CORRUPTIONS[name](clean, strength, seeds)
        for name in names
        for strength in strengths
    }


def scenario_labels(splits: Splits) -> Tensor:
    """int64 labels of every scenario's images."""
    return spread_by_class(splits.test, SCENARIO_IMAGES).labels
