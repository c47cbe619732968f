"""Progress: a bar on a terminal, plain lines elsewhere, silence for short work."""

from __future__ import annotations

import io
import logging
import os
import sys

import pytest
from rich.console import Console

from synthgen import progress
from synthgen.progress import PlainLines, format_duration, format_rate, track


def test_without_a_terminal_a_line_appears_only_when_the_last_one_is_old(caplog):
    now = [0.0]
    lines = PlainLines(1000, "synthesize", "images", every=10, clock=lambda: now[0])
    with caplog.at_level(logging.INFO, logger="synthgen.progress"):
        for _ in range(5):  # 5 × 4 s: lines at 12 s only (the next would be due at 22 s)
            now[0] += 4
            lines.advance(100)
    assert [record.getMessage() for record in caplog.records] == [
        "synthesize: 300/1000 images (30 %), 25.0 images/s, 0:12 elapsed, 0:28 left"
    ]


def test_short_work_without_a_terminal_says_nothing(caplog, capsys):
    with caplog.at_level(logging.INFO), track(3, "quick") as advance:
        for _ in range(3):
            advance(1)
    assert not caplog.records
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_the_bar_is_on_stderr_with_rate_and_unit(monkeypatch):
    stream, asked = io.StringIO(), []

    def terminal(**options: object) -> Console:
        asked.append(options)
        return Console(file=stream, force_terminal=True, width=140, color_system=None)

    monkeypatch.setattr(progress, "Console", terminal)
    with track(200, "[draw]", unit="images") as advance:
        advance(100)
        advance(100)
    assert asked == [{"stderr": True}]
    text = stream.getvalue()
    assert "[draw]" in text  # shown literally, not read as markup
    assert "200/200" in text
    assert "images/s" in text


def test_an_error_inside_passes_through():
    def work() -> None:
        with track(2, "work") as advance:
            advance(1)
            raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        work()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.2, "1:00"), (75, "1:15"), (3725, "1:02:05")]
)
def test_durations(seconds, text):
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"), [(12345.6, "12,346"), (61.24, "61.2"), (0.034, "0.03"), (2, "2.0")]
)
def test_rates(rate, text):
    assert format_rate(rate) == text


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such terminals")
def test_a_terminal_that_is_closed_meanwhile_is_no_error(monkeypatch):
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setenv("TERM", "xterm")
        with track(10, "Drawing") as advance:
            os.close(ours)
            advance(1)
            with pytest.raises(OSError, match="Input/output"):
                terminal.write("nothing\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), theirs)  # what is closed is written once more
