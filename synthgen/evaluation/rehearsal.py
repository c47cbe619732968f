"""What a report needs and the real images alone can tell: asked before a generator is trained for
hours, because after that a wrong setting of the evaluation has cost them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from synthgen.data.splits import Splits
from synthgen.evaluation import checks
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.judges import Judge
from synthgen.evaluation.judges.network import NetworkJudge
from synthgen.evaluation.review import require_enough
from synthgen.evaluation.trial import Trial
from synthgen.evaluation.trial.endpoints import declared_endpoint, endpoint_score, tail_labels


def require_measurable(
    splits: Splits,
    *,
    extractors: Sequence[Extractor],
    judge: Judge,
    trial: Trial | None,
    seeds: int,
    seed: int,
    review: int | None,
) -> None:
    """Raises what :func:`synthgen.evaluation.evaluate` would raise about its settings and these
    splits, for a set that fits them."""
    checks.require_options(extractors, seeds, seed)
    if review is not None:
        require_enough(review)
    if isinstance(judge, NetworkJudge):
        with torch.device("meta"):  # no weights, but every check of its constructor
            judge.network(splits.train.image)
    if trial is not None:
        declared = declared_endpoint(trial.endpoint, splits.train)
        endpoint_score(declared, tail_labels(splits.train, trial.tail))
