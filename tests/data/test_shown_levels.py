"""What pictures for people show of deep images, and how much a range or a window clips: said, and
the same from the check to the report. Files and what is learned stay as they are."""

import logging
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from dicom_files import write_dicom
from sklearn.datasets import load_digits

from synthgen.cli.jobs.train import tell_clipping
from synthgen.data import Arrays, ArraySource, DICOMFolder, Digits, check, prepare
from synthgen.data.checks.check import MOST_FINDINGS, Finding, tables
from synthgen.data.checks.page import page, record
from synthgen.data.levels import levels_shown
from synthgen.errors import SynthgenError
from synthgen.images import between
from synthgen.types import ImageSpec, LabelledImages, Levels


@dataclass(frozen=True, kw_only=True)
class Scanner(ArraySource):
    """Digits of 12 bits that use the levels from 400 to 2,000; the test images are brighter."""

    kind: ClassVar[str] = "scanner"

    def arrays(self) -> Arrays:
        bunch = load_digits()
        test = np.arange(len(bunch.images)) % 5 == 0
        pixels = (400 + 100 * bunch.images * (1 + test)[:, None, None]).astype(np.uint16)
        split = tuple("test" if one else "train" for one in test)
        classes = tuple(map(str, bunch.target_names))
        return Arrays(pixels[..., None], bunch.target, classes, split)


def in_levels(shown, image):
    low, high = image.levels.low, image.levels.high
    return [low + one * (high - low) / (2**image.bits - 1) for one in shown]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("wanted", [None, [0, 65535]])
def test_pictures_show_the_levels_that_the_training_images_use(bits, wanted):
    splits = prepare(Scanner(bits=bits, range=wanted))
    image = splits.train.image
    step = (image.levels.high - image.levels.low) / (2**bits - 1)
    assert in_levels(image.shown, image) == pytest.approx([400, 2000], abs=step)
    pictures = splits.train.pictures
    assert (pictures.min(), pictures.max()) == (0, 255)
    assert splits.test.image.shown == splits.holdout.image.shown == image.shown
    low, high = (f"{one:,.0f}" for one in image.levels_shown)
    assert image.picture_note() == f"shown from {low} to {high} of {image.levels.high:,.0f}"


@pytest.mark.parametrize("options", [{}, {"bits": 16}])
def test_what_files_of_8_bits_show_stays_as_it_is(options):
    train = prepare(Digits(**options)).train
    assert train.image.shown is None
    assert "shown" not in train.image.to_json()
    assert train.image.picture_note() == ""
    known = prepare(Digits()).train
    assert known.pictures is known.images
    assert torch.equal(train.pictures, known.images)


def test_the_check_shows_what_training_shows():
    source = Scanner(range=[0, 65535])
    result = check(source)
    splits = prepare(source)
    assert result.looks.image == splits.train.image
    assert result.looks.image.shown == splits.train.image.shown
    ours = {bytes(one.numpy()) for one in result.looks.pictures}
    assert {bytes(one.numpy()) for one in splits.train.pictures} <= ours
    note = splits.train.image.picture_note()
    assert f"Pictures: {note}." in page(result)
    assert record(result).shown == splits.train.image.levels_shown


def test_a_refused_deep_set_can_be_seen_too():
    result = check(Scanner(at_most=1, range=[60_000, 65_535]))
    assert result.refusal is not None
    assert int(result.looks.pictures.max()) == 255
    assert result.looks.image.shown is not None


def test_percentiles_are_of_the_bands_that_are_shown():
    levels = torch.zeros(4, 3, 10, 10, dtype=torch.int32)
    levels[:, 0] = 60_000
    levels[:, 1] = torch.arange(100).view(10, 10) + 1000
    images = LabelledImages(
        levels.to(torch.uint16), torch.zeros(4, dtype=torch.int64), ("a",), view=(1,)
    )
    assert levels_shown(images, [0, 1]) == (1000, 1099)
    assert levels_shown(replace(images, view=(0,)), [0, 1]) is None  # one level
    mostly_black = torch.zeros(1, 1, 20, 20, dtype=torch.int32)
    mostly_black[..., 0, 0] = 500
    rare = LabelledImages(mostly_black.to(torch.uint16), torch.zeros(1, dtype=torch.int64), ("a",))
    assert levels_shown(rare, [0]) == (0, 500)


def test_black_white_and_beyond():
    levels = torch.tensor([[[[99, 100, 150, 200, 201]]]], dtype=torch.int32).to(torch.uint16)
    assert between(levels, (100, 200)).flatten().tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize(
    ("channels", "view", "note"),
    [
        (1, None, ""),
        (3, None, ""),
        (3, (0, 1, 2), ""),
        (7, (3, 2, 1), "bands 3, 2, 1 of 7 (counted from 0) as red, green, blue"),
        (7, None, "bands 0, 1, 2 of 7 (counted from 0) as red, green, blue"),
        (2, None, "band 0 of 2 (counted from 0) as grey"),
        (4, (3,), "band 3 of 4 (counted from 0) as grey"),
    ],
)
def test_bands_are_named(channels, view, note):
    assert ImageSpec(channels, 8, 8, ("a", "b"), view=view).picture_note() == note


