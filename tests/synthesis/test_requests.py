"""What can be ordered: several samplers, real images beside, more of a set, latents of another
spread, other places."""

import json
import time
import tracemalloc

import pytest
import torch

from synthgen.dataset.formats import NPZ, PNG
from synthgen.dataset.source import Synthetic, read_synthetic
from synthgen.errors import SynthgenError
from synthgen.networks.r3gan import R3Generator
from synthgen.samplers import Bootstrap, Noise, PCAGaussian, load_sampler, save_sampler
from synthgen.samplers.neural import DecoderSampler, GeneratorSampler
from synthgen.synthesis import (
    Balanced,
    Fill,
    MatchReal,
    PerClass,
    plan_request,
    regenerate,
    regenerate_row,
    synthesize,
    verify,
)
from synthgen.synthesis.manifest import read_manifest
from synthgen.types import ImageSpec
from synthgen.vae.likelihoods import GaussianLikelihood
from synthgen.vae.priors import ClassGaussianPrior


@pytest.fixture(scope="module")
def copies(digits, tmp_path_factory):
    sampler = Bootstrap(digits.image)
    sampler.fit(digits)
    return save_sampler(sampler, tmp_path_factory.mktemp("copies") / "sampler", {})


def described(out):
    return json.loads((out / "dataset.json").read_text())


def test_two_samplers_in_one_plan(sampler, copies, tmp_path, contents):
    paths = {"pca": sampler, "copies": copies}
    out = synthesize(paths, Balanced(8), tmp_path / "set", shares={"pca": 3, "copies": 1}, seed=2)
    entries = read_manifest(out)
    hashes = {name: json.loads((path / "sampler.json").read_text())["sha256"]
              for name, path in paths.items()}  # fmt: skip
    by_hash = [entry.sampler for entry in entries]
    assert (by_hash.count(hashes["pca"]), by_hash.count(hashes["copies"])) == (60, 20)
    loaded = {hashes[name]: load_sampler(path) for name, path in paths.items()}
    for row in (0, 59, 60, 79):
        entry = entries[row]
        image = loaded[entry.sampler].sample([entry.label], [entry.seed]).images[0]
        assert torch.equal(regenerate_row(out, paths, row), image)
    dataset = described(out)
    assert dataset["exposes_real"] is True
    assert [one["name"] for one in dataset["parts"][0]["samplers"]] == ["pca", "copies"]
    assert dataset["provenance"]["data"]["name"] == "digits"
    assert contents(regenerate(out, paths, tmp_path / "again")) == contents(out)
    with pytest.raises(SynthgenError, match="not drawn with the sampler"):
        regenerate(out, sampler, tmp_path / "other")


def test_samplers_that_do_not_belong_together(sampler, digits, noise, tmp_path):
    with pytest.raises(SynthgenError, match="different images or classes"):
        plan_request({"a": sampler, "b": noise}, Balanced(1))
    provenance = {"data": {"name": "digits", "digest": "another", "class_counts": {}}}
    other = save_sampler(Noise(digits.image), tmp_path / "other", provenance)
    with pytest.raises(SynthgenError, match="different training splits"):
        plan_request({"a": sampler, "b": other}, Balanced(1))


@pytest.mark.parametrize("form", [PNG(), NPZ()])
def test_real_and_synthetic_images_side_by_side(sampler, digits, tmp_path, form):
    few = digits.subset(list(range(40)))
    out = synthesize(sampler, Balanced(6), tmp_path / "set", mode="augment", real=few, format=form)
    entries = read_manifest(out)
    real = [entry for entry in entries if entry.origin == "real"]
    assert len(entries) == 100
    assert len(real) == 40
    assert all(entry.seed is None and entry.sampler is None for entry in real)
    everything = Synthetic(root=str(out)).read().images
    assert len(everything) == 100
    for label in range(10):
        mine = everything.images[:40][everything.labels[:40] == label]
        assert torch.equal(mine, few.of_class(label).images)
    judged = read_synthetic(out, digits.classes)  # only what was drawn is judged
    assert judged.images.counts == [6] * 10
    dataset = described(out)
    assert (dataset["count"], dataset["real_count"], dataset["exposes_real"]) == (100, 40, True)
    assert list(verify(out)) == []
    with pytest.raises(SynthgenError, match="40 images of the set are real"):
        regenerate(out, sampler, tmp_path / "again")
    with pytest.raises(SynthgenError, match="is a real image"):
        regenerate_row(out, sampler, 0)


def test_real_images_of_another_shape_are_refused(noise, digits):
    with pytest.raises(SynthgenError, match=r"The real images are \(1, 8, 8\) of 10 classes"):
        plan_request(noise, Balanced(1), mode="augment", real=digits)


