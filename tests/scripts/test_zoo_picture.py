"""The zoo's picture: every sheet's left half under its name, in the order of the rows."""

import importlib
import io

import pytest
from PIL import Image


@pytest.fixture
def picture():
    return importlib.import_module("zoo_picture")


def save_sheet(folder, name, colour, mode="RGB"):
    """A sheet of 4 x 4 samples of two classes; its right half is blue or black."""
    canvas = Image.new(mode, (40, 8), "blue" if mode == "RGB" else 0)
    canvas.paste(colour, (0, 0, 20, 8))
    canvas.save(folder / f"{name}.png")


def tile(picture, whole, number):
    """The colours in the place of the sheet with this number."""
    across, down = number % picture.ACROSS, number // picture.ACROSS
    left, top = across * (20 + picture.GAP), down * (8 + picture.CAPTION + picture.GAP)
    box = (left, top + picture.CAPTION, left + 20, top + picture.CAPTION + 8)
    return {colour for _, colour in whole.crop(box).getcolors()}


def test_each_left_half_is_in_its_place_in_the_order_of_the_rows(tmp_path, picture):
    colours = {f"row{n}": (20 * n, 255 - 20 * n, 7) for n in range(10)}
    for name in reversed(colours):
        save_sheet(tmp_path, name, colours[name])
    sheets = picture.sheets_of(tmp_path, list(colours))
    whole = Image.open(io.BytesIO(picture.overview(sheets))).convert("RGB")
    for number, colour in enumerate(colours.values()):
        assert tile(picture, whole, number) == {colour}


def test_above_each_tile_is_a_caption(tmp_path, picture):
    save_sheet(tmp_path, "one", "red")
    whole = Image.open(io.BytesIO(picture.overview(picture.sheets_of(tmp_path, ["one"]))))
    caption = whole.crop((0, 0, 20, picture.CAPTION)).convert("L")
    darkest, brightest = caption.getextrema()
    assert darkest < 100 < 200 < brightest


def test_grey_sheets_make_a_grey_picture_of_the_same_shades(tmp_path, picture):
    save_sheet(tmp_path, "dark", 50, "L")
    save_sheet(tmp_path, "light", 200, "L")
    found = picture.overview(picture.sheets_of(tmp_path, ["dark", "light"]))
    whole = Image.open(io.BytesIO(found)).convert("RGB")
    for number, shade in enumerate([50, 200]):
        (colour,) = tile(picture, whole, number)
        assert colour[0] == colour[1] == colour[2]
        assert abs(colour[0] - shade) < 16


def test_rows_without_a_sheet_are_left_out(tmp_path, picture):
    save_sheet(tmp_path, "one", "red")
    assert list(picture.sheets_of(tmp_path, ["none", "one"])) == ["one"]
