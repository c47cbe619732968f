"""The stage itself on real digits: resuming, stopping, losses gone wrong, what the folder holds."""

import functools
import io
import json
import os
import signal
import time

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen import load_sampler
from synthgen.data import Digits, prepare
from synthgen.errors import StoppedByUserError, SynthgenError
from synthgen.gan import GAN
from synthgen.gan.losses import RelativisticPairing
from synthgen.gan.penalties import R1, R2
from synthgen.images import encode_png, grid
from synthgen.networks import R3Discriminator, R3Encoder, R3Generator
from synthgen.seeds import row_seeds
from synthgen.tracking.metrics_csv import MetricsCSV
from synthgen.training import callbacks
from synthgen.training import train as train_module
from synthgen.training.schedules import Constant, Cosine
from synthgen.training.train import train
from synthgen.vae import VAE
from synthgen.vae.densities import GaussianMixtureDensity
from synthgen.vae.likelihoods import GaussianLikelihood
from synthgen.vae.objectives import ELBO
from synthgen.vae.priors import ClassGaussianPrior

TINY = {"width": 8, "max_width": 16, "patch": 2, "expansion": 1, "group_size": None}
BUDGET = {"max_images": 32 * 12, "precision": "float32", "accelerator": "cpu", "previews": 2}


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits())


def build_gan(image, cls=GAN, lr=1e-3):
    torch.manual_seed(0)
    adam = functools.partial(torch.optim.Adam, lr=0.0, betas=(0.0, 0.9), fused=True)
    return cls(
        R3Generator(image, z_dim=8, **TINY),
        R3Discriminator(image, **TINY),
        RelativisticPairing(),
        {"r1": R1(Cosine(1.0, 0.1), every=2), "r2": R2(Cosine(1.0, 0.1), every=2)},
        adam,
        adam,
        lr=Cosine(lr, lr / 10),
        beta2=Cosine(0.9, 0.99),
        ema_half_life=100,
        batch_size=32,
    )


def build_vae(image, density=None, cls=VAE):
    torch.manual_seed(0)
    return cls(
        R3Encoder(image, z_dim=4, **TINY),
        R3Generator(image, z_dim=4, **TINY),
        ClassGaussianPrior,
        GaussianLikelihood(),
        functools.partial(torch.optim.Adam, lr=0.0, fused=True),
        lr=Constant(1e-3),
        objective=ELBO(Constant(1.0)),
        density=density,
        batch_size=32,
    )


def weights(folder):
    return load_sampler(folder).state_dict()


def stopping(base, at_step, signal_number):
    class Stopping(base):
        steps = 0

        def step(self, images, labels):
            super().step(images, labels)
            self.steps += 1
            if self.steps == at_step:
                os.kill(os.getpid(), signal_number)

    return Stopping


@pytest.mark.parametrize("build", [build_gan, build_vae])
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_and_resumed_run_ends_with_the_same_weights(
    build, signal_number, splits, tmp_path
):
    image, base = splits.train.image, type(build(splits.train.image))
    whole = train(build(image), splits, tmp_path / "whole", seed=3, **BUDGET)
    out = tmp_path / "parts"
    stopped = build(image, cls=stopping(base, 5, signal_number))
    with pytest.raises(StoppedByUserError, match=r"160 images.*\n.*resume="):
        train(stopped, splits, out, seed=3, **BUDGET)
    assert not (out / "sampler").exists()
    resumed = train(build(image), splits, out, seed=3, resume=True, **BUDGET)
    expected, found = weights(whole), weights(resumed)
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name


def test_the_clock_counts_batches_once(splits, tmp_path):
    seen = []

    class Counting(GAN):
        def on_train_end(self):
            seen.append((self.trainer.global_step, self.clock.images_seen))

    train(build_gan(splits.train.image, cls=Counting), splits, tmp_path / "run", **BUDGET)
    assert seen == [(12, 384)]


