"""The whole line on real digits through the command line, with tiny budgets: what each stage
leaves behind is what others script against."""

import contextlib
import csv
import io
import json
import shutil
from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from synthgen.cli.main import main
from synthgen.io import file_digest

QUICK = ("judge.steps=60", "extractor.classifier.steps=60", "logger=csv")
TRANSFER = ("accuracy", "balanced_accuracy", "macro_f1")
ARMS = ("real_only", "synthetic_only", "real_and_synthetic")
FIDELITY = ("frechet_distance", "kid", "precision", "recall", "density", "coverage")


def line(*arguments):
    """Run one command; returns the folder that its last line names."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(argument) for argument in arguments])
    assert code == 0, err.getvalue()
    assert out.getvalue().count("\n") == 1
    return Path(out.getvalue().strip())


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workplace")
    with contextlib.chdir(folder):
        yield folder


@pytest.fixture(scope="module")
def run_folder(workplace):
    return line("train", "model=pca_gaussian", "out=run", "logger=csv")


@pytest.fixture(scope="module")
def set_folder(run_folder):
    return line(
        "synthesize",
        f"sampler={run_folder}",
        "plan.per_class=40",
        "seed=5",
        "out=set",
        "logger=csv",
    )


@pytest.fixture(scope="module")
def report_folder(set_folder):
    return line("evaluate", "data=digits", f"synthetic={set_folder}", "out=report", *QUICK)


@pytest.fixture(scope="module")
def whole_run(workplace):
    """The same line in one command, for another model."""
    return line("run", "model=noise", "plan.per_class=40", "out=whole", *QUICK)


def test_a_run_holds_its_config_its_split_and_its_sampler(run_folder):
    names = {path.name for path in run_folder.iterdir()}
    assert {"config.yaml", "split.json", "sampler"} <= names
    assert {path.name for path in (run_folder / "sampler").iterdir()} == {
        "sampler.json",
        "weights.safetensors",
    }


def test_what_is_shared_says_nothing_about_single_training_images(run_folder, set_folder):
    hashes = json.loads((run_folder / "split.json").read_text())["assignment"]
    assert len(hashes) > 1000
    for shared in (run_folder / "sampler" / "sampler.json", set_folder / "dataset.json"):
        text = shared.read_text()
        assert not any(image in text for image in hashes)


def test_a_set_is_an_image_folder_with_a_manifest(set_folder):
    folder = ImageFolder(str(set_folder))
    assert folder.classes == [str(digit) for digit in range(10)]
    assert len(folder) == 400
    rows = [json.loads(row) for row in (set_folder / "manifest.jsonl").read_text().splitlines()]
    assert len(rows) == 400
    for row in rows[::37]:
        assert {"file", "label", "class", "seed", "origin", "source", "sha256"} <= set(row)
        assert row["origin"] == "synthetic"
        assert file_digest(set_folder / row["file"]) == row["sha256"]
    assert len({row["seed"] for row in rows}) == 400
    dataset = json.loads((set_folder / "dataset.json").read_text())
    assert dataset["classes"] == [str(digit) for digit in range(10)]
    assert dataset["provenance"]["data"]["recipe"]


def test_the_batch_size_changes_no_byte(run_folder, set_folder):
    again = line(
        "synthesize", f"sampler={run_folder}/sampler", "plan.per_class=40", "seed=5",
        "batch_size=7", "out=again", "logger=csv",
    )  # fmt: skip
    for path in set_folder.rglob("*.png"):
        assert path.read_bytes() == (again / path.relative_to(set_folder)).read_bytes()


def test_a_report_keeps_its_contract(report_folder):
    report = json.loads((report_folder / "report.json").read_text())
    assert report["verdict"] is None
    assert {"results", "references", "verdict", "provenance"} <= set(report)
    overall = {r["name"]: r for r in report["results"] if r["scope"] is None}
    expected = {f"transfer/{arm}/{score}" for arm in ARMS for score in TRANSFER}
    expected |= {f"fidelity/{name}" for name in FIDELITY}
    assert expected <= set(overall)
    for result in report["results"]:
        assert set(result) >= {
            "name", "extractor", "classifier", "scope", "value", "ci_low", "ci_high",
            "n_real", "n_fake", "higher_is_better", "seconds",
        }  # fmt: skip
    assert overall["transfer/real_only/accuracy"]["classifier"] == "small_cnn"
    assert overall["fidelity/kid"]["extractor"].startswith("classifier-")
    assert (report_folder / "figures").is_dir()


def test_the_numbers_make_sense(report_folder):
    """On digits a Gaussian per class teaches far more than chance, real images more still."""
    report = json.loads((report_folder / "report.json").read_text())
    value = {r["name"]: r["value"] for r in report["results"] if r["scope"] is None}
    assert value["transfer/synthetic_only/accuracy"] > 0.5
    assert value["transfer/real_only/accuracy"] > 0.7


def test_the_page_is_self_contained(report_folder):
    page = (report_folder / "report.html").read_text()
    assert "not tested: run a trial" in page
    assert "data:image/png;base64," in page
    assert 'src="http' not in page
    assert 'href="http' not in page


def test_one_command_does_the_whole_line(whole_run):
    assert {"sampler", "synthetic", "report", "config.yaml"} <= {
        p.name for p in whole_run.iterdir()
    }
    assert (whole_run / "report" / "report.html").is_file()


def test_resuming_a_finished_run_changes_nothing(whole_run):
    before = {path: path.stat().st_mtime_ns for path in whole_run.rglob("*")}
    assert line("run", f"resume={whole_run}") == whole_run
    assert {path: path.stat().st_mtime_ns for path in whole_run.rglob("*")} == before


def test_resuming_makes_only_what_is_missing(whole_run):
    for folder in ("synthetic", "report"):
        shutil.rmtree(whole_run / folder)
    sampler = (whole_run / "sampler" / "sampler.json").read_bytes()
    line("run", f"resume={whole_run}")
    assert (whole_run / "report" / "report.json").is_file()
    assert (whole_run / "sampler" / "sampler.json").read_bytes() == sampler


def test_reports_are_compared(report_folder, whole_run):
    folder = line("compare", report_folder, whole_run, "out=comparison", "logger=csv")
    assert {path.name for path in folder.iterdir()} >= {
        "comparison.json",
        "comparison.csv",
        "comparison.html",
    }
    with (folder / "comparison.csv").open(encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert any("transfer/synthetic_only/accuracy" in row for row in rows)


def test_a_report_for_choosing_rests_on_the_holdout_and_is_not_mixed_with_final_ones(
    report_folder, set_folder, capsys
):
    asked = ("data=digits", f"synthetic={set_folder}", "reference=holdout", "seeds=1")
    folder = line("evaluate", *asked, "out=choosing", *QUICK)
    final, report = (
        json.loads((one / "report.json").read_text()) for one in (report_folder, folder)
    )
    counts = final["provenance"]["data"]["counts"]
    assert {r["n_real"] for r in report["results"] if r["scope"] is None} == {
        sum(counts["holdout"].values())
    }
    assert report["protocol"]["reference_split"] == "holdout"
    assert report["provenance"]["config"]["reference"] == "holdout"
    assert report["provenance"]["data"]["digest"] == final["provenance"]["data"]["digest"]
    assert main(["compare", str(report_folder), str(folder), "out=mixed", "logger=csv"]) == 2
    assert "different reference splits" in capsys.readouterr().err
    assert not Path("mixed").exists()


def test_a_run_from_before_there_was_a_choice_of_reference_goes_on(whole_run, workplace):
    older = shutil.copytree(whole_run, "older")
    config = Path(older, "config.yaml")
    text = config.read_text()
    assert "reference: test\n" in text
    config.write_text(text.replace("reference: test\n", ""))
    Path(older, ".config.json").unlink()  # by which edits are seen; older runs don't have it
    assert line("run", f"resume={older}") == Path(older)


def test_a_folder_that_we_did_not_write_is_evaluated(set_folder, workplace):
    shutil.copytree(set_folder, "strangers")
    for name in ("dataset.json", "manifest.jsonl"):
        Path("strangers", name).unlink()
    folder = line("evaluate", "synthetic=strangers", "out=strange", "seeds=3", *QUICK)
    report = json.loads((folder / "report.json").read_text())
    assert report["provenance"]["synthetic"]["dataset"] is None


@pytest.mark.parametrize("model", ["gan", "vae"])
def test_a_network_is_trained_resumed_and_drawn_from(workplace, model):
    out = f"trained-{model}"
    small = ("model.batch_size=32", "max_images=128", "trainer.previews=2", "logger=csv")
    folder = line("train", f"model={model}", f"out={out}", *small)
    assert {"checkpoints", "samples", "metrics.csv", "sampler"} <= {
        p.name for p in folder.iterdir()
    }
    assert line("train", f"resume={folder}", "max_images=192") == folder
    last = (folder / "metrics.csv").read_text().splitlines()[-1]
    assert last.startswith("192,")
    drawn = line(
        "synthesize", f"sampler={folder}", "plan.per_class=2", f"out={out}/set", "logger=csv"
    )
    assert len(ImageFolder(str(drawn))) == 20


def test_a_run_whose_plan_leaves_classes_out_is_evaluated_and_says_so(synthgen, tmp_path):
    plan = ["plan=per_class", "plan.per_class={0: 30, 1: 30}"]
    quick = ["judge.steps=5", "seeds=1", "extractor.classifier.steps=10"]
    outcome = synthgen("run", "model=pca_gaussian", "logger=csv", *plan, *quick, "out=run")
    assert outcome.code == 0, outcome.err
    report = json.loads((tmp_path / "run/report/report.json").read_text())
    assert any("no image of 2, 3, 4" in sentence for sentence in report["sentences"])
