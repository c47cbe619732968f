import pytest
import torch
from torch import nn

from synthgen.errors import SynthgenError
from synthgen.evaluation.features import ModuleExtractor, PixelExtractor
from synthgen.evaluation.features.base import content_digest, feature_key


class Counting(PixelExtractor):
    """Counts the images that it was really asked about."""

    def __init__(self):
        super().__init__(batch_size=64)
        self.seen = 0

    def forward(self, images):
        self.seen += len(images)
        return super().forward(images)


@pytest.fixture
def images(digits):
    return digits.test.images[:150]


@pytest.fixture
def extractor(tmp_path):
    made = Counting()
    made.cache = tmp_path / "cache"
    return made


def test_the_second_run_extracts_nothing(extractor, images, tmp_path):
    first = extractor.extract(images)
    assert extractor.seen == 150
    again = Counting()
    again.cache = extractor.cache
    assert torch.equal(again.extract(images.clone()), first)
    assert again.seen == 0
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_other_images_another_order_and_another_name_are_extracted(extractor, images):
    extractor.extract(images)
    extractor.extract(images.flip(0))
    assert extractor.seen == 300
    changed = images.clone()
    changed[70, 0, 3, 3] += 1
    assert torch.equal(extractor.extract(changed), changed.flatten(1) / 255)
    assert extractor.seen == 450
    extractor.name = "pixels-other"
    extractor.extract(images)
    assert extractor.seen == 600
    assert len(list(extractor.cache.iterdir())) == 4


def test_one_shape_is_not_taken_for_another():
    images = torch.zeros(4, 1, 2, 8, dtype=torch.uint8)
    assert content_digest(images) != content_digest(images.view(4, 1, 4, 4))
    assert feature_key("a", images) != feature_key("b", images)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def turn_one_bit(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))


def replace_by_text(path):
    path.write_text("nothing")


@pytest.mark.parametrize("damage", [cut, turn_one_bit, replace_by_text])
def test_a_damaged_file_is_computed_again_and_mended(extractor, images, damage, caplog):
    first = extractor.extract(images)
    (path,) = extractor.cache.iterdir()
    damage(path)
    assert torch.equal(extractor.extract(images), first)
    assert extractor.seen == 300
    assert "damaged" in caplog.text
    assert torch.equal(extractor.extract(images), first)
    assert extractor.seen == 300


def test_a_failed_extraction_leaves_nothing(extractor, images, monkeypatch):
    def fail(self, images):
        raise RuntimeError("cut off")

    monkeypatch.setattr(Counting, "forward", fail)
    with pytest.raises(RuntimeError):
        extractor.extract(images)
    assert not extractor.cache.exists()


def test_a_file_in_the_place_of_the_folder_is_one_sentence(extractor, images):
    extractor.cache.write_text("")
    with pytest.raises(SynthgenError, match="is a file"):
        extractor.extract(images)
    assert extractor.seen == 0


def test_without_a_cache_nothing_is_written(images, tmp_path):
    ModuleExtractor(nn.Flatten()).extract(images)
    assert not list(tmp_path.iterdir())
