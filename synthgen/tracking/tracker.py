"""What a stage may tell the outside world, and the tracker that tells nobody.

The folders that stages write are the truth (metrics.csv, dataset.json, report.json); a tracker
mirrors them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pytorch_lightning.loggers import Logger

    from synthgen.tracking.lineage import Piece


Kind = Literal["wandb", "csv"]
JobType = Literal["train", "synthesize", "evaluate", "compare"]
DeviceUse = Literal["hidden", "shown"]
Number = float | int
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
    def log_values(self, values: Mapping[str, Number | str | None]) -> None:
        """Final numbers and words of the stage, by name; what is missing or not finite isn't
        told."""

    @abstractmethod
    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A table; cells are numbers, text, None or pictures, as paths."""

    @abstractmethod
    def log_pictures(self, files: Mapping[str, Path]) -> None:
        """Picture files by name."""

    @abstractmethod
    def log_piece(self, piece: Piece) -> None:
        """What the stage made and later ones build on."""

    @abstractmethod
    def use_piece(self, piece: Piece) -> None:
        """What the stage was given."""

    @abstractmethod
    def log_fingerprints(self, fingerprints: Mapping[str, str | None]) -> None:
        """Hashes of what went in and came out, by role, to find runs by."""

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

    def log_values(self, values: Mapping[str, Number | str | None]) -> None:
        """Already in the stage's own files."""

    def log_table(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Already in the stage's own files."""

    def log_pictures(self, files: Mapping[str, Path]) -> None:
        """Already in the stage's own files."""

    def log_piece(self, piece: Piece) -> None:
        """Already in the stage's own files."""

    def use_piece(self, piece: Piece) -> None:
        """Already in the stage's own files."""

    def log_fingerprints(self, fingerprints: Mapping[str, str | None]) -> None:
        """Already in the stage's own files."""

    def close(self, exit_code: int) -> None:
        """Nothing is open."""
