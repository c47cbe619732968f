"""The linear probe."""

from __future__ import annotations

from synthgen.evaluation.judges.probes import Probe
from synthgen.ranges import BatchSize, Count, Positive


class LinearJudge(Probe):
    """Multinomial logistic regression on pixels, by gradient descent like the networks."""

    name = "linear"

    def __init__(
        self, steps: Count | None = None, batch_size: BatchSize = 64, learning_rate: Positive = 0.1
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, [])
