"""Levels of PNG, JPEG 2000, JPEG, AVIF, HEIC, Netpbm, npy and QOI as their files hold them."""

import io
import struct
import sys
import zlib

import imagecodecs
import numpy as np
import pytest
from pictures import H, W, by_pillow, equal, jpeg2000, noise, npy, read, refusal
from PIL import Image


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_them(bands):
    levels = noise((H, W, bands), 16, np.uint16)
    if bands in (2, 4):
        levels[..., -1] = 65_535
        levels[0, 0, -1] = 0
    raster = read(imagecodecs.png_encode(levels if bands > 1 else levels[..., 0]))
    colours = levels[..., : 1 if bands < 3 else 3].copy()
    if bands in (2, 4):
        colours[0, 0] = 65_535  # transparent: white
    assert equal(raster, colours[..., 0] if bands < 3 else colours)
    assert raster.header.bits == 16


def png_chunks(levels, colour_type, *chunks):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    height, width = levels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in levels)
    head = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    listed = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in listed)


def test_png_of_16_bits_with_a_transparent_colour_significant_bits_and_gamma():
    levels = noise((H, W, 3), 16, np.uint16)
    named = struct.pack(">3H", *levels[2, 2])
    raster = read(png_chunks(levels, 2, (b"tRNS", named)))
    assert raster.levels[2, 2].tolist() == [65_535] * 3
    assert raster.header.alpha
    more = ((b"sBIT", bytes([12, 12, 12])), (b"gAMA", struct.pack(">I", 100_000)))
    assert equal(read(png_chunks(levels, 2, *more)), levels)


JPEG_2000_DEPTHS = "1/u1 4/u1 8/u1 10/u2 12/u2 15/u2 16/u2 8/i1 12/i2 16/i2"


