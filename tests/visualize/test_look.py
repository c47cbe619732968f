"""Every way of looking leaves pictures that open, of the right size, with the right things."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.errors import SynthgenError
from synthgen.images import encode_png
from synthgen.pictures import readable_font
from synthgen.samplers import Noise, save_sampler
from synthgen.seeds import row_seeds
from synthgen.serialization import from_spec
from synthgen.types import ImageSpec
from synthgen.visualize import ClassMorph, Interpolation, Sheet, Variations, Walk, look

QUICK = {
    "sheet": Sheet(per_class=4),
    "interpolation": Interpolation(steps=4),
    "class_morph": ClassMorph(steps=4),
}
FACTOR = 7  # 8 pixels become 56


def cell(path, row, column, *, left, top=0, size=8, factor=FACTOR):
    """One image of a picture, at its own size."""
    pixels = np.asarray(Image.open(path))
    y = top + 2 + row * (factor * size + 2)
    x = left + 2 + column * (factor * size + 2)
    shown = pixels[y : y + factor * size : factor, x : x + factor * size : factor]
    return torch.tensor(shown)


def margin(path, columns):
    return Image.open(path).width - (columns * (FACTOR * 8 + 2) + 2)


def test_the_sheet_shows_what_a_plan_would_draw(neural, tmp_path):
    (path,) = Sheet(per_class=4).write(neural, 5, tmp_path)
    drawn = neural.sample(torch.tensor([0, 1, 2]).repeat_interleave(4), row_seeds(5, 0, 12)).images
    left = margin(path, 4)
    assert left > 20  # room for "cat"
    for row in range(3):
        for column in range(4):
            shown = cell(path, row, column, left=left)
            assert torch.equal(shown, drawn[4 * row + column, 0])


@pytest.mark.parametrize("name", ["interpolation", "class_morph"])
def test_ways_begin_and_end_at_drawn_images(neural, tmp_path, name):
    (path,) = QUICK[name].write(neural, 0, tmp_path)
    left = margin(path, 4)
    if name == "interpolation":
        first = neural.sample(torch.arange(3), row_seeds(0, 0, 3)).images
        last = neural.sample(torch.arange(3), row_seeds(0, 3, 3)).images
    else:
        first = neural.sample(torch.arange(3), row_seeds(0, 0, 3)).images
        last = neural.sample(torch.tensor([1, 2, 0]), row_seeds(0, 0, 3)).images
    for row in range(3):
        cells = [cell(path, row, column, left=left).int() for column in range(4)]
        assert (cells[0] - first[row, 0].int()).abs().max() <= 1
        assert (cells[3] - last[row, 0].int()).abs().max() <= 1
        assert all(not torch.equal(a, b) for a, b in pairwise(cells))


def test_two_classes_make_one_way(neural, tmp_path):
    (path,) = ClassMorph(steps=3, classes=["emu", "cat"]).write(neural, 0, tmp_path)
    assert Image.open(path).height == FACTOR * 8 + 4


def test_the_walk_comes_back_to_where_it_began(neural, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    gif, film = Walk(stations=3, steps=4, columns=2).write(neural, 0, tmp_path)
    moving = Image.open(gif)
    assert moving.n_frames == 12
    assert moving.info["loop"] == 0
    frames = [np.asarray(moving.convert("L"), int) for _ in iter_frames(moving)]
    jumps = [np.abs(a - b).mean() for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert min(jumps) > 0
    assert jumps[-1] < 3 * np.median(jumps)
    assert film.suffix == ".mp4"
    assert b"ftyp" in film.read_bytes()[:16]


def iter_frames(moving):
    for number in range(moving.n_frames):
        moving.seek(number)
        yield moving


def test_without_the_film_package_there_is_a_gif_and_a_hint(neural, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)
    with caplog.at_level("INFO", logger="synthgen"):
        made = Walk(stations=2, steps=2).write(neural, 0, tmp_path)
    assert [path.name for path in made] == ["walk.gif"]
    assert "pip install imageio-ffmpeg" in caplog.text


def test_an_image_of_the_sampler_is_found_again(neural, tmp_path):
    """One that it can draw exactly: the likeness must come near, and variations move away."""
    drawn = neural.sample(torch.tensor([1]), torch.tensor([123456])).images[0]
    (tmp_path / "dog").mkdir()
    file = tmp_path / "dog" / "mine.png"
    Image.fromarray(drawn[0].numpy()).save(file)
    what = Variations(str(file), directions=2, search_steps=250, shares=(0.2, 1.0))
    (path,) = what.write(neural, 0, tmp_path)
    top = Image.open(path).height - (2 * (FACTOR * 8 + 2) + 2)
    shown = [cell(path, 0, column, left=0, top=top).float() for column in range(4)]
    assert torch.equal(shown[0], drawn[0].float())
    away = [float((one - shown[0]).square().mean().sqrt()) for one in shown]
    assert away[1] < 15  # two draws differ by about 60
    assert away[1] < away[2] < away[3]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "1"])
def test_files_of_any_mode_and_shape_are_looked_at(colourful, tmp_path, mode):
    file = tmp_path / "cat.png"
    Image.new(mode, (20, 30)).save(file)
    what = Variations(str(file), "cat", directions=1, search_steps=2, starts=2, shares=(0.5,))
    (path,) = what.write(colourful, 0, tmp_path)
    assert Image.open(path).mode == "RGB"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (Variations("there/is/none.png", "cat"), "does not exist"),
        (Variations("photos/1.png"), "'photos' is no class of the sampler"),
        (Variations("photos/1.png", "cow"), "no class 'cow'"),
        (Sheet(classes=["cow"]), "Its classes are cat, dog, emu"),
        (ClassMorph(classes=["cat"]), "at least two classes"),
    ],
)
def test_what_is_wrong_is_said(neural, tmp_path, monkeypatch, what, said):
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("photos/1.png").write_bytes(encode_png(torch.zeros(1, 8, 8, dtype=torch.uint8)))
    with pytest.raises(SynthgenError, match=said):
        what.write(neural, 0, tmp_path)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Sheet(per_class=0),
        lambda: Interpolation(steps=1),
        lambda: Walk(stations=1),
        lambda: Variations("x", shares=()),
        lambda: Variations("x", shares=(2.0,)),
    ],
)
def test_impossible_numbers_are_refused(build):
    with pytest.raises(SynthgenError, match="must be"):
        build()


def test_a_look_leaves_a_folder_that_says_how_it_was_made(saved, tmp_path):
    (path,) = look(saved.parent, QUICK["interpolation"], tmp_path / "out", seed=3)
    described = json.loads((tmp_path / "out" / "look.json").read_text())
    assert path.is_file()
    assert described["pictures"] == [path.name]
    again = look(saved, from_spec(described["what"]), tmp_path / "again", seed=described["seed"])
    assert again[0].read_bytes() == path.read_bytes()
    other = look(saved, QUICK["interpolation"], tmp_path / "other", seed=4)
    assert other[0].read_bytes() != path.read_bytes()


def test_a_sampler_that_can_not_leaves_nothing(tmp_path):
    sampler = save_sampler(Noise(ImageSpec(1, 8, 8, ("0", "1"))), tmp_path / "noise", {})
    with pytest.raises(SynthgenError, match="no latent space"):
        look(sampler, QUICK["class_morph"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert look(sampler, QUICK["sheet"], tmp_path / "out")


def test_names_beyond_ascii_are_written_out():
    """A font without a letter draws the same box for each."""
    font = readable_font()
    drawn = {bytes(font.getmask(letter)) for letter in "–éßñжλ"}
    assert len(drawn) == 6


def test_the_verb(synthgen, saved, tmp_path):
    done = synthgen("look", f"sampler={saved.parent}", "what=class_morph", "what.steps=3", "out=o")
    assert done.code == 0, done.err
    assert done.last_line == "o"
    assert (tmp_path / "o" / "class_morph.png").is_file()
    refused = synthgen("look", f"sampler={saved.parent}", "what=variations", "out=p")
    assert refused.code == 2
    assert "what.image must be given" in refused.err
