"""The paired utility trial: arms, choices on the holdout, one verdict on the test split."""

from synthgen.evaluation.trial.stage import TrialReport, hold_trial
from synthgen.evaluation.trial.trial import Trial
from synthgen.evaluation.trial.verdict import main_arms

__all__ = ["Trial", "TrialReport", "hold_trial", "main_arms"]
