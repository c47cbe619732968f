"""Reports side by side: what is shared, what differs, what is refused."""

from __future__ import annotations

import csv
import json
import re
from functools import cache

import pytest
import torch
from PIL import Image
from rich.console import Console
from trials import verdict, with_trial

from synthgen.cli.jobs.compare import render
from synthgen.errors import SynthgenError
from synthgen.evaluation.compare import clear_best, compare
from synthgen.evaluation.experiments import labels
from synthgen.evaluation.figures import class_grid, synthetic_half
from synthgen.evaluation.report.answers import MOST_WORDS
from synthgen.evaluation.report.charts import drawn
from synthgen.evaluation.report.comparison import MAIN, answers, main_table
from synthgen.evaluation.report.schema import Comparison
from synthgen.evaluation.schema import Interval
from synthgen.types import LabelledImages

drawn_once = cache(drawn)


@pytest.fixture(autouse=True)
def quick_charts(monkeypatch):
    """Each chart is drawn once in all tests."""
    monkeypatch.setattr("synthgen.evaluation.report.comparison_page.drawn", drawn_once)


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
    lines = {(line.name, str(line.scope)): line for line in made.results}
    assert ("fidelity/kid", "None") not in lines  # only one report has it
    assert lines["transfer/real_only/accuracy", "None"].best == "good"  # higher, intervals apart
    assert lines["fidelity/frechet_distance", "None"].best == "bad"  # lower, intervals apart
    assert lines["fidelity/recall", "None"].best == "good"
    assert [d.to_json() for d in made.differences] == [
        {"key": "model.lr", "values": {"good": 0.001, "bad": 0.5}}
    ]

    with (tmp_path / "out/comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(made.results)
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
    assert all(line.best is None for line in made.results)


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
    assert "Without a trial, so not tested for help: d." in said


def test_a_setting_that_one_report_lacks_is_a_dash(run, tmp_path):
    def more(report):
        report["provenance"]["config"]["model"]["width"] = 64

    compare([run("a"), run("b", more)], tmp_path / "out")
    row = (tmp_path / "out/comparison.html").read_text().partition('"row">model.width')[2]
    cells = re.findall(r'class="value">([^<]*)', row.partition("</tr>")[0])
    assert cells == ["–", "64"]


def test_judges_with_other_settings_are_told(run, tmp_path):
    def fewer_steps(report):
        report["protocol"]["judge"]["steps"] = 10

    made = compare([run("a"), run("b", fewer_steps)], tmp_path / "out")
    assert any("judges" in sentence for sentence in made.sentences)
    assert made.differences[0].key == "judge.steps"


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
    assert {line.extractor for line in made.results} == {None}


def test_too_few_folders_and_folders_without_a_report(run, tmp_path):
    with pytest.raises(SynthgenError, match="at least two"):
        compare([run("a")], tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SynthgenError, match="no report in"):
        compare([run("b"), tmp_path / "empty"], tmp_path / "out")


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


# The page answers first.


def trained(seconds, images, batch_size=32):
    """The set says how its generator was trained."""

    def change(report):
        training = {"images_seen": images, "seconds": seconds, "batch_size": batch_size}
        made = {"provenance": {"model": "GeneratorSampler", "training": training}, "seed": 0}
        report["provenance"]["synthetic"]["dataset"] = made

    return change


def both(*changes):
    def change(report):
        for one in changes:
            one(report)

    return change


def wider(half):
    """Intervals of transfer results as wide as to overlap."""

    def change(report):
        for result in report["results"]:
            if result["name"].startswith("transfer/"):
                result |= {"ci_low": result["value"] - half, "ci_high": result["value"] + half}

    return change


def said(comparison):
    return [one.text for one in answers(comparison)]


def test_a_clear_best_is_named_with_its_interval_what_differs_and_the_cost(run, tmp_path):
    def other(report):
        report["provenance"]["config"]["model"] = {"lr": 0.5}

    good = run("good", trained(4.54, 20_000))
    bad = run("bad", both(scale(0.9), other, trained(5400, 1_000_000, 64)))
    made = compare([bad, good], tmp_path / "out")
    assert said(made) == [
        "good: 95.84 % (95.63 to 96.05), accuracy of a classifier taught by it alone.",
        "Yes: next is bad with 86.26 % (86.07 to 86.45).",
        "Against bad: model.lr 0.001, not 0.5; training.batch_size 32, not 64.",
        "Training: good 20,000 images in 4.5 s; bad 1,000,000 images in 1.5 h.",
    ]
    assert [one.text for one in made.answers] == said(made)
    html = (tmp_path / "out/comparison.html").read_text()
    assert all(text in html for text in said(made))


def test_overlapping_intervals_decide_nothing(run, tmp_path):
    a, b = run("a", wider(0.1)), run("b", both(scale(0.999), wider(0.1)))
    which, beyond = answers(compare([a, b], tmp_path / "out"))[:2]
    assert which.text.startswith("Not settled; ahead is a: 96 % (86 to 106), accuracy")
    assert beyond.text == "No: b has 96 % (86 to 106). That decides nothing."
    assert (which.sign, beyond.sign) == ("○", "○")


def test_equal_values_are_level(run, tmp_path):
    made = compare([run("a"), run("b")], tmp_path / "out")
    assert said(made)[0].startswith("Level: b and a: 95.84 %")
    assert said(made)[2] == "Against b: no setting that both reports name."


def test_judges_of_other_kinds_are_ranked_by_distance_and_not_by_what_they_learn(run, tmp_path):
    def fewer_steps(report):
        report["protocol"]["judge"]["steps"] = 10

    def more_seeds(report):
        report["protocol"]["judge"]["seeds"] = 5

    other = compare([run("a"), run("b", both(scale(0.5), fewer_steps))], tmp_path / "other")
    assert said(other)[0] == "b: 6.20 (5.90 to 6.50), Fréchet distance."
    same = compare([run("c"), run("d", both(scale(0.5), more_seeds))], tmp_path / "same")
    assert said(same)[0].endswith("taught by it alone.")  # of more trainings only


def tried(folder, make_report, moved=0.0, endpoint=None):
    report = with_trial(make_report(folder / "report"), "classifier-1a2b3c4d", moved=moved)
    if endpoint:
        report["verdict"]["endpoint"] = endpoint
    (folder / "report" / "report.json").write_text(json.dumps(report))
    return folder


def test_trials_decide_by_what_was_gained_if_they_asked_the_same(run, tmp_path, make_report):
    helped = tried(tmp_path / "helped", make_report)
    harmed = tried(tmp_path / "harmed", make_report, -4.0)
    made = compare([harmed, helped], tmp_path / "out")
    assert said(made)[:2] == [
        "helped: +1.7 (+1.1 to +2.3) points gained in macro F1.",
        "Yes: next is harmed with −2.3 (−2.9 to −1.7).",
    ]
    row = next(row for row in main_table(made).rows if row.label.startswith("Trial"))
    assert [cell.text for cell in row.cells] == ["▲ +1.7", "▼ −2.3"]  # the best first
    assert [cell.strong for cell in row.cells] == [True, False]
    asked = tried(tmp_path / "asked", make_report, endpoint="tail_recall")
    other = compare([helped, asked], tmp_path / "other")
    assert "alone." in said(other)[0]
    assert "gained" not in said(other)[0]


def test_no_answer_is_longer_than_twenty_words(run, tmp_path, make_report):
    long_name = "a b c d e f g h i j k l m n o p q r s"
    many = {f"setting_{n}": "a value of rather many words " * 9 for n in range(9)}

    def other(report):
        report["provenance"]["config"]["model"] |= many

    def nothing(report):
        report["results"] = [r for r in report["results"] if r["name"] == "fidelity/kid"]

    plain = [
        run(long_name, trained(123_456, 10**9)),
        run(f"{long_name} t", both(scale(0.999), wider(0.3), other, trained(99, 10**9))),
        *(run(f"run {n} of more words", scale(0.9)) for n in range(6)),
    ]
    trials = [
        tried(tmp_path / f"{n}/{long_name} {n}", make_report, moved, "tail_recall")
        for n, moved in enumerate((0.0, 0.0, -4.0))
    ]
    for number, folders in enumerate(
        (plain, plain[:2], trials, trials[1:], [plain[0], trials[0]],
         [run("x", nothing), run("y", nothing)])
    ):  # fmt: skip
        made = compare(folders, tmp_path / f"out{number}")
        for answer in answers(made):
            assert len(answer.text.split()) <= MOST_WORDS, answer.text
            assert answer.text.endswith(".")


def test_the_lines_that_matter_are_about_ten(run, tmp_path):
    def untaught(report):
        report["results"] = [r for r in report["results"] if "synthetic_only" not in r["name"]]

    folders = [run("a", trained(60, 5)), run("b", trained(90, 6)), run("c", untaught)]
    table = main_table(compare(folders, tmp_path / "out"))
    labels = [row.label for row in table.rows]
    assert labels == [label for label in MAIN.values() if label in labels]
    assert 8 <= len(labels) <= 12
    cells = {row.label: row.cells for row in table.rows}
    alone = cells["Accuracy, taught by synthetic images alone"]
    assert alone[2] is None  # and the line stays
    assert alone[0].interval == "95.63 to 96.05"
    assert [cell and cell.text for cell in cells["Time of training"]] == ["60 s", "1.5 min", None]
    assert [column.label for column in table.columns] == ["a", "b", "c"]


def test_what_differs_is_what_was_chosen(run, tmp_path):
    def made(kind, **model):
        def change(report):
            config = {"_target_": f"synthgen.{kind}", **model}
            report["provenance"]["config"] = {
                "model": config, "out": f"runs/{kind}", "data": {"root": f"/x/{kind}"},
                "seed": 0, "logger": {"kind": kind}, "synthetic": kind,
            }  # fmt: skip
            trained(7.5 if kind == "gan.GAN" else 8.5, 900, 64)(report)
            report["provenance"]["synthetic"]["dataset"] |= {
                "sha256": kind, "digest": kind, "created": kind, "parts": [{"id": kind}],
                "seed": 0, "sampler": {"sha256": kind}, "plan": {"per_class": 9},
            }  # fmt: skip

        return change

    def of_a_set_alone(report):
        made("gan.GAN")(report)
        del report["provenance"]["config"]["model"]

    gan = run("gan", made("gan.GAN", lr=0.1, batch_size=64, discriminator={"_target_": "x.D"}))
    vae = run("vae", made("vae.VAE", lr=0.2, batch_size=64, encoder={"_target_": "x.E", "z": 4}))
    folders = [gan, vae, run("set", of_a_set_alone)]
    found = compare(folders, tmp_path / "out").differences
    assert [(one.key, list(one.values.values())) for one in found] == [
        ("model", ["GAN", "VAE", None]),
        ("model.lr", [0.1, 0.2, None]),
    ]


def test_a_metric_that_was_asked_for_once_is_no_difference_but_its_setting_is(run, tmp_path):
    def measured(**metrics):
        nodes = {name: {"_target_": f"x.{name}", **given} for name, given in metrics.items()}
        return lambda report: report["provenance"].update(config={"metric": nodes})

    folders = [run("a", measured(kid={}, nna={"k": 5})), run("b", measured(nna={"k": 1}))]
    found = compare(folders, tmp_path / "out").differences
    assert [(one.key, list(one.values.values())) for one in found] == [("metric.nna.k", [5, 1])]


def test_a_class_that_was_moved_is_the_same(run, tmp_path):
    def judged(path):
        def change(report):
            report["provenance"]["config"]["judge"] = {"_target_": path}

        return change

    old = "synthgen.evaluation.judges.SmallCNNJudge"
    now = "synthgen.evaluation.SmallCNNClassifier"
    made = compare([run("a", judged(old)), run("b", judged(now))], tmp_path / "out")
    assert made.differences == []


def test_the_file_is_read_as_it_was_written_and_so_is_an_older_one(run, tmp_path):
    made = compare([run("a", trained(5, 6)), run("b", scale(0.9))], tmp_path / "out")
    assert Comparison.read(tmp_path / "out/comparison.json") == made
    value = {"value": 0.5, "ci_low": None, "ci_high": None, "n_fake": 9}
    line = {
        "name": "fidelity/kid", "extractor": "x", "classifier": None, "scope": None,
        "higher_is_better": False, "values": {"a": value, "b": value}, "best": None,
    }  # fmt: skip
    old = {
        "format": "synthgen-comparison/1",
        "runs": [{"name": "a", "folder": "x/a"}, {"name": "b", "folder": "x/b"}],
        "results": [line],
        "differences": [{"key": "set.seed", "values": {"a": 0, "b": None}}],
        "sentences": ["A value is marked."],
    }
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old))
    assert Comparison.read(path).to_json() == old
    path.write_text(json.dumps(old | {"runs": [{"name": 3}]}))
    with pytest.raises(SynthgenError, match=r"damaged: runs\.0\.name should be text"):
        Comparison.read(path)


