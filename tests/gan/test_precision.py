"""The pass under R1 + R2 may run in bfloat16 because its gradients hardly change: measured here."""

import pytest
import torch

from synthgen.device import autocast, compute_dtype
from synthgen.gan.penalties import R1, R2
from synthgen.images import to_float
from synthgen.networks import R3Discriminator
from synthgen.training.schedules import Constant
from synthgen.types import ImageSpec


def penalty_gradient(critic_step, discriminator, real, fake, labels, dtype):
    real, fake = real.clone().requires_grad_(True), fake.clone().requires_grad_(True)
    with autocast(torch.device("cpu"), dtype):
        step = critic_step(discriminator, real, fake, labels)
    loss = (R1(Constant(1.0))(step) + R2(Constant(1.0))(step)).mean()
    gradients = torch.autograd.grad(loss, list(discriminator.parameters()), allow_unused=True)
    found = [gradient.flatten() for gradient in gradients if gradient is not None]
    assert all(gradient.dtype == torch.float32 for gradient in found)
    return torch.cat(found)


def test_bfloat16_keeps_the_direction_of_the_penalty_gradient(critic_step):
    from sklearn.datasets import load_digits

    digits = load_digits()
    real = torch.from_numpy(digits.images[:64] * 255 / 16).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(digits.target[:64]).long()
    torch.manual_seed(0)
    discriminator = R3Discriminator(ImageSpec(1, 8, 8, tuple("0123456789")), patch=1)
    for block in discriminator.modules():  # the last layers start at zero: train-like values
        if hasattr(block, "project"):
            torch.nn.init.normal_(block.project.weight, std=0.05)
    images, fake = to_float(real), torch.rand(64, 1, 8, 8) * 2 - 1
    exact = penalty_gradient(critic_step, discriminator, images, fake, labels, torch.float32)
    rounded = penalty_gradient(critic_step, discriminator, images, fake, labels, torch.bfloat16)
    cosine = torch.nn.functional.cosine_similarity(exact, rounded, dim=0).item()
    error = ((exact - rounded).norm() / exact.norm()).item()
    print(f"cosine {cosine:.5f}, relative error {error:.4f}")
    assert cosine > 0.999
    assert error < 0.03


def test_auto_follows_the_hardware_and_the_others_obey():
    cpu = torch.device("cpu")
    assert compute_dtype("float32", cpu) == torch.float32
    assert compute_dtype("bfloat16", cpu) == torch.bfloat16
    assert compute_dtype("auto", cpu) in (torch.float32, torch.bfloat16)


def test_an_unknown_precision_is_an_error():
    with pytest.raises(KeyError):
        compute_dtype("half", torch.device("cpu"))  # type: ignore[arg-type]
