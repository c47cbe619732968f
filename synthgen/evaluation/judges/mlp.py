"""The smallest network with a hidden layer."""

from __future__ import annotations

from synthgen.evaluation.judges.probes import Probe
from synthgen.ranges import BatchSize, Count, Positive, Width


class MLPJudge(Probe):
    """One hidden layer on pixels: a tenth of a second per training."""

    name = "mlp"

    def __init__(
        self,
        steps: Count | None = None,
        batch_size: BatchSize = 64,
        learning_rate: Positive = 0.1,
        hidden: Width = 128,
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, [hidden])
