"""``check.html``: the answer first, all escaped, nothing fetched; ``check.json`` beside it."""

import json
import re
import shutil
from dataclasses import dataclass, replace
from html import unescape
from typing import ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.data import CSV, NPZ, Digits, ImageFolder, check, write_check
from synthgen.data.checks.file import CheckFile
from synthgen.data.checks.histogram import Histogram
from synthgen.data.checks.page import page
from synthgen.data.source import Source
from synthgen.types import LabelledImages


def text_of(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html.split("</style>")[1]))


@pytest.fixture
def shapes(tmp_path, digits):
    """Digits of many shapes, one saved again and one under a wrong class."""
    pixels, labels = digits
    root = tmp_path / "shapes"
    for label in range(2):
        (root / str(label)).mkdir(parents=True)
        for number, image in enumerate(pixels[labels == label][:30]):
            size = (40 + 4 * (number % 7), 40)
            Image.fromarray(image).resize(size).save(root / str(label) / f"{number:02d}.png")
    Image.open(root / "0" / "00.png").save(root / "0" / "again.jpg", quality=95)
    shutil.copy(root / "0" / "01.png", root / "1" / "copy.png")
    return root


def test_the_answer_comes_first(shapes):
    said = text_of(page(check(ImageFolder(root=str(shapes)))))
    assert "Training accepts this." in said
    assert said.index("Training accepts this.") < 300
    assert "same picture, saved again: 1" in said[:600]
    whole = (shapes / "0" / "00.png").read_bytes()
    (shapes / "0" / "cut.png").write_bytes(whole[:-30])
    said = text_of(page(check(ImageFolder(root=str(shapes)))))
    assert "Training would refuse this:" in said[:300]
    assert "Repair or remove it" in said[:600]


def test_counts_by_class_and_split_are_those_of_training(shapes):
    result = check(ImageFolder(root=str(shapes)))
    rows = re.findall(r'<tr><th scope="row">([01])</th>((?:<td>\d+</td>)+)', page(result))
    counts = {name: [int(n) for n in re.findall(r"\d+", cells)] for name, cells in rows}
    splits = result.splits
    for label in (0, 1):
        parts = [getattr(splits, part).counts[label] for part in ("train", "holdout", "test")]
        assert counts[str(label)] == [*parts, 31]


def test_official_splits_are_counted_though_training_refuses(tmp_path, write_classes):
    write_classes(tmp_path / "d" / "train", {"0": 20, "1": 3})
    write_classes(tmp_path / "d" / "test", {"0": 10, "1": 1}, first=20)
    result = check(ImageFolder(root=str(tmp_path / "d")))
    assert result.refusal is not None
    assert result.parts == (("train", (20, 3)), ("test", (10, 1)))


def test_folders_are_shown_as_they_were_read(tmp_path, write_classes):
    write_classes(tmp_path / "d" / "training_set", {"0": 20, "1": 30})
    write_classes(tmp_path / "d" / "test_set", {"0": 10, "1": 12}, first=40)
    result = check(ImageFolder(root=str(tmp_path / "d")))
    (tree,) = re.findall(r'<pre class="tree">(.*?)</pre>', page(result), re.DOTALL)
    assert unescape(tree) == str(result.tree)
    assert "training_set/" in tree
    assert "<pre" not in page(check(Digits()))


def test_pictures_that_come_twice_stand_side_by_side(shapes):
    html = page(check(ImageFolder(root=str(shapes))))
    section = html[html.index('id="pairs"') :]
    figures = re.findall(r"<figure>(.*?)</figure>", section, re.DOTALL)
    assert len(figures) == 2
    assert all(figure.count("<img ") == 2 for figure in figures)
    assert "1/copy.png (1)" in figures[0]  # two classes first
    assert "0/again.jpg (0)" in figures[1]


def test_odd_shapes_are_shown_in_the_three_fits(shapes):
    result = check(ImageFolder(root=str(shapes)))
    assert 0 < len(result.examples) <= 6
    for example in result.examples:
        fits = dict(example.pictures)
        assert set(fits) == {"pad", "stretch", "crop"}
        assert len({picture.shape for picture in fits.values()}) == 1
        assert not torch.equal(fits["pad"], fits["crop"])
    same = check(Digits())
    assert same.examples == ()
    assert 'id="fit"' not in page(same)