def test_a_set_is_filled_from_the_counts_that_the_sampler_knows(digits, tmp_path):
    pca = PCAGaussian(digits.image, components=4)
    pca.fit(digits)
    counts = {name: 10 * (int(name) + 1) for name in digits.classes}
    data = {"name": "digits", "digest": "d", "class_counts": counts}
    saved = save_sampler(pca, tmp_path / "sampler", {"data": data})
    out = synthesize(saved, Fill(cap=3), tmp_path / "set")
    assert described(out)["quotas"] == {
        name: min(100 - count, 3 * count) for name, count in counts.items()
    }


@pytest.mark.parametrize("form", [PNG(), NPZ()])
def test_a_set_is_appended_to(sampler, tmp_path, contents, form):
    out = tmp_path / "set"
    synthesize(sampler, Balanced(10), out, seed=1, format=form, shard_size=64)
    before = read_manifest(out)
    images = {name: digest for name, digest in contents(out).items() if "/" in name}
    synthesize(sampler, PerClass({"3": 30}), out, seed=2, format=form, append=True)
    entries = read_manifest(out)
    assert entries[:100] == before
    assert len(entries) == 130
    assert [entry.seed for entry in entries[100:]] == [2 * 2**32 + row for row in
                                                           range(100, 130)]  # fmt: skip
    assert images.items() <= contents(out).items()
    dataset = described(out)
    assert (dataset["count"], dataset["quotas"]["3"], dataset["quotas"]["4"]) == (130, 40, 10)
    assert [part["first"] for part in dataset["parts"]] == [0, 100]
    assert list(verify(out)) == []
    assert read_synthetic(out, tuple("0123456789")).images.counts[3] == 40
    assert contents(regenerate(out, sampler, tmp_path / "again")) == contents(out)


@pytest.mark.parametrize("moment", range(8))
def test_an_interrupted_append_ends_with_the_same_bytes(
    noise, tmp_path, contents, monkeypatch, moment
):
    def draw(out):
        synthesize(noise, Balanced(40), out, format=NPZ(), shard_size=64)
        return out

    def append(out):
        plan = Balanced(70)
        return synthesize(noise, plan, out, format=NPZ(), shard_size=64, append=True)

    whole = append(draw(tmp_path / "whole"))
    out = draw(tmp_path / "set")
    from synthgen.dataset.storage import LocalStore

    writes, original = iter(range(10**6)), LocalStore._write_file

    def write(self, target, content):
        original(self, target, content)
        if next(writes) == moment:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "_write_file", write)
        with pytest.raises(KeyboardInterrupt):
            append(out)
    assert not (out / "dataset.json").exists() or moment == 0
    append(out)
    assert contents(out) == contents(whole)


def test_appending_something_else_is_refused(noise, sampler, tmp_path):
    out = synthesize(noise, Balanced(4), tmp_path / "set")
    cats = save_sampler(Noise(ImageSpec(1, 6, 5, ("cat", "cow"))), tmp_path / "cats", {})
    for who, form, said in (
        (noise, NPZ(), "The set's format is png; npz was asked for."),
        (noise, PNG(compress_level=9), "The set's format.compress_level is 1; 9 was asked for."),
        (
            sampler,
            None,
            "The set's images are 6 x 5 pixels, grey; the sampler's 8 x 8 pixels, grey.",
        ),
        (cats, None, "The set's classes are cat, dog; the sampler's are cat, cow."),
    ):
        with pytest.raises(SynthgenError, match="same format and images") as refused:
            synthesize(who, Balanced(4), out, append=True, format=form)
        assert str(refused.value).splitlines()[0] == said
    assert list(verify(out)) == []


def test_a_plan_of_a_million_rows_starts_at_once_in_little_memory(noise):
    tracemalloc.start()
    started = time.monotonic()
    request = plan_request(noise, Balanced(10**6))
    request.rows.part(request.numbers(request.shards[-1]))
    assert time.monotonic() - started < 2
    assert tracemalloc.get_traced_memory()[1] < 2e6
    tracemalloc.stop()
    assert request.table().splitlines() == [
        "class     images",
        "cat    1,000,000",
        "dog    1,000,000",
        "all    2,000,000",
    ]


IMAGE = ImageSpec(1, 8, 8, ("a", "b"))


def network(z_dim=6):
    return R3Generator(IMAGE, z_dim=z_dim, width=8, group_size=8)


