"""The linear probe."""

from __future__ import annotations

from synthgen.evaluation.judges.probes import Probe


class LinearJudge(Probe):
    """Multinomial logistic regression on pixels, by gradient descent like the networks."""

    name = "linear"

    def __init__(
        self, steps: int | None = None, batch_size: int = 64, learning_rate: float = 0.1
    ) -> None:
        super().__init__(steps, batch_size, learning_rate, [])
