"""Figures of whole sets: they find planted faults, and write pictures that open."""

from __future__ import annotations

import re

import pytest
import torch
from PIL import Image

from synthgen.evaluation.figures import (
    copy_figure,
    embedding_map,
    principal,
    radial_power,
    realism,
    spectra,
    typical_grid,
)
from synthgen.evaluation.report.blocks import embed
from synthgen.evaluation.schema import CopiedPair, Figure
from synthgen.types import LabelledImages


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "figures").mkdir()
    return tmp_path


@pytest.fixture(scope="module")
def real(digits):
    return digits.test


@pytest.fixture(scope="module")
def held(digits):
    return digits.holdout


def pixels(images: LabelledImages) -> torch.Tensor:
    return images.images.flatten(1).float()


def test_realism_is_high_inside_and_low_far_away():
    real = torch.randn(300, 8, generator=torch.Generator().manual_seed(1))
    scores = realism(torch.stack([torch.zeros(8), torch.full((8,), 9.0)]), real)
    assert scores[0] > 1 > scores[1]


def test_realism_by_hand():
    line = torch.tensor([[0.0], [1.0], [2.0], [10.0]])  # radii for k = 1: 1, 1, 1, 8
    # The last ball is larger than the median and is left out; 12 is then 10 from the nearest.
    assert realism(torch.tensor([[2.5], [12.0]]), line, k=1).tolist() == [2.0, 0.1]


def test_wrong_labels_are_the_least_realistic(real, held, folder, monkeypatch):
    shown = {}
    monkeypatch.setattr(
        "synthgen.evaluation.figures.draw_rows",
        lambda rows, names, titles, widths, path: shown.update(zip(names, rows, strict=True)),
    )
    zeros, ones = held.of_class(0).subset(range(12)), held.of_class(1).subset(range(2))
    images = torch.cat([zeros.images, ones.images])
    planted = LabelledImages(images, torch.zeros(14, dtype=torch.int64), held.classes)
    figure = typical_grid(
        planted, pixels(planted), pixels(real), real.labels, folder, extractor="pixels"
    )
    best, typical, worst = shown["0"]
    for one in ones.images:
        assert any(torch.equal(one, image) for image in worst[:2])
        assert not any(torch.equal(one, image) for image in [*best, *typical])
    assert "Not shown: 1, 2, 3, 4, 5, 6, 7, 8 and 1 more (of each 5 synthetic" in figure.caption


def test_the_grid_of_typical_images_opens(real, held, folder):
    figure = typical_grid(held, pixels(held), pixels(real), real.labels, folder, extractor="pixels")
    with Image.open(folder / figure.file) as picture:
        assert min(picture.size) > 200
    assert "pixels" in figure.caption
    nothing = held.subset([])
    assert typical_grid(nothing, pixels(nothing), pixels(real), real.labels, folder,
                        extractor="pixels") is None  # fmt: skip


def test_principal_components_are_those_of_numpy_and_keep_their_sign():
    points = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)).double()
    points *= torch.tensor([5.0, 3.0, 1.0, 0.1])
    ours = principal(points)
    _, values, _ = torch.linalg.svd(points - points.mean(0), full_matrices=False)
    assert ours.norm(dim=0).tolist() == pytest.approx(values[:2].tolist())
    assert torch.equal(ours, principal(points.clone()))
    assert principal(points[:, :1]).shape == (50, 2)


def test_the_map_shows_both_sets_and_the_missing_class(real, held, folder):
    fake = held.subset(held.labels != 7)
    figure = embedding_map(
        pixels(real), real.labels, pixels(fake), fake.labels, held.classes, folder,
        extractor="pixels",
    )  # fmt: skip
    text = (folder / figure.file).read_text()
    assert text.count('class="halo"') == 10 + 9
    shown = embed(figure, folder)
    assert shown.uri.startswith("data:image/svg+xml;base64,")
    assert not re.search(r"<script|href=|url\(", text)
    assert (folder / "charts/embedding_map.pdf").read_bytes().startswith(b"%PDF")
    assert shown.file == f"{figure.file} · charts/embedding_map.pdf"
    again = (folder / figure.file).read_bytes()
    embedding_map(
        pixels(real), real.labels, pixels(fake), fake.labels, held.classes, folder,
        extractor="pixels",
    )  # fmt: skip
    assert (folder / figure.file).read_bytes() == again


def test_the_power_of_a_wave_lies_at_its_frequency():
    x = torch.arange(32)
    wave = (127.5 * (1 + torch.cos(2 * torch.pi * x * 8 / 32))).to(torch.uint8)
    frequencies, power = radial_power(wave.expand(2, 3, 32, 32))
    assert frequencies[power[0].argmax()] == 0.25
    assert frequencies[-1] == 0.5
    assert power.shape == (2, 16)


def test_blur_and_noise_are_told_apart(real, folder):
    images = real.images
    blurred = torch.nn.functional.avg_pool2d(images.float(), 3, 1, 1).to(torch.uint8)
    assert "weaker: blur" in spectra(images, blurred, folder).caption
    assert "stronger: noise" in spectra(blurred, images, folder).caption
    assert "about as strong" in spectra(images, images, folder).caption
    assert spectra(images[..., :4, :4], images[..., :4, :4], folder) is None


def test_pairs_are_drawn_with_their_difference(real, held, folder):
    pairs = [CopiedPair(synthetic=i, train=i, distance=0.0, ratio=0.0) for i in range(5)]
    figure = copy_figure(
        pairs, held.images, held.images, folder, extractor="pixels", file="figures/copies.png"
    )
    assert figure.kind == "copies"
    assert figure.extractor == "pixels"
    with Image.open(folder / figure.file) as picture:
        assert picture.size[0] > 4 * 3 * 48
    assert copy_figure([], held.images, held.images, folder, extractor="p", file="x.png") is None


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ('<svg xmlns="http://www.w3.org/2000/svg" width="10" height="20"></svg>', True),
        ('<svg width="100%" height="20"></svg>', False),
        ('<!DOCTYPE svg [<!ENTITY a "b">]><svg width="10" height="20"></svg>', False),
        ("<html><script>1</script></html>", False),
    ],
)
def test_only_plain_drawings_are_embedded(tmp_path, content, read):
    (tmp_path / "a.svg").write_text(content)
    figure = embed(Figure(file="a.svg", kind="spectra", caption=""), tmp_path)
    assert (figure.uri is not None) == read
    assert (figure.width, figure.height) == ((10, 20) if read else (0, 0))
