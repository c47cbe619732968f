import functools
import itertools
import os
import signal

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from synthgen.cli.build import build
from synthgen.data import Digits, prepare
from synthgen.errors import StoppedByUserError
from synthgen.gan.augmentations import (
    AdaptiveAugment,
    AnisotropicScaling,
    Augmentation,
    Brightness,
    Contrast,
    Cutout,
    DiffAugment,
    FixedAugment,
    FlipLuma,
    FractionalTranslation,
    IntegerTranslation,
    IsotropicScaling,
    QuarterTurns,
    RotateHue,
    Rotation,
    Saturation,
    ScaleContrast,
    ScaleSaturation,
    ShiftBrightness,
    SignOfPairs,
    SignOfReal,
    SizedDiffAugment,
    Translation,
    XFlip,
)
from synthgen.gan.augmentations.base import warp
from synthgen.images import to_float
from synthgen.io import config_dir
from synthgen.seeds import BatchGenerator
from synthgen.training.train import train
from synthgen.types import ImageSpec

DIFF = [Brightness, Saturation, Contrast, Translation, Cutout]
MOVES = [
    XFlip, QuarterTurns, IntegerTranslation, IsotropicScaling, Rotation, AnisotropicScaling,
    FractionalTranslation,
]  # fmt: skip
COLOURS = [ShiftBrightness, ScaleContrast, FlipLuma, RotateHue, ScaleSaturation]
EVERY = [
    *(pytest.param(one(), id=one.__name__) for one in DIFF),
    *(pytest.param(FixedAugment({"it": one()}, 0.8), id=one.__name__) for one in MOVES + COLOURS),
]
FILES = sorted(path.stem for path in (config_dir() / "gan" / "augmentation").glob("*.yaml"))


def rng(seed=0):
    return BatchGenerator().manual_seed(seed)


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits())


@pytest.fixture(scope="module")
def grey(splits):
    return to_float(splits.train.images[:64])


@pytest.fixture(scope="module")
def colour(grey):
    tint = torch.tensor([0.9, 0.2, -0.5])[:, None, None]
    return (grey * 0.5 + tint * grey.flip(-1) * 0.5).contiguous()


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_the_gradient_and_its_gradient_are_right(padding):
    images = torch.randn(2, 2, 5, 6, dtype=torch.float64, generator=rng()).requires_grad_(True)
    back = torch.eye(3, dtype=torch.float64) + 0.2 * torch.randn(2, 3, 3, generator=rng()).double()
    back[:, 2] = torch.tensor([0.0, 0.0, 1.0])
    once = functools.partial(warp, back=back, padding=padding)
    assert torch.autograd.gradcheck(once, images)
    assert torch.autograd.gradgradcheck(lambda x: once(x).square(), images)


@pytest.mark.parametrize("size", [(8, 8), (9, 13)])
def test_translation_moves_by_whole_pixels_and_leaves_mid_grey(size):
    images = torch.rand(40, 2, *size, generator=rng()) + 0.5
    moved = Translation(share=0.25)(images, rng())
    offsets = set()
    for before, after in zip(images, moved, strict=True):
        rows, columns = (after[0].abs() > 1e-6).nonzero().unbind(1)
        height, width = int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1
        top = 0 if rows.min() > 0 else size[0] - height
        left = 0 if columns.min() > 0 else size[1] - width
        seen = after[:, rows.min() :, columns.min() :][:, :height, :width]
        assert torch.allclose(seen, before[:, top : top + height, left : left + width], atol=1e-5)
        offsets.add((int(rows.min()) - top, int(columns.min()) - left))
        assert size[0] - height <= int(size[0] * 0.25 + 0.5)
    assert len(offsets) > 10


def test_cutout_hides_a_square_of_half_the_side():
    images = torch.ones(200, 3, 12, 12)
    hidden = Cutout(share=0.5)(images, rng()) == 0
    assert torch.equal(hidden[:, 0], hidden[:, 2])
    areas = hidden[:, 0].sum((1, 2))
    assert areas.max() == 36
    assert areas.min() >= 9  # no more than half of either side lies outside
    assert len(areas.unique()) > 5


def test_brightness_saturation_and_contrast_are_what_they_say(colour):
    shift = Brightness()(colour, rng()) - colour
    assert shift.flatten(1).std(dim=1).max() < 1e-5
    assert 0.3 < shift.amax() <= 0.5
    assert -0.5 <= shift.amin() < -0.3
    saturated = Saturation()(colour, rng())
    assert torch.allclose(saturated.mean(1), colour.mean(1), atol=1e-5)
    assert not torch.allclose(saturated, colour, atol=0.1)
    contrast = Contrast()(colour, rng())
    mean = colour.mean((1, 2, 3))
    assert torch.allclose(contrast.mean((1, 2, 3)), mean, atol=1e-5)
    ratio = contrast.flatten(1).std(dim=1) / colour.flatten(1).std(dim=1)
    assert 0.5 <= ratio.min() < 0.6
    assert 1.4 < ratio.max() <= 1.5


