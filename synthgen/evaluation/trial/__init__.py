"""The paired utility trial: arms, choices on the holdout, one verdict on the test split."""

from synthgen.evaluation.trial.analysis import main_arms
from synthgen.evaluation.trial.run import TrialReport, run_trial
from synthgen.evaluation.trial.trial import Trial

__all__ = [
    "Trial",
    "TrialReport",
    "main_arms",
    "run_trial",
]
