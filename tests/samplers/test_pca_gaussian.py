import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.images import to_float
from synthgen.samplers import Bootstrap, Noise, PCAGaussian
from synthgen.seeds import row_seeds
from synthgen.types import ImageSpec, LabelledImages


def drawn(sampler, label, count=4000):
    return sampler.sample(torch.full((count,), label), row_seeds(0, 0, count)).images


def fitted(real, **settings):
    sampler = PCAGaussian(real.image, **settings)
    sampler.fit(real)
    return sampler


@pytest.fixture
def gaussian_blobs():
    """Images of a known Gaussian, far enough from black and white that nothing is clamped."""
    random = torch.Generator().manual_seed(1)
    factors = torch.randn(3000, 2, generator=random)
    directions = torch.randn(2, 16, generator=random)
    pixels = 128 + 12 * factors @ directions + 4 * torch.randn(3000, 16, generator=random)
    images = pixels.round().clamp(0, 255).to(torch.uint8).view(-1, 1, 4, 4)
    return LabelledImages(images, torch.zeros(3000, dtype=torch.int64), ("only",))


def test_mean_and_covariance_are_those_of_the_real_images(gaussian_blobs):
    real = gaussian_blobs.images.flatten(1).double()
    fake = drawn(fitted(gaussian_blobs, components=2, residual_noise=1.0), 0, 20_000)
    fake = fake.flatten(1).double()
    assert (fake.mean(0) - real.mean(0)).abs().max() < 0.5
    error = torch.linalg.norm(torch.cov(fake.T) - torch.cov(real.T))
    assert error < 0.05 * torch.linalg.norm(torch.cov(real.T))


def test_without_residual_noise_the_discarded_directions_stay_at_their_mean(gaussian_blobs):
    total = {
        noise: drawn(fitted(gaussian_blobs, components=2, residual_noise=noise), 0)
        .flatten(1)
        .double()
        .var(0)
        .sum()
        for noise in (0.0, 1.0)
    }
    discarded = 14 * 16  # directions times variance in squared levels
    assert total[1.0] - total[0.0] == pytest.approx(discarded, rel=0.15)


def test_the_residual_of_a_small_class_has_the_variance_that_is_left(gaussian_blobs):
    """Spread over all 14 directions, also where 8 images span but 7."""
    few = LabelledImages(gaussian_blobs.images[:8], torch.zeros(8, dtype=torch.int64), ("only",))
    fake = drawn(fitted(few, components=2, residual_noise=1.0), 0, 20_000).flatten(1).double()
    real = few.images.flatten(1).double()
    assert fake.var(0).sum() == pytest.approx(real.var(0).sum().item(), rel=0.05)


def test_each_class_looks_like_itself(digits):
    sampler = fitted(digits)
    means = torch.stack([to_float(digits.of_class(k).images).mean(0) for k in range(10)]).flatten(1)
    for label in range(10):
        images = to_float(drawn(sampler, label, 100)).flatten(1)
        nearest = torch.cdist(images, means).argmin(1)
        assert (nearest == label).double().mean() > 0.8


def test_fitting_twice_gives_the_same_numbers(digits):
    first, second = fitted(digits).state_dict(), fitted(digits).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_rare_classes_get_as_many_components_as_they_allow(digits):
    few = digits.of_class(0).subset(range(5))
    many = digits.of_class(1)
    real = LabelledImages(
        torch.cat([few.images, many.images]), torch.cat([few.labels, many.labels]), ("0", "1")
    )
    sampler = fitted(real, components=20)
    assert (sampler.score_std[0] > 0).sum() <= 4
    assert (sampler.score_std[1] > 0).sum() == 20


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_a_class_of_equal_images_is_repeated(digits):
    image = digits.images[:1]
    real = LabelledImages(image.expand(6, -1, -1, -1), torch.zeros(6).long(), ("same",))
    assert (drawn(fitted(real), 0, 10) == image).all()


def test_a_class_with_one_image_is_refused_by_name(digits):
    real = LabelledImages(digits.images[:11], torch.tensor([0] * 10 + [1]), ("cat", "dog"))
    with pytest.raises(SynthgenError, match="'dog' has 1 training images"):
        fitted(real)


@pytest.mark.parametrize("settings", [{"components": 0}, {"residual_noise": 1.5}])
def test_impossible_settings_are_refused(settings):
    with pytest.raises(SynthgenError, match=next(iter(settings))):
        PCAGaussian(ImageSpec(1, 8, 8, ("a",)), **settings)


def test_bootstrap_draws_nothing_but_real_images_of_the_class(digits):
    sampler = Bootstrap(digits.image)
    sampler.fit(digits)
    assert sampler.exposes_real
    for label in (0, 9):
        real = {bytes(image.numpy()) for image in digits.of_class(label).images}
        copies = {bytes(image.numpy()) for image in drawn(sampler, label, 2000)}
        assert copies <= real
        assert len(copies) > 0.9 * len(real)


def test_bootstrap_refuses_a_class_without_images(digits):
    sampler = Bootstrap(ImageSpec(1, 8, 8, ("0", "1", "none")))
    real = LabelledImages(digits.images[:2], torch.tensor([0, 1]), ("0", "1", "none"))
    with pytest.raises(SynthgenError, match="'none'"):
        sampler.fit(real)


def test_noise_is_uniform_and_knows_no_class(digits):
    sampler = Noise(digits.image)
    images = drawn(sampler, 2, 1000)
    levels = torch.bincount(images.flatten().long(), minlength=256)
    expected = images.numel() / 256
    assert ((levels - expected).abs() < 6 * expected**0.5).all()
    assert torch.equal(images, drawn(sampler, 7, 1000))