@pytest.mark.parametrize("codecformat", ["jp2", "j2k"])
@pytest.mark.parametrize("bands", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize(
    ("bits", "dtype"),
    [tuple(kind.split("/")) for kind in JPEG_2000_DEPTHS.split()],
)
def test_jpeg_2000_levels_are_those_stored(bits, dtype, bands, codecformat):
    bits = int(bits)
    levels = noise((H, W, bands) if bands > 1 else (H, W), bits, dtype)
    raster = read(jpeg2000(levels, bitspersample=bits, codecformat=codecformat))
    assert equal(raster, levels)
    sample = "signed" if dtype[0] == "i" else "unsigned"
    assert (raster.header.bits, raster.header.sample) == (bits, sample)


def test_jpeg_2000_with_transparency_and_in_sycc():
    levels = noise((H, W, 4))
    content = by_pillow(levels, "JPEG2000")
    assert equal(read(content), levels)
    assert "calls transparency" in read(content).header.remarks[0]
    assert read(content, extra_band="alpha").header.alpha
    image = Image.fromarray(levels[..., :3]).convert("YCbCr")
    content = jpeg2000(np.asarray(image), space=18, mct=False)
    assert np.abs(read(content).levels.astype(int) - np.asarray(image.convert("RGB"))).max() <= 1


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif_keeps_its_depth(bits):
    levels = noise((H, W, 3), bits, np.uint8 if bits == 8 else np.uint16)
    raster = read(imagecodecs.avif_encode(levels, level=100, bitspersample=bits))
    assert equal(raster, levels)
    assert raster.header.bits == bits
    clear = np.concatenate([levels, np.zeros_like(levels[..., :1])], -1)
    clear = read(imagecodecs.avif_encode(clear, level=100, bitspersample=bits))
    assert (clear.levels == 2**bits - 1).all()


@pytest.mark.parametrize("bits", [8, 10])
def test_heic_keeps_its_depth(bits):
    heif = pytest.importorskip("pillow_heif")
    grey = np.linspace(0, 2**bits - 1, H * W).reshape(H, W).astype(np.uint16)
    levels = np.stack([grey] * 3, -1)
    stored = (levels << 6).astype(np.uint16) if bits == 10 else levels.astype(np.uint8)
    mode = "RGB;16" if bits == 10 else "RGB"
    buffer = io.BytesIO()
    heif.from_bytes(mode, (W, H), stored.tobytes()).save(buffer, quality=-1)
    raster = read(buffer.getvalue())
    assert equal(raster, levels)
    assert raster.header.bits == bits
    if bits == 8:
        with pytest.raises(OSError, match="cannot identify"):
            Image.open(buffer)  # nothing was registered for the whole process


def test_heic_without_its_package_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    error = refusal(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    assert "is a HEIC picture, which needs the package pillow-heif" in error.problem
    assert "Install it: pip install pillow-heif" in str(error)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_lossless_jpeg_of_every_depth(bits):
    for shape in ((H, W), (H, W, 3)):
        levels = noise(shape, bits, np.uint8 if bits == 8 else np.uint16)
        options = {"colorspace": "rgb", "outcolorspace": "rgb"} if len(shape) == 3 else {}
        content = imagecodecs.jpeg8_encode(levels, lossless=True, bitspersample=bits, **options)
        raster = read(content)
        assert equal(raster, levels)
        assert raster.header.bits == bits


def test_jpeg_of_12_bits():
    levels = noise((H, W), 12, np.uint16)
    content = imagecodecs.jpeg_encode(levels, bitspersample=12, level=95)
    assert equal(read(content), imagecodecs.jpeg_decode(content, bitspersample=12))


@pytest.mark.parametrize("top", [1, 15, 100, 255, 1000, 4095, 65_535])
@pytest.mark.parametrize("kind", ["P2", "P3", "P5", "P6"])
def test_netpbm_levels_are_those_stored_where_they_fill_their_bits(kind, top):
    bands = 3 if kind in ("P3", "P6") else 1
    levels = np.random.default_rng(0).integers(0, top + 1, (H, W, bands))
    levels[0, 0] = top
    head = f"{kind}\n# from a camera\n{W} {H}\n{top}\n".encode()
    text = b" ".join(b"%d" % level for level in levels.flat)
    body = text if kind in ("P2", "P3") else levels.astype("u1" if top < 256 else ">u2").tobytes()
    raster = read(head + body)
    expected = levels if bands == 3 else levels[..., 0]
    if top in (100, 1000):
        full = 255 if top == 100 else 65_535
        assert f"levels up to {top}, which were stretched" in raster.header.remarks[0]
        assert raster.levels.max() == full
        assert np.abs(raster.levels / full - expected / top).max() < 1 / full
    else:
        assert equal(raster, expected)
        assert raster.header.bits == top.bit_length()


def test_pfm_and_qoi():
    levels = np.random.default_rng(0).random((H, W, 3)).astype(np.float32)
    content = f"PF\n{W} {H}\n-1.0\n".encode() + levels[::-1].astype("<f4").tobytes()
    assert equal(read(content), levels)
    grey = levels[..., 0]
    content = f"Pf\n{W} {H}\n1.0\n".encode() + grey[::-1].astype(">f4").tobytes()
    assert equal(read(content), grey)
    colours = noise((H, W, 3))
    assert equal(read(imagecodecs.qoi_encode(colours)), colours)


@pytest.mark.parametrize("dtype", ["u1", ">u2", "i2", "f4", "f8", "?"])
def test_npy_of_one_picture(dtype):
    levels = noise((H, W, 5), 8, "u1").astype(dtype)
    assert equal(read(npy(levels)), levels)
    assert equal(read(npy(levels[..., 0])), levels[..., 0])
    assert equal(read(npy(np.asfortranarray(levels))), levels)
    first = read(npy(np.moveaxis(levels, -1, 0)))
    assert equal(first, levels)
    assert first.header.remarks == ("have their bands as the first axis",)


def test_sixteen_slices_are_bands_and_seventeen_a_stack():
    assert read(npy(noise((16, H, W)))).header.bands == 16
    assert "may be any axis" in refusal(npy(noise((17, H, W)))).problem
