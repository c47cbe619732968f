"""Image files of every kind through ``data check`` and training, which must read and say the same;
damaged files, files that claim to be huge, and files read by several threads."""

import io
import struct
import tracemalloc
import warnings
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
import torch
from pictures import H, W, by_pillow, equal, jpeg2000, noise, npy, read, refusal, tiff
from PIL import Image

from synthgen.data import ImageFolder, check, prepare
from synthgen.data.images import for_each
from synthgen.data.readers import FileBytes, ImageFileError, read_header, read_levels
from synthgen.errors import SynthgenError

SIDES = (H, W)


def bands(count, bits=8, dtype=np.uint8):
    return lambda seed: noise((*SIDES, count), bits, dtype, seed)


def grey(bits=8, dtype=np.uint8):
    return lambda seed: noise(SIDES, bits, dtype, seed)


def last(planes):
    return np.moveaxis(planes, 0, -1)


def white(levels):
    layer = Image.fromarray(levels)
    return np.asarray(Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer))[..., :3]


# name: (what is drawn, how it is written, settings, what is read, what is said)
READ = {
    "TIFF grey": (grey(), tiff, {}, None, ""),
    "TIFF RGB 16 bits by plane": (
        bands(3, 16, np.uint16),
        lambda x: tiff(np.moveaxis(x, -1, 0), photometric="rgb", planarconfig="separate"),
        {},
        None,
        "Levels 0 to 65535",
    ),
    "TIFF 12 bits packed": (
        grey(12, np.uint16),
        lambda x: tiff(x, bitspersample=12),
        {},
        None,
        "Levels 0 to 4095 (black and white as the files say)",
    ),
    "TIFF mask of tifffile": (
        lambda seed: grey(1)(seed).astype(bool),
        tiff,
        {},
        lambda x: x * np.uint8(255),
        "20 of 20 are 1-bit masks that tifffile wrote",
    ),
    "TIFF white is zero, 16 bits": (
        grey(16, np.uint16),
        lambda x: tiff(x, photometric="miniswhite"),
        {},
        lambda x: 65_535 - x,
        "20 of 20 call white zero and were turned.",
    ),
    "TIFF signed": (grey(12, np.int16), tiff, {}, None, "become 0 to 255"),
    "TIFF real": (
        lambda seed: np.random.default_rng(seed).random(SIDES).astype(np.float32),
        tiff,
        {},
        None,
        "become 0 to 255",
    ),
    "TIFF of R, G, B, near infrared": (
        bands(4),
        tiff,
        {},
        None,
        "20 of 20 have a band that the file calls transparency, and that was kept as a band",
    ),
    "the same, as transparency": (
        bands(4),
        tiff,
        {"extra_band": "alpha"},
        white,
        "20 of 20 have transparency and were laid on white.",
    ),
    "the same, dropped": (
        bands(4),
        tiff,
        {"extra_band": "drop"},
        lambda x: x[..., :3],
        "20 of 20 have bands beside their colours, which were left out",
    ),
    "TIFF of 7 bands": (
        bands(7, 16, np.uint16),
        lambda x: tiff(x, photometric="minisblack", planarconfig="contig"),
        {},
        None,
        "",
    ),
    "ImageJ channels": (
        lambda seed: noise((5, *SIDES), 16, np.uint16, seed),
        lambda x: tiff(x, imagej=True, metadata={"axes": "CYX"}),
        {},
        last,
        "20 of 20 hold their bands as pages.",
    ),
    "plain pages": (
        lambda seed: noise((3, *SIDES), seed=seed),
        lambda x: by_pillow(
            Image.fromarray(x[0]),
            "TIFF",
            save_all=True,
            append_images=[Image.fromarray(page) for page in x[1:]],
        ),
        {},
        lambda x: x[0],
        "20 of 20 hold several pictures, of which the first was taken.",
    ),
    "a stack, as bands": (
        lambda seed: noise((5, *SIDES), seed=seed),
        lambda x: tiff(x, imagej=True, metadata={"axes": "ZYX"}),
        {"pages": "bands"},
        last,
        "20 of 20 hold their bands as pages.",
    ),
    "TIFF CMYK": (
        bands(4),
        lambda x: tiff(x, photometric="separated"),
        {},
        lambda x: np.asarray(Image.fromarray(x, "CMYK").convert("RGB")),
        "20 of 20 are in CMYK and were converted to RGB.",
    ),
    "PNG RGB 16 bits": (bands(3, 16, np.uint16), imagecodecs.png_encode, {}, None, ""),
    "JPEG 2000, 15 bits": (
        grey(15, np.uint16),
        lambda x: jpeg2000(x, bitspersample=15),
        {},
        None,
        "Levels 0 to 32767 (black and white as the files say)",
    ),
    "AVIF 10 bits": (
        bands(3, 10, np.uint16),
        lambda x: imagecodecs.avif_encode(x, level=100, bitspersample=10),
        {},
        None,
        "Levels 0 to 1023",
    ),
    "JPEG lossless 12 bits": (
        grey(12, np.uint16),
        lambda x: imagecodecs.jpeg8_encode(x, lossless=True, bitspersample=12),
        {},
        None,
        "Levels 0 to 4095",
    ),
    "PGM up to 1023": (
        grey(10, np.uint16),
        lambda x: f"P5 {W} {H} 1023\n".encode() + x.astype(">u2").tobytes(),
        {},
        None,
        "Levels 0 to 1023",
    ),
    "npy of five bands": (bands(5, 16, np.uint16), npy, {}, None, ""),
    "QOI": (bands(3), imagecodecs.qoi_encode, {}, None, ""),
}


