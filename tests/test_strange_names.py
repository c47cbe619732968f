"""Names that others chose, in messages and tables."""

import csv
import os
import time

import pytest

from synthgen.cli.catalogue import entries
from synthgen.data.source import require_safe_names
from synthgen.errors import SynthgenError, cell_text, nearest, plain_cell, printable
from synthgen.evaluation.compare import write_csv
from synthgen.evaluation.report.schema import ComparedLine, ComparedRun, ComparedValue, Comparison
from synthgen.synthesis.plan import PerClass, checked_quotas
from synthgen.tracking.metrics_csv import MetricsCSV

RED = "\x1b[31m"
MANY = tuple(f"species of bird number {number:06d}" for number in range(20_000))
MISSPELT = PerClass({"species of bird nubmer 4": 1})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Größe 8 × 8, 鳥", "Größe 8 × 8, 鳥"),
        ("a\nb\tc", "a\nb\tc"),
        (f"{RED}a", "\\x1b[31ma"),
        ("a\rb\x07\x9b", "a\\rb\\x07\\x9b"),
        ("gpj.\u202eexe", "gpj.\\u202eexe"),
        ("\udcff", "\\udcff"),
    ],
)
def test_control_characters_are_written_out(text, shown):
    assert printable(text) == shown


def test_the_nearest_name_whatever_its_capitals():
    assert nearest("VAE", ("gan", "vae", "vae_gan")) == "vae"
    assert nearest("cat", ("Dog", "CAT")) == "CAT"
    assert nearest("a", ("A", "a")) in ("A", "a")
    assert nearest("xyz", ("gan", "vae")) is None


def test_none_reaches_the_terminal(synthgen, tmp_path):
    """By an error, by a line of the log, by a table."""
    refused = synthgen("train", f"data.{RED}=1")
    assert refused.code == 2
    unknown = synthgen(f"{RED}train")
    folder = tmp_path / "photos"
    for name in ("cat", f"{RED}dog"):
        (folder / name).mkdir(parents=True)
        (folder / name / f"{RED}note.png").write_text("no image")
    checked = synthgen("data", "check", "data=image_folder", f"data.root={folder}", "out=checked")
    for done in (refused, unknown, checked):
        assert "\x1b" not in done.out + done.err
        assert "\\x1b[31m" in done.err


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_calculates_no_name(formula):
    cell = plain_cell(formula)
    assert cell == f"'{formula}"
    assert cell_text(cell) == formula


@pytest.mark.parametrize("value", [-1.5, None, True, "a=1", "", "'quoted'", "'"])
def test_other_cells_stay(value):
    assert plain_cell(value) is value
    if isinstance(value, str):
        assert cell_text(value) == value


def test_columns_of_metrics_are_no_formulas_and_are_found_again(tmp_path):
    for moment in (1, 2):
        log = MetricsCSV(tmp_path / "metrics.csv")
        log.log_metrics({"images_seen": moment, "=loss": -0.5}, step=moment)
        log.save()
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["images_seen", "'=loss"], ["1", "-0.5"], ["2", "-0.5"]]


def test_cells_of_a_comparison_are_no_formulas(tmp_path):
    value = ComparedValue(value=-0.5, ci_low=None, ci_high=None, n_fake=9)
    line = ComparedLine(
        name="@x", extractor=None, classifier=None, scope=None, higher_is_better=True,
        values={"=run": value}, best="=run",
    )  # fmt: skip
    made = Comparison(
        format="synthgen-comparison/1", runs=[ComparedRun(name="=run", folder="x")],
        results=[line], differences=[], sentences=[],
    )  # fmt: skip
    write_csv(made, tmp_path / "comparison.csv")
    head, row = (tmp_path / "comparison.csv").read_text().splitlines()
    assert head.endswith(",'=run value,'=run ci_low,'=run ci_high,'=run n_fake,best")
    assert row == "'@x,,,,True,-0.5,,,9,'=run"


def test_the_nearest_name():
    assert nearest("hinje", ["hinge", "least_squares"]) == "hinge"
    assert nearest("zzz", ["hinge"]) is None
    assert nearest("h" * 101, ["h" * 100]) is None


def refused(plan):
    with pytest.raises(SynthgenError):
        checked_quotas(plan, MANY, None)


@pytest.mark.parametrize(
    "work",
    [
        lambda: require_safe_names(MANY),
        lambda: checked_quotas(PerClass(dict.fromkeys(MANY, 1)), MANY, None),
        lambda: refused(MISSPELT),
        lambda: nearest("ab" * 50_000, ["ba" * 50_000] * 100),
    ],
    ids=["folders", "a plan", "a misspelt class", "a long word"],
)
def test_many_names_are_looked_at_in_time_by_their_number(work):
    started = time.process_time()
    work()
    assert time.process_time() - started < 1.5  # the first took 16 s


def test_among_many_classes_a_near_one_is_still_named():
    with pytest.raises(SynthgenError, match="Did you mean 'species of bird number 0"):
        checked_quotas(MISSPELT, MANY, None)


def test_names_that_differ_in_capitals_alone_are_still_found():
    with pytest.raises(SynthgenError, match="'Cat' exists twice"):
        require_safe_names(("dog", "Cat", "cat"))


def test_a_pipe_among_configs_is_not_waited_for(tmp_path):
    (tmp_path / "model").mkdir()
    os.mkfifo(tmp_path / "model" / "mine.yaml")
    assert entries([tmp_path], []) == []
