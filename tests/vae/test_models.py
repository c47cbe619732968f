"""Every VAE that a YAML describes is trained, exported, loaded and drawn from; combinations that
make no sense are refused with a sentence."""

import functools

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from synthgen import load_sampler
from synthgen.cli.build import build
from synthgen.errors import SynthgenError
from synthgen.io import config_dir
from synthgen.seeds import row_seeds
from synthgen.training.train import train
from synthgen.types import ImageSpec

SMALL = [
    "model.batch_size=64",
    "model.decoder.width=8",
    "model.decoder.max_width=16",
    "model.decoder.z_dim=4",
    "model.encoder.width=8",
    "model.encoder.max_width=16",
]
QUICK = {"maf": ["model.density.epochs=1"], "two_stage": ["model.density.epochs=1"]}


def target_of(path):
    return OmegaConf.load(path).get("_target_")


def options(group):
    return sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))


MODELS = [
    path.stem
    for path in sorted((config_dir() / "model").glob("*.yaml"))
    if target_of(path) == "synthgen.vae.VAE"
]
OWN = [
    f"vae/{part}@model.{part}={name}"
    for part in ("objective", "likelihood", "prior", "density")
    for name in options(f"vae/{part}")
    if str(target_of(config_dir() / f"vae/{part}/{name}.yaml")).startswith("synthgen.vae.")
]


@functools.cache
def node(*overrides):
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        config = compose("train", overrides=list(overrides))
    return OmegaConf.to_container(OmegaConf.masked_copy(config, ["model"]), resolve=True)["model"]


def model_of(image, *overrides):
    torch.manual_seed(0)
    return build(node(*overrides), key="model", facts={"image": image})


def trained_sampler(digits, out, *overrides):
    model = model_of(digits.train.image, *overrides, *SMALL)
    train(model, digits, out, max_images=192, previews=1)
    assert all(torch.isfinite(value) for value in model.losses.values())
    return load_sampler(out)


def test_there_are_models():
    assert len(MODELS) > 9


@pytest.mark.parametrize("choice", OWN)
def test_every_part_is_trained_and_saved(choice, digits, tmp_path):
    quick = QUICK.get(choice.split("=")[1], [])
    sampler = trained_sampler(digits, tmp_path / "run", "model=vae", choice, *quick)
    labels, seeds = torch.arange(10).repeat(7), row_seeds(0, 0, 70)
    images = sampler.sample(labels, seeds).images
    assert images.shape == (70, 1, 8, 8)
    assert images.float().std() > 0
    assert torch.equal(images[-3:], sampler.sample(labels[-3:], seeds[-3:]).images)
    sampler.set_latents(temperature=0.5, truncation=None)
    assert not torch.equal(images, sampler.sample(labels, seeds).images)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_draws_colour(name):
    image = ImageSpec(3, 12, 9, ("a", "b", "c"))
    model = model_of(image, f"model={name}", *SMALL)
    average = model.ema.average
    assert average.likelihood.out_channels(image) == average.decoder.out_channels
    labels = torch.tensor([0, 1, 2])
    images = model.sampler().sample(labels, row_seeds(0, 0, 3)).images
    assert images.shape == (3, 3, 12, 9)


def test_an_autoencoder_without_a_density_is_refused():
    with pytest.raises(SynthgenError, match="has no prior to draw from"):
        model_of(ImageSpec(1, 8, 8, ("a", "b")), "model=rae", "model.density=null")


def test_a_decoder_with_too_few_channels_is_refused():
    with pytest.raises(SynthgenError, match="needs 30 numbers per pixel, but the decoder"):
        model_of(
            ImageSpec(1, 8, 8, ("a", "b")), "model=logistic_vae", "model.decoder._partial_=false"
        )
