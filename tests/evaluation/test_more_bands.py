"""Five bands of 12 bits through data, sampler, classifiers and report: nothing is cut to 8 bits but
what only pictures need."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from synthgen.data import Arrays, ArraySource, prepare
from synthgen.dataset.source import SyntheticSet
from synthgen.evaluation import ClassifierExtractor, SmallCNNClassifier, evaluate
from synthgen.evaluation.classifiers.augment import CropAffine, CropFlip, TrivialAugment
from synthgen.evaluation.classifiers.batched_mlp import MLPClassifier
from synthgen.evaluation.copy_search import AlignedSpace, plant
from synthgen.evaluation.features.base import PixelExtractor
from synthgen.evaluation.features.network import ModuleExtractor
from synthgen.evaluation.image_statistics import image_statistics
from synthgen.images import as_pictures, eight_bits, from_255, to_255, to_float, to_levels
from synthgen.samplers import PCAGaussian
from synthgen.seeds import row_seeds
from synthgen.transforms.corruptions import CORRUPTIONS
from synthgen.types import LabelledImages, Levels

BANDS = (1.0, 0.8, 0.6, 0.4, 0.2)


@dataclass(frozen=True, kw_only=True)
class FiveBands(ArraySource):
    """Digits of 12 bits, every band darker than the one before."""

    kind: ClassVar[str] = "five_bands"

    def arrays(self) -> Arrays:
        bunch = load_digits()
        grey = np.kron(bunch.images / 16, np.ones((1, 2, 2)))
        noise = np.random.default_rng(0).integers(0, 95, (*grey.shape, 5))
        pixels = (grey[..., None] * 4000 * np.array(BANDS) + noise).astype(np.uint16)
        classes = tuple(str(name) for name in bunch.target_names)
        return Arrays(pixels, bunch.target, classes, (None,) * len(pixels))


@pytest.fixture(scope="module")
def bands():
    return prepare(FiveBands(bits=16, view=[4, 2, 0]))


@pytest.fixture(scope="module")
def drawn(bands):
    sampler = PCAGaussian(bands.train.image)
    sampler.fit(bands.train)
    samples = sampler.sample(torch.arange(10).repeat_interleave(30), row_seeds(1, 0, 300))
    return LabelledImages(
        samples.images, samples.labels, sampler.image.classes, None, sampler.image.levels, (4, 2, 0)
    )


def test_what_is_known_of_the_images_travels(bands):
    image = bands.train.image
    assert (image.channels, image.bits, image.view) == (5, 16, (4, 2, 0))
    assert image.levels == Levels(0, 4095)
    assert bands.recipe.bits == 16
    assert any("12 bits hold every training level" in note for note in bands.notes)
    assert len(np.unique(bands.train.images.numpy())) > 3000


def test_converters_are_inverse_and_keep_16_bits():
    levels = torch.arange(65536, dtype=torch.int32).to(torch.uint16).view(1, 1, 256, 256)
    assert torch.equal(to_levels(to_float(levels), 16), levels)
    assert torch.equal(from_255(to_255(levels), torch.uint16), levels)
    assert eight_bits(levels).flatten().tolist() == [round(level / 257) for level in range(65536)]


def test_pictures_show_the_view(bands):
    shown = bands.test.pictures
    assert shown.dtype == torch.uint8
    low, high = bands.train.shown
    assert bands.test.shown == bands.train.shown  # of the training images, for all
    wanted = (bands.test.images[:, 0].float() - low) * 255 / (high - low)
    assert (shown[:, 2] - wanted.clamp(0, 255)).abs().max() <= 0.51
    assert as_pictures(bands.test.images[:, :2]).shape[1] == 1
    assert as_pictures(bands.test.images).shape[1] == 3


@pytest.mark.parametrize("policy", [CropAffine(), CropFlip(), TrivialAugment(flip="horizontal")])
def test_augmented_images_keep_their_levels(bands, policy):
    images = bands.train.images[:200]
    changed = policy(images, torch.Generator().manual_seed(0))
    assert changed.dtype == torch.uint16
    assert changed.shape == images.shape
    assert len(np.unique(changed.numpy())) > 2000


def test_augmenting_16_bits_is_augmenting_8_with_finer_steps(bands):
    images = bands.train.images[:50]
    for policy in (CropAffine(), TrivialAugment()):
        fine, coarse = (
            policy(some, torch.Generator().manual_seed(1)) for some in (images, eight_bits(images))
        )
        difference = (eight_bits(fine).float() - coarse.float()).abs()
        assert float((difference > 2).float().mean()) < 0.05


@pytest.mark.parametrize("name", sorted(CORRUPTIONS))
def test_corruptions_take_all_bands_and_bits(bands, name):
    images = bands.test.images[:4]
    changed = CORRUPTIONS[name](images, 0.5, range(4))
    assert (changed.dtype, changed.shape) == (torch.uint16, images.shape)
    assert not torch.equal(changed, images)


def test_features_of_the_pixels_see_all_and_networks_of_photographs_the_view(bands):
    images = bands.test.images[:6]
    pixels = PixelExtractor().compute(images)
    assert pixels.shape == (6, 5 * 16 * 16)
    assert torch.allclose(pixels, images.double().flatten(1).float() / 65535)
    flat = ModuleExtractor(torch.nn.Flatten(), channels=3)
    flat.view = (4, 2, 0)
    expected = as_pictures(images, (4, 2, 0)).float().flatten(1) / 255
    assert torch.allclose(flat.compute(images), expected)
    assert ModuleExtractor(torch.nn.Flatten()).compute(images).shape == (6, 5 * 16 * 16)


def test_copies_are_found_in_all_bands(bands):
    space = AlignedSpace(bands.train.images)
    copies = plant(bands.train)
    for kind in ("noise", "shift", "mirror", "JPEG"):
        found, _ = space.nearest(copies[kind].images[:10], 1, "copies")
        assert float(found.median()) < 0.5, kind
    fresh, _ = space.nearest(bands.test.images[:10], 1, "test")
    same, _ = space.nearest(bands.train.images[:10], 1, "same")
    assert float(same.max()) < 0.01 < float(fresh.min())


def test_statistics_of_bands_are_those_of_their_mean(bands):
    found = image_statistics(bands.test.images[:3])
    mean = bands.test.images[:3].double().mean((1, 2, 3)) / 65535
    assert torch.allclose(found["brightness"], mean)
    assert "red" not in found


@pytest.mark.parametrize(
    "classifier",
    [SmallCNNClassifier(steps=60, batch_size=64), MLPClassifier(steps=60)],
    ids=["cnn", "mlp"],
)
def test_the_whole_report(bands, drawn, tmp_path, classifier):
    report = evaluate(
        bands,
        SyntheticSet(drawn, None, tmp_path / "set", "0" * 64),
        tmp_path / "report",
        extractors=[ClassifierExtractor(steps=60), PixelExtractor()],
        classifier=classifier,
        seeds=1,
        review=12,
    )
    assert report.results
    assert (tmp_path / "report" / "report.html").is_file()