@pytest.mark.parametrize("augmentation", [Saturation(), *(FixedAugment({"it": one()}, 0.8) for one
                                          in (RotateHue, ScaleSaturation))])  # fmt: skip
def test_grey_images_have_neither_hue_nor_saturation(augmentation, grey):
    assert torch.allclose(augmentation(grey, rng()), grey, atol=1e-6)


@pytest.mark.parametrize("augmentation", EVERY)
def test_each_grey_channel_changes_as_a_grey_image_does(augmentation, grey):
    as_colour = augmentation(grey.repeat(1, 3, 1, 1), rng())
    assert torch.allclose(as_colour, augmentation(grey, rng()).repeat(1, 3, 1, 1), atol=1e-4)


@pytest.mark.parametrize("augmentation", EVERY)
def test_every_operation_changes_images_each_in_its_own_way(augmentation, colour):
    same = colour[:1].repeat(64, 1, 1, 1)
    out = augmentation(same, rng())
    assert out.shape == same.shape
    assert out.dtype == torch.float32
    assert len(out.flatten(1).mul(1000).round().unique(dim=0)) > 1
    assert torch.equal(out, augmentation(same, rng()))
    assert not torch.equal(out, augmentation(same, rng(1)))


@pytest.mark.parametrize("augmentation", EVERY)
def test_channels_last_and_odd_sizes(augmentation):
    images = torch.randn(6, 3, 9, 14, generator=rng())
    out = augmentation(images, rng())
    other = augmentation(images.contiguous(memory_format=torch.channels_last), rng())
    assert torch.allclose(out, other, atol=1e-5)


@pytest.mark.parametrize("augmentation", EVERY)
def test_gradient_penalties_go_through(augmentation, colour):
    weight = torch.ones((), requires_grad=True)
    images = colour[:8].clone().requires_grad_(True)
    logits = (augmentation(images, rng()) * weight).pow(3).sum()
    (slope,) = torch.autograd.grad(logits, images, create_graph=True)
    slope.square().sum().backward()
    assert weight.grad is not None
    assert weight.grad.isfinite()
    assert weight.grad > 0


def test_operations_switched_off_are_not_there(grey):
    assert torch.equal(DiffAugment({"cutout": None})(grey, rng()), grey)
    assert torch.equal(FixedAugment({"x_flip": None}, 0.8)(grey, rng()), grey)
    assert torch.equal(FixedAugment({"x_flip": XFlip()}, 0.0)(grey, rng()), grey)


@pytest.mark.parametrize("probability", [0.2, 0.8])
def test_an_operation_hits_a_share_of_the_images(probability):
    images = torch.randn(1, 1, 8, 8, generator=rng()).repeat(4000, 1, 1, 1)
    shift = FixedAugment({"it": ShiftBrightness()}, probability)(images, rng())
    assert (shift != images).any((1, 2, 3) if False else 3).any(2).any(1).float().mean() == (
        pytest.approx(probability, abs=0.03)
    )
    turns = FixedAugment({"one": Rotation(), "two": Rotation()}, probability)(images, rng())
    turned = (turns - images).abs().amax((1, 2, 3)) > 1e-4
    assert turned.float().mean() == pytest.approx(probability, abs=0.03)


@pytest.mark.parametrize("probability", [-0.1, 0.9])
def test_a_probability_that_leaks_is_refused(probability):
    with pytest.raises(ValueError, match=r"between 0 and 0\.8"):
        FixedAugment({}, probability)


def adaptive(signal=None, **options):
    return AdaptiveAugment({"x_flip": XFlip()}, signal or SignOfReal(), **options)


def test_the_probability_follows_the_discriminator():
    ada = adaptive(images_per_unit=1000, every=4)
    for _ in range(3):
        ada.observe(torch.ones(10), torch.zeros(10), 10)
    assert ada.probability == 0.0
    ada.observe(torch.ones(10), torch.zeros(10), 10)
    assert ada.probability == pytest.approx(0.04)  # 40 of 1,000 images
    for _ in range(400):
        ada.observe(torch.ones(10), torch.zeros(10), 10)
    assert ada.probability == 0.8
    for _ in range(4):  # 70 % right is a signal of 0.4, below 0.6
        ada.observe(torch.tensor([1.0] * 7 + [-1.0] * 3), torch.zeros(10), 10)
    assert ada.probability == pytest.approx(0.76)
    for _ in range(400):
        ada.observe(-torch.ones(10), torch.zeros(10), 10)
    assert ada.probability == 0.0


