"""Every rule refuses what it is about, and no more than that."""

import functools
import logging

import pytest
import torch
from torch import nn

from synthgen.gan import compatibility
from synthgen.gan.augmentations import (
    AdaptiveAugment,
    Augmentation,
    FixedAugment,
    ShiftBrightness,
    SignOfPairs,
    SignOfReal,
    XFlip,
)
from synthgen.gan.auxiliary import ACGAN
from synthgen.gan.losses import (
    Hinge,
    LeastSquares,
    NonSaturating,
    RelativisticPairing,
    Wasserstein,
)
from synthgen.gan.penalties import DRAGAN, R1, R2, WGANGP, Consistency, LeCam
from synthgen.networks.blocks import Unconditional
from synthgen.networks.spectral import with_spectral_norm
from synthgen.training.schedules import Constant
from synthgen.types import ImageSpec

ONE = Constant(1.0)
FOUR_CHANNELS = ImageSpec(4, 4, 4, ("a", "b"))
TWO_CLASSES, ONE_CLASS = ImageSpec(1, 4, 4, ("a", "b")), ImageSpec(1, 4, 4, ("a",))


class Plain(Augmentation):
    def forward(self, images, random):
        return images


def adaptive(signal):
    return AdaptiveAugment({"flip": XFlip()}, signal)


class Odd(R1):
    grad_inputs = ("real", "latent")


def blind(tiny, image=TWO_CLASSES):
    """A discriminator whose head doesn't look at the label."""
    found = tiny.discriminator(image)
    found.embedding, found.linear = nn.Identity(), Unconditional(found.feature_dim, 2)
    return found


def wasserstein(tiny, **parts):
    return tiny(loss=Wasserstein(), **parts)


