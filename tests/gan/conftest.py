"""What the tests of GANs share: one discriminator step as a penalty sees it, and a GAN so small
that hundreds of its steps take a second."""

import functools
import itertools

import pytest
import torch
from torch import nn

from synthgen.gan import GAN
from synthgen.gan.losses import NonSaturating
from synthgen.gan.penalties import CriticStep
from synthgen.networks.base import Discriminator, Generator
from synthgen.seeds import BatchGenerator
from synthgen.training.schedules import Constant
from synthgen.types import ImageSpec


@pytest.fixture
def critic_step():
    """A step of ``critic(images, labels)``; images that require a gradient have it in the graph."""

    def make(critic, real, fake, labels=None, seed=0):
        labels = torch.zeros(len(real), dtype=torch.int64) if labels is None else labels
        return CriticStep(
            real=real,
            fake=fake,
            real_logits=critic(real, labels),
            fake_logits=critic(fake, labels),
            labels=labels,
            critic=critic,
            random=BatchGenerator().manual_seed(seed),
        )

    return make


def layers(*sizes):
    """Linear layers with leaky ReLUs between."""
    found = []
    for before, after in itertools.pairwise(sizes):
        found += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
    return found[:-1]


class TinyGenerator(Generator):
    def __init__(self, image, z_dim=8, width=64, norm=nn.Identity):
        super().__init__()
        self.image, self.z_dim = image, z_dim
        self.embedding = nn.Embedding(image.num_classes, z_dim)
        size = image.channels * image.height * image.width
        self.inner = nn.Sequential(nn.Linear(z_dim, width), norm(width))
        self.outer = nn.Sequential(nn.LeakyReLU(0.2), *layers(width, width, size))

    def forward(self, z, labels):
        return self.outer(self.inner(z + self.embedding(labels))).view(-1, *self.image.shape)


class TinyDiscriminator(Discriminator):
    def __init__(self, image, width=64, norm=nn.Identity, wrap=lambda layer: layer):
        super().__init__()
        self.image, self.feature_dim = image, width
        size = image.channels * image.height * image.width
        self.body = nn.Sequential(
            nn.Flatten(), wrap(nn.Linear(size, width)), norm(width), nn.LeakyReLU(0.2),
            *layers(width, width), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.linear = nn.Linear(width, 1)
        self.embedding = nn.Embedding(image.num_classes, width)

    def features(self, images):
        return self.body(images)

    def logits(self, features, labels):
        return self.linear(features).squeeze(1) + (features * self.embedding(labels)).mean(1)


class Steps(GAN):
    """A GAN whose ``training_step`` can be called without a trainer."""

    def optimizer_list(self):
        if not hasattr(self, "_own"):
            self._own = self.configure_optimizers()
        return self._own

    def manual_backward(self, loss):
        loss.backward()


@pytest.fixture
def tiny():
    """``tiny(image, loss=…)`` -> a GAN of two small networks; keywords replace its parts."""

    def make(image=None, *, cls=Steps, seed=0, generator=None, discriminator=None, **parts):
        image = image or ImageSpec(1, 4, 4, ("a", "b"))
        torch.manual_seed(seed)
        adam = functools.partial(torch.optim.Adam, lr=0.0, betas=(0.0, 0.9), fused=True)
        defaults = {"loss": NonSaturating(), "penalties": {}, "lr": Constant(1e-3)}
        gan = cls(
            generator=generator or TinyGenerator(image),
            discriminator=discriminator or TinyDiscriminator(image),
            generator_optimizer=adam,
            discriminator_optimizer=adam,
            **{**defaults, "ema_half_life": 1000, "batch_size": 32, **parts},
        )
        gan.precision = "float32"
        gan.clock.start(10**9, None)
        return gan

    make.generator, make.discriminator = TinyGenerator, TinyDiscriminator
    return make
