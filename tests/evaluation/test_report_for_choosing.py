"""A report for choosing must not depend on the test split in any way."""

import dataclasses
import json
import re

import pytest
import torch

from synthgen.data.splits import for_choosing
from synthgen.dataset.source import SyntheticSet
from synthgen.evaluation import ClassifierExtractor, SmallCNNClassifier, checks, evaluate
from synthgen.types import LabelledImages


def reported(splits, drawn, out, described_as):
    about = described_as(drawn, {"data": {"name": "digits", "digest": splits.digest}})
    evaluate(
        splits,
        SyntheticSet(drawn, about, out.parent / "set", "0" * 64),
        out,
        extractors=[ClassifierExtractor(steps=30)],
        classifier=SmallCNNClassifier(steps=20, batch_size=64),
        seeds=1,
    )
    return json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def folder(digits, drawn, described_as, tmp_path_factory):
    folder = tmp_path_factory.mktemp("choosing")
    reported(for_choosing(digits), drawn, folder / "report", described_as)
    return folder


@pytest.fixture(scope="module")
def report(folder):
    return json.loads((folder / "report" / "report.json").read_text())


def measured(report):
    """All numbers, without the time they took."""
    rows = [{**row, "seconds": 0} for row in report["results"] + report["references"]]
    kept = ("sentences", "confusion", "neighbours", "protocol")
    return rows, {key: report[key] for key in kept}, report["provenance"]["exact_copies"]


def test_another_test_split_changes_nothing(digits, drawn, report, described_as, tmp_path):
    """Poison: fewer, white, and all of one class; any use of them would show in the numbers."""
    white = torch.full_like(digits.test.images[:7], 255)
    poison = LabelledImages(white, torch.zeros(7, dtype=torch.int64), digits.test.classes)
    poisoned = for_choosing(dataclasses.replace(digits, test=poison))
    found = reported(poisoned, drawn, tmp_path / "report", described_as)
    assert measured(found) == measured(report)


def test_every_number_rests_on_the_holdout(digits, report):
    overall = [row for row in report["results"] if row["scope"] is None]
    assert {row["n_real"] for row in overall} == {len(digits.holdout)}
    cut = len(for_choosing(digits).holdout)
    floors = [row for row in report["references"] if row["reference"] == "floor"]
    assert floors
    assert {(row["n_real"], row["n_fake"]) for row in floors} == {(len(digits.holdout), cut)}
    assert "held-back training images against real holdout images" in floors[0]["note"]
    for matrix in report["confusion"].values():
        assert [sum(row) for row in matrix["matrix"]] == digits.holdout.counts


def test_the_report_says_what_it_is_for_and_never_speaks_of_test_images(folder, report):
    assert report["protocol"]["reference_split"] == "holdout"
    assert "for choosing" in report["sentences"][0]
    assert "reference=test" in report["sentences"][0]
    assert set(report["provenance"]["data"]["counts"]) == {
        "train",
        "held-back training",
        "holdout",
    }
    rest = json.dumps(
        [report["sentences"][1:], *(v for k, v in report.items() if k != "sentences")]
    )
    page = (folder / "report" / "report.html").read_text().replace(report["sentences"][0], "")
    for text in (rest, page):
        assert not re.search(r"\btest (image|split|set)", text, re.IGNORECASE)


def test_near_copies_of_the_held_back_training_images_are_found(
    digits, drawn, described_as, tmp_path
):
    """The generator knew them: a copier may have copied just these."""
    choosing = for_choosing(digits)
    noise = torch.randint(0, 5, choosing.holdout.images.shape, generator=torch.Generator())
    near = (choosing.holdout.images + noise).clamp(max=255).to(torch.uint8)
    near[::2] = near[::2].roll(1, 3)  # shifted by a pixel
    planted = LabelledImages(
        torch.cat([drawn.images, near]),
        torch.cat([drawn.labels, choosing.holdout.labels]),
        drawn.classes,
    )
    found = reported(choosing, planted, tmp_path / "report", described_as)["copying"]
    aligned, space = found["aligned-pixels"], found[next(k for k in found if k != "aligned-pixels")]
    assert aligned["near_copies"] > 0.8 * len(near)
    assert space["near_copies"] > 0.3 * len(near)
    for one in (aligned, space):
        assert one["flagged"]
        assert one["searched_train"] == len(digits.train)
        assert one["n_reference"] == len(digits.holdout)
        assert "share_nearer_train" not in one  # nothing was held back from the generator
        whole = choosing.known.images
        for pair in one["pairs"]:
            apart = (whole[pair["train"]].int() - planted.images[pair["synthetic"]].int()).abs()
            assert pair["train"] >= len(choosing.train)
            assert pair["synthetic"] >= len(drawn)
            assert apart.float().mean() < 100


def test_copies_are_sought_in_train_and_the_reference_only(digits, drawn, as_set):
    choosing = for_choosing(digits)
    planted = LabelledImages(
        torch.cat([digits.train.images[:3], digits.holdout.images[:2], digits.test.images[:4]]),
        torch.zeros(9, dtype=torch.int64),
        drawn.classes,
    )
    copies = checks.exact_copies(choosing, as_set(planted))
    assert copies == {"train": 3, "holdout": 2}
    assert "test" not in " ".join(checks.provenance_sentences(choosing, as_set(planted), copies))
