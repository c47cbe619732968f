import json
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import torch
from PIL import Image

from synthgen.errors import SynthgenError
from synthgen.evaluation import ClassifierExtractor, SmallCNNClassifier, evaluate
from synthgen.evaluation.classifiers.scores import SCORES
from synthgen.metrics import STANDARD
from synthgen.types import LabelledImages


def run(digits, synthetic, out, **options):
    return evaluate(
        digits,
        synthetic,
        out,
        extractors=[ClassifierExtractor(steps=60)],
        classifier=SmallCNNClassifier(steps=40, batch_size=64),
        seeds=options.pop("seeds", 2),
        **options,
    ).to_json()


@pytest.fixture(scope="module")
def folder(digits, drawn, tmp_path_factory):
    from synthgen.dataset.source import SyntheticSet

    folder = tmp_path_factory.mktemp("evaluation")
    log = folder / "metrics.csv"
    log.write_text("images_seen,loss\n10,1.5\n20,\n30,nan\n")
    synthetic = SyntheticSet(drawn, None, folder / "set", "0" * 64)
    run(
        digits,
        synthetic,
        folder / "report",
        training_log=log,
        config={"seed": 0, "odd": [float("nan"), folder]},
    )
    return folder / "report"


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "report.json").read_text())


def found(report, name, scope=None):
    return [r for r in report["results"] if r["name"] == name and r["scope"] == scope]


def test_folder_holds_the_report_and_its_figures(folder, report):
    assert {path.name for path in folder.iterdir()} == {
        "report.json",
        "report.public.json",
        "report.html",
        "charts",
        "figures",
    }
    drawings = {path.stem for path in (folder / "figures").glob("*.svg")}
    charts = {path.stem for path in (folder / "charts").glob("*.pdf")}
    assert drawings | {"transfer_accuracy", "fidelity_recall", "judges"} <= charts
    for figure in report["figures"]:
        file = folder / figure["file"]
        if file.suffix == ".svg":
            assert ElementTree.parse(file).getroot().tag.endswith("svg")
        else:
            assert Image.open(file).width > 100
    kinds = {figure["kind"] for figure in report["figures"]}
    assert {"class_grid", "neighbours", "typical", "embedding_map"} <= kinds


def test_copying_statistics_and_fairness_are_in_the_report(report):
    name = next(r["extractor"] for r in report["results"] if r["extractor"])
    assert list(report["copying"]) == ["aligned-pixels", name]
    for found in report["copying"].values():
        assert {"near_copies", "flagged", "sentence", "power"} <= found.keys()
        assert found["sentence"] in report["sentences"]
    assert "share_nearer_train" in report["copying"][name]
    assert report["statistics"]["image"]
    assert report["statistics"]["labels"]["p"] is not None
    assert [row["name"] for row in report["fairness"]["by_class"]] == [str(i) for i in range(10)]


def test_every_promised_result_is_there_once(report):
    for arm in ("real_only", "synthetic_only", "real_and_synthetic"):
        for score in SCORES:
            (result,) = found(report, f"transfer/{arm}/{score}")
            assert result["classifier"] == "small_cnn"
            assert result["extractor"] is None
            assert 0 <= result["ci_low"] <= result["value"] <= result["ci_high"] <= 1
            assert result["n_fake"] == (0 if arm == "real_only" else 300)
        assert len(found(report, f"transfer/{arm}/recall", {"class": "3"})) == 1
    for metric in STANDARD[:-1]:
        (result,) = found(report, f"fidelity/{metric.name}")
        assert result["extractor"].startswith("classifier-")
        assert result["ci_low"] <= result["value"] <= result["ci_high"]
        for name in "0123456789":
            assert len(found(report, f"fidelity/{metric.name}", {"class": name})) == 1
    assert report["verdict"] is None


