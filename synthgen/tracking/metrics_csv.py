"""``RUN/metrics.csv``: one row per moment of training, keyed by the images seen."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from synthgen.errors import SynthgenError, cell_text, plain_cell
from synthgen.io import readable_os_errors, write_text

CLOCK = "images_seen"
Row = dict[str, str]


class MetricsCSV(Logger):
    """A Lightning logger that keeps one tidy file.

    The first column is ``images_seen``: taken from the metric of that name, else from Lightning's
    step. Metrics logged at the same moment share a row, columns may appear at any time, a missing
    value is an empty cell. A resumed run goes on in the same file: rows at or after its first
    moment are dropped, because they describe training that was lost.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = Path(path)
        self.columns: list[str] = [CLOCK]
        self.rows: list[Row] = []
        self._saved = 0  # rows that the file holds and that are still right
        self._must_rewrite = False  # columns or old rows have changed
        self._begun = False

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    @property
    def save_dir(self) -> str:
        return str(self.path.parent)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        moment = int(metrics.get(CLOCK, 0 if step is None else step))
        if not self._begun:
            self._begin(moment)
        values = {name: _text(value) for name, value in metrics.items() if name != CLOCK}
        for name in values:
            if name not in self.columns:
                self.columns.append(name)
                self._must_rewrite = True
        if self.rows and int(self.rows[-1][CLOCK]) == moment:
            self.rows[-1].update(values)
            self._must_rewrite |= self._saved == len(self.rows)
        else:
            self.rows.append({CLOCK: str(moment), **values})

    def rewind(self, moment: int) -> None:
        """Drop the rows at or after ``moment`` images."""
        kept = [row for row in self.rows if int(row[CLOCK]) < moment]
        self._must_rewrite |= len(kept) < self._saved
        self.rows = kept

    @rank_zero_only
    def log_hyperparams(
        self, params: dict[str, object] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """The run folder has its own config.yaml."""

    @rank_zero_only
    def save(self) -> None:
        """Bring the file up to date: new rows are appended, anything else rewrites it."""
        if self._must_rewrite or (self.rows and not self.path.is_file()):
            write_text(self.path, self._csv(self.rows, header=self.columns))
        elif len(self.rows) > self._saved:
            with readable_os_errors(self.path), self.path.open("a", encoding="utf-8") as file:
                file.write(self._csv(self.rows[self._saved :]))
        self._saved, self._must_rewrite = len(self.rows), False

    def _begin(self, moment: int) -> None:
        self._begun = True
        if not self.path.is_file():
            return
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                reader = csv.DictReader(file)
                reader.fieldnames = [cell_text(name) for name in reader.fieldnames or [CLOCK]]
                self.columns = [*reader.fieldnames]
                self.rows = [row for row in reader if (row.get(CLOCK) or "").isdecimal()]
        except (UnicodeDecodeError, csv.Error) as error:
            raise SynthgenError(
                f"{self.path} is damaged ({error}).\n"
                "Move it elsewhere and run again: a new one is begun, the training goes on."
            ) from error
        self._saved = len(self.rows)
        self.rewind(moment)

    def _csv(self, rows: list[Row], header: list[str] | None = None) -> str:
        buffer = io.StringIO()
        writer = csv.DictWriter(
            buffer, self.columns, restval="", extrasaction="ignore", lineterminator="\n"
        )
        if header is not None:
            writer.writerow({name: plain_cell(name) for name in self.columns})
        writer.writerows(rows)
        return buffer.getvalue()


def _text(value: Any) -> str:
    number = float(value)
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
