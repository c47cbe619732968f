"""Image files of every kind: modes, formats, orientation, sizes."""

from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from synthgen.data import ImageFolder, files
from synthgen.data.images import choose_size, fit_image, fit_levels, for_each, padding_share
from synthgen.data.levels import scaled
from synthgen.data.readers import read_header, read_levels
from synthgen.data.readers.pillow import levels_of
from synthgen.errors import SynthgenError


def decode(path, size, fit):
    return fit_levels(read_levels(path, size).levels, size, fit)


def gradient(height=6, width=10):
    return np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)


def save(array_or_image, path, **options):
    image = array_or_image
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "webp"])
def test_lossless_formats_keep_every_grey_level(tmp_path, suffix):
    options = {"lossless": True} if suffix == "webp" else {}
    path = save(gradient(), tmp_path / f"a.{suffix}", **options)
    pixels = decode(path, (6, 10), "pad")
    grey = pixels if pixels.ndim == 2 else pixels[..., 0]
    assert np.array_equal(grey, gradient())


def test_jpeg_is_close(tmp_path):
    path = save(gradient(32, 32), tmp_path / "a.jpg", quality=95)
    assert np.abs(decode(path, (32, 32), "pad").astype(int) - gradient(32, 32)).max() < 12


def test_sixteen_bits_are_kept(tmp_path):
    levels = np.array([[0, 254, 257, 32896, 65535]], dtype=np.uint16)
    for name in ("a.png", "a.tif"):
        path = save(levels, tmp_path / name)
        assert decode(path, (1, 5), "pad").tolist() == levels.tolist()
        assert read_header(path).kind == "grey, 16 bits"


def test_transparent_pixels_are_laid_on_white():
    for mode, colour in (("RGBA", (10, 20, 30, 0)), ("LA", (10, 0))):
        assert levels_of(Image.new(mode, (2, 2), colour)).min() == 255
    opaque = Image.new("RGBA", (1, 1), (10, 20, 30, 255))
    assert levels_of(opaque)[0, 0].tolist() == [10, 20, 30]


