"""What every network of configs/network has to hold, found by globbing: a new yaml is covered as
soon as it exists. Shapes are computed on the meta device, so no size is too large; published sizes
do the arithmetic in the slow run only."""

import functools
import json
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from synthgen.cli.build import build
from synthgen.device import autocast
from synthgen.io import config_dir
from synthgen.networks import Discriminator, Encoder, Generator
from synthgen.networks.blocks import SelfAttention
from synthgen.samplers import load_sampler, save_sampler
from synthgen.samplers.neural import GeneratorSampler
from synthgen.serialization import from_spec, to_spec
from synthgen.types import ImageSpec

PLACES = {
    "generator": ("gan", "generator"),
    "discriminator": ("gan", "discriminator"),
    "encoder": ("vae", "encoder"),
}  # kind -> the model that shows it, and where
KINDS = {"generator": Generator, "discriminator": Discriminator, "encoder": Encoder}
SHAPES = [
    (1, 8, 8), (3, 10, 10), (1, 28, 36), (1, 33, 9), (3, 50, 50), (3, 64, 64), (1, 96, 96),
    (3, 128, 128), (3, 256, 256),
]  # fmt: skip
COLOUR = ImageSpec(3, 12, 17, ("cat", "dog", "emu"))
LABELS = torch.tensor([0, 1, 2, 0])


def names(kind, *, everything):
    """Of the yamls of a kind; those of published size are slow unless no number is computed."""
    found = sorted(path.stem for path in Path(config_dir(), "network", kind).glob("*.yaml"))
    assert found
    quick = [name for name in found if everything or "_small" in name]
    slow = [pytest.param(name, marks=pytest.mark.slow) for name in found if name not in quick]
    return [*quick, *slow]


def every(kind, *, everything=False):
    return pytest.mark.parametrize("name", names(kind, everything=everything))


@functools.cache
def config(kind, name):
    model, key = PLACES[kind]
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        overrides = [f"model={model}", f"network/{kind}@model.{key}={name}"]
        composed = compose("train", overrides=overrides)
    return OmegaConf.to_container(composed.model[key], resolve=True)


def network(kind, name, image=COLOUR):
    torch.manual_seed(0)
    built = build(config(kind, name), key=kind, facts={"image": image})
    assert isinstance(built, KINDS[kind])
    assert built.image == image
    return built


def started(kind, name, image=COLOUR):
    """As after some steps of training: no layer is still the zero that it began with, and batch
    norms have seen something."""
    made = network(kind, name, image)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.unique().numel() == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
        made.train()
        for seed in range(3):
            made(*inputs(made, kind, seed=seed))
    return made


def inputs(made, kind, seed=0):
    """Latents or images, and labels; the same for the same seed."""
    random = torch.Generator().manual_seed(seed)
    size = (made.z_dim,) if kind == "generator" else made.image.shape
    numbers = torch.randn(4, *size, generator=random)
    return (numbers if kind == "generator" else numbers.clamp(-1, 1)), LABELS


def output(made, first, labels):
    """One tensor, whatever the kind of network: rows belong to images."""
    result = made(first, labels)
    result = torch.cat(result, dim=1) if isinstance(result, tuple) else result
    return result.view(len(first), -1) if result.dim() == 1 else result


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@every("generator", everything=True)
def test_a_generator_makes_every_size(name, shape):
    with torch.device("meta"):
        made = network("generator", name, ImageSpec(*shape, classes=("a", "b", "c")))
        images = made(torch.randn(4, made.z_dim), torch.zeros(4, dtype=torch.int64))
    assert images.shape == (4, *shape)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@every("discriminator", everything=True)
def test_a_discriminator_takes_every_size(name, shape):
    with torch.device("meta"):
        made = network("discriminator", name, ImageSpec(*shape, classes=("a", "b", "c")))
        features = made.features(torch.randn(4, *shape))
        logits = made.logits(features, torch.zeros(4, dtype=torch.int64))
    assert features.shape == (4, made.feature_dim)
    assert logits.dim() == 1
    assert len(logits) % 4 == 0  # one for each image, or for each of its patches
    assert features.dtype == logits.dtype == torch.float32


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "x".join(map(str, shape)))
@every("encoder", everything=True)
def test_an_encoder_takes_every_size(name, shape):
    with torch.device("meta"):
        made = network("encoder", name, ImageSpec(*shape, classes=("a", "b", "c")))
        mean, logvar = made(torch.randn(4, *shape), torch.zeros(4, dtype=torch.int64))
    assert mean.shape == logvar.shape == (4, made.z_dim)
    assert mean.dtype == logvar.dtype == torch.float32