def test_the_probability_and_what_was_seen_since_it_moved_survive_a_checkpoint():
    whole, first, second = (adaptive(images_per_unit=1000) for _ in range(3))
    logits = [torch.randn(10, generator=rng(seed)) + 1.5 for seed in range(10)]
    for one in logits:
        whole.observe(one, -one, 10)
    for one in logits[:6]:
        first.observe(one, -one, 10)
    second.load_state_dict(first.state_dict())
    for one in logits[6:]:
        second.observe(one, -one, 10)
    assert second.probability == whole.probability > 0
    assert torch.equal(second.state_dict()["_state"], whole.state_dict()["_state"])


def test_patches_of_an_image_count_as_one_image():
    ada = adaptive(images_per_unit=1000, every=1)
    ada.observe(torch.ones(40), torch.zeros(40), 10)
    assert ada.probability == pytest.approx(0.01)
    ada.observe(torch.tensor([1.0] * 25 + [-1.0] * 15), torch.zeros(40), 10)  # 0.25 < 0.6
    assert ada.probability == pytest.approx(0.0)


def test_pairs_do_not_depend_on_an_offset_and_signs_do():
    real, fake = torch.tensor([1.0, 2.0, -1.0]), torch.tensor([0.0, 3.0, -2.0])
    assert SignOfPairs()(real, fake).tolist() == [1, -1, 1]
    assert SignOfPairs()(real - 9, fake - 9).tolist() == [1, -1, 1]
    assert SignOfReal()(real, fake).tolist() == [1, 1, -1]
    assert SignOfReal.needs_absolute_logits
    assert not SignOfPairs.needs_absolute_logits


@pytest.mark.parametrize("options", [{"target": 1.0}, {"images_per_unit": 0}, {"every": 0}])
def test_senseless_controllers_are_refused(options):
    with pytest.raises(ValueError, match="target must be"):
        adaptive(**options)


@pytest.mark.parametrize(
    ("images", "channels", "names"),
    [
        (500_000, 3, []),
        (50_000, 3, ["translation", "cutout"]),
        (5_000, 1, ["translation", "cutout"]),
        (5_000, 3, ["brightness", "saturation", "contrast", "translation", "cutout"]),
    ],
)
def test_operations_by_the_number_of_images(images, channels, names, caplog):
    caplog.set_level("INFO", logger="synthgen")
    made = SizedDiffAugment(images, ImageSpec(channels, 32, 32, ("a", "b")))
    assert list(made.operations) == names
    assert f"{images:,} training images" in caplog.text


@pytest.mark.parametrize("name", FILES)
def test_every_option_trains_and_is_resumed_to_the_bit(name, splits, tmp_path):
    def model():
        torch.manual_seed(0)
        with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
            chosen = [f"gan/augmentation@model.augmentation={name}", "model.batch_size=16"]
            sizes = [f"model.{n}.{k}" for n in ("generator", "discriminator")
                     for k in ("width=8", "max_width=8")]  # fmt: skip
            config = compose("train", overrides=[*chosen, *sizes])
        facts = {"image": splits.train.image, "training_images": len(splits.train)}
        node = OmegaConf.to_container(config.model, resolve=True)
        return build(node, key="model", facts=facts)

    assert isinstance(model().critic.augmentation, Augmentation)
    common = {"precision": "float32", "accelerator": "cpu", "previews": 0}
    trained = functools.partial(train, splits=splits, max_images=16 * 10, **common)
    trained(model(), out=tmp_path / "whole")
    with pytest.raises(StoppedByUserError):
        trained(stopped_at(model(), step=5), out=tmp_path / "parts")
    trained(model(), out=tmp_path / "parts", resume=True)
    states = [
        torch.load(tmp_path / run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for run in ("whole", "parts")
    ]
    assert any("augmentation" in key for key in states[0]) == name.startswith("ada")
    for key in states[0].keys() - {"clock._seconds"}:
        assert torch.equal(states[0][key], states[1][key]), key


def stopped_at(model, step):
    """The model, which at this step asks its own process to end, as a cluster does."""
    inner, numbers = model.step, itertools.count(1)

    def counted(images, labels):
        inner(images, labels)
        if next(numbers) == step:
            os.kill(os.getpid(), signal.SIGTERM)

    model.step = counted
    return model
