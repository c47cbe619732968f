"""Errors that are meant to be read by the person at the keyboard, and names that others chose in
them."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable
from itertools import islice
from unicodedata import category

UNREAD = 141  # exit code if nobody reads what is printed, as shells have it
LOST = 75  # exit code of a process whose partners are gone: EX_TEMPFAIL of sysexits.h


class SynthgenError(Exception):
    """Something the user can mend. Shown as one or two lines, without a traceback.

    The message says what was wrong, where, and what to do about it.
    """

    exit_code = 2


class CheckFailedError(SynthgenError):
    """What the person asked to be checked is not so: a changed set, a verdict to fail on. A code of
    its own, so that a pipeline can tell the answer no from a mistake in its command."""

    exit_code = 3


class StoppedByUserError(SynthgenError):
    """Ctrl-C or SIGTERM, after the state was saved."""

    exit_code = 130


TO_STOP = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
# What a scheduler sends some time before it ends a job: SLURM's --signal, submitit.
TIME_IS_UP = tuple(
    getattr(signal, name) for name in ("SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)  # Windows has neither
OUT_OF_TIME = 85  # exit code, as HTCondor knows it for what saved its state and wants to go on


def listened_to(number: int) -> bool:
    """Whether to act on the signal: not on SIGHUP, of a terminal that is closed, under nohup."""
    hung_up = number == getattr(signal, "SIGHUP", None)
    return not (hung_up and signal.getsignal(number) is signal.SIG_IGN)


class OutOfTimeError(StoppedByUserError):
    """SIGUSR1 or SIGUSR2, after the state was saved."""

    exit_code = OUT_OF_TIME


class OutOfTimeInterrupt(KeyboardInterrupt):
    """SIGUSR1 or SIGUSR2 where there is no state to save: what is unfinished is removed, as after
    Ctrl-C."""


def stopped(error: KeyboardInterrupt, message: str) -> StoppedByUserError:
    """What to raise with ``message`` instead of the interrupt ``error``."""
    return (OutOfTimeError if isinstance(error, OutOfTimeInterrupt) else StoppedByUserError)(
        message
    )


class ProcessLostError(SynthgenError):
    """Another process of the same training is gone, or doesn't answer any more."""

    exit_code = LOST


# Names that others chose (files, classes, settings), in our messages and tables: what a terminal, a
# spreadsheet and a reader make of them.

KEPT = {"\n", "\t"}
TURNING = {chr(code) for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F)}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
LONGEST, MOST = 100, 2000  # characters of a name and names that are compared


def printable(text: str) -> str:
    """``text`` with control characters written out, as in ``\\x1b``: a terminal would obey them.
    So are those that change the direction of writing; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(_shown(mark) for mark in text)


def plain_cell(value: object) -> object:
    """``value`` for a cell of a CSV file. A spreadsheet would calculate text that begins like a
    formula: such text gets an apostrophe in front, as is common (OWASP, CSV injection)."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def cell_text(cell: str) -> str:
    """The text that :func:`plain_cell` was given."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA) else cell


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The name in ``known`` that is most like ``word``, None if all are less like it than
    ``cutoff``; capitals count as small letters. Comparing costs time by the square of a name's
    length, so a long word has none, and only the first names are looked at."""
    if len(word) > LONGEST:
        return None
    names = [name for name in islice(known, MOST) if len(name) <= LONGEST]
    small = {name.casefold(): name for name in reversed(names)}
    close = difflib.get_close_matches(word.casefold(), small, n=1, cutoff=cutoff)
    return small[close[0]] if close else None


def _shown(mark: str) -> str:
    if mark in KEPT or (category(mark) not in ("Cc", "Cs") and mark not in TURNING):
        return mark
    return mark.encode("unicode_escape").decode()
