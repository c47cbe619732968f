"""What one TIFF's levels are, in every layout, against the libraries that wrote it; or what it is
refused as.
"""

import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from pictures import H, W, by_pillow, equal, jpeg2000, noise, npy, read, refusal, tiff
from PIL import Image, ImageOps

DEPTHS = [(bits, np.uint8 if bits <= 8 else np.uint16) for bits in range(1, 17)]
TYPES = ["i1", "i2", "i4", "u4", "u8", "f2", "f4", "f8"]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("bits", "dtype"), DEPTHS, ids=lambda v: str(v) if v in range(17) else "")
def test_tiff_of_each_depth_packed_or_not(bits, dtype, order):
    levels = noise((H, W), bits, dtype)
    if order == "<" or bits in (8, 16):
        content = tiff(levels, bitspersample=bits, byteorder=order, photometric="minisblack")
    else:  # which tifffile packs wrongly: findings/tifffile_packs_big_endian_wrongly.sh
        content = big_endian_tiff(imagecodecs.packints_encode(levels, bits, runlen=W), bits)
    raster = read(content)
    assert equal(raster, levels)
    assert (raster.header.bits, raster.header.sample) == (bits, "unsigned")


def big_endian_tiff(packed, bits):
    """One strip of rows of packed levels, which have no byte order of their own."""
    tags = {256: W, 257: H, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: H, 279: len(packed)}
    listed = b"".join(struct.pack(">HHII", code, 4, 1, value) for code, value in tags.items())
    at = 8 + len(packed)
    return b"MM\0*" + struct.pack(">I", at) + packed + struct.pack(">H", 9) + listed + bytes(4)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", TYPES)
def test_tiff_of_signed_and_real_levels(dtype, order):
    levels = (np.random.default_rng(0).normal(size=(H, W)) * 50).astype(dtype)
    raster = read(tiff(levels, byteorder=order))
    assert equal(raster, levels)
    sample = {"u": "unsigned", "i": "signed", "f": "float"}[dtype[0]]
    assert (raster.header.bits, raster.header.sample) == (8 * int(dtype[1:]), sample)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bands", range(2, 8))
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_tiff_of_several_bands_by_pixel_or_by_plane(dtype, bands, planar, order):
    levels = noise((H, W, bands), 8 if dtype == "u1" else 16, dtype)
    stored = levels if planar == "contig" else np.ascontiguousarray(np.moveaxis(levels, -1, 0))
    colours = "rgb" if bands in (3, 4) else "minisblack"
    content = tiff(stored, photometric=colours, planarconfig=planar, byteorder=order)
    assert equal(read(content), levels)


@pytest.mark.parametrize("bits", [1, 4, 8, 10, 16])
def test_white_is_zero_is_turned_at_every_depth(bits):
    levels = noise((H, W), bits, np.uint8 if bits <= 8 else np.uint16)
    options = {"bitspersample": bits, "photometric": "miniswhite"}
    content = tiff(levels, **options, software=False, metadata=None)
    raster = read(content)
    assert equal(raster, 2**bits - 1 - levels)
    assert raster.header.remarks == ("call white zero and were turned",)


def test_a_mask_that_tifffile_wrote_comes_out_as_written():
    mask = noise((H, W), 1).astype(bool)
    raster = read(tiff(mask))
    assert equal(raster, mask)
    assert "not turned" in raster.header.remarks[0]
    document = by_pillow(Image.fromarray(mask), "TIFF", compression="group4")
    assert equal(read(document), mask)


LOSSLESS = [
    "NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA", "ZSTD", "PNG", "JPEGXL",
    "JPEG2000", "LERC", "PIXTIFF", "JPEGXR",
]  # fmt: skip


@pytest.mark.parametrize("tile", [None, (16, 16)], ids=["strips", "tiles"])
@pytest.mark.parametrize("compression", LOSSLESS)
def test_tiff_of_each_compression(compression, tile):
    for levels in (noise((H, W, 3)), noise((H, W), 16, np.uint16)):
        content = tiff(levels, compression=compression, tile=tile)
        assert equal(read(content), levels)


@pytest.mark.parametrize("compression", ["JPEG", "JPEGXR", "WEBP", "JPEG2000"])
def test_lossy_compressions_give_what_the_reference_gives(compression):
    rows, columns = np.mgrid[:H, :W]
    levels = np.stack([rows * 9, columns * 9, 255 - rows * 5], -1).astype(np.uint8)
    options = {"level": 90} if compression != "JPEGXR" else {"level": 0.8}
    content = tiff(levels, compression=compression, compressionargs=options, photometric="rgb")
    with tifffile.TiffFile(io.BytesIO(content)) as reference:
        assert equal(read(content), reference.asarray())
    assert np.abs(read(content).levels.astype(int) - levels).max() < 40


