"""The smallest network with a hidden layer."""

from __future__ import annotations

from synthgen.evaluation.judges.probes import Probe


class MLPJudge(Probe):
    """One hidden layer on pixels: a tenth of a second per training."""

    name = "mlp"

    def __init__(
        self,
        steps: int | None = None,
        batch_size: int = 64,
        learning_rate: float = 0.1,
        hidden: int = 128,
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, [hidden])
