"""A random forest (Breiman 2001)."""

from __future__ import annotations

from typing import Any

from synthgen.evaluation.features.base import Extractor
from synthgen.evaluation.judges.estimators import EstimatorJudge
from synthgen.ranges import Few


class RandomForestJudge(EstimatorJudge):
    """scikit-learn's."""

    name = "random_forest"

    def __init__(
        self, features: Extractor | None = None, trees: Few = 200, copies: Few = 4
    ) -> None:
        super().__init__(features, copies)
        self.trees = trees

    def estimator(self, seed: int) -> Any:
        from sklearn.ensemble import RandomForestClassifier

        return RandomForestClassifier(n_estimators=self.trees, random_state=seed)

    def settings(self) -> str:
        return f"random forest of {self.trees} trees"
