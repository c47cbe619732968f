"""Reports side by side: what is shared, what differs, what is refused."""

from __future__ import annotations

import csv
import json
import re

import pytest
from rich.console import Console
from trials import verdict

from synthgen.errors import SynthgenError
from synthgen.evaluation.compare import clear_best, compare, labels, render
from synthgen.evaluation.schema import Interval


@pytest.fixture
def run(tmp_path, make_report):
    """``run("a", change)`` writes a run folder with report/report.json and returns it."""

    def write(name, change=lambda report: None, **more):
        folder = tmp_path / name
        report = make_report(folder / "report", **more)
        change(report)
        (folder / "report" / "report.json").write_text(json.dumps(report))
        return folder

    return write


def scale(factor):
    def change(report):
        for result in report["results"]:
            for part in ("value", "ci_low", "ci_high"):
                if result[part] is not None:
                    result[part] *= factor

    return change


def test_shared_results_files_and_the_best(run, tmp_path):
    def other(report):
        scale(0.9)(report)
        report["results"] = [r for r in report["results"] if r["name"] != "fidelity/kid"]
        report["provenance"]["config"]["model"]["lr"] = 0.5
        report["provenance"]["config"]["logger"]["api_key"] = "another-secret"

    made = compare([run("good"), run("bad", other)], tmp_path / "out")
    assert made.names == ["good", "bad"]
    lines = {(line.name, str(line.scope)): line for line in made.lines}
    assert ("fidelity/kid", "None") not in lines  # only one report has it
    assert lines["transfer/real_only/accuracy", "None"].best == 0  # higher, intervals apart
    assert lines["fidelity/frechet_distance", "None"].best == 1  # lower, intervals apart
    assert lines["fidelity/recall", "None"].best == 0
    assert [(d.key, d.values) for d in made.differences] == [("evaluate.model.lr", [0.001, 0.5])]

    with (tmp_path / "out/comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(made.lines)
    assert rows[0]["name"] == "transfer/real_only/accuracy"
    assert float(rows[0]["good value"]) == 0.9921
    assert rows[0]["best"] == "good"
    saved = json.loads((tmp_path / "out/comparison.json").read_text())
    assert saved["results"][0]["values"]["bad"]["value"] == pytest.approx(0.9921 * 0.9)
    html = (tmp_path / "out/comparison.html").read_text()
    assert html.count("data:image/png") == 4  # two grids of each report
    assert "overlaps with no other" in html
    assert "another-secret" not in html + json.dumps(saved)
    assert not re.search(r"https?://|<script", html)


def test_the_terminal_table_marks_the_best_and_takes_names_literally(run, tmp_path):
    made = compare([run("[bold]a"), run("b", scale(0.5))], tmp_path / "out")
    console = Console(width=160, record=True, file=(tmp_path / "x").open("w"))
    console.print(render(made))
    text = console.export_text()
    assert "[bold]a" in text
    assert "99.21 % *" in text
    assert "classifier-1a2b3c4d" in text
    assert "comparison.csv" in text


def test_equal_runs_have_no_best_and_no_differences(run, tmp_path):
    made = compare([run("a"), run("b")], tmp_path / "out")
    assert made.differences == []
    assert all(line.best is None for line in made.lines)


def test_a_report_folder_works_like_a_run_folder(run, tmp_path):
    made = compare([run("a") / "report", run("b")], tmp_path / "out")
    assert made.names == ["a", "b"]


def test_the_verdicts_stand_side_by_side(run, tmp_path):
    """Only the first two sentences; a report without a trial is said to be untested."""

    def tried(report):
        sentence = "It helped. By 3.1 points (1.2 to 5.0). At 5 seeds."
        report["verdict"] = {**verdict(), "sentence": sentence}

    assert not any("Verdict" in s for s in compare([run("a"), run("b")], tmp_path / "no").sentences)
    said = compare([run("c", tried), run("d")], tmp_path / "out").sentences
    assert "Verdict of c: It helped. By 3.1 points (1.2 to 5.0)." in said
    assert any(sentence.startswith("Verdict of d: not tested") for sentence in said)


def test_a_setting_that_one_report_lacks_is_a_dash(run, tmp_path):
    def more(report):
        report["provenance"]["config"]["model"]["width"] = 64

    compare([run("a"), run("b", more)], tmp_path / "out")
    row = (tmp_path / "out/comparison.html").read_text().partition("evaluate.model.width")[2]
    cells = re.findall(r'class="value">([^<]*)', row.partition("</tr>")[0])
    assert cells == ["–", "64"]


def test_judges_with_other_settings_are_told(run, tmp_path):
    def fewer_steps(report):
        report["protocol"]["judge"]["steps"] = 10

    made = compare([run("a"), run("b", fewer_steps)], tmp_path / "out")
    assert any("judges" in sentence for sentence in made.sentences)
    assert made.differences[0].key == "protocol.judge.steps"


def other_split(report):
    report["provenance"]["data"]["digest"] = "f" * 64


def other_reference(report):
    report["protocol"]["reference_split"] = "holdout"


def test_reports_for_choosing_are_compared_and_called_so(run, tmp_path):
    made = compare([run("a", other_reference), run("b", other_reference)], tmp_path / "out")
    assert any("for choosing" in sentence for sentence in made.sentences)
    finals = compare([run("c"), run("d")], tmp_path / "finals")
    assert not any("for choosing" in sentence for sentence in finals.sentences)


def nothing_shared(report):
    report["results"] = []


def damaged(report):
    report["provenance"]["data"]["digest"] = [1]


def other_format(report):
    report["format"] = "something"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (other_split, "different splits of the data"),
        (other_reference, "different reference splits"),
        (nothing_shared, "no result in common"),
        (other_format, "is not of the form synthgen-report/1"),
        (damaged, r"is damaged: provenance.data.digest should be text"),
    ],
)
def test_refused(run, tmp_path, change, message):
    folders = [run("a"), run("b", change)]
    with pytest.raises(SynthgenError, match=message) as caught:
        compare(folders, tmp_path / "out")
    assert str(caught.value).count("\n") <= 1
    assert not (tmp_path / "out").exists()