def test_what_a_run_folder_holds(splits, tmp_path):
    out = tmp_path / "run"
    sampler = train(build_gan(splits.train.image), splits, out, **BUDGET)
    assert sampler == out / "sampler"
    record = json.loads((out / "training.json").read_text())
    assert record["images_seen"] == 384
    assert len(list((out / "samples").glob("*.png"))) >= 2
    last = Image.open(sorted((out / "samples").glob("*.png"))[-1])
    bare = grid(torch.zeros(80, 1, 56, 56, dtype=torch.uint8), columns=10)
    bare = Image.open(io.BytesIO(encode_png(bare)))
    assert last.width == bare.width
    names = np.asarray(last.convert("L"))[: last.height - bare.height]
    for column in np.split(names[:, : last.width // 10 * 10], 10, axis=1):
        assert (column < 100).any()  # a name above each
    shared = (sampler / "sampler.json").read_text()
    hashes = [key for key in splits.assignment if key in shared]
    assert hashes == []  # a list of training images would reveal membership
    assert splits.digest in shared


def test_another_seed_is_another_model(splits, tmp_path):
    one = train(build_gan(splits.train.image), splits, tmp_path / "a", seed=1, **BUDGET)
    two = train(build_gan(splits.train.image), splits, tmp_path / "b", seed=2, **BUDGET)
    first, second = weights(one), weights(two)
    assert any(not torch.equal(first[name], second[name]) for name in first)


def test_training_moves_towards_the_data(splits, tmp_path):
    budget = BUDGET | {"max_images": 32 * 200}
    out = tmp_path / "run"
    train(build_vae(splits.train.image), splits, out, **budget)
    labels = torch.arange(10).repeat_interleave(20)
    images = load_sampler(out).sample(labels, row_seeds(0, 0, 200)).images.float()
    real = torch.stack([splits.train.of_class(c).images.float().mean(0) for c in range(10)])
    distance = torch.cdist(images.flatten(1), real.flatten(1))
    assert (distance.argmin(dim=1) == labels).float().mean() > 0.8


def test_a_fitted_density_becomes_part_of_the_sampler(splits, tmp_path):
    density = functools.partial(GaussianMixtureDensity, components=2, min_images=20)
    train(build_vae(splits.train.image, density), splits, tmp_path / "run", **BUDGET)
    state = weights(tmp_path / "run")
    assert torch.allclose(state["density.weights"].sum(1), torch.ones(10), atol=1e-5)


def test_a_loss_gone_nan_stops_the_run_and_keeps_the_last_good_state(splits, tmp_path):
    class Breaking(GAN):
        def step(self, images, labels):
            super().step(images, labels)
            if self.clock.images_seen >= 32 * 8:
                self.losses["generator"] = torch.tensor(float("nan"))

    out = tmp_path / "run"
    budget = BUDGET | {"checkpoint_minutes": 0.0}  # a state after every batch
    with pytest.raises(SynthgenError, match=r"'generator' became nan after .* images"):
        train(build_gan(splits.train.image, cls=Breaking), splits, out, **budget)
    assert not (out / "sampler").exists()
    kept = torch.load(out / "checkpoints" / "last.ckpt", weights_only=True)
    assert int(kept["state_dict"]["clock._images"]) == 32 * 8
    assert all(value.isfinite().all() for value in kept["state_dict"].values())


def test_the_curve_is_on_disk_while_training_goes_on(splits, tmp_path, monkeypatch):
    path, lines = tmp_path / "metrics.csv", []

    class Reading(GAN):
        def step(self, images, labels):
            super().step(images, labels)
            lines.append(path.read_text().splitlines() if path.is_file() else [])

    always = functools.partial(callbacks.WatchLosses, every_seconds=0.0)
    monkeypatch.setattr(train_module, "WatchLosses", always)
    train(
        build_gan(splits.train.image, cls=Reading),
        splits,
        tmp_path / "run",
        loggers=[MetricsCSV(path)],
        **BUDGET,
    )
    assert len(lines[6]) == 7  # a header and the six batches before this one
    rows = path.read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(32 * n) for n in range(1, 13)]
    assert "generator" in rows[0]


def test_resuming_without_a_state_says_so(splits, tmp_path):
    with pytest.raises(SynthgenError, match="no saved state"):
        train(build_gan(splits.train.image), splits, tmp_path, resume=True, **BUDGET)


def test_images_do_not_depend_on_batch_or_order(splits, tmp_path):
    train(build_gan(splits.train.image), splits, tmp_path / "run", **BUDGET)
    sampler = load_sampler(tmp_path / "run")
    labels, seeds = torch.arange(200) % 10, row_seeds(7, 0, 200)
    whole = sampler.sample(labels, seeds).images
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    shuffled = sampler.sample(labels[order], seeds[order]).images
    assert torch.equal(whole[order], shuffled)
    singles = [sampler.sample(labels[i : i + 1], seeds[i : i + 1]).images for i in (0, 63, 64, 199)]
    assert torch.equal(torch.cat(singles), whole[[0, 63, 64, 199]])


def test_no_longer_is_said_to_be_left_than_the_limit_leaves(splits):
    """After a slow first batch half a minute began with "0.8 min left"."""
    module = build_gan(splits.train.image)
    module.clock.start(None, 30.0)
    shown = callbacks.ShowProgress()
    shown._start = (time.monotonic() - 1.6, 0, 0.0)
    module.clock.seconds, module.clock.images_seen = 1.0, 64
    assert shown.describe(module).endswith("0.5 min left")
    module.clock.max_seconds, module.clock.max_images = None, 64 * 30
    assert shown.describe(module).endswith("0.8 min left")  # of images nobody knows better
