"""Compiled networks learn what others do, and nothing of it is left in what is saved."""

import functools
import logging

import pytest
import torch

from synthgen import load_sampler
from synthgen.data import Digits, prepare
from synthgen.errors import SynthgenError
from synthgen.gan import GAN
from synthgen.gan.losses import Hinge
from synthgen.networks import BigGANDiscriminator, BigGANGenerator
from synthgen.training.schedules import Constant
from synthgen.training.train import train

BUDGET = {"max_images": 32 * 6, "precision": "float32", "accelerator": "cpu", "previews": 2}


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits())


@pytest.fixture
def traced(monkeypatch):
    """torch.compile without its slow last stage, the code generator. Gives the modes asked for."""
    modes, whole = [], torch.compile

    def compile_quickly(function, *, mode):
        modes.append(mode)
        return whole(function, backend="aot_eager", fullgraph=True)

    monkeypatch.setattr(torch, "compile", compile_quickly)
    return modes


def build_biggan(image):
    torch.manual_seed(0)
    adam = functools.partial(torch.optim.Adam, lr=0.0, betas=(0.0, 0.999), fused=True)
    return GAN(
        BigGANGenerator(image, z_dim=8, width=8, max_width=8),
        BigGANDiscriminator(image, width=8, max_width=8),
        Hinge(),
        {},
        adam,
        adam,
        lr=Constant(1e-3),
        discriminator_steps=2,
        batch_size=32,
    )


def test_spectral_norm_and_batch_norm_keep_the_same_as_uncompiled(splits, traced, tmp_path):
    plain, compiled = (build_biggan(splits.train.image) for _ in range(2))
    train(plain, splits, tmp_path / "plain", **BUDGET)
    assert traced == []
    train(compiled, splits, tmp_path / "compiled", compile="max-autotune", **BUDGET)
    assert traced == ["max-autotune"] * 2  # the generator, and the discriminator's features
    torch.testing.assert_close(
        load_sampler(tmp_path / "compiled").state_dict(),
        load_sampler(tmp_path / "plain").state_dict(),
    )
    for name, one in plain.critic.state_dict().items():
        torch.testing.assert_close(compiled.critic.state_dict()[name], one, msg=name)


def test_second_derivatives_leave_the_discriminator_as_it_is(
    splits, traced, build_gan, tmp_path, caplog
):
    module = build_gan(splits.train.image)  # with R1
    with caplog.at_level(logging.INFO):
        train(module, splits, tmp_path, compile="default", **BUDGET)
    assert traced == ["default"]
    assert "The discriminator isn't compiled: r1 needs second derivatives." in caplog.text


def test_what_can_not_be_compiled_says_so_before_it_trains(splits, build_vae, tmp_path):
    with pytest.raises(SynthgenError, match=r"VAE can't be compiled.\nUse trainer.compile=null"):
        train(build_vae(splits.train.image), splits, tmp_path, compile="default", **BUDGET)
    assert not (tmp_path / "checkpoints").exists()