def test_a_terminal_of_80_columns_holds_eight_runs(run, tmp_path):
    folders = [run(f"run_{n}", both(scale(1 - n / 99), trained(n, n))) for n in range(8)]
    console = Console(width=80, record=True, file=(tmp_path / "x").open("w"))
    console.print(render(compare(folders, tmp_path / "out")))
    text = console.export_text()
    assert "Which is best?" in text
    assert all(re.search(rf"run_{n} +\d\d\.\d+ %", text) for n in range(8))
    assert text.count("\n") < 25


# Images side by side.


def test_grids_are_cut_where_the_synthetic_images_begin(tmp_path):
    """Red real images and blue synthetic ones: the cut is told by their colours."""
    red, blue = (255, 0, 0), (0, 0, 255)
    labels = torch.arange(3).repeat_interleave(9)
    names = ("cat", "dog", "a long name of a class")
    for size in ((8, 8), (28, 20), (64, 64)):
        real, fake = (
            LabelledImages(
                torch.tensor(colour, dtype=torch.uint8)[:, None, None].expand(27, 3, *size),
                labels,
                names,
            )
            for colour in (red, blue)
        )
        class_grid(real, fake, tmp_path / "grid.png", reference="test")
        picture = Image.open(tmp_path / "grid.png")
        left, top = synthetic_half(*picture.size, size)
        assert picture.getpixel((left, top)) == blue
        assert picture.getpixel((left - 1, top)) == picture.getpixel((left, top - 1))  # white
        halves = picture.crop((0, 0, left, picture.height)), picture.crop((left, 0, *picture.size))
        found = [{colour for _, colour in half.getcolors(9999)} & {red, blue} for half in halves]
        assert found == [{red}, {blue}]
        assert synthetic_half(picture.width, picture.height + 1, size) is None


def test_the_real_images_stand_once_and_each_runs_own_beside_them(run, tmp_path):
    labels = torch.arange(3).repeat_interleave(9)
    images = LabelledImages(torch.zeros(27, 1, 8, 8, dtype=torch.uint8), labels, ("0", "1", "2"))

    def gridded(name):
        def change(report):
            report["figures"] = [{"file": "figures/class_grid.png", "kind": "class_grid",
                                  "class": None, "caption": "Real and synthetic."}]  # fmt: skip
            place = tmp_path / name / "report/figures/class_grid.png"
            class_grid(images, images, place, reference="test")

        return change

    compare([run(name, gridded(name)) for name in "abc"], tmp_path / "out")
    html = (tmp_path / "out/comparison.html").read_text()
    shown = re.findall(r'alt="([^"]*): images of each class"', html)
    assert shown == ["real test", "a", "b", "c"]
    heights = {int(h) for h in re.findall(r'<img src="data:image/png[^>]* height="(\d+)"', html)}
    assert len(heights) == 1  # so the classes stand in common rows
