"""Multinomial logistic regression, fitted to the end."""

from __future__ import annotations

from typing import Any

from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.judges.estimators import EstimatorJudge
from synthgen.ranges import Count, Few, Positive


class LogisticRegressionJudge(EstimatorJudge):
    """scikit-learn's, by L-BFGS. Its outcome does not depend on the seed, unless a lesson augments.

    Args:
        inverse_penalty: ``C``, one over the factor of the squared weights.
    """

    name = "logistic_regression"

    def __init__(
        self,
        features: Extractor | None = None,
        inverse_penalty: Positive = 1.0,
        iterations: Count = 200,
        copies: Few = 4,
    ) -> None:
        super().__init__(features, copies)
        self.inverse_penalty = inverse_penalty
        self.iterations = iterations

    def estimator(self, seed: int) -> Any:
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(
            C=self.inverse_penalty, max_iter=self.iterations, random_state=seed
        )

    def settings(self) -> str:
        return f"logistic regression (C = {self.inverse_penalty:g})"
