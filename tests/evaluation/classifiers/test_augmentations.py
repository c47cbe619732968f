import pickle

import pytest
import torch

from synthgen.evaluation.classifiers import CropAffine, CropFlip, TrivialAugment, augment
from synthgen.seeds import step_generator

POLICIES = [
    CropAffine(),
    CropAffine(2, "horizontal"),
    CropFlip(),
    TrivialAugment(),
    TrivialAugment(0.3),
]
SHAPES = [(64, 1, 8, 8), (32, 3, 32, 32), (40, 1, 28, 20), (5, 3, 1, 2)]
every_policy = pytest.mark.parametrize("policy", POLICIES, ids=repr)


def noise(shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=step_generator(9))


@every_policy
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_stay_images_and_the_originals_stay(policy, shape):
    images = noise(shape)
    before = images.clone()
    changed = policy(images, step_generator(0, 1))
    assert changed.dtype == torch.uint8
    assert changed.shape == images.shape
    assert torch.equal(images, before)
    assert not torch.equal(changed, images)


@every_policy
def test_randomness_is_the_generators(policy):
    images, before = noise((64, 3, 16, 16)), torch.get_rng_state()
    first, again = (policy(images, step_generator(0, 1)) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, policy(images, step_generator(0, 2)))
    assert torch.equal(torch.get_rng_state(), before)
    restored = pickle.loads(pickle.dumps(policy))
    assert torch.equal(first, restored(images, step_generator(0, 1)))


def test_images_of_a_batch_are_changed_apart(digits):
    same = digits.train.images[:1].expand(40, -1, -1, -1)
    for policy in (CropAffine(), TrivialAugment()):
        assert len(policy(same, step_generator(0)).flatten(1).unique(dim=0)) > 20


def test_strength_is_how_much_changes(digits):
    images = digits.train.images[:200]

    def change(policy):
        return float((policy(images, step_generator(0)).float() - images.float()).abs().mean())

    assert change(CropAffine(0.0)) == 0
    assert 0 < change(CropAffine(0.3)) < change(CropAffine(1.0)) < change(CropAffine(2.0))
    assert 0 < change(TrivialAugment(0.1)) < change(TrivialAugment(1.0))


def test_half_of_the_images_are_mirrored_and_no_digit_is():
    images = torch.zeros(2000, 1, 9, 9, dtype=torch.uint8)
    images[..., 6:] = 200
    for policy in (CropAffine(0.0, "horizontal"), CropAffine(1.0, "horizontal")):
        left = policy(images, step_generator(0)).float()[..., :3].mean((1, 2, 3)) > 100
        assert 0.45 < left.double().mean() < 0.55
    left = CropAffine(1.0)(images, step_generator(0)).float()[..., :3].mean((1, 2, 3)) > 100
    assert not left.any()


def test_affine_ranges_are_the_stated_ones():
    """A bright point in the middle moves by an eighth of the side at most, and comes that far."""
    images = torch.zeros(3000, 1, 65, 65, dtype=torch.uint8)
    images[:, :, 32, 32] = 255
    found = CropAffine(1.0)(images, step_generator(3)).float().flatten(1)
    seen = found.amax(1) > 20
    place = found.argmax(1)[seen]
    across = (place % 65 - 32).abs()
    assert seen.double().mean() > 0.9
    assert 7 <= int(across.max()) <= 11  # 65 / 8 = 8.1, times the scale of up to 1.15


def test_crops_are_all_places_of_the_framed_image_and_half_are_mirrored():
    image = noise((1, 3, 16, 8))
    framed = torch.nn.functional.pad(image, (1, 1, 2, 2))[0]
    windows = [framed[:, y : y + 16, x : x + 8] for y in range(5) for x in range(3)]
    possible = {
        tuple(one.flatten().tolist()): mirrored
        for mirrored in (False, True)
        for one in ([window.flip(2) for window in windows] if mirrored else windows)
    }
    cropped = CropFlip(0.125)(image.expand(2000, -1, -1, -1), step_generator(4))
    found = [tuple(one.flatten().tolist()) for one in cropped]
    assert set(found) == set(possible)  # 15 places, either way round
    assert 0.45 < sum(possible[one] for one in found) / 2000 < 0.55
    straight = CropFlip(0.125, "none")(image.expand(500, -1, -1, -1), step_generator(4))
    assert not any(possible[tuple(one.flatten().tolist())] for one in straight)
    assert torch.equal(CropFlip(0.0, "none")(image, step_generator(4)), image)


@pytest.mark.parametrize("angle", [90.0, -90.0])
def test_turning_is_rigid_where_width_and_height_differ(angle):
    images = torch.zeros(1, 1, 21, 41)
    images[0, 0, 10, 15:26] = 255.0  # a horizontal bar of 11 pixels
    share = torch.tensor([abs(angle) / augment.GREATEST_ROTATION])
    turned = augment.rotate(images, share, torch.tensor([angle]).sign())
    assert int((turned[0, 0, :, 20] > 128).sum()) == 11
    assert int((turned > 128).sum()) == 11


def test_operations_do_nothing_at_strength_zero():
    pixels, zeros = noise((6, 3, 12, 10)).clamp(0, 254).float(), torch.zeros(6)
    unconditional = (augment.autocontrast, augment.equalize)
    for operation in augment.OPERATIONS:
        if operation not in unconditional:
            changed = operation(pixels, zeros, zeros + 1)
            assert (pixels - changed).abs().max() < 1e-3, operation.__name__


def test_operations_are_torchvisions():
    from torchvision.transforms import functional as reference

    images, ones = noise((1, 3, 32, 32)), torch.ones(1)
    pixels = images.float()
    pairs = {
        "brightness": reference.adjust_brightness(images, 1.99),
        "color": reference.adjust_saturation(images, 1.99),
        "contrast": reference.adjust_contrast(images, 1.99),
        "sharpness": reference.adjust_sharpness(images, 1.99),
        "posterize": reference.posterize(images, 2),
        "solarize": reference.solarize(images, 0),
        "autocontrast": reference.autocontrast(images),
        "equalize": reference.equalize(images),
        "translate_x": torch.zeros_like(images),
    }
    for name, expected in pairs.items():
        ours = getattr(augment, name)(pixels, ones, ones)
        assert (ours - expected.float()).abs().max() <= 2, name
    shifted = augment.translate_x(pixels, ones / 4, ones)
    assert torch.equal(shifted[..., :-8], pixels[..., 8:])


@pytest.mark.parametrize("policy", [CropAffine, TrivialAugment])
def test_impossible_strengths_are_refused(policy):
    for strength in (-0.1, 5.0):
        with pytest.raises(ValueError, match="strength"):
            policy(strength)
        with pytest.raises(ValueError, match="share"):
            CropFlip(strength)