def folder_of(root, draw, write, settings):
    """Two classes of ten files, and what was drawn for each in the order of their names."""
    drawn = []
    for name in ("a", "b"):
        (root / name).mkdir(parents=True)
        for number in range(10):
            drawn.append(draw(len(drawn)))
            (root / name / f"{number}.bin").write_bytes(write(drawn[-1]))
    return ImageFolder(root=str(root), **settings), drawn


@pytest.mark.parametrize("case", READ)
def test_check_and_training_read_and_say_the_same(tmp_path, case):
    draw, write, settings, expected, said = READ[case]
    source, drawn = folder_of(tmp_path / "set", draw, write, settings)
    records = source.read()
    for levels, original in zip(records.images.images, drawn, strict=True):
        wanted = original if expected is None else expected(original)
        planes = torch.from_numpy(np.array(wanted)).view(H, W, -1).permute(2, 0, 1)
        apart = (levels.double() - planes.double()).abs().max()
        assert apart <= (1 if settings.get("extra_band") == "alpha" else 0)
    result, splits = check(source), prepare(source)
    assert result.usable
    channels = records.images.image.channels
    assert channels == result.images.image.channels == splits.train.image.channels
    for notes in (result.notes, splits.notes):
        assert said in " ".join(notes)


REFUSED = {
    "a stack of five slices": (
        lambda seed: noise((5, *SIDES), seed=seed),
        lambda x: tiff(x, imagej=True, metadata={"axes": "ZYX"}),
        {},
        "is a stack of 5 (depth) pictures, as ImageJ describes it; which one is meant is unclear",
    ),
    "complex numbers": (
        lambda seed: noise(SIDES, seed=seed).astype(np.complex64),
        tiff,
        {},
        "is a TIFF of complex numbers",
    ),
    "Lab": (
        bands(3),
        lambda x: tiff(x, photometric="cielab"),
        {},
        "is a TIFF whose pixels are of the kind CIELAB, which is not read",
    ),
    "more pixels than allowed": (
        grey(),
        tiff,
        {"max_pixels": H * W - 1},
        f"is {H} × {W} pixels large; data.max_pixels={H * W - 1} is the most",
    ),
    "a volume as npy": (
        lambda seed: noise((17, *SIDES), seed=seed),
        npy,
        {},
        "is a NumPy array of 17 × 20 × 24, whose bands may be any axis",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_check_and_training_refuse_the_same(tmp_path, case):
    draw, write, settings, said = REFUSED[case]
    source, _ = folder_of(tmp_path / "set", draw, write, settings)
    with pytest.raises(SynthgenError) as error:
        prepare(source)
    assert said in str(error.value)
    assert str(error.value).count("\n") == 1
    result = check(source)
    assert not result.usable
    assert said in result.refusal
    assert said in result.findings[0].detail


# What rasterio, that is GDAL, writes.

GDAL = {
    "four bands": ((4, 8, "uint8"), {}),
    "five bands by plane": ((5, 16, "uint16"), {"interleave": "band"}),
    "five bands by pixel": ((5, 16, "int16"), {"interleave": "pixel"}),
    "big-endian": ((3, 16, "uint16"), {"ENDIANNESS": "BIG", "photometric": "RGB"}),
    "1 bit": ((1, 1, "uint8"), {"NBITS": "1"}),
    "10 bits": ((1, 10, "uint16"), {"NBITS": "10"}),
    "12 bits, colours": ((3, 12, "uint16"), {"NBITS": "12", "photometric": "RGB"}),
    "12 bits by plane": ((4, 12, "uint16"), {"NBITS": "12", "interleave": "band"}),
    "12 bits, big-endian": ((1, 12, "uint16"), {"NBITS": "12", "ENDIANNESS": "BIG"}),
    "float16": ((2, 8, "float32"), {"NBITS": "16"}),
    "LERC": ((3, 16, "uint16"), {"compress": "LERC_ZSTD"}),
    "predictor": ((3, 8, "float32"), {"compress": "deflate", "predictor": "3"}),
    "tiles": ((3, 16, "uint16"), {"tiled": True, "blockxsize": 16, "blockysize": 16}),
    "JPEG 2000": ((8, 15, "uint16"), {"driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": True}),
}


@pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
@pytest.mark.parametrize("case", GDAL)
def test_levels_are_those_that_rasterio_reads(tmp_path, case):
    rasterio = pytest.importorskip("rasterio")
    (count, bits, dtype), options = GDAL[case]
    drawn = noise((count, H, W), bits, dtype)
    settings = {"driver": "GTiff", "height": H, "width": W, "count": count, "dtype": dtype}
    with rasterio.open(tmp_path / "a", "w", **settings | options) as file:
        file.write(drawn)
    with rasterio.open(tmp_path / "a") as file:
        reference = file.read()
    assert np.array_equal(reference, drawn)
    expected = last(reference) if count > 1 else reference[0]
    assert equal(read((tmp_path / "a").read_bytes()), expected)


# Damaged files and files that lie.


def smooth(dtype=np.uint8, bits=8):
    rows, columns = np.mgrid[:H, :W]
    levels = np.stack([rows * 12, columns * 10, 255 - rows * 6], -1)
    return (levels << (bits - 8)).astype(dtype)


SOUND = {
    "TIFF": lambda: tiff(smooth(np.uint16, 16), photometric="rgb"),
    "TIFF LZW": lambda: tiff(smooth(np.uint16, 16), photometric="rgb", compression="lzw"),
    "TIFF deflate": lambda: tiff(smooth(), photometric="rgb", compression="deflate"),
    "TIFF tiles": lambda: tiff(smooth(), photometric="rgb", compression="zstd", tile=(16, 16)),
    "TIFF JPEG": lambda: tiff(smooth(), photometric="ycbcr", compression="jpeg"),
    "TIFF JPEG 2000": lambda: tiff(smooth(), photometric="rgb", compression="jpeg2000"),
    "TIFF LERC": lambda: tiff(smooth(), photometric="rgb", compression="lerc"),
    "TIFF 12 bits": lambda: tiff(smooth(np.uint16, 12)[..., 0], bitspersample=12),
    "TIFF group 4": lambda: by_pillow(
        Image.fromarray(smooth()[..., 0] > 99), "TIFF", compression="group4"
    ),
    "ImageJ": lambda: tiff(last(smooth().T), imagej=True, metadata={"axes": "YXS"}),
    "OME": lambda: tiff(np.moveaxis(smooth(), -1, 0).copy(), ome=True, metadata={"axes": "CYX"}),
    "PNG": lambda: by_pillow(noise((H, W, 3)), "PNG"),
    "PNG 16 bits": lambda: imagecodecs.png_encode(smooth(np.uint16, 16)),
    "JPEG 12 bits": lambda: imagecodecs.jpeg_encode(smooth(np.uint16, 12), bitspersample=12),
    "JPEG lossless": lambda: imagecodecs.jpeg8_encode(
        smooth(np.uint16, 16), lossless=True, bitspersample=16
    ),
    "JP2": lambda: jpeg2000(smooth(np.uint16, 16)),
    "J2K": lambda: jpeg2000(smooth(), codecformat="j2k"),
    "AVIF": lambda: by_pillow(smooth(), "AVIF"),
    "AVIF 10 bits": lambda: imagecodecs.avif_encode(smooth(np.uint16, 10), bitspersample=10),
    "QOI": lambda: imagecodecs.qoi_encode(smooth()),
    "PPM": lambda: f"P6 {W} {H} 65535\n".encode() + smooth(np.uint16, 16).byteswap().tobytes(),
    "PFM": lambda: f"PF {W} {H} -1\n".encode() + smooth("<f4").tobytes(),
    "npy": lambda: npy(smooth(np.uint16, 16)),
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_file_cut_short_is_refused_and_nothing_is_printed(kind, capfd):
    content = SOUND[kind]()
    read(content)
    for part in range(1, 11):
        error = refusal(content[: len(content) * part // 11])
        assert error.kind in ("corrupt", "not_image"), error.problem
    assert capfd.readouterr() == ("", "")


def complaint(ask, content):
    """What is said of a file that isn't read; "" for one that is."""
    try:
        ask(FileBytes("a", content))
    except ImageFileError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("kind", SOUND)
def test_a_flipped_bit_is_refused_or_harmless_and_nothing_is_printed(kind, capfd, caplog):
    content = SOUND[kind]()
    rng = np.random.default_rng(7)
    for turn in range(40):
        damaged = bytearray(content)
        at = int(rng.integers(min(len(content), 200) if turn % 2 else len(content)))
        damaged[at] ^= 1 << int(rng.integers(8))
        for ask in (read_header, read_levels):
            assert complaint(ask, bytes(damaged)).count("\n") <= 1
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []


HUGE = 60_000


def huge_tiff():
    content = bytearray(tiff(smooth(), photometric="rgb"))
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as opened:
        for code in (256, 257, 278):
            at = opened.pages[0].tags[code].valueoffset
            struct.pack_into(
                "<I" if opened.pages[0].tags[code].dtype == 4 else "<H", content, at, HUGE
            )
    return bytes(content)


def huge(content, *places, form=">I"):
    changed = bytearray(content)
    for at in places:
        struct.pack_into(form, changed, at, HUGE)
    return bytes(changed)


def huge_png(content):
    changed = huge(content, 16, 20)
    return changed[:29] + struct.pack(">I", zlib.crc32(changed[12:29])) + changed[33:]


def huge_npy():
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "<u2", "fortran_order": False, "shape": (HUGE, HUGE)}
    )
    return buffer.getvalue() + bytes(99)


def start_of_codestream():
    return jpeg2000(smooth()).index(b"\xff\x4f\xff\x51")


LIARS = {
    "TIFF": huge_tiff,
    "PNG": lambda: huge_png(SOUND["PNG"]()),
    "PNG 16 bits": lambda: huge_png(SOUND["PNG 16 bits"]()),
    "BMP": lambda: huge(by_pillow(smooth(), "BMP"), 18, 22, form="<I"),
    "GIF": lambda: huge(by_pillow(smooth(), "GIF"), 6, 8, form="<H"),
    "JP2": lambda: huge(jpeg2000(smooth()), *(start_of_codestream() + at for at in (8, 12))),
    "PPM": lambda: f"P6 {HUGE} {HUGE} 65535\n".encode() + bytes(99),
    "npy": huge_npy,
    "QOI": lambda: huge(SOUND["QOI"](), 4, 8),
}


@pytest.mark.parametrize("kind", LIARS)
def test_a_file_that_claims_to_be_huge_is_refused_before_it_is_decoded(kind):
    content = LIARS[kind]()
    tracemalloc.start()
    try:
        error = refusal(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert error.kind == "too_large"
    assert complaint(read_header, content) == str(error)
    assert "is 60,000 × 60,000 pixels large; data.max_pixels=178956970 is the most" in error.problem
    assert "If it is meant, data.max_pixels= allows more" in str(error)
    assert peak < 5e6


@pytest.mark.parametrize("kind", SOUND)
def test_the_size_that_is_allowed_is_exact(kind):
    content = SOUND[kind]()
    assert refusal(content, max_pixels=H * W - 1).kind == "too_large"
    read(content, max_pixels=H * W)


def test_many_bands_count_as_many_pixels():
    content = tiff(noise((H, W, 8)), photometric="minisblack", planarconfig="contig")
    assert "of 8 bands; data.max_pixels=479" in refusal(content, max_pixels=H * W - 1).problem
    refusal(content, max_pixels=2 * H * W - 1)
    assert read(content, max_pixels=2 * H * W).header.bands == 8


def test_pillows_own_limit_and_warning_play_no_part(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("PNG", "AVIF", "TIFF"):
            read(SOUND[kind]())


def test_several_threads_read_what_one_reads(capfd):
    broken = [content()[:-40] for content in SOUND.values()]
    files = [content() for content in SOUND.values()] + broken

    def look(content):
        said = complaint(read_levels, content)
        return said or read_levels(FileBytes("a", content)).levels.tobytes()

    alone = [look(content) for content in files]
    assert for_each(look, files * 12, "Reading") == alone * 12
    assert capfd.readouterr() == ("", "")
