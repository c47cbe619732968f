"""Formats of pictures that synthgen doesn't read, told by how their files begin: they are good data
in another form, not rubbish."""

from __future__ import annotations

BEGINS = {  # (offset, bytes) -> what such a file is called
    (4, b"ftypcrx "): "camera raw",
    (4, b"ftyp"): "MP4 (a film)",
    (0, b"NRRD000"): "NRRD",
    (0, b"ObjectType = Image"): "MetaImage",
    (0, b"\x89HDF\r\n\x1a\n"): "HDF5",
    (0, b"MATLAB 5.0"): "MATLAB",
    (0, b"SIMPLE  ="): "FITS",
    (0, b"v/1\x01"): "OpenEXR",
    (0, b"#?RADIANCE"): "Radiance HDR",
    (0, b"8BPS"): "Photoshop (PSD)",
    (0, b"DDS "): "DDS",
    (0, b"\x00\x00\x01\x00"): "ICO",
    (0, b"icns"): "ICNS",
    (0, b"P7\n"): "PAM",
    (0, b"%!PS"): "PostScript (EPS)",
    (0, b"%PDF"): "PDF",
    (0, b"\x1aE\xdf\xa3"): "Matroska (a film)",
    (8, b"AVI LIST"): "AVI (a film)",
}
COMPRESSED = {".svgz": "SVG"}
ENDINGS = {  # for what has no beginning of its own
    ".tga": "TGA",
    ".pcx": "PCX",
    ".sgi": "SGI",
    ".svg": "SVG",
    ".mha": "MetaImage",
    ".img": "Analyze or raw",
    ".raw": "raw",
    ".cr2": "camera raw",
    ".nef": "camera raw",
    ".arw": "camera raw",
    ".dng": "camera raw",
}


def foreign_format(head: bytes, name: str) -> str | None:
    """The name of the format of a file that isn't one of ours, by its first 512 bytes; None for
    what may be anything."""
    for (offset, start), found in BEGINS.items():
        if head[offset : offset + len(start)] == start:
            return found
    if b"<svg" in head:
        return "SVG"
    for ending, found in (COMPRESSED | ENDINGS).items():
        if name.lower().endswith(ending) and b"\x00" in head:
            return found
    return None
