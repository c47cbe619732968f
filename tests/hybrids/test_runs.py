"""Every hybrid as a whole, on real digits: each loss, resuming, what its sampler draws."""

import importlib
import os
import signal

import pytest
import torch
import yaml

from synthgen import load_sampler
from synthgen.errors import StoppedByUserError
from synthgen.gan.losses import NonSaturating
from synthgen.io import config_dir
from synthgen.samplers.artifact import save_sampler
from synthgen.seeds import row_seeds
from synthgen.training.schedules import Constant
from synthgen.training.train import train

BUDGET = {"max_images": 32 * 8, "precision": "float32", "accelerator": "cpu", "previews": 1}
LOSSES = sorted((config_dir() / "gan" / "loss").glob("*.yaml"))


def loss_of(path):
    module, _, name = yaml.safe_load(path.read_text())["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)()


def run_steps(model, splits, count):
    """Steps without a trainer, past the point where an adversary joins in."""
    optimizers = model.configure_optimizers()
    model.optimizer_list = lambda: optimizers
    model.manual_backward = lambda loss: loss.backward()
    model.clock.start(32 * count, None)
    model.adversarial_from = 0.0
    for number in range(count):
        rows = slice(32 * (number % 40), 32 * (number % 40 + 1))
        model.training_step((splits.train.images[rows], splits.train.labels[rows]), number)


def test_there_are_losses():
    assert len(LOSSES) >= 3


@pytest.mark.parametrize("path", LOSSES, ids=lambda path: path.stem)
def test_steps_with_each_loss_change_every_network(build, path, splits):
    model = build(splits.train.image, loss_of(path))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run_steps(model, splits, 2)
    after = model.state_dict()
    assert all(value.isfinite().all() for value in after.values())
    changed = [name for name in after if not torch.equal(after[name], before[name])]
    for network in ("networks.encoder", "networks.decoder", "critic.discriminator", "ema.average"):
        assert any(name.startswith(network) for name in changed), network


def stopping(base, at_step):
    class Stopping(base):
        steps = 0

        def step(self, images, labels):
            super().step(images, labels)
            self.steps += 1
            if self.steps == at_step:
                os.kill(os.getpid(), signal.SIGTERM)

    return Stopping


def test_a_stopped_and_resumed_run_ends_with_the_same_weights(build, splits, tmp_path):
    image = splits.train.image
    whole = train(build(image), splits, tmp_path / "whole", seed=3, **BUDGET)
    stopped = build(image, cls=stopping(type(build(image)), 4))
    with pytest.raises(StoppedByUserError):
        train(stopped, splits, tmp_path / "parts", seed=3, **BUDGET)
    resumed = train(build(image), splits, tmp_path / "parts", seed=3, resume=True, **BUDGET)
    expected, found = load_sampler(whole).state_dict(), load_sampler(resumed).state_dict()
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    labels, seeds = torch.arange(30) % 10, row_seeds(7, 0, 30)
    images = load_sampler(whole).sample(labels, seeds).images
    assert torch.equal(images, load_sampler(resumed).sample(labels, seeds).images)
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        images[order], load_sampler(whole).sample(labels[order], seeds[order]).images
    )
    other = load_sampler(whole).sample((labels + 1) % 10, seeds).images
    assert not torch.equal(images, other)  # the label matters


def test_what_is_drawn_before_saving_is_drawn_after_loading(build, splits, tmp_path):
    model = build(splits.train.image)
    run_steps(model, splits, 4)
    sampler = model.finish(splits.train).eval()
    save_sampler(sampler, tmp_path / "sampler", {})
    labels, seeds = torch.arange(20) % 10, row_seeds(1, 0, 20)
    drawn = sampler.sample(labels, seeds).images
    assert torch.equal(drawn, load_sampler(tmp_path / "sampler").sample(labels, seeds).images)


def test_training_moves_towards_the_data(build, splits):
    model = build(splits.train.image, NonSaturating(), lr=Constant(5e-3))
    labels, seeds = torch.arange(200) % 10, row_seeds(0, 0, 200)
    target = splits.train.images.float().mean(0)
    before = model.sampler().eval().sample(labels, seeds).images.float().mean(0)
    run_steps(model, splits, 120)
    after = model.finish(splits.train).eval().sample(labels, seeds).images.float().mean(0)
    assert (after - target).norm() < 0.6 * (before - target).norm()
