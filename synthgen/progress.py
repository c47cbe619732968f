"""One way to show that long work is alive: what is done, how fast, and how long it still takes."""

from __future__ import annotations

import errno
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def track(total: int, description: str, unit: str = "images") -> Iterator[Callable[[int], None]]:
    """Yield ``advance(n)``, to be called whenever ``n`` more units of ``total`` are done.

    On a terminal a bar on stderr shows rate, elapsed time and time left. Elsewhere (a file, a CI
    log, a notebook's server) a plain line goes to the log about every ten seconds, so short work
    stays silent.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainLines(total, description, unit).advance
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        RateColumn(unit),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as progress:
        task = progress.add_task(description, total=total)
        yield lambda count: progress.advance(task, count)


class Bar(Progress):
    """Rich's. On a terminal that was closed meanwhile nobody sees it, which is no error."""

    def stop(self) -> None:
        try:
            super().stop()
        except OSError as error:
            if error.errno != errno.EIO:
                raise


class RateColumn(ProgressColumn):
    """Units per second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self.unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{format_rate(speed)} {self.unit}/s")


class PlainLines:
    """The same information as log lines, at most one per ``every`` seconds."""

    def __init__(
        self,
        total: int,
        description: str,
        unit: str,
        *,
        every: float = SECONDS_BETWEEN_LINES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.description, self.unit = total, description, unit
        self.every, self.clock = every, clock
        self.done = 0
        self.started = self.spoken = clock()

    def advance(self, count: int) -> None:
        """Add ``count`` units and say where we are when the last line is old enough."""
        self.done += count
        now = self.clock()
        if now - self.spoken < self.every:
            return
        self.spoken = now
        elapsed = now - self.started
        rate = self.done / elapsed
        left = format_duration((self.total - self.done) / rate) if rate > 0 else "?"
        log.info(
            "%s: %s/%s %s (%.0f %%), %s %s/s, %s elapsed, %s left",
            self.description,
            self.done,
            self.total,
            self.unit,
            100 * self.done / max(self.total, 1),
            format_rate(rate),
            self.unit,
            format_duration(elapsed),
            left,
        )


def format_rate(rate: float) -> str:
    """Three digits at most, so that the eye isn't led to believe in the fourth."""
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}" if rate >= 1 else f"{rate:.2f}"


def format_duration(seconds: float) -> str:
    """``75`` -> ``"1:15"``; hours appear when they are needed."""
    minutes, second = divmod(math.ceil(max(seconds, 0.0)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
