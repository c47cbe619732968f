"""What revision 1c8d65d wrote is still read: its samplers draw the same images, its set verifies
and is evaluated, its run goes on, its report is compared. ``artifacts/1c8d65d`` holds small ones,
made by that revision's own commands on the digits (the run: ``train data=digits model=gan seed=1
max_images=1280`` with networks of width 4, then resumed to 2,560 images)."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import synthgen as package
from synthgen.cli.jobs.evaluate import splits_behind
from synthgen.data import ImageFolder, prepare, rebuild
from synthgen.data.divide import in_order
from synthgen.dataset.source import read_synthetic
from synthgen.evaluation.report.formatting import metric_label
from synthgen.evaluation.report.schema import Report

OLD = Path(__file__).parent / "artifacts" / "1c8d65d"


@pytest.mark.parametrize("name", ["run", "vae", "pca"])
def test_old_samplers_draw_the_same_images(name):
    drawn = package.load_sampler(OLD / name).sample(torch.arange(10), torch.arange(10)).images
    before = np.load(OLD / "drawn.npz")[name]
    # Another processor may round differently; one level of 255 is what that comes to.
    assert np.abs(drawn.numpy().astype(int) - before.astype(int)).max() <= 1


def test_an_old_set_verifies_and_is_read(synthgen):
    assert synthgen("verify", OLD / "set").code == 0
    images = read_synthetic(OLD / "set", tuple("0123456789")).images
    assert images.counts == [2] * 10


def test_an_old_run_goes_on_to_the_same_weights(synthgen, tmp_path):
    run = shutil.copytree(OLD / "run", tmp_path / "run")
    outcome = synthgen("train", f"resume={run}", "max_images=2560")
    assert outcome.code == 0, outcome.err
    start, end = (load_file(path) for path in weights_before_and_after())
    now = load_file(run / "sampler" / "weights.safetensors")
    # Trained in bfloat16 then; float32 and other processors end nearby.
    assert distance(now, end) < 0.2 * distance(start, end)


def weights_before_and_after() -> tuple[Path, Path]:
    return OLD / "run" / "sampler" / "weights.safetensors", OLD / "run_resumed.safetensors"


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return sum(float((one[name] - other[name]).double().square().sum()) for name in one) ** 0.5


def test_old_reports_are_compared(synthgen, tmp_path):
    copy = shutil.copytree(OLD / "report", tmp_path / "other")
    outcome = synthgen("compare", OLD / "report", copy, "out=comparison")
    assert outcome.code == 0, outcome.err
    comparison = json.loads((tmp_path / "comparison" / "comparison.json").read_text())
    assert len(comparison["runs"]) == 2
    assert len(comparison["results"]) > 100


def test_old_reports_lose_macro_recall_which_is_balanced_accuracy_and_have_labels():
    """Their rows hold no labels, and one number under two names."""
    report = Report.read(OLD / "report" / "report.json")
    names = {result.name.rpartition("/")[2] for result in report.results}
    assert "balanced_accuracy" in names
    assert "macro_recall" not in names
    labels = {metric_label(result) for result in report.results}
    assert {"Fréchet distance", "KID", "MIND (sliced Wasserstein)", "Balanced accuracy"} <= labels


# Older versions numbered the classes 0, 1, 10, 2.

LEVELS = {"0": 20, "1": 80, "2": 140, "10": 200}  # how bright each class is


@pytest.fixture
def bright(tmp_path):
    """A folder of classes that are told by their brightness."""
    noise = np.random.default_rng(0).integers(0, 20, (4, 30, 6, 6))
    for place, (name, level) in enumerate(LEVELS.items()):
        (tmp_path / "bright" / name).mkdir(parents=True)
        for number, one in enumerate(noise[place] + level):
            path = tmp_path / "bright" / name / f"{number}.png"
            Image.fromarray(one.astype(np.uint8)).save(path)
    return tmp_path / "bright"


def sorted_as_before(names):
    return tuple(sorted(set(names)))


def test_a_split_of_before_is_rebuilt_with_its_own_class_numbers(bright, monkeypatch):
    """Whatever was trained knows classes by number, and so does a list for each class."""
    source = ImageFolder(root=str(bright), at_most=[5, 6, 7, 8])
    with monkeypatch.context() as patch:
        patch.setattr("synthgen.data.folders.folder.label_names", sorted_as_before)
        before = prepare(source)
    assert before.train.classes == ("0", "1", "10", "2")
    assert prepare(source).train.classes == ("0", "1", "2", "10")
    now = rebuild(ImageFolder(root=str(bright)), before.recipe, before.digest)
    assert now.train.counts == [5, 6, 7, 8]
    assert now.recipe == before.recipe
    for part in ("train", "holdout", "test"):
        one, other = getattr(now, part), getattr(before, part)
        assert one.classes == other.classes
        assert torch.equal(one.labels, other.labels)
        assert torch.equal(one.images, other.images)


def test_other_names_keep_their_order(bright):
    records = ImageFolder(root=str(bright)).read()
    assert in_order(records, ("0", "1", "10")) is records
    assert in_order(records, ("0", "1", "2", "3")) is records


def test_a_sampler_of_before_meets_its_data_under_the_right_names(bright, monkeypatch, synthgen):
    """Real and drawn images of a class are as bright as it is."""
    data = ["data=image_folder", f"data.root={bright}"]
    with monkeypatch.context() as patch:
        patch.setattr("synthgen.data.folders.folder.label_names", sorted_as_before)
        trained = synthgen("train", "model=pca_gaussian", *data, "logger=csv", "out=run")
    assert trained.code == 0, trained.err
    assert package.load_sampler("run").image.classes == ("0", "1", "10", "2")
    drawn = synthgen(
        "synthesize", "sampler=run", *data, "mode=augment", "plan.per_class=3", "out=set"
    )
    assert drawn.code == 0, drawn.err
    for row in map(json.loads, Path("set/manifest.jsonl").read_text().splitlines()):
        level = np.asarray(Image.open(Path("set") / row["file"])).mean()
        assert min(LEVELS, key=lambda name: abs(LEVELS[name] + 10 - level)) == row["class"], row
    splits = splits_behind(Path("set"), ImageFolder(root=str(bright)))
    assert splits.test.classes == ("0", "1", "10", "2")
    for label, name in enumerate(splits.test.classes):
        assert splits.test.of_class(label).images.double().mean() == pytest.approx(
            LEVELS[name] + 10, abs=2
        )