def test_palette_and_cmyk_become_rgb(colour_noise):
    rgb = Image.fromarray(colour_noise(4, 4, 0)).quantize(4)
    assert np.array_equal(levels_of(rgb), np.asarray(rgb.convert("RGB")))
    cmyk = Image.new("CMYK", (1, 1), (0, 255, 255, 0))
    assert levels_of(cmyk)[0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("suffix", ["jpg", "png"])
def test_exif_orientation_turns_pixels_and_size(tmp_path, suffix):
    upright = np.zeros((8, 16), dtype=np.uint8)
    upright[:, 8:] = 255
    stored = np.rot90(upright)  # 16 × 8; orientation 6: turn clockwise to view
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(np.ascontiguousarray(stored), tmp_path / f"a.{suffix}", exif=exif)
    header = read_header(path)
    assert (header.height, header.width, header.turned) == (8, 16, True)
    seen = decode(path, (8, 16), "pad")
    assert seen[:, :6].max() < 60
    assert seen[:, 10:].min() > 200


def test_first_frame_of_several(tmp_path):
    frames = [Image.new("L", (4, 4), level) for level in (10, 200)]
    frames[0].save(tmp_path / "a.tif", save_all=True, append_images=frames[1:])
    assert read_header(tmp_path / "a.tif").frames == 2
    assert decode(tmp_path / "a.tif", (4, 4), "pad").max() == 10


def test_pad_keeps_the_aspect_and_takes_the_border_colour():
    image = np.full((10, 40), 200, dtype=np.uint8)
    image[4:6, 10:30] = 0
    fitted = np.asarray(fit_image(Image.fromarray(image), (20, 20), "pad"))
    assert fitted.shape == (20, 20)
    assert (fitted[:6] == 200).all()
    assert (fitted[-6:] == 200).all()
    dark = np.argwhere(fitted < 100)
    height, width = dark.max(axis=0) - dark.min(axis=0) + 1
    assert width > 6 * height  # the bar was 10 times as wide as high; stretched it would be 2.5


def test_pad_keeps_every_border_colour_channel():
    image = Image.new("RGB", (8, 4), (10, 100, 240))
    assert (
        np.asarray(fit_image(image, (8, 8), "pad")).reshape(-1, 3).tolist() == [[10, 100, 240]] * 64
    )


def test_a_speck_on_the_border_does_not_colour_the_padding():
    image = np.full((10, 20), 90, dtype=np.uint8)
    image[0, :3], image[9, :3] = 0, 255
    fitted = np.asarray(fit_image(Image.fromarray(image), (20, 20), "pad"))
    assert (fitted[:4] == 90).all()


def test_stretch_fills_and_crop_cuts_the_sides():
    image = np.zeros((10, 30), dtype=np.uint8)
    image[:, :5] = 255  # white on the far left only
    stretched = np.asarray(fit_image(Image.fromarray(image), (10, 10), "stretch"))
    assert stretched[:, 0].min() > 200
    cropped = np.asarray(fit_image(Image.fromarray(image), (10, 10), "crop"))
    assert cropped.max() == 0


@pytest.mark.parametrize("fit", ["pad", "stretch", "crop"])
@pytest.mark.parametrize("shape", [(1, 50), (50, 1), (3, 7), (64, 64), (7, 5)])
def test_every_shape_reaches_every_size(fit, shape):
    image = Image.fromarray(np.full(shape, 77, dtype=np.uint8))
    for size in ((7, 5), (1, 1), (20, 33)):
        fitted = np.asarray(fit_image(image, size, fit))
        assert fitted.shape == size
        assert (fitted == 77).all()


def test_commonest_size_is_chosen_and_bounded():
    size, note = choose_size(Counter({(30, 40): 5, (100, 100): 4}))
    assert size == (30, 40)
    assert "5 of 9" in note
    size, note = choose_size(Counter({(375, 500): 3}))
    assert size == (48, 64)
    assert "longer side of 64" in note
    assert choose_size(Counter({(375, 500): 3}), None)[0] == (375, 500)


def test_without_a_majority_the_median_shape_is_chosen():
    photos = Counter({(300, 400): 40, (240, 320): 35, (400, 300): 20, (100, 900): 5})
    size, note = choose_size(photos)
    assert size == (48, 64)  # 4:3, as most have
    assert "none of 4 sizes is that of most" in note
    assert "1.33 times as wide as high" in note
    assert "scaled to a longer side of 64" in note
    assert choose_size(Counter({(20, 30): 1, (30, 20): 1}))[0] == (30, 30)
    assert choose_size(Counter({(20, 30): 3, (30, 20): 1, (9, 9): 2}))[0] == (24, 30)  # half
    assert choose_size(Counter({(20, 30): 4, (30, 20): 1, (9, 9): 2}))[0] == (20, 30)  # more
    assert choose_size(Counter({(1, 900): 1, (1, 800): 1}))[0] == (1, 64)


def test_the_median_shape_pads_about_least():
    random = np.random.default_rng(0)
    shapes = [(120, round(120 * aspect)) for aspect in np.exp(random.normal(0.2, 0.4, 200))]
    sizes = Counter(shapes)
    chosen = choose_size(sizes)[0]
    others = [(64, side) for side in range(24, 65, 4)] + [(side, 64) for side in range(24, 65, 4)]
    least = min(padding_share(sizes, other) for other in others)
    assert padding_share(sizes, chosen) <= least + 0.02
    assert padding_share(sizes, sizes.most_common(1)[0][0]) > padding_share(sizes, chosen)


def test_share_of_padding():
    assert padding_share(Counter({(10, 20): 1, (20, 20): 1}), (20, 20)) == 0.25
    assert padding_share(Counter({(10, 20): 3}), (5, 10)) == 0
    assert padding_share(Counter(), (5, 10)) == 0


@pytest.mark.parametrize("side", [128, 512])
def test_large_jpeg_is_reduced_like_any_other(tmp_path, side):
    rows, columns = np.mgrid[0:side, 0:side] * (64 / side)
    smooth = (127 + 100 * np.sin(rows / 3) * np.cos(columns / 4)).astype(np.uint8)
    small = decode(save(smooth, tmp_path / "a.jpg", quality=95), (32, 32), "pad").astype(int)
    exact = np.asarray(Image.fromarray(smooth).resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(small - exact).max() <= 4


def test_mixed_folder_is_converted_and_says_so(tmp_path, colour_noise):
    for name, seed in (("cat", 0), ("dog", 10)):
        folder = tmp_path / name
        folder.mkdir()
        for i in range(3):
            save(colour_noise(12, 16, seed + i), folder / f"{i}.png")
        save(colour_noise(20, 20, seed + 3), folder / "3.bmp")
        save(gradient(), folder / "4.tif")
        save(Image.fromarray(colour_noise(9, 9, seed + 5)).convert("CMYK"), folder / "5.jpg")
    records = ImageFolder(root=str(tmp_path)).read()
    assert records.images.images.shape == (12, 3, 12, 16)
    notes = " ".join(records.notes)
    assert "12 × 16" in notes
    assert "6 of 12 were brought to" in notes
    assert "2 of 12 are in CMYK and were converted to RGB." in notes
    grey = records.images.images[records.files.index("cat/4.tif")]
    assert torch.equal(grey[0], grey[1])
    first = records.images.images[records.files.index("cat/0.png")]
    assert np.array_equal(first.permute(1, 2, 0).numpy(), colour_noise(12, 16, 0))


def test_all_grey_becomes_one_channel_even_if_stored_in_colour(tmp_path, digits):
    pixels, labels = digits
    for label in (0, 1):
        folder = tmp_path / str(label)
        folder.mkdir()
        for i, image in enumerate(pixels[labels == label][:5]):
            save(Image.fromarray(image).convert("RGB"), folder / f"{i}.png")
    records = ImageFolder(root=str(tmp_path)).read()
    assert records.images.images.shape == (10, 1, 8, 8)
    assert np.array_equal(records.images.images[0, 0].numpy(), pixels[labels == 0][0])
    assert any("Every image is grey" in note for note in records.notes)
    save(np.full((8, 8, 3), (1, 2, 3), dtype=np.uint8), tmp_path / "0" / "colour.png")
    assert ImageFolder(root=str(tmp_path)).read().images.images.shape[1] == 3


def test_grey_files_of_all_modes_stay_one_channel(tmp_path, digits):
    pixels, _ = digits
    folder = tmp_path / "a"
    folder.mkdir()
    image = Image.fromarray(pixels[0])
    save(image, folder / "l.png")
    save(image.convert("LA"), folder / "la.png")
    save(pixels[0].astype(np.uint16) * 257, folder / "16.png")
    save(image.convert("1"), folder / "1.png")
    images = ImageFolder(root=str(tmp_path)).read().images
    assert images.images.dtype == torch.uint16
    assert images.images.shape == (4, 1, 8, 8)
    images = scaled(images, [0, 1, 2, 3], None, 8)[0].images
    assert set(images[0].unique().tolist()) == {0, 255}  # 1.png
    for i in (1, 2, 3):
        assert np.array_equal(images[i, 0].numpy(), pixels[0])


BAD = {
    "truncated.png": ("corrupt", "can't be decoded"),
    "truncated.jpg": ("corrupt", "can't be decoded"),
    "notes.bin": ("not_image", "is not an image"),
    "fake.png": ("not_image", "is not an image"),
    "empty.png": ("corrupt", "empty file"),
    "program.eps": ("unread_format", "format PostScript (EPS), which synthgen does not read"),
}


def write_bad(folder, name, colour_noise):
    path = folder / name
    if name.startswith("truncated"):
        save(colour_noise(16, 16, 5), path)
        path.write_bytes(path.read_bytes()[:-100])
    elif name == "program.eps":
        save(colour_noise(4, 4, 5), path)
    else:
        path.write_text("" if name == "empty.png" else "these are my notes")
    return path


@pytest.mark.parametrize("name", BAD)
def test_bad_file_is_named_in_two_lines(tmp_path, write_classes, colour_noise, name):
    root = write_classes(tmp_path, {"0": 5, "1": 5})
    path = write_bad(root / "1", name, colour_noise)
    with pytest.raises(SynthgenError) as error:
        ImageFolder(root=str(root)).read()
    message = str(error.value)
    assert str(path) in message
    assert BAD[name][1] in message
    assert error.value.kind == BAD[name][0]
    assert message.count("\n") == 1


def test_for_each_keeps_the_order_and_raises():
    assert for_each(lambda x: x * x, range(300), "") == [x * x for x in range(300)]
    with pytest.raises(ZeroDivisionError):
        for_each(lambda x: 1 // (x - 200), range(300), "")


def test_progress_is_shown_for_many_files(monkeypatch):
    from contextlib import contextmanager

    done = []

    @contextmanager
    def track(total, description, unit="images"):
        done.append(total)
        yield lambda count: done.append(-count)

    monkeypatch.setattr("synthgen.data.images.track", track)
    for_each(abs, range(2_500), "Reading")
    assert done[0] == 2_500
    assert sum(done) == 0


def test_the_sentence_on_the_size_counts_all_files_not_a_sample(
    tmp_path, write_classes, monkeypatch
):
    monkeypatch.setattr(files, "MANY", 10)
    monkeypatch.setattr(files, "SAMPLE", 5)
    read = ImageFolder(root=str(write_classes(tmp_path / "d", {"0": 20, "1": 20}))).read()
    assert any("all 40 images are 8 × 8" in note for note in read.notes)


def mixed_depths(root):
    """12 bits stored in 16 beside the same picture in 8."""
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        levels = np.linspace(0, 4095, 60).reshape(6, 10).astype(np.uint16)
        for number in range(6):
            save(levels, root / name / f"{number}.png")
        save((levels >> 4).astype(np.uint8), root / name / "8.bmp")
    return str(root)


def test_12_bits_stored_in_16_are_as_bright_as_8_beside_them(tmp_path):
    records = ImageFolder(root=mixed_depths(tmp_path)).read()
    deep, shallow = records.images.images[0].int(), records.images.images[6].int()
    assert records.files[6] == "a/8.bmp"
    assert (deep - shallow).abs().max() <= 257  # a level of 8 bits; 61,440 before
    assert deep.max() == 65_535
    note = "12 of 14 are stored with 16 bits but use 12: their level 4,095 is as bright as"
    assert any(note in said for said in records.notes)
    again = ImageFolder(root=mixed_depths(tmp_path / "given"), range=[0, 4095]).read()
    note = "data.range is in the levels of each file, also of the 2 of 8 bits, which end at 255."
    assert note in again.notes
