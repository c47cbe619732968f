"""What every sampler promises: an image is a function of its label and seed alone."""

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.samplers import Noise, PCAGaussian
from synthgen.seeds import row_seeds
from synthgen.types import ImageSpec


@pytest.fixture
def request_of_200():
    labels = torch.arange(200) % 10
    return labels, row_seeds(5, 0, 200)


def test_images_have_the_shape_and_type_of_the_real_ones(sampler, request_of_200):
    samples = sampler.sample(*request_of_200)
    assert samples.images.shape == (200, 1, 8, 8)
    assert samples.images.dtype == torch.uint8
    assert torch.equal(samples.labels, request_of_200[0])
    assert torch.equal(samples.seeds, request_of_200[1])


def test_any_order_gives_the_same_images(sampler, request_of_200):
    labels, seeds = request_of_200
    whole = sampler.sample(labels, seeds).images
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampler.sample(labels[order], seeds[order]).images, whole[order])


@pytest.mark.parametrize("size", [1, 7, 64, 65])
def test_any_split_into_batches_gives_the_same_images(sampler, request_of_200, size):
    labels, seeds = request_of_200[0][:130], request_of_200[1][:130]
    parts = zip(labels.split(size), seeds.split(size), strict=True)
    images = torch.cat([sampler.sample(*part).images for part in parts])
    assert torch.equal(images, sampler.sample(labels, seeds).images)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_image_is_the_same_at_every_place_of_a_chunk_in_float(digits, threads):
    """Rounding to 256 levels would hide most differences, so look before it."""
    sampler = PCAGaussian(digits.image, components=37, residual_noise=1.0)
    sampler.fit(digits)
    floats = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                "synthgen.samplers.statistical.to_levels", lambda x, bits: floats.append(x)
            )
            for place in range(64):
                labels, seeds = torch.arange(64) % 10, torch.arange(1000, 1064)
                labels[place], seeds[place] = 3, 77
                sampler.draw(labels, seeds)
    finally:
        torch.set_num_threads(before)
    images = torch.stack([chunk[place] for place, chunk in enumerate(floats)])
    assert (images == images[0]).all()
    assert images[0].std() > 0


def test_other_seeds_give_other_images(sampler):
    labels = torch.full((100,), 4)
    images = sampler.sample(labels, row_seeds(0, 0, 100)).images
    others = sampler.sample(labels, row_seeds(1, 0, 100)).images
    assert not torch.equal(images, others)
    assert len({bytes(image.numpy()) for image in images}) > 50


def test_no_images_at_all_is_a_valid_request(sampler):
    assert sampler.sample(torch.empty(0), torch.empty(0)).images.shape == (0, 1, 8, 8)


@pytest.mark.parametrize(
    ("labels", "seeds"),
    [([10], [0]), ([-1], [0]), ([1, 2], [0]), ([[1]], [[0]])],
    ids=["label too large", "negative label", "lengths differ", "not a list"],
)
def test_an_impossible_request_is_refused(sampler, labels, seeds):
    with pytest.raises(ValueError, match="labels"):
        sampler.sample(torch.tensor(labels), torch.tensor(seeds))


def test_a_colour_image_that_is_not_square(digits):
    image = ImageSpec(3, 4, 6, ("a", "b"))
    sampler = PCAGaussian(image, components=5)
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 3, 4, 6), generator=random, dtype=torch.uint8)
    sampler.fit(type(digits)(pixels, torch.arange(40) % 2, image.classes))
    assert sampler.sample(torch.tensor([0, 1]), torch.tensor([1, 2])).images.shape == (2, 3, 4, 6)


def test_sampling_leaves_the_number_of_threads_alone(sampler):
    before = torch.get_num_threads()
    sampler.threads = before + 1
    sampler.sample(torch.tensor([1]), torch.tensor([1]))
    assert torch.get_num_threads() == before


@pytest.mark.parametrize("change", [lambda drawn: drawn / 255, lambda drawn: drawn.flatten(1)])
def test_a_draw_of_another_type_or_shape_is_refused(digits, monkeypatch, change):
    noise = Noise(digits.image)
    monkeypatch.setattr(noise, "draw", lambda *request: change(Noise.draw(noise, *request)))
    with pytest.raises(SynthgenError, match=r"^Noise\.draw gave .* instead of torch\.uint8 \(64, "):
        noise.sample(torch.tensor([0]), torch.tensor([0]))
