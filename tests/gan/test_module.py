"""What one step of the GAN's module does, and what it leaves alone."""

import copy
import functools
import itertools
import math
import os
import signal

import pytest
import torch
import yaml
from torch import nn

from synthgen import load_sampler
from synthgen.cli.build import build
from synthgen.data import Digits, prepare
from synthgen.errors import StoppedByUserError
from synthgen.gan import GAN
from synthgen.gan.auxiliary import ACGAN, D2DCE
from synthgen.gan.losses import Hinge, NonSaturating, RelativisticPairing
from synthgen.gan.penalties import R1, LeCam
from synthgen.io import config_dir
from synthgen.networks import R3Discriminator, R3Generator
from synthgen.training.schedules import Constant
from synthgen.training.train import train
from synthgen.types import ImageSpec

IMAGE = ImageSpec(1, 4, 4, ("a", "b"))
LOSSES = sorted((config_dir() / "gan" / "loss").glob("*.yaml"))
PENALTIES = sorted((config_dir() / "gan" / "penalty").glob("*.yaml"))


def batch(number=0, count=32):
    generator = torch.Generator().manual_seed(number)
    labels = torch.randint(2, (count,), generator=generator)
    images = torch.randint(256, (count, 1, 4, 4), generator=generator, dtype=torch.uint8)
    return images // 2 + 100 * labels.view(-1, 1, 1, 1).to(torch.uint8), labels


def run(gan, steps):
    for number in range(steps):
        gan.training_step(batch(number), number)
    return gan


def state(network):
    return copy.deepcopy(network.state_dict())


