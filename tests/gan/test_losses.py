"""Contract of every loss in configs/gan/loss: a new file there is covered by being there."""

import importlib

import pytest
import torch
import yaml

from synthgen.io import config_dir

FILES = sorted((config_dir() / "gan" / "loss").glob("*.yaml"))


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def loss(request):
    module, _, name = yaml.safe_load(request.param.read_text())["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)()


def test_there_are_losses():
    assert len(FILES) >= 5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_finite_value_per_image_even_at_extreme_logits(loss, dtype):
    extremes = torch.tensor([-100.0, -1.0, 0.0, 1.0, 100.0], dtype=dtype)
    real, fake = torch.cartesian_prod(extremes, extremes).T
    for value in (loss.discriminator(real, fake), loss.generator(fake, real)):
        assert value.shape == real.shape
        assert value.isfinite().all()


def test_the_gradients_point_the_right_way(loss):
    real = torch.full((3,), 0.5, requires_grad=True)  # zero is where least squares wants fake ones
    fake = torch.full((3,), 0.5, requires_grad=True)
    real_slope, fake_slope = torch.autograd.grad(loss.discriminator(real, fake).sum(), [real, fake])
    assert (real_slope < 0).all()  # descending raises real logits …
    assert (fake_slope > 0).all()  # … and lowers fake ones
    (slope,) = torch.autograd.grad(loss.generator(fake, real).sum(), [fake])
    assert (slope < 0).all()


def test_known_values():
    from synthgen.gan.losses import (
        Hinge,
        LeastSquares,
        NonSaturating,
        RelativisticPairing,
        Wasserstein,
    )

    real, fake = torch.tensor([2.0]), torch.tensor([-1.0])
    softplus = torch.nn.functional.softplus
    assert RelativisticPairing().discriminator(real, fake).item() == pytest.approx(
        softplus(torch.tensor(-3.0)).item()
    )
    assert NonSaturating().generator(fake, None).item() == pytest.approx(
        softplus(torch.tensor(1.0)).item()
    )
    assert Hinge().discriminator(real, torch.tensor([0.5])).item() == pytest.approx(1.5)
    assert LeastSquares().discriminator(real, fake).item() == pytest.approx((1 + 1) / 2)
    assert LeastSquares().generator(fake, None).item() == pytest.approx(4 / 2)
    assert Wasserstein().discriminator(real, fake).item() == -3
    assert Wasserstein().generator(fake, None).item() == 1
