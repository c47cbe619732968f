"""Files of named arrays: ``.npz``, HDF5, and MATLAB's ``.mat`` of either kind.

Nothing in them is run: no pickle, no link out of the file, no object of MATLAB's is opened.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from synthgen.data.arrays import open_npz
from synthgen.data.readers.base import BROKEN
from synthgen.errors import SynthgenError

Content = Mapping[str, np.ndarray]
HDF5 = b"\x89HDF\r\n\x1a\n"
MATLAB, MATLAB_HDF5 = b"MATLAB 5.0", b"MATLAB 7.3"
OBJECTS = (b"char", b"cell", b"struct", b"function_handle")  # of MATLAB, as HDF5 holds them
PLAIN = "biufSU"  # kinds of arrays that are read: numbers and texts


def open_arrays(path: Path) -> tuple[Content, tuple[str, ...]]:
    """The arrays of a file by name, and sentences on what was left out or turned.

    Raises:
        SynthgenError: it is a folder, damaged, or none of these formats.
    """
    if path.is_dir():
        return open_npz(path), ()
    with path.open("rb") as file:
        head = file.read(max(len(HDF5), len(MATLAB)))
    if head.startswith((HDF5, MATLAB_HDF5)):
        matlab = head.startswith(MATLAB_HDF5)
        found, left_out = _read_hdf5(path, matlab=matlab)
    elif head.startswith(MATLAB):
        matlab = True
        found, left_out = _read_matlab(path)
    else:
        return open_npz(path), ()
    notes = [f"Left out {', '.join(left_out)} of {path.name}: no plain arrays."] if left_out else []
    if matlab:
        found, turned = _images_first(found)
        notes += [f"Images lie along the last axis of {', '.join(turned)}."] if turned else []
    return found, tuple(notes)


def _damaged(path: Path, what: str, error: Exception) -> SynthgenError:
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return SynthgenError(f"{path} is a damaged {what} file ({reason}).\nGet or write it again.")


def _read_hdf5(path: Path, *, matlab: bool) -> tuple[dict[str, np.ndarray], list[str]]:
    try:
        import h5py
    except ImportError:
        raise SynthgenError(
            f"{path} is an HDF5 file, and reading it needs the package h5py, which is not "
            "installed.\nInstall it: pip install 'synthgen-images[formats]' (or pip install h5py)"
        ) from None
    found: dict[str, np.ndarray] = {}
    left_out: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            for name, one in _datasets(h5py, file):
                array = None if _leads_out(one) else _plain(h5py, one, matlab=matlab)
                if array is None:
                    left_out.append(name)
                else:
                    found[name] = array.T if matlab else array  # which MATLAB stores by column
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, "HDF5", error) from error
    return _without_common_group(found), left_out


def _without_common_group(found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """data/images and data/labels as images and labels."""
    tops = {name.partition("/")[0] for name in found if "/" in name}
    if len(tops) != 1 or any("/" not in name for name in found):
        return found
    return _without_common_group({name.partition("/")[2]: one for name, one in found.items()})


def _datasets(h5py: Any, group: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """Every data set below a group, by its path; links of other kinds than a file's own parts, and
    what MATLAB keeps for itself (#refs#), are passed over."""
    for name in group:
        place = f"{above}{name}"
        if name.startswith("#") or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        one = group[name]
        if isinstance(one, h5py.Dataset):
            yield place, one
        elif isinstance(one, h5py.Group) and place.count("/") < 8:  # a group may hold itself
            yield from _datasets(h5py, one, f"{place}/")


def _leads_out(one: Any) -> bool:
    """Whether a data set's contents lie in other files."""
    return bool(one.external) or one.is_virtual


def _plain(h5py: Any, one: Any, *, matlab: bool) -> np.ndarray | None:
    """An array of numbers or texts; None for anything else."""
    if matlab and one.attrs.get("MATLAB_class") in OBJECTS:
        return None
    if h5py.check_string_dtype(one.dtype) is not None:
        return np.asarray(one.asstr(errors="replace")[()]).astype(str)
    return np.asarray(one[()]) if one.dtype.kind in PLAIN and one.shape is not None else None


def _read_matlab(path: Path) -> tuple[dict[str, np.ndarray], list[str]]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        content = loadmat(path)
    except (*BROKEN, MatReadError, RuntimeError, MemoryError) as error:
        raise _damaged(path, "MATLAB", error) from error
    arrays = {name: one for name, one in content.items() if not name.startswith("__")}
    found = {
        name: one
        for name, one in arrays.items()
        if isinstance(one, np.ndarray) and one.dtype.kind in PLAIN
    }
    return found, [name for name in arrays if name not in found]


def _images_first(content: Content) -> tuple[dict[str, np.ndarray], list[str]]:
    """Vectors without MATLAB's second axis; and arrays whose last axis, not the first, is as long
    as one of the vectors with that axis first, and which these are."""
    vectors = {
        name: one.reshape(-1) if one.ndim == 2 and 1 in one.shape else one
        for name, one in content.items()
    }
    counts = {len(one) for one in vectors.values() if one.ndim == 1}
    turned = [
        name
        for name, one in vectors.items()
        if one.ndim > 2 and one.shape[-1] in counts and one.shape[0] not in counts
    ]
    first = {name: np.moveaxis(vectors[name], -1, 0) for name in turned}
    return vectors | first, turned