def test_padding_is_stated_and_measured(shapes):
    result = check(ImageFolder(root=str(shapes), size=[40, 64]))
    sizes = [Image.open(shapes / name).size for name in result.files]
    drawn = np.mean([min(64, w) * min(40, h * 64 // max(w, 64)) / (40 * 64) for w, h in sizes])
    assert result.padding == pytest.approx(1 - drawn, abs=0.002)
    assert any(f"Padding fills {result.padding:.1%}" in note for note in result.notes)
    assert check(ImageFolder(root=str(shapes), size=[40, 64], fit="crop")).padding == 0


def test_names_are_escaped(shapes):
    (shapes / "0" / "00.png").rename(shapes / "0" / "<b>&.png")
    root = shapes.rename(shapes.parent / "<i>shapes")
    html = page(check(ImageFolder(root=str(root)), 1000))
    assert "<b>" not in html
    assert "<i>" not in html
    assert "&lt;b&gt;&amp;.png" in html


def test_the_page_fetches_and_runs_nothing(shapes):
    html = page(check(ImageFolder(root=str(shapes))))
    assert "default-src 'none'" in html
    assert "<script" not in html
    assert not re.findall(r'(?:src|href)="(?!data:|#)', html)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1300])
def test_the_page_is_whole_in_a_browser(shapes, tmp_path, scheme, width):
    from playwright.sync_api import sync_playwright

    executable = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    assert executable, "no Chromium on the PATH. Install one: apt-get install chromium"
    out = write_check(check(ImageFolder(root=str(shapes)), 1000), tmp_path / "out")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})
        complaints = []
        page.on("console", lambda message: complaints.append(message.text))
        page.goto((out / "check.html").as_uri())
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        loaded = "[...document.images].every(one => one.naturalWidth > 0)"
        assert (complaints, wide, page.evaluate(loaded)) == ([], 0, True)
        answer = page.locator("dl.answers div").first
        assert answer.bounding_box()["y"] < 400
        browser.close()


def test_check_json_has_what_the_page_shows(shapes, tmp_path):
    out = write_check(check(ImageFolder(root=str(shapes)), 1000), tmp_path / "out")
    written = CheckFile.read(out / "check.json")
    assert written.usable
    assert set(written.splits) == {"train", "holdout", "test"}
    assert sum(sum(part.values()) for part in written.splits.values()) == 62
    assert written.labels.judged == 62
    assert sum(written.levels.counts) == 62 * written.size[0] * written.size[1]
    (near,) = [one for one in written.findings if one.kind == "near_duplicate"]
    assert (near.file, near.other) == ("0/again.jpg", "0/00.png")
    older = json.loads((out / "check.json").read_text())
    for key in ("splits", "padding", "levels", "labels"):
        del older[key]
    assert CheckFile.from_json(older).splits is None


def test_suspicious_labels_are_shown_with_their_pictures(tmp_path, digits):
    pixels, labels = digits
    given = labels.copy()
    given[:40] = (labels[:40] + 1) % 10
    np.savez(tmp_path / "a.npz", images=pixels, labels=given)
    result = check(NPZ(path=str(tmp_path / "a.npz")), 10_000)
    found = result.of_kind("suspicious_label")
    assert 25 <= len(found) <= 60
    assert result.usable  # never a reason to refuse
    html = page(result)
    assert html.count("looks like <strong>") == min(48, len(found))
    assert check(NPZ(path=str(tmp_path / "a.npz"))).of_kind("suspicious_label") == []


@dataclass(frozen=True, kw_only=True)
class FiveBands(Source):
    """Digits in 16 bits and five bands, of which the last is the brightest."""

    kind: ClassVar[str] = "five_bands"

    def read(self):
        known = Digits().read()
        deep = (
            known.images.images.to(torch.int32) * torch.tensor([20, 40, 60, 80, 256])[:, None, None]
        )
        images = LabelledImages(deep.to(torch.uint16), known.images.labels, known.images.classes)
        return replace(known, images=images)


def test_deep_images_of_five_bands_are_shown_as_asked():
    result = check(FiveBands(view=[4]))
    assert result.usable
    assert (result.levels.low, result.levels.high) == (0, 65280)
    shown = result.looks.pictures
    assert shown.shape[1] == 1
    raised = (Digits().read().images.images.to(torch.int32) * 256)[:, :1].float()
    white = result.splits.train.shown[1]
    assert 0 < white <= 65280
    assert (shown - (raised * 255 / white).clamp(0, 255)).abs().max() <= 0.51
    assert check(FiveBands()).looks.pictures.shape[1] == 3
    assert "5" in text_of(page(result))
    refused = check(FiveBands(view=[7]))
    assert refused.looks.pictures.shape[1] == 3  # and shown all the same


@pytest.mark.parametrize(
    ("levels", "low", "high", "distinct"),
    [
        (np.array([0, 0, 255, 7], np.uint8), 0, 255, 3),
        (np.array([5, 5, 5, 5], np.uint8), 5, 5, 1),
        (np.array([0, 4095, 17, 17], np.uint16), 0, 4095, 3),
        (np.array([-1024, 3000, 0, 0], np.int16), -1024, 3000, 3),
        (np.array([0.25, -1.5, 0.25, 2.0], np.float32), -1.5, 2.0, 3),
    ],
)
def test_levels_of_any_type_are_counted(levels, low, high, distinct):
    found = Histogram.of(torch.from_numpy(levels).view(1, 1, 2, 2))
    assert (found.low, found.high, found.distinct) == (low, high, distinct)
    assert sum(found.counts) == 4
    assert len(found.counts) <= 64
    assert found.lowest == np.mean(levels == low)


def test_a_table_of_one_image_has_a_page(tmp_path, digits):
    Image.fromarray(digits[0][0]).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("path,label\na.png,x\n")
    assert "Training would refuse this" in page(check(CSV(path=str(tmp_path / "a.csv")), 100))
