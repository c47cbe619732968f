"""Grids for eyes: each row and column has its name, however long, and what is shown is said."""

import numpy as np
import pytest
import torch

from synthgen.pictures import (
    LONGEST_NAME,
    TEXT,
    enlargement,
    named_grid,
    readable_font,
    short_names,
    wrapped,
)


def grey(rows, columns, side=28):
    return torch.full((rows, columns, 1, side, side), 200, dtype=torch.uint8)


def ink(picture, box):
    """How many dark pixels a part of a picture has."""
    return int((np.asarray(picture.convert("L").crop(box)) < 100).sum())


def test_every_column_has_its_name_above_it():
    picture = named_grid(grey(2, 3), columns=["cat", "", "dog"])
    top = picture.height - named_grid(grey(2, 3)).height
    width = picture.width // 3
    inks = [ink(picture, (n * width, 0, (n + 1) * width, top)) for n in range(3)]
    assert inks[0] > 20
    assert inks[1] == 0
    assert inks[2] > 20


def test_names_wider_than_their_column_stand_upright():
    names = ["basal cell carcinoma", "nevus"]
    picture = named_grid(grey(2, 2), columns=names)
    plain = named_grid(grey(2, 2))
    assert picture.width == plain.width
    top = picture.height - plain.height
    assert top >= readable_font().getlength(names[0])
    half = picture.width // 2
    assert ink(picture, (0, 0, half, top // 2)) > 50  # the long name reaches up
    assert ink(picture, (half, 0, picture.width, top // 2)) == 0  # the short one doesn't
    assert ink(picture, (half, top // 2, picture.width, top)) > 20


def test_rows_keep_their_place_beside_their_names():
    picture = named_grid(grey(3, 1), rows=["a", "", "mmmm"])
    left = picture.width - named_grid(grey(3, 1)).width
    third = picture.height // 3
    inks = [ink(picture, (0, n * third, left, (n + 1) * third)) for n in range(3)]
    assert inks[1] == 0 < inks[0] < inks[2]


def test_a_note_stands_below_and_is_never_cut():
    note = (
        "shown from 562 to 1,927 of 4,095; bands 3, 2, 1 of 7 (counted from 0) as red, green, blue"
    )
    plain, noted = named_grid(grey(1, 1)), named_grid(grey(1, 1), note=note)
    assert noted.height > plain.height + 2 * TEXT
    assert ink(noted, (0, plain.height, noted.width, noted.height)) > 200
    lines = wrapped(note, noted.width - 12, readable_font())
    assert " ".join(lines) == note
    assert all(readable_font().getlength(line) <= noted.width - 12 for line in lines)
    assert wrapped("", 100, readable_font()) == []


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["cat", "dog"], ["cat", "dog"]),
        (["a" * 30 + "b" * 30], ["a" * 12 + "…" + "b" * 11]),
        (
            [f"finding number {n} of the left arm (benign)" for n in (7, 8)],
            ["…7 of the left arm (ben…", "…8 of the left arm (ben…"],
        ),
        (
            [f"Plant_disease_leaf_spot_{n}_observed_in_the_field" for n in ("rust", "mildew")],
            ["…rust_observed_in_the_f…", "…mildew_observed_in_the…"],
        ),
    ],
)
def test_short_names_tell_classes_apart(names, short):
    assert short_names(names) == short
    assert all(len(name) <= LONGEST_NAME for name in short)


def test_small_images_are_enlarged_by_whole_factors():
    assert [enlargement(side, 1) for side in (8, 28, 56, 300)] == [7, 2, 1, 1]
