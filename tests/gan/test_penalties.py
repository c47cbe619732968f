import pytest
import torch

from synthgen.gan.augmentations import Augmentation
from synthgen.gan.penalties import DRAGAN, R1, R2, WGANGP, Consistency, LeCam
from synthgen.training.schedules import Constant


@pytest.fixture
def linear_step(critic_step):
    """A critic that is linear in its input has the same gradient everywhere."""
    weight = torch.randn(1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    weight.requires_grad_(True)
    real = torch.randn(3, 1, 4, 4).requires_grad_(True)
    fake = torch.randn(3, 1, 4, 4).requires_grad_(True)
    return critic_step(lambda x, _: (x * weight).sum(dim=(1, 2, 3)), real, fake), weight


@pytest.mark.parametrize("penalty", [R1(Constant(1.0)), R2(Constant(1.0))])
def test_of_a_linear_critic_is_half_the_squared_norm(penalty, linear_step):
    step, weight = linear_step
    expected = weight.square().sum().item() / 2
    assert penalty(step).tolist() == pytest.approx([expected] * 3, rel=1e-5)


@pytest.mark.parametrize("penalty", [R1(Constant(1.0)), R2(Constant(1.0))])
def test_can_be_trained_through(penalty, linear_step):
    step, weight = linear_step
    (slope,) = torch.autograd.grad(penalty(step).mean(), weight)
    assert torch.allclose(slope, weight, rtol=1e-5)  # d(½‖w‖²)/dw = w


def test_r1_sees_real_and_r2_fake_images(critic_step):
    real = torch.randn(2, 1, 2, 2).requires_grad_(True)
    fake = torch.randn(2, 1, 2, 2).requires_grad_(True)
    step = critic_step(lambda x, _: x.square().sum((1, 2, 3)) / 2, real, fake)
    assert torch.allclose(R1(Constant(1.0))(step), real.square().sum((1, 2, 3)) / 2)
    assert torch.allclose(R2(Constant(1.0))(step), fake.square().sum((1, 2, 3)) / 2)


def test_only_the_gradients_that_are_needed_are_computed(critic_step):
    real = torch.randn(2, 1, 2, 2).requires_grad_(True)
    fake = torch.randn(2, 1, 2, 2)
    step = critic_step(lambda x, _: x.sum((1, 2, 3)), real, fake)
    assert set(step.gradients) == {"real"}


def norms(x):
    return x.flatten(1).norm(dim=1)


class Shift(Augmentation):
    """One column to the right, around the edge."""

    def forward(self, images, random):
        return images.roll(1, dims=3)


def everything():
    one = Constant(1.0)
    return {
        "r1": R1(one), "r2": R2(one), "wgan_gp": WGANGP(one), "dragan": DRAGAN(one),
        "lecam": LeCam(one), "consistency": Consistency(one, Shift()),
    }  # fmt: skip


@pytest.mark.parametrize("name", everything())
def test_every_penalty_is_a_value_per_image_that_the_critic_can_learn_from(name, critic_step):
    torch.manual_seed(0)
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Tanh())
    real, fake = torch.randn(2, 5, 1, 4, 4)
    step = critic_step(
        lambda x, _: critic(x).sum(1), real.requires_grad_(True), fake.requires_grad_(True)
    )
    value = everything()[name](step)
    assert value.shape == (5,)
    assert (value >= 0).all()
    slopes = torch.autograd.grad(value.mean(), critic[1].weight)
    assert slopes[0].isfinite().all()
    assert slopes[0].abs().max() > 1e-3


@pytest.mark.parametrize("name", ["wgan_gp", "dragan"])
def test_a_linear_critic_is_penalised_by_how_far_its_slope_is_from_one(name, linear_step):
    step, weight = linear_step
    expected = (weight.norm().item() - 1) ** 2
    assert everything()[name](step).tolist() == pytest.approx([expected] * 3, rel=1e-5)


@pytest.mark.parametrize("name", ["wgan_gp", "dragan"])
def test_a_critic_without_slope_can_still_be_trained(name, critic_step):
    weight = torch.zeros(1, 4, 4, requires_grad=True)
    images = torch.randn(3, 1, 4, 4)
    step = critic_step(lambda x, _: (x * weight).sum((1, 2, 3)), images, -images)
    value = everything()[name](step).mean()
    assert value.item() == 1
    assert torch.autograd.grad(value, weight)[0].isfinite().all()