class TestOfEveryKind:
    """Holds for generators, discriminators and encoders alike."""

    @every("generator")
    def test_generator(self, name):
        self.hold("generator", name)

    @every("discriminator")
    def test_discriminator(self, name):
        self.hold("discriminator", name)

    @every("encoder")
    def test_encoder(self, name):
        self.hold("encoder", name)

    def hold(self, kind, name):
        made = started(kind, name).eval()
        first, labels = inputs(made, kind)
        before = {key: value.clone() for key, value in made.state_dict().items()}
        with torch.no_grad():
            together = output(made, first, labels)
        assert together.isfinite().all()
        self.depends_on_its_own_row_alone(made, first, labels, together)
        assert all(torch.equal(value, before[key]) for key, value in made.state_dict().items())
        self.label_matters(made, first, labels, together)
        self.bfloat16_is_close(made, first, labels, together)
        self.gradient_reaches_everything(made, first, labels)

    @torch.no_grad()
    def depends_on_its_own_row_alone(self, made, first, labels, together):
        alone = torch.cat(
            [output(made, first[row : row + 1], labels[row : row + 1]) for row in range(4)]
        )
        assert torch.allclose(alone, together, atol=1e-4 * float(together.abs().max()))

    @torch.no_grad()
    def label_matters(self, made, first, labels, together):
        other = output(made, first, (labels + 1) % 3)
        unchanged = torch.isclose(other, together, rtol=1e-3).flatten(1).all(dim=1)
        assert not unchanged.any()

    @torch.no_grad()
    def bfloat16_is_close(self, made, first, labels, together):
        with torch.autocast("cpu", torch.bfloat16):
            rounded = output(made, first, labels)
        error = (rounded.float() - together).square().mean().sqrt()
        assert error < 0.05 * together.square().mean().sqrt()

    def gradient_reaches_everything(self, made, first, labels):
        result = output(made, first, labels)
        (
            result * torch.randn(result.shape, generator=torch.Generator().manual_seed(1))
        ).sum().backward()
        untouched = [
            key
            for key, parameter in made.named_parameters()
            if parameter.grad is None or not parameter.grad.any()
        ]
        assert not untouched


@every("generator")
def test_a_saved_generator_makes_the_same_images(name, tmp_path):
    made = started("generator", name).eval()
    z, labels = inputs(made, "generator")
    again = from_spec(json.loads(json.dumps(to_spec(made)))).eval()
    again.load_state_dict(made.state_dict())
    save_sampler(GeneratorSampler(made), tmp_path / "sampler", {})
    loaded = load_sampler(tmp_path / "sampler")
    seeds = torch.arange(4)
    with torch.no_grad():
        assert torch.equal(again(z, labels), made(z, labels))
        assert torch.equal(loaded.draw(labels, seeds), GeneratorSampler(made).draw(labels, seeds))


@every("generator")
def test_a_mixture_with_all_weight_on_one_class_is_that_class(name):
    made = started("generator", name).eval()
    z, labels = inputs(made, "generator")
    with torch.no_grad():
        pure = GeneratorSampler(made).decode(z, nn.functional.one_hot(labels, 3).float())
        half = GeneratorSampler(made).decode(z, torch.full((4, 3), 1 / 3))
        direct = made(z, labels)
    assert torch.allclose(pure, direct, atol=1e-5)
    assert not torch.allclose(half, direct, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@every("discriminator")
def test_a_gradient_penalty_can_be_trained(name, dtype):
    """The gradient of a gradient, which torch's fused attention does not have on a CPU."""
    made = started("discriminator", name)
    if any(isinstance(layer, _BatchNorm) for layer in made.modules()):
        pytest.skip("a gradient penalty per image is not defined with batch norm")
    images, labels = inputs(made, "discriminator")
    images.requires_grad_()
    with autocast(torch.device("cpu"), dtype):
        logits = made(images, labels)
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    gradient.square().sum().backward()
    norms = [p.grad.norm() for p in made.parameters() if p.grad is not None]
    assert all(norm.isfinite() for norm in norms)
    assert sum(norm > 0 for norm in norms) > len(norms) / 2
    seeing = [layer for layer in made.modules() if isinstance(layer, SelfAttention)]
    assert bool(seeing) == bool(config("discriminator", name).get("attention"))
    for layer in seeing:
        assert all(p.grad.any() for p in layer.parameters())