def test_extractors_with_other_weights_are_refused(run, tmp_path):
    folders = [run("a"), run("b", space="classifier-99999999")]
    with pytest.raises(SynthgenError, match="different classifier networks"):
        compare(folders, tmp_path / "out")


def test_an_extractor_that_only_one_report_has_is_left_out(run, tmp_path):
    made = compare([run("a"), run("b", space="inception")], tmp_path / "out")
    assert {line.extractor for line in made.lines} == {None}


def test_too_few_folders_and_folders_without_a_report(run, tmp_path):
    with pytest.raises(SynthgenError, match="at least two"):
        compare([run("a")], tmp_path / "out")
    with pytest.raises(SynthgenError, match="no report in"):
        compare([run("b"), tmp_path], tmp_path / "out")


def test_an_existing_folder_is_left_alone(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("x")
    with pytest.raises(SynthgenError, match="already exists"):
        compare([run("a"), run("b")], tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine"]


def measured(*triples):
    return [Interval(value=v, ci_low=low, ci_high=high) for v, low, high in triples]


@pytest.mark.parametrize(
    ("triples", "higher", "best"),
    [
        ([(3, 2.9, 3.1), (2, 1.9, 2.1)], True, 0),
        ([(3, 2.9, 3.1), (2, 1.9, 2.1)], False, 1),
        ([(3, 2.0, 4.0), (2, 1.9, 2.1)], True, None),  # overlap
        ([(3, 2.9, 3.1), (2, 1.9, 2.1), (1, 0, 3.05)], True, None),  # the third is uncertain
        ([(3, 2.9, 3.1), (2, None, None)], True, None),
    ],
)
def test_clear_best(triples, higher, best):
    assert clear_best(measured(*triples), higher) == best


def test_labels_grow_until_they_differ(tmp_path):
    a, b = tmp_path / "x/run", tmp_path / "y/run"
    assert labels([a, b]) == ["x/run", "y/run"]
    assert labels([a, a]) == ["1: run", "2: run"]
    assert labels([a / "report", tmp_path / "z"]) == ["run", "z"]


def test_figures_outside_the_folder_are_not_read(run, tmp_path):
    def elsewhere(report):
        report["figures"][0]["file"] = "../../a/report/figures/class_grid.png"

    compare([run("a"), run("b", elsewhere)], tmp_path / "out")
    html = (tmp_path / "out/comparison.html").read_text()
    assert html.count("data:image/png") == 3  # two grids of the one, one of the other
