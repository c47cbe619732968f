"""``synthgen synthesize`` and ``verify`` from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from synthgen.cli.main import main
from synthgen.synthesis.manifest import read_manifest

REAL = ["data=digits", "logger=csv"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose sampler knows which digits it was trained on."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "model=pca_gaussian", *REAL, f"out={out}"]) == 0
    return out


@pytest.fixture
def synthesize(synthgen, run):
    def call(*arguments):
        return synthgen("synthesize", f"sampler={run}", "logger=csv", *arguments)

    return call


def described(out="set"):
    return json.loads((Path(out) / "dataset.json").read_text())


def test_a_finished_set_asked_for_again_is_there_and_another_is_refused(synthesize):
    command = ["plan=balanced", "plan.per_class=3", "out=set"]
    assert synthesize(*command).code == 0
    before = {path: path.stat().st_mtime_ns for path in Path("set").rglob("*")}
    again = synthesize(*command)
    assert again.code == 0
    assert "set is already there, as this command asks for it." in again.err
    for other in ("seed=1", "plan.per_class=4", "format=npz", "shard_size=7", "papers.title=Signs"):
        refused = synthesize(*command, other)
        assert refused.code == 2, other
        assert "already exists and was left as it is" in refused.err
    assert {path: path.stat().st_mtime_ns for path in Path("set").rglob("*")} == before


def test_a_dry_run_shows_the_plan_and_writes_nothing(synthesize):
    done = synthesize("plan=balanced", "plan.per_class=12", "out=set", "dry_run=true")
    assert done.code == 0
    assert done.out.splitlines()[0] == "class  images"
    assert done.out.splitlines()[-1] == "all       120"
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("form", ["npz", "webdataset", "parquet", "hdf5", "webp"])
def test_a_format_is_chosen_and_evaluated_by_name(synthesize, synthgen, form):
    assert synthesize("plan.per_class=12", f"format={form}", "out=set").code == 0
    assert described()["file_format"]["name"] == form
    assert synthgen("verify", "set").code == 0
    checked = synthgen("data", "check", "data=synthetic", "data.root=set", "out=check")
    assert checked.code == (0 if form == "webp" else 2), checked.err  # no single files in shards


def test_the_same_command_goes_on_and_a_finished_set_is_left_alone(synthesize):
    assert synthesize("plan.per_class=3", "out=set").code == 0
    other = synthesize("plan.per_class=2", "out=set")
    assert other.code == 2
    assert "append=true" in other.err
    assert synthesize("plan.per_class=2", "out=set", "append=true").code == 0
    assert described()["count"] == 50


def test_real_training_images_are_put_beside(synthesize, run):
    assert synthesize("plan.per_class=2", "mode=augment", "data=digits", "out=set").code == 0
    data = json.loads((run / "sampler" / "sampler.json").read_text())["provenance"]["data"]
    assert described()["real_count"] == sum(data["class_counts"].values())
    refused = synthesize("plan.per_class=2", "mode=augment", "out=other")
    assert refused.code == 2
    assert "data=mnist" in refused.err


def test_filters_are_chosen_by_name(synthesize):
    done = synthesize("plan.per_class=6", "filter=[low_density]", "data=digits", "out=set")
    assert done.code == 0, done.err
    assert described()["acceptance"]["3"]["drawn"] >= 6
    assert "low_density" in read_manifest(Path("set"))[0].scores


def test_several_samplers(synthgen, run):
    done = synthgen("synthesize", f"sampler={{a: '{run}', b: '{run}'}}", "shares={a: 2, b: 1}",
                    "plan.per_class=3", "out=set", "logger=csv")  # fmt: skip
    assert done.code == 0, done.err
    assert done.err.splitlines()[0].split() == ["class", "a", "b", "total"]


def test_the_card_says_what_the_person_said(synthesize):
    assert synthesize("plan.per_class=1", "papers.licence=cc-by-4.0", "out=set").code == 0
    assert "cc-by-4.0" in Path("set/README.md").read_text()
    wrong = synthesize("plan.per_class=1", "+papers.licens=x", "out=other")
    assert wrong.code == 2
    assert not Path("other").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plan.per_class=0"], "no images at all"),
        (["plan=per_class", "plan.per_class={thirteen: 3}"], "'thirteen'"),
        (["plan=fill", "plan.target=1"], "nothing is missing"),
        (["truncation=1"], "has no latents"),
        (["shard_size=5000"], "shard_size is 5000"),
        (["format.compress_level=11"], "compress_level is 11"),
        (["out=nosuchprotocol://place"], "does not answer"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_nothing(synthesize, arguments, said):
    done = synthesize("out=set", *arguments)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert list(Path().iterdir()) == []


def test_a_url(synthesize):
    fsspec = pytest.importorskip("fsspec")
    done = synthesize("plan.per_class=2", "format=npz", "out=memory://from-the-command-line")
    assert done.code == 0, done.err
    assert done.last_line == "memory://from-the-command-line"
    content = fsspec.filesystem("memory").open("/from-the-command-line/shards/000000.npz")
    assert np.load(content)["labels"].tolist() == [n for n in range(10) for _ in range(2)]
