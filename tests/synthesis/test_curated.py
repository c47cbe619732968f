"""The loop that draws, examines and draws again, with filters whose verdicts are known."""

import json

import pytest
import torch

from synthgen.dataset.formats import NPZ, PNG
from synthgen.dataset.schema import Fact
from synthgen.dataset.source import read_synthetic
from synthgen.errors import SynthgenError
from synthgen.samplers import Noise, save_sampler
from synthgen.seeds import redraw_seed
from synthgen.synthesis import Balanced, PerClass, engine, regenerate, synthesize, verify
from synthgen.synthesis.filters.base import Filter, SetFilter, Verdicts
from synthgen.synthesis.manifest import read_manifest
from synthgen.types import ImageSpec, LabelledImages

IMAGE = ImageSpec(1, 4, 4, ("cat", "dog"))
REAL = LabelledImages(torch.zeros(4, 1, 4, 4).to(torch.uint8), torch.tensor([0, 1, 0, 1]),
                      IMAGE.classes)  # fmt: skip


class FirstPixel(Filter):
    """Keeps images whose first pixel is at least ``least``."""

    name = "first_pixel"

    def __init__(self, least: int) -> None:
        self.least = least
        self.fitted_on = 0

    def fit(self, real_train, seed):
        self.fitted_on = len(real_train)

    def examine(self, images, labels):
        first = images[:, 0, 0, 0]
        return Verdicts(first >= self.least, first.float())

    def facts(self):
        return Fact.from_json({"fitted_on": self.fitted_on})


class LastPixel(FirstPixel):
    name = "last_pixel"

    def examine(self, images, labels):
        last = images[:, 0, -1, -1].float()
        return Verdicts(last >= self.least, last)


