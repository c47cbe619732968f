"""Every model and every augmentation trains on a CUDA device, and what it made is used anywhere."""

import json
import os
import signal

import pytest
import torch
from omegaconf import OmegaConf

from synthgen import load_sampler
from synthgen.errors import StoppedByUserError
from synthgen.evaluation.features.base import full_float32
from synthgen.gan import GAN
from synthgen.images import to_float
from synthgen.io import config_dir
from synthgen.seeds import row_seeds, step_generator
from synthgen.training.train import train

pytestmark = pytest.mark.gpu

FITTED = "synthgen.samplers."
MODELS = [
    path.stem
    for path in sorted((config_dir() / "model").glob("*.yaml"))
    if not str(OmegaConf.load(path).get("_target_", FITTED)).startswith(FITTED)
]
DRAWN_FROM = [
    path.stem
    for path in sorted((config_dir() / "model").glob("*.yaml"))
    if str(OmegaConf.load(path).get("_target_")).startswith(FITTED) and path.stem != "road_signs"
]
AUGMENTATIONS = sorted(
    path.stem
    for path in (config_dir() / "gan" / "augmentation").glob("*.yaml")
    if path.stem != "none"
)
LABELS, SEEDS = torch.arange(10).repeat(4), row_seeds(0, 0, 40)


def test_there_are_models():
    assert len(MODELS) > 20
    assert len(AUGMENTATIONS) > 5


@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_there_and_draws_alike_on_both(name, build_model, digits, tmp_path):
    module = build_model(f"model={name}", "model.batch_size=32")
    train(module, digits, tmp_path, max_images=32 * 6, accelerator="gpu", previews=1)
    assert json.loads((tmp_path / "training.json").read_text())["device"].startswith("cuda")
    assert all(torch.isfinite(value) for value in module.losses.values())
    sampler = load_sampler(tmp_path)
    there = load_sampler(tmp_path).to("cuda").sample(LABELS, SEEDS).images
    here = sampler.sample(LABELS, SEEDS).images
    far = (there.float() - here.float()).abs() > 2  # rounding; a code drawn the other way is far
    assert far.double().mean() < 0.02


@pytest.mark.parametrize("name", MODELS)
def test_an_image_drawn_there_depends_on_its_seed_alone(name, build_model):
    sampler = build_model(f"model={name}").sampler().eval().to("cuda")
    together = sampler.sample(LABELS, SEEDS).images
    assert torch.equal(together, sampler.sample(LABELS, SEEDS).images)
    back = sampler.sample(LABELS.flip(0), SEEDS.flip(0)).images.flip(0)
    alone = torch.cat([sampler.sample(LABELS[i : i + 1], SEEDS[i : i + 1]).images for i in (0, 7)])
    assert torch.equal(together, back)
    assert torch.equal(together[[0, 7]], alone)


@pytest.mark.parametrize("name", DRAWN_FROM)
def test_what_needs_no_training_draws_alike_on_both(name, build_model, digits):
    sampler = build_model(f"model={name}")
    sampler.fit(digits.train)
    here = sampler.sample(LABELS, SEEDS).images
    there = sampler.to("cuda").sample(LABELS, SEEDS).images
    assert ((there.float() - here.float()).abs() > 2).double().mean() < 0.02


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_every_augmentation_under_penalties_has_the_gradients_of_the_cpu(name, build_model, digits):
    """The first step's: weights, latents and what is drawn are the same on both."""
    found = []
    for device in ("cpu", "cuda"):
        module = build_model("model=gan", f"gan/augmentation@model.augmentation={name}")
        module.to(device).precision = "float32"
        module.clock.start(1000, None)
        if hasattr(module.critic.augmentation, "probability"):
            module.critic.augmentation.probability = 0.7
        images, labels = (one[:64].to(device) for one in (digits.train.images, digits.train.labels))
        with full_float32(module.device):
            gradients = first_gradients(module, images, labels)
        found.append(torch.cat([one.flatten().cpu() for one in gradients]))
    assert found[0].norm() > 0
    assert (found[0] - found[1]).norm() / found[0].norm() < 1e-4


def first_gradients(module, images, labels):
    fake = torch.tanh(torch.randn(images.shape, generator=step_generator(1))).to(images.device)
    loss, parts = module.critic.discriminator_loss(
        to_float(images), fake, labels, number=0, progress=0.5, random=step_generator(2)
    )
    assert {"r1", "r2"} <= set(parts)
    weights = list(module.critic.discriminator.parameters())
    return [g for g in torch.autograd.grad(loss, weights, allow_unused=True) if g is not None]


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_compiled_networks_learn_the_same(mode, build_model, digits, tmp_path):
    """The first steps' losses, in float32; with spectral norm and batch norm, which keep something
    from step to step."""
    found = []
    for compile_mode in (None, mode):
        module = build_model("model=biggan", "model.batch_size=32", "model.discriminator_steps=2")
        train(
            module,
            digits,
            tmp_path / str(compile_mode),
            max_images=32 * 12,
            accelerator="gpu",
            previews=1,
            precision="float32",
            compile=compile_mode,
        )
        found.append({name: float(value) for name, value in module.losses.items()})
    assert found[0] == pytest.approx(found[1], rel=0.05)


class Stopping(GAN):
    """Is told to stop, as by Ctrl-C, after six steps."""

    def step(self, images, labels):
        super().step(images, labels)
        if self.clock.images_seen == 32 * 5:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_run_goes_on_to_nearly_the_same_weights(build_model, digits, tmp_path):
    settings = {"max_images": 32 * 12, "accelerator": "gpu", "previews": 0, "precision": "float32"}

    def module(cls=GAN):
        found = build_model("model=gan", "model.batch_size=32")
        found.__class__ = cls
        return found

    train(module(), digits, tmp_path / "whole", **settings)
    with pytest.raises(StoppedByUserError):
        train(module(Stopping), digits, tmp_path / "parts", **settings)
    train(module(), digits, tmp_path / "parts", resume=True, **settings)
    whole, parts = (load_sampler(tmp_path / name).state_dict() for name in ("whole", "parts"))
    difference = sum(float((whole[name] - parts[name]).square().sum()) for name in whole)
    size = sum(float(one.square().sum()) for one in whole.values())
    assert (difference / size) ** 0.5 < 1e-2  # TF32, and sums in any order
