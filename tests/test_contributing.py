"""The five Python examples in CONTRIBUTING.md work, as a package of the reader's own and in the
repository."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

TEXT = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
CLASSES = {
    "loss": "Smoothed",
    "data": "Sketches",
    "model": "MeanImage",
    "judge": "LeNetClassifier",
    "metric": "MeanGap",
}
CONFIGS = {
    "gan/loss/mine.yaml": "_target_: reader_loss.Smoothed\n",
    "data/mine.yaml": "_target_: reader_data.Sketches\nroot: ???\n",
    "model/mine.yaml": "_target_: reader_model.MeanImage\n",
    "judge/mine.yaml": "_target_: reader_judge.LeNetClassifier\nsteps: 20\n",
    "metric/mine.yaml": "# @package metric.mine\n_target_: reader_metric.MeanGap\n",
    "metric/homeless.yaml": "_target_: reader_metric.MeanGap\n",
}
SETTINGS_OF_LENET = re.search(r"^_target_: .*LeNetClassifier\n(.*?)^```", TEXT, re.M | re.S).group(
    1
)
INSIDE = {  # module, its class, its YAML, of which settings are those of another one
    "gan/losses": ("Smoothed", "gan/loss/smoothed", "target: 0.9\n"),
    "data/sketches": ("Sketches", "data/sketches", None),
    "samplers/mean_image": ("MeanImage", "model/mean_image", "noise: 0.1\n"),
    "evaluation/classifiers/lenet": ("LeNetClassifier", "judge/lenet", SETTINGS_OF_LENET),
    "metrics/mean_gap": ("MeanGap", "metric/mean_gap", ""),
}


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """Modules reader_loss, reader_data, …, their YAML, and two classes of digits."""
    for (name, cls), example in zip(CLASSES.items(), EXAMPLES, strict=True):
        assert f"class {cls}" in example
        (tmp_path / f"reader_{name}.py").write_text(example)
    for name, text in CONFIGS.items():
        (tmp_path / "configs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "configs" / name).write_text(text)
    digits = load_digits()
    chosen = digits.target < 2
    np.save(tmp_path / "pixels.npy", (digits.images[chosen] * 15).astype(np.uint8))
    np.save(tmp_path / "labels.npy", digits.target[chosen])
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in CLASSES:
        sys.modules.pop(f"reader_{name}", None)


def test_a_dataset_and_a_sampler(synthgen):
    own = ("--config-dir", "configs", "allow=[reader_data,reader_model]", "logger=csv")
    done = synthgen("train", "data=mine", "data.root=.", "model=mine", "out=run", *own)
    assert done.code == 0, done.err
    drawn = synthgen(
        "synthesize", "sampler=run", "plan.per_class=2", "allow=[reader_model]", "out=set",
        "logger=csv",
    )  # fmt: skip
    assert drawn.code == 0, drawn.err
    assert json.loads(Path("set/dataset.json").read_text())["classes"] == ["cat", "dog"]


def test_a_sampler_of_someones_own_is_refused_unless_it_is_named(synthgen):
    own = ("--config-dir", "configs", "allow=[reader_model]", "logger=csv")
    assert synthgen("train", "model=mine", "out=run", *own).code == 0
    refused = synthgen("synthesize", "sampler=run", "out=set")
    assert refused.code == 2
    assert "allow=[" in refused.err


def test_a_loss(synthgen):
    done = synthgen(
        "train", "model=gan", "gan/loss@model.loss=mine", "max_images=64", "model.batch_size=32",
        "--config-dir", "configs", "allow=[reader_loss]", "out=run", "logger=csv",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "Smoothed" in Path("run/config.yaml").read_text()


def test_a_classifier_and_a_metric(synthgen):
    quiet = ("data=mine", "data.root=.", "logger=csv")
    own = ("--config-dir", "configs", "allow=[reader_data,reader_judge,reader_metric]")
    known = ("--config-dir", "configs", "allow=[reader_data]")
    assert synthgen("train", *quiet, "model=pca_gaussian", "out=run", *known).code == 0
    drawn = ("plan.per_class=40", "out=set", "logger=csv")
    assert synthgen("synthesize", "sampler=run", *drawn).code == 0
    quick = ("seeds=1", "extractor.classifier.steps=20", "out=report")
    given = ("synthetic=set", "judge=mine", *quick, *own)
    refused = synthgen("evaluate", *quiet, *given, "metric=[kid,homeless]")
    assert refused.code == 2
    assert "# @package metric.NAME" in refused.err
    done = synthgen("evaluate", *quiet, *given, "metric=[kid,mine]")
    assert done.code == 0, done.err
    report = json.loads(Path("report/report.json").read_text())
    found = {one["name"]: one["value"] for one in report["results"] if one["classifier"] == "lenet"}
    assert found["transfer/real_only/accuracy"] > 0.9
    spaces = {one["name"] for one in report["results"] if one["extractor"]}
    assert spaces == {"fidelity/kid", "fidelity/mean_gap"}
    assert "Gap of the means" in Path("report/report.html").read_text()
    assert "Euclidean distance between the mean features." in report["protocol"]["metrics"]


def place_inside(repository: Path):
    for (module, (name, config, settings)), example in zip(INSIDE.items(), EXAMPLES, strict=True):
        file, room = (
            repository / "synthgen" / f"{module}.py",
            (repository / "synthgen" / module).parent,
        )
        path = f"synthgen.{module.replace('/', '.')}"
        if file.exists():  # what a room of one file holds
            file.write_text(f"{file.read_text()}\n\n{example}")
            target = f"{path}.{name}"
        else:
            file.write_text(example)
            with (room / "__init__.py").open("a") as names:
                names.write(f"\nfrom {path} import {name}\n\n__all__ += ['{name}']\n")
            target = f"{path.rpartition('.')[0]}.{name}"
        if settings is None:
            npz = (repository / "configs" / "data" / "npz.yaml").read_text()
            text = npz.replace("path: ???", "root: ???")
            text = re.sub("^_target_: .*$", f"_target_: {target}", text, flags=re.MULTILINE)
        else:
            place = f"# @package {config.replace('/', '.')}\n" * config.startswith("metric/")
            text = f"{place}# What it is.\n_target_: {target}\n{settings}"
        (repository / "configs" / f"{config}.yaml").write_text(text)


@pytest.mark.slow
def test_in_the_repository_the_tests_find_them_and_are_green(tmp_path):
    repository, here = tmp_path / "repository", Path(__file__).parents[1]
    for folder in ("synthgen", "configs", "tests"):
        shutil.copytree(here / folder, repository / folder)
    shutil.copy(here / "pyproject.toml", repository)
    place_inside(repository)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(
                "-k",
                "smoothed or Smoothed or sketches or Sketches or mean_image or lenet or mean_gap "
                "or catalogue",
            ),
            *("tests/gan/test_losses.py", "tests/samplers", "tests/test_configs.py"),
            *("tests/data", "tests/metrics", "tests/cli/test_catalogue.py"),
        ],
        cwd=repository,
        env={**os.environ, "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert int(re.search(r"(\d+) passed", done.stdout).group(1)) > 60