def test_what_is_shown_travels_and_makes_no_other_kind_of_image():
    image = ImageSpec(1, 8, 8, ("a", "b"), 16, Levels(-1000, 3000), None, (1000, 30_000))
    assert ImageSpec.from_json(image.to_json()).shown == (1000, 30_000)
    assert image == replace(image, shown=None)
    assert image.picture_note() == "shown from -939 to 831 of 3,000"
    fine = replace(image, levels=Levels(0, 1), shown=(0, 32_768))
    assert fine.picture_note() == "shown from 0 to 0.5 of 1"
    assert replace(image, shown=(0, 65_535)).picture_note() == ""
    for wrong in ([5, 5], [9, 2], [0, 256]):
        with pytest.raises(SynthgenError, match="shows levels"):
            ImageSpec.from_json(image.to_json() | {"bits": 8, "shown": wrong})


# How much is clipped.


def test_what_a_range_clips_is_said_and_kept(caplog):
    source = Scanner(range=[500, 1900])
    splits = prepare(source)
    known = load_digits().images[np.arange(1797) % 5 != 0]
    black, white = splits.recipe.clipped
    assert black == pytest.approx((known == 0).mean(), abs=0.01)  # of the holdout too
    assert white == pytest.approx((known == 16).mean(), abs=0.01)
    assert splits.clips_much
    with caplog.at_level(logging.INFO):
        tell_clipping(splits)
    (told,) = caplog.records
    assert told.levelno == logging.WARNING
    assert told.message == splits.clipping
    assert f"{black:.1%} to black, {white:.1%} to white" in told.message
    result = check(source)
    assert "Are levels lost?" in page(result)
    assert record(result).clipped == splits.recipe.clipped


def test_little_is_no_warning_and_no_range_says_nothing(caplog):
    wide = prepare(Scanner(range=[0, 4095]))
    assert wide.recipe.clipped == (0, 0)
    with caplog.at_level(logging.INFO):
        tell_clipping(wide)
        tell_clipping(prepare(Scanner()))
    (told,) = caplog.records
    assert (told.levelno, told.message) == (logging.INFO, "data.range clips no training level.")
    assert "Are levels lost?" not in page(check(Scanner(range=[0, 4095])))
    assert "clipped" not in prepare(Scanner()).recipe.to_json()


def test_a_range_far_too_wide_is_told_a_better_one():
    (note,) = [one for one in prepare(Scanner(range=[0, 65535])).notes if "data.range" in one]
    assert "They use 400 to 2000 only: data.range=[400,2000] keeps more." in note
    assert not any("only" in note for note in prepare(Scanner(range=[300, 2100])).notes)


# What a check of many files and classes says.


def test_check_json_holds_a_thousand_findings_of_each_kind():
    result = check(Digits())
    many = [Finding("odd_size", f"{n}.png", "8 × 8; the commonest is 9 × 9") for n in range(2500)]
    one = Finding("corrupt", "x.png", "is cut short")
    written = record(replace(result, findings=(*many, one)))
    assert [item.file for item in written.findings] == [
        *(f"{n}.png" for n in range(MOST_FINDINGS)),
        "x.png",
    ]
    assert written.findings_in_all == {"odd_size": 2500, "corrupt": 1}


def test_the_terminal_stops_at_twenty_classes():
    images = torch.zeros(90, 1, 8, 8, dtype=torch.uint8)
    classes = tuple(f"class {n:02d}" for n in range(30))
    many = LabelledImages(images, torch.arange(90) % 30, classes)
    (table,) = tables(replace(check(Digits()), images=many, findings=()))
    assert table.row_count == 20
    assert list(table.columns[0].cells)[-1] == "… and 11 more, see check.html"
    assert list(table.columns[1].cells)[-1] == "3 each"


def test_whose_labels_were_not_judged_is_said():
    review = check(Digits(), 500).labels
    assert review.left_out_sentence(1797) == ""
    few = replace(review, judged=168, left_out=tuple(f"rare {n}" for n in range(12)))
    said = few.left_out_sentence(200)
    assert said.startswith("The labels of 32 images were not judged: their classes have fewer than")
    assert said.endswith("rare 8, rare 9 and 2 more).")


def test_what_a_given_window_clips_is_said(tmp_path):
    random = np.random.default_rng(0)
    for name, level in (("a", 0), ("b", 40)):
        (tmp_path / name).mkdir()
        for number in range(8):
            values = random.integers(0, 100, (16, 16), np.uint16) + level
            values[:4] = 1000 + level  # a quarter is above any of them
            write_dicom(tmp_path / name / f"{number}.dcm", values, PatientID=f"{name}{number}")
    splits = prepare(DICOMFolder(root=str(tmp_path), window=[100, 200]))
    assert splits.recipe.clipped[1] == pytest.approx(0.25, abs=0.01)
    assert splits.recipe.clipped[0] < 0.01
    assert splits.clipping.startswith("data.window clips 2")
    assert splits.clips_much
    assert prepare(DICOMFolder(root=str(tmp_path))).recipe.clipped is None
    both = prepare(DICOMFolder(root=str(tmp_path), window="full", range=[0, 500]))
    assert both.clipping.startswith("data.range clips 25.0%")