class NewPixel(SetFilter):
    """Keeps an image if none before it has, by its first pixel, the same ``value // width``."""

    name = "new_pixel"

    def __init__(self, width: int = 2) -> None:
        self.width = width
        self.seen = set()

    def begin(self):
        self.seen = set()

    def examine(self, images, labels):
        keep = []
        for value in (images[:, 0, 0, 0] // self.width).tolist():
            keep.append(value not in self.seen)
            self.seen.add(value)
        return Verdicts(torch.tensor(keep, dtype=torch.bool), images[:, 0, 0, 0].float())


@pytest.fixture(scope="module")
def sampler(tmp_path_factory):
    return save_sampler(Noise(IMAGE), tmp_path_factory.mktemp("saved") / "sampler", {})


def curated(sampler, out, filters, **settings):
    plan = settings.pop("plan", Balanced(100))
    return synthesize(sampler, plan, out, real=REAL, filters=filters, shard_size=64, **settings)


def test_rejected_rows_are_drawn_again_until_the_quota_is_met(sampler, tmp_path):
    out = curated(sampler, tmp_path / "set", [FirstPixel(200), LastPixel(100)], seed=3)
    read = read_synthetic(out, IMAGE.classes)
    assert read.images.counts == [100, 100]
    assert int(read.images.images[:, 0, 0, 0].min()) >= 200
    assert int(read.images.images[:, 0, -1, -1].min()) >= 100
    entries = read_manifest(out)
    for row, entry in enumerate(entries):
        assert entry.seed == redraw_seed(3, row, entry.attempt)
        assert entry.scores["first_pixel"] >= 200
        assert entry.scores["last_pixel"] >= 100
    assert {entry.attempt for entry in entries} > {0, 1, 2}
    assert list(verify(out)) == []


def test_acceptance_stands_in_the_description(sampler, tmp_path):
    out = curated(sampler, tmp_path / "set", [FirstPixel(128)])
    dataset = json.loads((out / "dataset.json").read_text())
    entries = read_manifest(out)
    for name in IMAGE.classes:
        found = dataset["acceptance"][name]
        drawn = sum(entry.attempt + 1 for entry in entries if entry.class_ == name)
        assert found == {
            "drawn": drawn,
            "kept": 100,
            "share": pytest.approx(100 / drawn, abs=1e-6),
            "rejected": {"first_pixel": drawn - 100},
        }
        assert 0.35 < found["share"] < 0.65
    assert dataset["parts"][0]["facts"] == {"first_pixel": {"fitted_on": 4}}


@pytest.mark.parametrize("filters", [[FirstPixel(200)], [FirstPixel(64), NewPixel(2)]])
def test_neither_batches_nor_shards_decide(sampler, tmp_path, filters, contents):
    """The same images whatever the shards, and the same bytes whatever the batches."""
    plan = Balanced(30)
    one = curated(sampler, tmp_path / "a", filters, plan=plan)
    two = curated(sampler, tmp_path / "b", filters, plan=plan, batch_size=64)
    assert contents(one) == contents(two)
    other = synthesize(sampler, plan, tmp_path / "c", real=REAL, filters=filters, shard_size=7)
    assert (one / "manifest.jsonl").read_text() == (other / "manifest.jsonl").read_text()


@pytest.mark.parametrize("form", [PNG(), NPZ()])
def test_the_whole_set_is_settled_in_row_order(sampler, tmp_path, form):
    out = curated(sampler, tmp_path / "set", [NewPixel()], plan=Balanced(50), format=form)
    images = read_synthetic(out, IMAGE.classes).images.images
    values = (images[:, 0, 0, 0] // 2).tolist()
    assert len(set(values)) == 100
    entries = read_manifest(out)
    seen = set()
    for row, entry in enumerate(entries):
        # A first draw is replaced if and only if a first draw before it has the same value.
        value = int(Noise(IMAGE).sample([entry.label], [row]).images[0, 0, 0, 0]) // 2
        assert (entry.attempt > 0) == (value in seen)
        seen.add(value)
        assert int(entry.scores["new_pixel"]) // 2 == values[row]
    dataset = json.loads((out / "dataset.json").read_text())
    rejected = sum(one["rejected"]["new_pixel"] for one in dataset["acceptance"].values())
    assert rejected == sum(entry.attempt for entry in entries) > 0
    assert list(verify(out)) == []


@pytest.mark.parametrize("moment", range(6))
def test_interrupted_while_settling_it_ends_with_the_same_bytes(
    sampler, tmp_path, contents, monkeypatch, moment
):
    filters = [FirstPixel(10), NewPixel()]
    whole = curated(sampler, tmp_path / "whole", filters, plan=Balanced(50))
    writes = iter(range(10**6))
    original = engine.jobs.LocalStore.write
    started = []

    def write(self, path, content):
        if path.endswith("settled.npz"):
            started.append(True)
        if started and next(writes) == moment:
            raise KeyboardInterrupt
        original(self, path, content)

    with monkeypatch.context() as patch:
        patch.setattr(engine.jobs.LocalStore, "write", write)
        with pytest.raises(KeyboardInterrupt):
            curated(sampler, tmp_path / "set", filters, plan=Balanced(50))
    curated(sampler, tmp_path / "set", filters, plan=Balanced(50))
    assert contents(tmp_path / "set") == contents(whole)


def test_a_plan_that_no_draw_can_meet_says_why(sampler, tmp_path):
    with pytest.raises(SynthgenError) as caught:
        curated(sampler, tmp_path / "set", [FirstPixel(10), LastPixel(256)], attempts=5)
    assert str(caught.value) == (
        "The plan can't be met: 64 of 64 rows of class 'cat' (row 0 first) were rejected 5 times, "
        "mostly by 'last_pixel'.\n"
        "Loosen that filter, allow more attempts=, or give the class a smaller quota."
    )
    assert not (tmp_path / "set").exists()


def test_a_set_that_can_not_be_told_apart_says_why(sampler, tmp_path):
    with pytest.raises(SynthgenError, match=r"rejected 20 times by 'new_pixel'.*\n.*Loosen"):
        curated(sampler, tmp_path / "set", [NewPixel(128)], plan=Balanced(2), attempts=20)


def test_filters_need_real_images_and_different_names(sampler, tmp_path):
    with pytest.raises(SynthgenError, match="Filters are fitted on real training images"):
        synthesize(sampler, Balanced(1), tmp_path / "set", filters=[FirstPixel(1)])
    with pytest.raises(SynthgenError, match="given twice"):
        curated(sampler, tmp_path / "set", [FirstPixel(1), FirstPixel(2)])


def test_real_images_are_not_examined(sampler, tmp_path):
    """They are black here: the filter would reject every one, for ever."""
    out = curated(sampler, tmp_path / "set", [FirstPixel(100), NewPixel(1)], mode="augment",
                  plan=PerClass({"cat": 20}))  # fmt: skip
    entries = read_manifest(out)
    assert [entry.origin for entry in entries] == ["real"] * 4 + ["synthetic"] * 20
    assert entries[0].scores == {"first_pixel": None, "new_pixel": None}
    assert json.loads((out / "dataset.json").read_text())["acceptance"].keys() == {"cat"}


def test_a_curated_set_is_regenerated(sampler, tmp_path, contents):
    out = curated(sampler, tmp_path / "set", [FirstPixel(150), NewPixel(1)], plan=Balanced(20))
    assert contents(regenerate(out, sampler, tmp_path / "again")) == contents(out)
