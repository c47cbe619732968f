import functools
import json

import pytest
import torch

from synthgen import load_sampler
from synthgen.data import Digits, prepare
from synthgen.errors import StoppedByUserError, SynthgenError
from synthgen.images import to_float
from synthgen.metrics import frechet_distance
from synthgen.networks import DCGenerator
from synthgen.samplers import Bootstrap, Noise
from synthgen.training.callbacks import COMPONENTS, HoldoutDistance, KeepBest
from synthgen.training.train import train
from synthgen.vae.densities import GaussianMixtureDensity


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits())


def fitted(cls, splits):
    sampler = cls(splits.train.image)
    sampler.fit(splits.train)
    return sampler


def test_the_distance_is_the_frechet_distance_on_principal_components(splits):
    distance, copies = HoldoutDistance(splits.train, splits.holdout), fitted(Bootstrap, splits)
    drawn = []

    class Remembering(Bootstrap):
        def sample(self, labels, seeds):
            drawn.append(copies.sample(labels, seeds))
            return drawn[0]

    value = distance(Remembering(splits.train.image))
    pixels = to_float(splits.train.images).flatten(1)
    _, _, axes = torch.linalg.svd(pixels - pixels.mean(0), full_matrices=False)
    scores = [
        (to_float(images).flatten(1) - pixels.mean(0)) @ axes[:COMPONENTS].T
        for images in (splits.holdout.images, drawn[0].images)
    ]
    assert value == pytest.approx(frechet_distance(real=scores[0], fake=scores[1]), rel=1e-4)
    shares = torch.bincount(drawn[0].labels) / 1000
    expected = torch.tensor(splits.holdout.counts) / len(splits.holdout)
    assert torch.allclose(shares, expected, atol=1e-3)


def test_copies_of_real_images_are_nearer_than_noise(splits):
    distance = HoldoutDistance(splits.train, splits.holdout)
    near, far = (distance(fitted(cls, splits)) for cls in (Bootstrap, Noise))
    assert near < far / 10
    assert distance(fitted(Bootstrap, splits)) == near  # the same seeds each time


def run(splits, out, model, **options):
    settings = {"precision": "float32", "accelerator": "cpu", "previews": 0, "best_every": 64}
    return train(model, splits, out, **(settings | {"max_images": 32 * 12} | options))


def test_the_best_generator_is_kept_and_says_when_it_was(splits, tmp_path, build_gan, monkeypatch):
    values = iter([5.0, 3.0, 4.0, float("nan"), 3.5, 6.0])
    monkeypatch.setattr(HoldoutDistance, "__call__", lambda self, sampler: next(values))
    run(splits, tmp_path / "run", build_gan(splits.train.image))
    curve = json.loads((tmp_path / "run" / "best.json").read_text())
    assert [row["images_seen"] for row in curve] == [64, 128, 192, 320, 384]
    said = json.loads((tmp_path / "run" / "best" / "sampler.json").read_text())
    assert said["provenance"]["training"] == {"images_seen": 128, "distance": 3.0}
    monkeypatch.undo()
    run(splits, tmp_path / "short", build_gan(splits.train.image), best_every=None)
    best = load_sampler(tmp_path / "run" / "best").state_dict()
    last = load_sampler(tmp_path / "run").state_dict()
    assert any(not torch.equal(best[name], last[name]) for name in best)
    short = load_sampler(tmp_path / "short").state_dict()
    assert all(torch.equal(short[name], last[name]) for name in last)  # looking changes nothing
    assert not (tmp_path / "short" / "best").exists()


def test_a_resumed_run_knows_the_best_so_far(splits, tmp_path, build_gan):
    image = splits.train.image
    run(splits, tmp_path / "whole", build_gan(image))
    with pytest.raises(StoppedByUserError):
        run(splits, tmp_path / "parts", build_gan(image, stop_at=7))
    run(splits, tmp_path / "parts", build_gan(image), resume=True)
    curves = [(tmp_path / name / "best.json").read_text() for name in ("whole", "parts")]
    assert curves[0] == curves[1]
    whole, parts = (load_sampler(tmp_path / name / "best").state_dict()
                    for name in ("whole", "parts"))  # fmt: skip
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_holdout_of_one_image_is_refused(splits):
    with pytest.raises(SynthgenError, match="which has 1 image"):
        HoldoutDistance(splits.train, splits.holdout.subset(torch.tensor([0])))


def test_an_interval_below_one_image_is_refused(tmp_path):
    with pytest.raises(ValueError, match="best_every must be at least 1"):
        KeepBest(lambda model: None, lambda sampler: 0.0, lambda *_: None, tmp_path, 0)


def test_the_best_is_what_the_run_would_end_with(splits, tmp_path, build_gan):
    """Of a generator with batch norm: its statistics are settled before it is compared."""
    generator = DCGenerator(splits.train.image, z_dim=8, width=8)
    run(splits, tmp_path, build_gan(splits.train.image, generator=generator), best_every=32 * 12)
    best, last = (load_sampler(tmp_path / name).state_dict() for name in ("best", "sampler"))
    assert any("running_mean" in name for name in last)
    assert all(torch.equal(best[name], last[name]) for name in last)


def test_a_density_that_is_fitted_at_the_end_is_refused(splits, tmp_path, build_vae):
    density = functools.partial(GaussianMixtureDensity, components=2, min_images=20)
    model = build_vae(splits.train.image, density=density)
    with pytest.raises(SynthgenError, match=r"fitted when training ends.\n.*model.density=null"):
        run(splits, tmp_path, model)
