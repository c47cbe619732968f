"""Where the numbers of a run go: CSV always, Weights & Biases if you like."""

from synthgen.tracking.open import lightning_loggers, open_tracker
from synthgen.tracking.stages import log_comparison, log_dataset, log_report, log_sampler
from synthgen.tracking.tracker import CsvOnly, Tracker

__all__ = [
    "CsvOnly",
    "Tracker",
    "lightning_loggers",
    "log_comparison",
    "log_dataset",
    "log_report",
    "log_sampler",
    "open_tracker",
]