SPECTRAL = {
    "ours": with_spectral_norm,
    "torch's": torch.nn.utils.parametrizations.spectral_norm,
}
REFUSED = {
    "different images": lambda tiny: tiny(
        generator=tiny.generator(TWO_CLASSES), discriminator=tiny.discriminator(ONE_CLASS)
    ),
    "must be at least 1": lambda tiny: tiny(penalties={"r1": R1(ONE, every=0)}),
    "'real' and 'fake' only": lambda tiny: tiny(penalties={"odd": Odd(ONE)}),
    "no minimum": wasserstein,
    "batch norm, R1": lambda tiny: tiny(
        discriminator=tiny.discriminator(TWO_CLASSES, norm=nn.BatchNorm1d),
        penalties={"r1": R1(ONE)},
    ),
    "batch norm, WGAN-GP": lambda tiny: tiny(
        discriminator=tiny.discriminator(TWO_CLASSES, norm=nn.BatchNorm1d),
        penalties={"gp": WGANGP(ONE)},
    ),
    "want 1: R1, WGAN-GP": lambda tiny: tiny(penalties={"a": R1(ONE), "b": WGANGP(ONE)}),
    "want 1: R2, DRAGAN": lambda tiny: tiny(penalties={"a": DRAGAN(ONE), "b": R2(ONE)}),
    "knows differences only": lambda tiny: tiny(
        loss=RelativisticPairing(), penalties={"lecam": LeCam(ONE)}
    ),
    "at least two classes": lambda tiny: tiny(ONE_CLASS, auxiliary=ACGAN),
    "doesn't look at the classes": lambda tiny: tiny(discriminator=blind(tiny)),
    "the sign of a logit: relativistic": lambda tiny: tiny(
        loss=RelativisticPairing(), augmentation=adaptive(SignOfReal())
    ),
    "the sign of a logit: least squares": lambda tiny: tiny(
        loss=LeastSquares(), augmentation=adaptive(SignOfReal())
    ),
    "the sign of a logit: Wasserstein": lambda tiny: wasserstein(
        tiny, penalties={"gp": WGANGP(ONE)}, augmentation=adaptive(SignOfReal())
    ),
    "changes colours": lambda tiny: tiny(
        FOUR_CHANNELS, augmentation=FixedAugment({"light": ShiftBrightness(), "flip": XFlip()})
    ),
}
ACCEPTED = {
    "Wasserstein with WGAN-GP": lambda tiny: wasserstein(tiny, penalties={"gp": WGANGP(ONE)}),
    "Wasserstein with R1": lambda tiny: wasserstein(tiny, penalties={"r1": R1(ONE)}),
    "Wasserstein with LeCam": lambda tiny: wasserstein(tiny, penalties={"lecam": LeCam(ONE)}),
    "batch norm without a gradient": lambda tiny: tiny(
        discriminator=tiny.discriminator(TWO_CLASSES, norm=nn.BatchNorm1d),
        penalties={"lecam": LeCam(ONE), "cr": Consistency(ONE, Plain())},
    ),
    "R1 and R2": lambda tiny: tiny(penalties={"r1": R1(ONE), "r2": R2(ONE)}),
    "LeCam with hinge": lambda tiny: tiny(loss=Hinge(), penalties={"lecam": LeCam(ONE)}),
    "no class and an auxiliary": lambda tiny: tiny(discriminator=blind(tiny), auxiliary=ACGAN),
    "no class and one class": lambda tiny: tiny(ONE_CLASS, discriminator=blind(tiny, ONE_CLASS)),
    "following, hinge": lambda tiny: tiny(loss=Hinge(), augmentation=adaptive(SignOfReal())),
    "four channels, no colours": lambda tiny: tiny(
        FOUR_CHANNELS, augmentation=FixedAugment({"light": None, "flip": XFlip()})
    ),
    "following pairs": lambda tiny: tiny(
        loss=RelativisticPairing(), augmentation=adaptive(SignOfPairs())
    ),
} | {
    f"Wasserstein with {name} spectral norm": functools.partial(
        lambda tiny, wrap: wasserstein(
            tiny, discriminator=tiny.discriminator(TWO_CLASSES, wrap=wrap)
        ),
        wrap=wrap,
    )
    for name, wrap in SPECTRAL.items()
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_senseless_combination_is_refused_with_its_sentence(case, tiny):
    said = {"different images": "different sizes"}.get(case) or case.split(",")[0].split(":")[0]
    with pytest.raises(ValueError, match=said):
        REFUSED[case](tiny)


@pytest.mark.parametrize("case", ACCEPTED)
def test_a_neighbour_of_it_is_not(case, tiny):
    ACCEPTED[case](tiny)


def test_every_rule_has_been_seen_to_refuse(tiny):
    said = set()
    for build in REFUSED.values():
        with pytest.raises(ValueError, match=" ") as error:
            build(tiny)
        said.add(str(error.value))
    assert said == {sentence for _, sentence in compatibility.RULES}


def test_a_class_that_is_judged_twice_is_mentioned(tiny, caplog):
    with caplog.at_level(logging.INFO, logger="synthgen.gan"):
        tiny(discriminator=blind(tiny), auxiliary=ACGAN)
        assert caplog.text == ""
        tiny(auxiliary=ACGAN)
    assert "twice, by its projection and by ACGAN" in caplog.text


def test_the_loss_without_an_absolute_zero_is_the_one_that_pairs():
    real, fake = torch.tensor([1.0]), torch.tensor([-1.0])
    for loss in (Hinge(), NonSaturating(), LeastSquares(), RelativisticPairing()):
        shifted = loss.discriminator(real + 3, fake + 3)
        assert torch.allclose(shifted, loss.discriminator(real, fake)) == loss.pairs_real


class Silent(Hinge):
    pairs_real = None


class Mean(Hinge):
    def generator(self, fake_logits, real_logits):
        return super().generator(fake_logits, real_logits).mean()


class AllPairs(Hinge):
    def discriminator(self, real_logits, fake_logits):
        return (real_logits[:, None] - fake_logits).relu()


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (Silent, "Silent must say pairs_real"),
        (Mean, r"Mean.generator gave the shape \(\) for 3 logits"),
        (AllPairs, r"AllPairs.discriminator gave the shape \(3, 3\)"),
    ],
)
def test_a_loss_of_ones_own_that_gives_no_value_per_logit_is_refused(loss, said, tiny):
    with pytest.raises(ValueError, match=said):
        tiny(loss=loss())
