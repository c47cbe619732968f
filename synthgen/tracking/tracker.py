"""What a stage may tell the outside world, and the tracker that tells nobody.

The folders that stages write are the truth (metrics.csv, dataset.json, report.json); a tracker
mirrors them. Nothing in the package ever reads back from one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger


Kind = Literal["wandb", "csv"]
JobType = Literal["train", "synthesize", "evaluate", "compare"]
METRICS_FILE = "metrics.csv"


class Tracker(ABC):
    """One stage's line to the outside. Use it as a context manager: leaving it ends the run, as
    failed when an exception passes. No method raises because of the tracking service: a stage
    that took hours must not die of a lost connection."""

    def __init__(self, out: Path) -> None:
        self.out = Path(out)

    def loggers(self) -> list[Logger]:
        """Loggers for Lightning's Trainer; the first one writes ``out/metrics.csv``."""
        from synthgen.tracking.metrics_csv import MetricsCSV

        return [MetricsCSV(self.out / METRICS_FILE)]

    @abstractmethod
    def log_values(self, values: Mapping[str, float]) -> None:
        """Final numbers of the stage, by name."""

    @abstractmethod
    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table; cells are numbers, text or None."""

    @abstractmethod
    def log_pictures(self, files: Mapping[str, Path]) -> None:
        """Picture files by name."""

    @abstractmethod
    def log_artifact(
        self, name: str, kind: str, files: Sequence[Path], metadata: Mapping[str, Any]
    ) -> None:
        """Files that later stages build on, with plain facts about them."""

    @abstractmethod
    def log_fingerprints(self, fingerprints: Mapping[str, str | None]) -> None:
        """Hashes of what went in and came out, by role. They are the lineage: offline runs can't
        point at each other's artifacts."""

    @abstractmethod
    def close(self, exit_code: int) -> None:
        """End the run; 0 means success. Further calls do nothing."""

    def __enter__(self) -> Tracker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close(0 if error is None else 1)


class CsvOnly(Tracker):
    """Files and nothing else; W&B isn't even imported."""

    def log_values(self, values: Mapping[str, float]) -> None:
        """Already in the stage's own files."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Already in the stage's own files."""

    def log_pictures(self, files: Mapping[str, Path]) -> None:
        """Already in the stage's own files."""

    def log_artifact(
        self, name: str, kind: str, files: Sequence[Path], metadata: Mapping[str, Any]
    ) -> None:
        """Already in the stage's own files."""

    def log_fingerprints(self, fingerprints: Mapping[str, str | None]) -> None:
        """Already in the stage's own files."""

    def close(self, exit_code: int) -> None:
        """Nothing is open."""