@pytest.mark.parametrize("kind", ["generator", "decoder"])
def test_truncation_and_temperature_change_the_latents_deterministically(kind, tmp_path):
    torch.manual_seed(0)
    prior = ClassGaussianPrior(2, 6)
    sampler = (
        GeneratorSampler(network())
        if kind == "generator"
        else DecoderSampler(network(), prior, GaussianLikelihood())
    )
    saved = save_sampler(sampler.eval(), tmp_path / "sampler", {})
    labels, seeds = torch.zeros(500, dtype=torch.int64), torch.arange(500)
    z = {
        name: load_sampler(saved)
        for name in ("plain", "cool", "cut", "both")
    }  # fmt: skip
    z["cool"].set_latents(temperature=0.5, truncation=None)
    z["cut"].set_latents(temperature=None, truncation=1.0)
    z["both"].set_latents(temperature=0.5, truncation=1.0)
    latents = {name: one.latents(labels, seeds) for name, one in z.items()}
    assert torch.allclose(latents["cool"], 0.5 * latents["plain"])
    assert latents["plain"].abs().max() > 2.5
    assert latents["cut"].abs().max() <= 1
    assert latents["cut"].std() == pytest.approx(0.54, abs=0.03)  # of the normal cut at ± 1
    assert torch.allclose(latents["both"], 0.5 * latents["cut"])
    order = latents["plain"][:, 0].argsort()
    assert torch.equal(latents["cut"][:, 0].argsort(), order)
    out = synthesize(saved, Balanced(30), tmp_path / "set", temperature=0.5, truncation=1.0)
    assert torch.equal(regenerate_row(out, saved, 40), z["both"].sample([1], [40]).images[0])
    plain = synthesize(saved, Balanced(30), tmp_path / "plain")
    assert (plain / "manifest.jsonl").read_bytes() != (out / "manifest.jsonl").read_bytes()
    with pytest.raises(SynthgenError, match="truncation is 0"):
        synthesize(saved, Balanced(3), tmp_path / "no", truncation=0.0)


def test_match_real_knows_the_given_images(noise, digits, tmp_path):
    sampler = save_sampler(Noise(digits.image), tmp_path / "sampler", {})
    request = plan_request(sampler, MatchReal(), real=digits)
    assert list(request.quotas.values()) == digits.counts


@pytest.mark.parametrize("form", [PNG(), NPZ()])
def test_any_place_that_fsspec_reaches(noise, tmp_path, contents, form):
    fsspec = pytest.importorskip("fsspec")
    local = synthesize(noise, Balanced(70), tmp_path / "set", format=form, shard_size=64)
    url = synthesize(noise, Balanced(70), f"file://{tmp_path}/url", format=form, shard_size=64)
    assert url is not None
    assert contents(tmp_path / "url") == contents(local)
    place = f"memory://sets-{form.name}"
    synthesize(noise, Balanced(70), place, format=form, shard_size=64)
    system = fsspec.filesystem("memory")
    system.get(f"/sets-{form.name}/", str(tmp_path / "down") + "/", recursive=True)
    assert contents(tmp_path / "down") == contents(local)
    assert list(verify(place)) == []
    synthesize(noise, Balanced(70), place, format=form, shard_size=64)  # is already there
    with pytest.raises(SynthgenError, match="already exists"):
        synthesize(noise, Balanced(71), place, format=form, shard_size=64)
    system.pipe_file(f"/sets-{form.name}/README.md", b"x")
    assert list(verify(place)) == ["README.md was changed (its SHA-256 differs)."]
    with pytest.raises(SynthgenError, match="does not answer"):
        synthesize(noise, Balanced(1), "nosuchprotocol://x")


def test_an_interrupted_set_behind_a_url_is_gone_on_with(noise, tmp_path, monkeypatch, contents):
    fsspec = pytest.importorskip("fsspec")
    place, original = "memory://interrupted", Noise.draw
    calls = iter(range(10**6))

    def draw(self, labels, seeds):
        if next(calls) == 4:
            raise KeyboardInterrupt
        return original(self, labels, seeds)

    with monkeypatch.context() as patch:
        patch.setattr(Noise, "draw", draw)
        with pytest.raises(KeyboardInterrupt):
            synthesize(noise, Balanced(200), place, format=NPZ(), shard_size=64)
    with pytest.raises(SynthgenError, match=r"request\.seed=0, not 1"):
        synthesize(noise, Balanced(200), place, format=NPZ(), shard_size=64, seed=1)
    synthesize(noise, Balanced(200), place, format=NPZ(), shard_size=64)
    local = synthesize(noise, Balanced(200), tmp_path / "set", format=NPZ(), shard_size=64)
    fsspec.filesystem("memory").get("/interrupted/", str(tmp_path / "down") + "/", recursive=True)
    assert contents(tmp_path / "down") == contents(local)
