"""Rules on real images, and drawings that no real image was needed for."""

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.images import to_float
from synthgen.samplers import Bootstrap, Drawn, RuleAugmented, load_sampler, save_sampler
from synthgen.seeds import row_seeds
from synthgen.transforms import Darkness, Mixup
from synthgen.types import ImageSpec, LabelledImages


def fitted(real, rules):
    sampler = RuleAugmented(real.image, rules)
    sampler.fit(real)
    return sampler


def test_without_rules_it_is_the_bootstrap(digits):
    request = (torch.arange(100) % 10, row_seeds(0, 0, 100))
    bootstrap = Bootstrap(digits.image)
    bootstrap.fit(digits)
    expected = bootstrap.sample(*request).images
    assert torch.equal(fitted(digits, {}).sample(*request).images, expected)
    skipped = fitted(digits, {"dark": Darkness(0.0), "none": None})
    assert torch.equal(skipped.sample(*request).images, expected)


def test_rules_are_applied_in_their_order(digits):
    request = (torch.arange(100) % 10, row_seeds(0, 0, 100))
    plain = to_float(fitted(digits, {}).sample(*request).images)
    dark = to_float(fitted(digits, {"dark": Darkness(0.4)}).sample(*request).images)
    assert torch.allclose(dark + 1, (plain + 1) * 0.65, atol=0.01)


def test_partners_are_other_images_of_the_same_class(digits):
    levels = torch.arange(10, dtype=torch.uint8).repeat(40)  # class k is grey k, 10 k or 20 k
    factor = torch.tensor([1, 10, 20, 20], dtype=torch.uint8).repeat_interleave(100)
    images = (levels * factor)[:, None, None, None].expand(-1, 1, 4, 4).contiguous()
    real = LabelledImages(images, levels.long(), tuple("0123456789"))
    mixed = fitted(real, {"mixup": Mixup(1.0)}).sample(torch.full((200,), 9), row_seeds(0, 0, 200))
    found = set(mixed.images[:, 0, 0, 0].tolist())
    means = {(9 * a + 9 * b) / 2 for a in (1, 10, 20) for b in (1, 10, 20)}
    assert all(min(abs(level - mean) for mean in means) <= 0.5 for level in found)
    assert len(found) > 4


def test_rules_on_real_images_expose_them():
    assert RuleAugmented.exposes_real
    assert not Drawn.exposes_real


def test_drawn_digits_need_no_real_images(digits, from_yaml):
    first, second = (from_yaml("stroke_digits", digits.image) for _ in range(2))
    first.fit(digits)
    request = (torch.arange(50) % 10, row_seeds(0, 0, 50))
    assert not first.state_dict()
    assert torch.equal(first.sample(*request).images, second.sample(*request).images)


def test_drawn_digits_look_like_real_ones(digits, from_yaml):
    """Means of drawings alone tell half of the real digits apart, once these are enlarged."""
    sampler = from_yaml("stroke_digits", ImageSpec(1, 28, 28, digits.classes))
    labels = torch.arange(1000) % 10
    drawn = to_float(sampler.sample(labels, row_seeds(0, 0, 1000)).images).flatten(1)
    means = centred(torch.stack([drawn[labels == k].mean(0) for k in range(10)]))
    large = torch.nn.functional.interpolate(to_float(digits.images), (20, 20), mode="bilinear")
    real = centred(torch.nn.functional.pad(large, (4, 4, 4, 4), value=-1.0).flatten(1))
    assert ((real @ means.T).argmax(1) == digits.labels).double().mean() > 0.45


def centred(rows):
    rows = rows - rows.mean(1, keepdim=True)
    return rows / rows.norm(dim=1, keepdim=True)


def test_classes_that_nothing_draws_are_named(digits, from_yaml):
    real = LabelledImages(digits.images[:2], torch.tensor([0, 1]), ("0", "cat"))
    sampler = from_yaml("stroke_digits", real.image)
    with pytest.raises(SynthgenError, match="no scene for the class 'cat'"):
        sampler.fit(real)


def test_road_signs_are_the_same_in_every_batch_and_after_loading(signs, tmp_path):
    sampler = signs()
    labels, seeds = torch.arange(80) % 8, row_seeds(3, 0, 80)
    whole = sampler.sample(labels, seeds).images
    assert whole.shape == (80, 3, 32, 32)
    assert len({bytes(image.numpy()) for image in whole}) == 80
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))
    assert torch.equal(sampler.sample(labels[order], seeds[order]).images, whole[order])
    alone = torch.cat(
        [sampler.sample(labels[i : i + 1], seeds[i : i + 1]).images for i in range(16)]
    )
    assert torch.equal(alone, whole[:16])
    loaded = load_sampler(save_sampler(sampler, tmp_path / "signs", {}))
    assert torch.equal(loaded.sample(labels, seeds).images, whole)


def test_a_scenario_is_stated_and_drawn_on_demand(signs):
    labels, seeds = torch.arange(64) % 8, row_seeds(1, 0, 64)
    clear = {"weather": {"only": "clear"}, "light": {"only": "day"}}
    fog = {"weather": {"only": "fog", "strength": 1.0}, "light": {"only": "day"}}
    night = {"weather": {"only": "clear"}, "light": {"only": "night"}}
    images = [signs(attributes=a).sample(labels, seeds).images for a in (clear, fog, night)]
    contrast = [one.double().flatten(2).std(2).mean() for one in images]
    assert contrast[1] < 0.5 * contrast[0]
    assert images[2].double().mean() < 0.6 * images[0].double().mean()
    described_fog = signs(attributes=fog).attributes_of(seeds)
    assert described_fog == [{"weather": "fog", "light": "day"}] * 64


def test_what_an_image_shows_can_be_asked(signs):
    seeds = row_seeds(0, 0, 400)
    found = [one["weather"] for one in signs().attributes_of(seeds)]
    assert set(found) == {"clear", "fog", "rain", "snow"}
    assert found.count("clear") / 400 == pytest.approx(0.55, abs=0.08)


def test_grey_signs_and_other_sizes_are_drawn_too(signs):
    for shape in ((1, 24, 40), (3, 64, 64)):
        images = signs(*shape).sample(torch.arange(8), torch.arange(8)).images
        assert images.shape[1:] == shape
        assert (images.double().flatten(1).std(1) > 3).all()