@pytest.mark.parametrize(("predictor", "dtype"), [(2, "u1"), (2, "u2"), (3, "f4"), (3, "f8")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_with_a_predictor(predictor, dtype, order):
    levels = noise((H, W, 3), 8, dtype)
    options = {"compression": "lzw", "predictor": predictor, "byteorder": order}
    assert equal(read(tiff(levels, photometric="rgb", **options)), levels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_is_turned_upright(orientation):
    levels = noise((5, 4, 3))
    content = by_pillow(levels, "TIFF", tiffinfo={274: orientation})
    exif = Image.Exif()
    exif[0x0112] = orientation
    png = Image.open(io.BytesIO(by_pillow(levels, "PNG", exif=exif)))
    raster = read(content)
    assert equal(raster, np.asarray(ImageOps.exif_transpose(png)))
    assert raster.header.turned == (orientation > 1)


def test_bigtiff():
    levels = noise((H, W, 3), 16, np.uint16)
    assert equal(read(tiff(levels, bigtiff=True, photometric="rgb")), levels)


MODES = {None: ("P", "CMYK", "YCbCr", "RGB", "L", "1")}
MODES |= {"tiff_lzw": MODES[None], "jpeg": ("YCbCr", "RGB", "L"), "group4": ("1",)}


@pytest.mark.parametrize(
    ("compression", "mode"), [(way, mode) for way, modes in MODES.items() for mode in modes]
)
def test_colours_in_tiff_are_those_of_pillow(mode, compression):
    rows, columns = np.mgrid[:H, :W]
    image = Image.fromarray(np.stack([rows * 9, columns * 9, 255 - rows * 5], -1).astype(np.uint8))
    content = by_pillow(image.convert(mode), "TIFF", compression=compression)
    plain = "L" if mode in ("L", "1") else "RGB"
    reference = np.asarray(Image.open(io.BytesIO(content)).convert(plain))
    found = read(content).levels * (255 if mode == "1" else 1)
    apart = np.abs(found.astype(int) - reference).max()
    assert apart <= (1 if mode == "YCbCr" else 0)  # libtiff rounds otherwise than Pillow


def test_palettes_of_16_and_of_8_bits_are_the_same_picture():
    indices = noise((H, W))
    colours = noise((3, 256), 8, np.uint16)
    expected = np.moveaxis(colours[:, indices], 0, -1)
    for palette in (colours, colours * 256, colours * 257):
        raster = read(tiff(indices, photometric="palette", colormap=palette.astype(np.uint16)))
        assert equal(raster, expected)
        assert raster.header.remarks == ()
    deep = read(tiff(indices, photometric="palette", colormap=noise((3, 256), 16, np.uint16)))
    assert "of which the upper 8 were kept" in deep.header.remarks[0]


def test_an_extra_band_is_transparency_only_if_asked_for():
    levels = noise((H, W, 4))
    content = tiff(levels)  # whose tag calls the fourth band transparency
    kept = read(content)
    assert equal(kept, levels)
    assert "calls transparency, and that was kept as a band" in kept.header.remarks[0]
    assert equal(read(content, extra_band="drop"), levels[..., :3])
    white = Image.new("RGBA", (W, H), "white")
    laid = Image.alpha_composite(white, Image.fromarray(levels)).convert("RGB")
    found = read(content, extra_band="alpha")
    assert found.header.alpha
    assert np.abs(found.levels.astype(int) - np.asarray(laid)).max() <= 1
    unnamed = tiff(levels, extrasamples=["unspecified"], photometric="rgb")
    assert read(unnamed).header.remarks == ()


def test_premultiplied_colours_get_the_missing_white():
    levels = np.zeros((H, W, 4), np.uint16)
    levels[..., 0], levels[..., 3] = 20_000, 40_000
    content = tiff(levels, photometric="rgb", extrasamples=["assocalpha"])
    assert read(content, extra_band="alpha").levels[0, 0].tolist() == [45_535, 25_535, 25_535]


def test_pages_are_bands_where_they_are_called_channels():
    planes = noise((5, H, W), 16, np.uint16)
    bands = np.moveaxis(planes, 0, -1)
    for writer in ({"imagej": True}, {"ome": True}):
        content = tiff(planes, metadata={"axes": "CYX"}, **writer)
        assert equal(read(content), bands)
        assert read(content).header.remarks == ("hold their bands as pages",)


STACKS = {
    "5 (depth)": {"imagej": True, "metadata": {"axes": "ZYX"}},
    "5 (time)": {"ome": True, "metadata": {"axes": "TYX"}},
    "5 (unnamed)": {},
}


@pytest.mark.parametrize("said", STACKS)
def test_a_stack_is_refused_until_pages_says_what_it_is(said):
    planes = noise((5, H, W))
    content = tiff(planes, **STACKS[said])
    error = refusal(content)
    assert f"is a stack of {said} pictures" in error.problem
    assert "data.pages=first takes the first, data.pages=bands" in str(error)
    assert equal(read(content, pages="bands"), np.moveaxis(planes, 0, -1))
    assert equal(read(content, pages="first"), planes[0])


def test_plain_pages_thumbnails_and_masks():
    buffer = io.BytesIO()
    first, second = noise((H, W, 3), seed=1), noise((H, W, 3), seed=2)
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(first[::2, ::2], subfiletype=1, metadata=None)
        writer.write(first, metadata=None)
        writer.write(second, metadata=None)
    raster = read(buffer.getvalue())
    assert equal(raster, first)
    assert raster.header.frames == 2
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(first[::2, ::2], subfiletype=1, subifds=1, metadata=None)
        writer.write(second, subfiletype=0, metadata=None)
    assert equal(read(buffer.getvalue()), second)


def test_pixels_without_data_are_told():
    levels = noise((H, W), 16, np.uint16)
    content = tiff(levels, extratags=[(42113, 2, 0, str(levels[3, 3]), True)])
    assert "GDAL's tag calls without data" in read(content).header.remarks[0]
    content = tiff(levels % 100, extratags=[(42113, 2, 0, "200", True)])
    assert read(content).header.remarks == ()


def with_tag(content, code, value):
    """A little-endian TIFF with another value in a tag of one number."""
    with tifffile.TiffFile(io.BytesIO(content)) as opened:
        tag = opened.pages[0].tags[code]
    at = tag.valueoffset
    return content[:at] + struct.pack("<H", value) + content[at + 2 :]


def test_parts_that_were_never_written_are_told():
    content = with_tag(tiff(noise((H, W)), compression="deflate"), 279, 0)
    raster = read(content)
    assert (raster.levels == 0).all()
    assert raster.header.remarks == ("leave out parts of the picture, which were taken as level 0",)


def test_parts_that_are_missing_from_the_list_are_damage():
    content = with_tag(tiff(noise((H, W)), compression="deflate", rowsperstrip=5), 257, 2 * H)
    assert "strips or tiles are missing from its list" in refusal(content).problem


REFUSED = {
    "TIFF of complex numbers": lambda: tiff(np.ones((H, W), np.complex64)),
    "TIFF volume of 16 slices": lambda: tiff(
        noise((16, 32, 32)), volumetric=True, tile=(16, 16, 16)
    ),
    "of the kind CIELAB, which": lambda: tiff(noise((H, W, 3)), photometric="cielab"),
    "of the kind CFA, which": lambda: tiff(noise((H, W)), photometric="cfa"),
    "compressed by THUNDERSCAN": lambda: with_tag(tiff(noise((H, W))), 259, 32809),
    "compressed by number 4711": lambda: with_tag(tiff(noise((H, W))), 259, 4711),
    "of inks other than CMYK": lambda: tiff(
        noise((H, W, 4)), photometric="separated", extratags=[(332, 3, 1, 2, True)]
    ),
    "white is zero, in signed levels": lambda: tiff(
        noise((H, W), 8, np.int8), photometric="miniswhite"
    ),
    "differ in depth or kind (8, 8, 4 bits)": lambda: with_depths((8, 8, 4)),
    "CMYK colours inside of JPEG": lambda: by_pillow(
        Image.new("CMYK", (W, H)), "TIFF", compression="jpeg"
    ),
    "components differ in size": lambda: bytes_of_jpeg2000(step=2),
    "in the colour space CMYK": lambda: jpeg2000(noise((H, W, 4)), space=12),
    "NumPy array of 4 axes": lambda: npy(noise((2, 3, 4, 5))),
    "whose bands may be any axis": lambda: npy(noise((7, 6, 9))),
    "of the type complex64": lambda: npy(np.ones((H, W), np.complex64)),
    "of the type object": lambda: npy(np.array([[None]])),
}


def with_depths(depths):
    content = tiff(noise((H, W, 3)), photometric="rgb")
    with tifffile.TiffFile(io.BytesIO(content)) as opened:
        at = opened.pages[0].tags[258].valueoffset
    return content[:at] + struct.pack("<3H", *depths) + content[at + 6 :]


def bytes_of_jpeg2000(step):
    content = bytearray(jpeg2000(noise((H, W, 3))))
    at = content.index(b"\xff\x4f\xff\x51") + 4 + 38 + 3  # the second component
    content[at + 1] = step
    return bytes(content)


@pytest.mark.parametrize("said", REFUSED)
def test_what_is_not_read_is_called_by_its_name(said):
    error = refusal(REFUSED[said]())
    assert said in error.problem
    assert error.kind == "unread_format"
