"""Rules as RuleAugmented and Drawn use them: a strength per image, and a share of images."""

import inspect

import pytest
import torch

import synthgen.transforms
from synthgen.errors import SynthgenError
from synthgen.images import to_float, to_uint8
from synthgen.seeds import image_rng
from synthgen.serialization import from_spec, to_spec
from synthgen.transforms import (
    Attribute,
    CopyPaste,
    CutMix,
    Darkness,
    Flip,
    Fog,
    ImageRandom,
    Mixup,
)
from synthgen.transforms.base import Transform

ALL = [
    cls
    for _, cls in inspect.getmembers(synthgen.transforms, inspect.isclass)
    if issubclass(cls, Transform) and not inspect.isabstract(cls)
]


def applied(rule, images, seeds=None, stream=0):
    images = to_float(images)
    random = ImageRandom(range(len(images)) if seeds is None else seeds, stream)
    return rule.apply(images, random, images.flip(0))


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_every_rule_keeps_shape_and_range_and_knows_no_batch(cls, grey, colour):
    for images in (grey, colour):
        partners = to_float(images).roll(1, 0)
        whole = cls([0.2, 1.0], probability=0.8).apply(
            to_float(images), ImageRandom(range(len(images)), 3), partners
        )
        assert whole.shape == images.shape
        assert whole.abs().max() <= 1
        alone = cls([0.2, 1.0], probability=0.8).apply(
            to_float(images[4:5]), ImageRandom([4], 3), partners[4:5]
        )
        assert torch.equal(alone[0], whole[4])
        assert not torch.equal(to_uint8(whole), images)


@pytest.mark.parametrize("cls", ALL, ids=lambda cls: cls.__name__)
def test_no_strength_and_no_probability_change_nothing(cls, colour):
    for rule in (cls(0.0), cls(1.0, probability=0.0)):
        assert torch.equal(applied(rule, colour), to_float(colour))


def test_probability_is_the_share_of_changed_images():
    images = torch.full((1000, 1, 4, 4), 200, dtype=torch.uint8)
    out = applied(Darkness(0.5, probability=0.3), images)
    changed = (out != to_float(images)).flatten(1).any(1)
    assert changed.double().mean() == pytest.approx(0.3, abs=0.05)


def test_a_range_of_strengths_is_used_up():
    images = torch.full((1000, 1, 4, 4), 255, dtype=torch.uint8)
    left = (applied(Darkness([0.4, 0.8]), images)[:, 0, 0, 0] + 1) / 2  # 1 - 0.875 * strength
    strengths = (1 - left) / 0.875
    assert 0.39 < strengths.min() < 0.42
    assert 0.78 < strengths.max() < 0.81
    assert strengths.mean() == pytest.approx(0.6, abs=0.02)


def test_pairs_mix_the_partner_in(colour):
    images, partners = to_float(colour), to_float(colour).flip(0)
    half = Mixup(1.0).apply(images, ImageRandom(range(12)), partners)
    assert torch.allclose(half, (images + partners) / 2, atol=1e-6)
    cut = CutMix(1.0).apply(images, ImageRandom(range(12)), partners)
    assert ((cut == images) | (cut == partners)).all()
    assert 0.3 < (cut != images).double().mean() < 0.6
    blank = torch.full_like(images, -1.0)
    assert torch.equal(CopyPaste(1.0).apply(images, ImageRandom(range(12)), blank), images)
    spot = blank.clone()
    spot[..., 8:12, 8:12] = 1
    pasted = CopyPaste(1.0).apply(images, ImageRandom(range(12)), spot)
    assert (pasted[..., 8:12, 8:12] > 0.9999).all()
    assert torch.equal(pasted[..., :8, :], images[..., :8, :])


def test_a_flip_is_a_flip(colour):
    assert torch.equal(to_uint8(applied(Flip(), colour)), colour.flip(3))


@pytest.mark.parametrize("arguments", [(-0.1,), (1.1,), ([0.5, 0.2],), ([0.1],), (0.5, 1.5)])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(SynthgenError, match="goes from 0 to 1"):
        Fog(*arguments)


def test_random_numbers_are_those_of_the_image_rng():
    random = ImageRandom([7, 2**40], stream=2)
    first, second = random.uniform(3), random.normal(5)
    for row, seed in enumerate((7, 2**40)):
        own = image_rng(seed, 2 * 2**16)
        assert first[row].tolist() == own.random(128, dtype="float32")[:3].tolist()
        own = image_rng(seed, 2 * 2**16 + 1)
        assert second[row].tolist() == own.standard_normal(5, dtype="float32").tolist()


def test_successive_random_numbers_are_never_the_same():
    random = ImageRandom([1])
    drawn = torch.cat([random.uniform(60) for _ in range(5)], dim=1)
    assert len(drawn.unique()) == 300


def weather(**settings):
    options = {"clear": None, "dim": Darkness(0.4), "dark": Darkness([0.9, 1.0])}
    return Attribute(options, **settings)


def test_some_of_the_images_get_the_numbers_that_all_get():
    all_of_them = ImageRandom([5, 6, 7, 8], 3)
    all_of_them.uniform(2)
    some = all_of_them.of(torch.tensor([1, 3]))
    assert len(some) == 2
    for draw in (lambda random: random.uniform(3), lambda random: random.normal(4)):
        assert torch.equal(draw(some), draw(all_of_them)[[1, 3]])


def test_an_attribute_draws_its_options_by_weight(colour):
    seeds = torch.arange(2000)
    counts = torch.bincount(weather(weights={"clear": 3, "dark": 1}).choose(seeds, 5))
    assert counts[1] == 0
    assert counts[0] / 2000 == pytest.approx(0.75, abs=0.04)


def test_an_attribute_can_be_fixed(colour):
    images, seeds = to_float(colour), torch.arange(12)
    assert torch.equal(weather(only="clear").apply(images, seeds, 0), images)
    dark = weather(only="dark", strength=0.8).apply(images, seeds, 0)
    assert torch.allclose(dark + 1, (images + 1) * (1 - 0.875 * 0.8), atol=1e-6)


def test_an_unknown_option_is_named():
    with pytest.raises(SynthgenError, match="no option 'hail'; there are clear, dim, dark"):
        weather(only="hail")
    with pytest.raises(SynthgenError, match="'hail'"):
        weather(weights={"hail": 1.0})


def test_rules_and_attributes_survive_being_written_down(colour):
    images, seeds = to_float(colour), torch.arange(12)
    attribute = weather(weights={"clear": 1, "dark": 2})
    again = from_spec(to_spec(attribute))
    assert torch.equal(again.apply(images, seeds, 1), attribute.apply(images, seeds, 1))
