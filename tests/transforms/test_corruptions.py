"""Corruptions: nothing at strength 0, more with every step, and never a matter of the batch."""

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.images import to_float
from synthgen.transforms import CORRUPTIONS

NAMES = sorted(CORRUPTIONS)
RANDOM = ["noise", "rotation", "occlusion", "fog", "rain", "snow"]  # the others have no randomness


def distance(first, second):
    return (to_float(first) - to_float(second)).abs().mean()


def test_the_scenarios_that_people_ask_for_are_there():
    expected = {"blur", "noise", "rotation", "occlusion", "contrast", "darkness", "fog"}
    assert expected | {"rain", "snow", "pixelation"} <= set(CORRUPTIONS)


@pytest.mark.parametrize("name", NAMES)
def test_strength_0_changes_nothing(name, grey, colour):
    for images in (grey, colour):
        out = CORRUPTIONS[name](images, 0.0, range(len(images)))
        assert torch.equal(out, images)
        assert out is not images


@pytest.mark.parametrize("name", NAMES)
def test_more_strength_changes_more(name, colour):
    seeds = range(len(colour))
    apart = [distance(CORRUPTIONS[name](colour, s, seeds), colour) for s in (0.2, 0.5, 1.0)]
    assert 0 < apart[0] < apart[1] < apart[2]


@pytest.mark.parametrize("name", NAMES)
def test_an_image_depends_on_itself_and_its_seed_alone(name, grey, colour):
    for images in (grey, colour):
        seeds = torch.arange(len(images)) * 7 + 2**40
        whole = CORRUPTIONS[name](images, 0.6, seeds)
        assert whole.dtype == torch.uint8
        assert whole.shape == images.shape
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
        assert torch.equal(CORRUPTIONS[name](images[order], 0.6, seeds[order]), whole[order])
        for i in (0, 5):
            alone = CORRUPTIONS[name](images[i : i + 1], 0.6, [int(seeds[i])])
            assert torch.equal(alone[0], whole[i])


@pytest.mark.parametrize("name", NAMES)
def test_cutting_a_large_request_into_pieces_changes_nothing(name, colour, monkeypatch):
    whole = CORRUPTIONS[name](colour, 0.8, range(12))
    monkeypatch.setattr("synthgen.transforms.corruptions.PIXELS_AT_A_TIME", 3 * 24 * 37 * 5)
    monkeypatch.setattr("synthgen.transforms.raster.NUMBERS_AT_A_TIME", 1)
    assert torch.equal(CORRUPTIONS[name](colour, 0.8, range(12)), whole)


@pytest.mark.parametrize("name", RANDOM)
def test_other_seeds_give_other_results(name, grey):
    image = grey[:1].expand(20, -1, -1, -1)
    out = CORRUPTIONS[name](image, 0.7, range(20))
    least = 2 if name == "rotation" else 15  # to the left, or to the right
    assert len({bytes(one.numpy()) for one in out}) >= least


@pytest.mark.parametrize("size", [8, 96, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_works(size, channels):
    images = torch.full((1, channels, size, size), 100, dtype=torch.uint8)
    images[..., size // 2 :] = 200
    for corruption in CORRUPTIONS.values():
        assert corruption(images, 0.9, [3]).shape == images.shape


def test_what_is_said_about_each_is_true(grey, colour):
    seeds = range(len(colour))
    black = torch.zeros(4, 1, 16, 16, dtype=torch.uint8)
    dark = CORRUPTIONS["darkness"](colour, 1.0, seeds)
    assert ((dark.double() - colour.double() / 8).abs() <= 0.51).all()
    flat = CORRUPTIONS["contrast"](colour, 1.0, seeds).double().flatten(1)
    assert (flat.mean(1) - colour.double().flatten(1).mean(1)).abs().max() < 0.5
    assert flat.std(1) == pytest.approx(colour.double().flatten(1).std(1) / 10, rel=0.05)
    assert (CORRUPTIONS["fog"](black, 1.0, range(4)) > 100).all()
    noise = CORRUPTIONS["noise"](
        torch.full((50, 1, 16, 16), 128, dtype=torch.uint8), 0.5, range(50)
    )
    assert noise.double().std() == pytest.approx(0.125 * 255, rel=0.03)
    blurred = CORRUPTIONS["blur"](colour, 0.7, seeds).double()
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    assert blurred[inner].diff().abs().mean() < colour.double()[inner].diff().abs().mean()
    assert len(CORRUPTIONS["pixelation"](colour, 1.0, seeds)[0, 0].unique()) <= 4 * 6
    hidden = CORRUPTIONS["occlusion"](torch.full((50, 1, 40, 40), 1).byte(), 1.0, range(50))
    share = (hidden != 1).double().flatten(1).mean(1)
    assert share[share > 0].mean() == pytest.approx(0.5, abs=0.03)
    for name in ("rain", "snow"):
        assert (CORRUPTIONS[name](black, 1.0, range(4)).flatten(1).amax(1) > 120).all()


def test_rotation_is_by_45_degrees_at_most():
    image = torch.zeros(1, 1, 33, 33, dtype=torch.uint8)
    image[..., 16, :] = 255
    line = CORRUPTIONS["rotation"](image, 1.0, [0])[0, 0]
    both = torch.maximum(line.diagonal(), line.flip(1).diagonal())
    assert (both[6:-6] > 150).all()


@pytest.mark.parametrize("strength", [-0.1, 1.1])
def test_impossible_strengths_are_refused(strength, grey):
    with pytest.raises(SynthgenError, match="from 0 to 1"):
        CORRUPTIONS["fog"](grey, strength, range(40))


def test_every_image_needs_a_seed(grey):
    with pytest.raises(ValueError, match="40 images"):
        CORRUPTIONS["fog"](grey, 0.5, range(39))


def test_no_images_are_fine(grey):
    assert CORRUPTIONS["snow"](grey[:0], 0.5, []).shape == (0, 1, 8, 8)