def moved(network, before):
    return any(not torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_generator_steps_after_every_so_many_discriminator_steps(tiny):
    gan = tiny(discriminator_steps=3)
    generator_moved, discriminator_moved, average_moved = [], [], []
    for number in range(7):
        before = [state(one) for one in (gan.generator, gan.critic.discriminator, gan.ema.average)]
        gan.training_step(batch(number), number)
        generator_moved.append(moved(gan.generator, before[0]))
        discriminator_moved.append(moved(gan.critic.discriminator, before[1]))
        average_moved.append(moved(gan.ema.average, before[2]))
    assert discriminator_moved == [True] * 7
    assert generator_moved == average_moved == [False, False, True, False, False, True, False]


def test_the_rarer_generator_step_moves_the_average_as_far_per_image(tiny):
    """Half-lives are in images: one update for three batches forgets as much as three updates."""
    kept = {}
    for steps in (1, 3):
        gan = tiny(discriminator_steps=steps)
        gan.ema.half_life = 96  # shorter than the ramp would make it …
        gan.clock.images_seen = 96_000  # … by now
        gan.generator.requires_grad_(False)
        gan.ema.average.embedding.weight.fill_(1.0)
        gan.generator.embedding.weight.zero_()
        gan._train_generator = lambda *_: None
        run(gan, 3)
        kept[steps] = gan.ema.average.embedding.weight.mean().item()
    assert kept == pytest.approx({1: 0.5, 3: 0.5}, rel=1e-5)


def test_the_discriminator_does_not_move_in_the_generators_step(tiny):
    gan = tiny(auxiliary=ACGAN)
    seen = []
    generator_step = gan._train_generator

    def watched(real, fake, labels, number, optimizer):
        before, auxiliary = state(gan.critic.discriminator), state(gan.critic.auxiliary)
        for parameter in gan.critic.parameters():
            parameter.grad = None
        generator_step(real, fake, labels, number, optimizer)
        grads = [parameter.grad is None for parameter in gan.critic.parameters()]
        seen.append(
            (
                moved(gan.critic.discriminator, before),
                moved(gan.critic.auxiliary, auxiliary),
                all(grads),
            )
        )

    gan._train_generator = watched
    run(gan, 2)
    assert seen == [(False, False, True)] * 2
    assert all(parameter.requires_grad for parameter in gan.critic.parameters())


@pytest.mark.parametrize("auxiliary", [ACGAN, D2DCE])
def test_the_auxiliary_is_trained_and_teaches_the_generator(auxiliary, tiny):
    gan = tiny(auxiliary=auxiliary, loss=Hinge(), lr=Constant(3e-3))
    before = {name: value.clone() for name, value in gan.critic.auxiliary.named_parameters()}
    run(gan, 1)
    first = gan.losses["auxiliary"].item()
    for name, value in gan.critic.auxiliary.named_parameters():
        assert not torch.equal(value, before[name]), name
    run(gan, 60)
    assert gan.losses["auxiliary"].item() < first / 2
    saved = gan.configure_optimizers()[0].param_groups[0]["params"]
    assert {id(one) for one in gan.critic.auxiliary.parameters()} <= {id(one) for one in saved}


@pytest.mark.parametrize("auxiliary", [ACGAN, D2DCE])
def test_the_auxiliarys_losses_see_the_right_images(auxiliary):
    torch.manual_seed(0)
    one = auxiliary(3, 6)
    real, fake = torch.randn(2, 8, 6, requires_grad=True)
    labels = torch.arange(8) % 3
    for value in (one.discriminator(real, fake, labels), one.generator(fake, labels)):
        assert value.shape == (8,)
        assert value.isfinite().all()
        assert (value >= 0).all()
    with_fake = {ACGAN: True, D2DCE: False}[auxiliary]  # Odena's discriminator learns from both
    other = one.discriminator(real, fake + 1, labels)
    assert torch.equal(other, one.discriminator(real, fake, labels)) != with_fake


def test_ac_gan_is_a_cross_entropy():
    one = ACGAN(3, 2, weight=2.0)
    with torch.no_grad():
        one.classify.weight.zero_()
        one.classify.bias.copy_(torch.tensor([0.0, math.log(2), math.log(5)]))
    found = one.generator(torch.zeros(3, 2), torch.arange(3))
    expected = [-2 * math.log(p / 8) for p in (1, 2, 5)]
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_d2d_ce_of_known_angles():
    """Embeddings are the features, proxies the axes: every cosine is known (eq. 7)."""
    one = D2DCE(2, 2, weight=1.0, embedding_dim=2, margin=0.9, temperature=0.5)
    with torch.no_grad():
        one.embed.weight.copy_(torch.eye(2))
        one.embed.bias.zero_()
        one.proxies.weight.copy_(3 * torch.eye(2))
    features = torch.tensor([[2.0, 0.0], [3.0, 4.0], [0.0, 5.0]])  # lengths don't matter
    labels = torch.tensor([0, 0, 1])
    found = one.generator(features, labels)
    pull = [0.0, (0.6 - 0.9) / 0.5, 0.0]  # easy where the cosine to the proxy is over the margin
    push = [[0.0], [(0.8 - 0.1) / 0.5], [0.0, (0.8 - 0.1) / 0.5]]  # to those of another class
    for row in range(3):
        total = math.exp(pull[row]) + sum(math.exp(one) for one in push[row])
        assert found[row].item() == pytest.approx(math.log(total) - pull[row], rel=1e-5)


def test_an_easy_image_of_d2d_ce_exerts_no_force():
    one = D2DCE(2, 2, embedding_dim=2)
    with torch.no_grad():
        one.embed.weight.copy_(torch.eye(2))
        one.embed.bias.zero_()
        one.proxies.weight.copy_(torch.eye(2))
    features = torch.eye(2).requires_grad_(True)
    (slope,) = torch.autograd.grad(one.generator(features, torch.arange(2)).sum(), features)
    assert torch.equal(slope, torch.zeros(2, 2))


def option(path):
    """The options of a file, with those that it is made of."""
    found = yaml.safe_load(path.read_text()) or {}
    others = [path.with_name(f"{name}.yaml") for name in found.pop("defaults", [])]
    return {k: v for one in others if one.exists() for k, v in option(one).items()} | found


@pytest.mark.parametrize(
    ("loss", "penalty"),
    list(itertools.product(LOSSES, PENALTIES)),
    ids=lambda path: path.stem,
)
def test_every_loss_trains_with_every_penalty_or_says_why_not(loss, penalty, tiny):
    parts = {
        "loss": build(option(loss), key="loss"),
        "penalties": build(option(penalty), key="penalties"),
    }
    try:
        gan = tiny(**parts)
    except ValueError as error:
        assert loss.stem == "wasserstein" or "LeCam" in str(error)  # noqa: PT017
        assert len(str(error)) > 40  # noqa: PT017
        return
    run(gan, 8)
    names = {"discriminator", "generator", *parts["penalties"]}
    assert {n for n, value in gan.losses.items() if value.isfinite()} == names


def test_a_penalty_acts_every_so_many_steps_with_so_many_times_the_weight(tiny):
    class Counting(R1):
        calls = 0

        def __call__(self, step):
            self.calls += 1
            return super().__call__(step)

    gan = tiny(penalties={"r1": Counting(Constant(1.0), every=4)})
    run(gan, 9)
    assert gan.critic.penalties["r1"].calls == 3


def test_a_discriminator_with_batch_norm_sees_real_and_fake_apart(tiny):
    discriminator = tiny.discriminator(IMAGE, norm=nn.BatchNorm1d)
    gan, sizes = tiny(discriminator=discriminator), []
    discriminator.body[2].register_forward_hook(lambda _, inputs, __: sizes.append(len(inputs[0])))
    run(gan, 1)
    assert sizes == [32, 32, 32]
    plain, sizes = tiny(), []
    plain.critic.discriminator.body[2].register_forward_hook(
        lambda _, inputs, __: sizes.append(len(inputs[0]))
    )
    run(plain, 1)
    assert sizes == [64, 32]


def real_gan(image, cls=GAN):
    torch.manual_seed(0)
    tiny = {"width": 8, "max_width": 16, "patch": 2, "expansion": 1, "group_size": None}
    adam = functools.partial(torch.optim.Adam, lr=0.0, betas=(0.0, 0.9), fused=True)
    return cls(
        R3Generator(image, z_dim=8, **tiny),
        R3Discriminator(image, **tiny),
        NonSaturating(),
        {"r1": R1(Constant(1.0), every=2), "lecam": LeCam(Constant(0.3))},
        adam,
        adam,
        lr=Constant(1e-3),
        discriminator_steps=2,
        auxiliary=functools.partial(D2DCE, embedding_dim=16),
        ema_half_life=100,
        batch_size=32,
    )


class Stopping(GAN):
    def step(self, images, labels):
        super().step(images, labels)
        if self.clock.images_seen == 32 * 4:  # between two generator steps
            os.kill(os.getpid(), signal.SIGINT)


def test_a_resumed_run_goes_on_with_penalty_and_auxiliary_as_they_were(tmp_path):
    splits = prepare(Digits())
    budget = {"max_images": 32 * 12, "precision": "float32", "accelerator": "cpu", "previews": 0}
    image, whole = splits.train.image, real_gan(splits.train.image)
    train(whole, splits, tmp_path / "whole", seed=3, **budget)
    with pytest.raises(StoppedByUserError):
        train(real_gan(image, Stopping), splits, tmp_path / "parts", seed=3, **budget)
    resumed = real_gan(image)
    train(resumed, splits, tmp_path / "parts", seed=3, resume=True, **budget)
    expected, found = whole.state_dict(), resumed.state_dict()
    different = {name for name in expected if not torch.equal(expected[name], found[name])}
    assert different <= {"clock._seconds"}
    assert found["critic.stateful.lecam.steps"].item() == 12
    assert found["critic.stateful.lecam.real_average"].item() != 0
    one, two = (load_sampler(tmp_path / name).state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_relativistic_generator_sees_real_images_and_others_do_not(tiny):
    for loss, passes in ((RelativisticPairing(), 3), (NonSaturating(), 2)):
        gan, calls = tiny(loss=loss), []
        gan.critic.discriminator.body.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        run(gan, 1)
        assert len(calls) == passes
