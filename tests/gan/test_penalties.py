import pytest
import torch

from synthgen.gan.penalties import R1, R2, CriticStep
from synthgen.training.schedules import Constant


def linear_step():
    """A critic that is linear in its input has the same gradient everywhere."""
    weight = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    weight.requires_grad_(True)
    real = torch.randn(3, 1, 4, 4).requires_grad_(True)
    fake = torch.randn(3, 1, 4, 4).requires_grad_(True)
    logits = [(x * weight).sum(dim=(1, 2, 3)) for x in (real, fake)]
    return CriticStep(real, fake, *logits), weight


@pytest.mark.parametrize("penalty", [R1(Constant(1.0)), R2(Constant(1.0))])
def test_of_a_linear_critic_is_half_the_squared_norm(penalty):
    step, weight = linear_step()
    expected = weight.square().sum().item() / 2
    assert penalty(step).tolist() == pytest.approx([expected] * 3, rel=1e-5)


@pytest.mark.parametrize("penalty", [R1(Constant(1.0)), R2(Constant(1.0))])
def test_can_be_trained_through(penalty):
    step, weight = linear_step()
    (slope,) = torch.autograd.grad(penalty(step).mean(), weight)
    assert torch.allclose(slope, weight, rtol=1e-5)  # d(½‖w‖²)/dw = w


def test_r1_sees_real_and_r2_fake_images():
    real = torch.randn(2, 1, 2, 2).requires_grad_(True)
    fake = torch.randn(2, 1, 2, 2).requires_grad_(True)
    step = CriticStep(real, fake, real.square().sum((1, 2, 3)) / 2, 0 * fake.sum((1, 2, 3)))
    assert torch.allclose(R1(Constant(1.0))(step), real.square().sum((1, 2, 3)) / 2)
    assert R2(Constant(1.0))(step).tolist() == [0, 0]


def test_only_the_gradients_that_are_needed_are_computed():
    real = torch.randn(2, 1, 2, 2).requires_grad_(True)
    fake = torch.randn(2, 1, 2, 2)
    step = CriticStep(real, fake, real.sum((1, 2, 3)), fake.sum((1, 2, 3)))
    assert set(step.gradients) == {"real"}