def test_wgan_gp_of_a_quadratic_critic(critic_step):
    images = torch.randn(4, 1, 4, 4)
    step = critic_step(lambda x, _: 3 / 2 * x.square().sum((1, 2, 3)), images, images.clone())
    found = WGANGP(Constant(1.0))(step)  # all points between an image and itself
    assert torch.allclose(found, (3 * norms(images) - 1).square(), rtol=1e-5)


def test_wgan_gp_looks_between_a_real_and_a_fake_image_of_the_same_row(critic_step):
    real, fake = torch.randn(2, 50, 1, 4, 4)
    step = critic_step(lambda x, _: x.sum((1, 2, 3)), real, fake)
    points = WGANGP(Constant(1.0)).points(step)
    whole = norms(real - fake)
    assert torch.allclose(norms(points - real) + norms(points - fake), whole, rtol=1e-4)
    shares = norms(points - fake) / whole
    assert shares.min() < 0.1
    assert shares.max() > 0.9


def test_dragan_is_wgan_gp_at_points_around_real_images(critic_step):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 8), torch.nn.Tanh())
    real = 3 * torch.randn(200, 1, 4, 4) + 1

    def step(real, fake):
        return critic_step(lambda x, _: net(x).sum(1), real, fake)

    dragan = DRAGAN(Constant(1.0), spread=0.25)
    points = dragan.points(step(real, -real))
    assert torch.allclose(
        dragan(step(real, -real)), WGANGP(Constant(1.0))(step(points, points.clone()))
    )
    noise = points - real
    assert noise.std().item() == pytest.approx(0.25 * real.std().item(), rel=0.05)
    assert noise.mean().item() == pytest.approx(0, abs=0.05)
    within = noise.std(dim=(1, 2, 3)).mean()  # each pixel has its own
    assert within.item() == pytest.approx(0.25 * real.std().item(), rel=0.05)


def test_lecam_of_converged_averages_is_the_spread_and_twice_the_squared_gap(critic_step):
    """One-sided makes no difference where every real logit is above every fake one."""
    real, fake = torch.randn(2, 100, 1, 1, 1) + torch.tensor([8.0, -8.0]).view(2, 1, 1, 1, 1)
    step = critic_step(lambda x, _: x.flatten(), real, fake)
    lecam = LeCam(Constant(1.0), decay=0.5)
    lecam.real_average.fill_(100.0)
    lecam.steps.fill_(1000)  # long after the start: the wrong average is forgotten slowly
    values = [lecam(step).mean().item() for _ in range(40)]
    spread = real.var(correction=0) + fake.var(correction=0)
    expected = (spread + 2 * (real.mean() - fake.mean()).square()).item()
    assert values[0] > 2 * expected
    assert values[-1] == pytest.approx(expected, rel=1e-4)


def test_lecam_leaves_logits_alone_that_are_on_the_wrong_side(critic_step):
    real, fake = torch.full((2, 1, 1, 1), -1.0), torch.full((2, 1, 1, 1), 1.0)
    step = critic_step(lambda x, _: x.flatten(), real, fake)
    assert LeCam(Constant(1.0))(step).tolist() == [0, 0]


def test_lecams_averages_begin_as_means_and_then_forget(critic_step):
    lecam = LeCam(Constant(1.0), decay=0.75)
    for value in range(1, 5):
        images = torch.full((2, 1, 1, 1), float(value))
        lecam(critic_step(lambda x, _: x.flatten(), images, -images))
    assert lecam.real_average.item() == pytest.approx(2.5)
    assert lecam.fake_average.item() == pytest.approx(-2.5)
    lecam(critic_step(lambda x, _: x.flatten(), images, -images))
    assert lecam.real_average.item() == pytest.approx(0.75 * 2.5 + 0.25 * 4)
    assert set(lecam.state_dict()) == {"real_average", "fake_average", "steps"}


def test_consistency_of_an_invariant_and_of_a_linear_critic(critic_step):
    weight = torch.randn(1, 4, 4)
    real, fake = torch.randn(2, 6, 1, 4, 4)
    penalty = Consistency(Constant(1.0), Shift())
    invariant = critic_step(lambda x, _: x.square().sum((1, 2, 3)), real, fake)
    assert penalty(invariant).tolist() == pytest.approx([0] * 6, abs=1e-8)
    linear = critic_step(lambda x, _: (x * weight).sum((1, 2, 3)), real, fake)
    expected = ((real - real.roll(1, dims=3)) * weight).sum((1, 2, 3)).square()
    assert torch.allclose(penalty(linear), expected, rtol=1e-4)