def test_references_are_ordered_as_they_must_be(report):
    values = {
        r["reference"]: r["value"]
        for r in report["references"]
        if r["name"] == "fidelity/frechet_distance"
    }
    (model,) = found(report, "fidelity/frechet_distance")
    assert set(values) == {
        "floor",
        "model_at_floor_n",
        "train",
        "real_at_same_n",
        "bootstrap",
        "noise",
        "pca_gaussian",
    }
    assert values["real_at_same_n"] < model["value"] < values["noise"]
    assert values["bootstrap"] < values["noise"]
    learned = {
        r["reference"]: r["value"]
        for r in report["references"]
        if r["name"] == "transfer/synthetic_only/accuracy"
    }
    assert learned["noise"] < 0.4 < learned["bootstrap"]
    assert all(r["note"] for r in report["references"])
    names = {r["name"] for r in report["references"] if r["reference"] == "real_at_same_n"}
    assert "transfer/real_only/accuracy" in names  # 300 real images in place of 1,259


def test_confusion_sums_over_seeds(digits, report):
    for matrix in report["confusion"].values():
        assert sum(map(sum, matrix["matrix"])) == 2 * len(digits.test)
        rows = [sum(row) for row in matrix["matrix"]]
        assert rows == [2 * count for count in digits.test.counts]


def test_protocol_provenance_and_sentences(digits, report):
    assert report["protocol"]["judge"]["steps"] == 40
    assert report["protocol"]["reference_split"] == "test"
    assert report["provenance"]["data"]["digest"] == digits.digest
    assert report["provenance"]["exact_copies"]["train"] == 0
    assert report["provenance"]["config"]["odd"][0] is None
    assert report["curves"]["training"]["rows"] == [[10, 1.5], [20, None], [30, None]]
    assert report["curves"]["transfer"]["real_only"][-1]["step"] == 40
    text = " ".join(report["sentences"])
    assert "trained only on the 300 synthetic images" in text
    assert "not Inception FID" in text
    assert "origin is unknown" in text


def test_copies_show_as_copies(digits, as_set, tmp_path):
    copies = digits.train.subset(torch.arange(0, len(digits.train), 4))
    report = run(digits, as_set(copies), tmp_path / "report", seeds=1)
    assert report["provenance"]["exact_copies"]["train"] == len(copies)
    (neighbours,) = report["neighbours"]
    assert neighbours["share_closer_than_median_real"] == 1
    assert max(row["distance"] for row in neighbours["rows"]) < 1e-3


def test_few_images_and_a_missing_class_are_said_not_hidden(digits, drawn, as_set, tmp_path):
    few = drawn.subset((drawn.labels < 3).nonzero().flatten()[::13])
    assert len(few) < 10
    report = run(digits, as_set(few), tmp_path / "report", seeds=1)
    (distance,) = found(report, "fidelity/frechet_distance")
    assert distance["value"] is None
    text = " ".join(report["sentences"])
    assert "Too few images to say" in text
    assert "no image of 3, 4, 5" in text


def test_refusals_leave_nothing_behind(digits, drawn, as_set, tmp_path):
    out = tmp_path / "report"
    larger = LabelledImages(drawn.images.repeat(1, 1, 2, 2), drawn.labels, drawn.classes)
    with pytest.raises(SynthgenError, match="16 × 16"):
        run(digits, as_set(larger), out)
    with pytest.raises(SynthgenError, match="seeds must be"):
        run(digits, as_set(drawn), out, seeds=0)
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("precious")
    with pytest.raises(SynthgenError, match="already exists"):
        run(digits, as_set(drawn), out)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_recall_is_compared_by_the_values_of_an_attribute(digits, drawn, tmp_path, as_set):
    halves = tuple("AB"[number % 2] for number in range(len(digits.test)))
    report = run(replace(digits, test_attributes=halves), as_set(drawn), tmp_path / "report")
    rows = report["fairness"]["by_group"]
    assert [(row["name"], row["n"]) for row in rows] == [
        (name, halves.count(name)) for name in "AB"
    ]
    assert all(row["before"]["value"] is not None for row in rows)
    assert report["fairness"]["worst_group"]["name"] in "AB"
