import math

import pytest
import torch

from synthgen.evaluation.image_statistics import image_statistics


def coloured(red, green, blue):
    return torch.tensor([red, green, blue], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 8)


def only(images):
    return {name: values.item() for name, values in image_statistics(images).items()}


def test_a_flat_image_has_brightness_and_nothing_else():
    found = only(torch.full((1, 1, 16, 16), 51, dtype=torch.uint8))
    assert found.pop("brightness") == pytest.approx(0.2)
    assert found == pytest.approx(dict.fromkeys(found, 0.0), abs=1e-9)


def test_contrast_and_foreground_of_a_known_square():
    images = torch.zeros(1, 1, 20, 20, dtype=torch.uint8)
    images[:, :, 5:15, 5:10] = 255  # an eighth of the image
    found = only(images)
    assert found["brightness"] == pytest.approx(1 / 8)
    assert found["contrast"] == pytest.approx(math.sqrt(1 / 8 * 7 / 8))
    assert found["foreground"] == pytest.approx(1 / 8)
    assert only(255 - images)["foreground"] == pytest.approx(1 / 8)  # dark on light


def test_sharpness_falls_with_blur_and_fine_detail_with_it(digits):
    images = digits.test.images[:100]
    images = torch.nn.functional.interpolate(images.float(), scale_factor=4).to(torch.uint8)
    blurred = torch.nn.functional.avg_pool2d(images.float(), 5, 1, 2).to(torch.uint8)
    sharp, soft = image_statistics(images), image_statistics(blurred)
    for name in ("sharpness", "fine detail", "spectrum slope"):
        assert (soft[name] < sharp[name]).double().mean() > 0.95, name


@pytest.mark.parametrize("slope", [-1.0, -2.0, -3.0])
@pytest.mark.parametrize("shape", [(64, 64), (64, 96)])
def test_the_slope_of_a_power_law_is_found(slope, shape):
    generator = torch.Generator().manual_seed(0)
    rows, columns = (torch.fft.fftfreq(side) for side in shape)
    frequency = (rows[:, None].square() + columns[None].square()).sqrt().clamp_min(1e-3)
    noise = torch.fft.fft2(torch.randn(40, *shape, generator=generator))
    images = torch.fft.ifft2(noise * frequency ** (slope / 2)).real
    images = images - images.mean((1, 2), keepdim=True)
    images = 128 + 30 * images / images.std((1, 2), keepdim=True)
    found = image_statistics(images.clamp(0, 255).to(torch.uint8)[:, None])
    assert found["spectrum slope"].mean().item() == pytest.approx(slope, abs=0.25)


def test_white_noise_has_a_flat_spectrum():
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (50, 1, 32, 32), dtype=torch.uint8, generator=generator)
    assert image_statistics(images)["spectrum slope"].mean().item() == pytest.approx(0, abs=0.1)


def test_colour_statistics():
    assert only(coloured(90, 90, 90))["colourfulness"] == pytest.approx(0)
    red = only(coloured(255, 0, 0))
    assert (red["red"], red["green"], red["blue"]) == pytest.approx((1, 0, 0))
    # rg = 1, yb = 1/2, nothing spreads
    assert red["colourfulness"] == pytest.approx(0.3 * math.sqrt(1.25))
    assert red["brightness"] == pytest.approx(0.299)
    assert "red" not in only(torch.zeros(1, 1, 8, 8, dtype=torch.uint8))


def test_an_image_is_measured_by_itself(digits):
    images = digits.test.images[:40]
    whole, one = image_statistics(images), image_statistics(images[7:8])
    for name, values in whole.items():
        assert values.shape == (40,)
        assert values[7].item() == pytest.approx(one[name].item(), abs=1e-9)
        assert values.isfinite().all()


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 1, 5), (1, 3, 7), (3, 5, 4)])
def test_the_smallest_images_are_measured_too(shape):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, *shape), dtype=torch.uint8, generator=generator)
    assert all(values.isfinite().all() for values in image_statistics(images).values())
