"""What opens a set of each format. tests/synthesis/test_other_tools.py tries every line of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Opening:
    """What a card says of a format.

    Attributes:
        by: what opens the set, or its shards, in Markdown.
        hub: the lines of the card's YAML that lead `datasets` to the images; without them it may
            take the manifest for the data, or a class folder called "test" for a split.
    """

    by: str
    hub: str


def _folders(ending: str, fidelity: str) -> Opening:
    """A file per image. `datasets` needs to be told that folders are labels even if there is but
    one, and passes by folders that begin with two underscores unless they are asked for."""
    return Opening(
        by="`torchvision.datasets.ImageFolder`, `datasets.load_dataset(FOLDER)`, clean-fid and "
        f"torch-fidelity ({fidelity}) open it",
        hub=f"configs:\n- config_name: default\n  data_files:\n  - '*/*.{ending}'\n"
        f"  - '__*/*.{ending}'\n  drop_labels: false",
    )


def _shards(by: str, ending: str) -> Opening:
    return Opening(
        by=f"{by} opens its shards, `datasets.load_dataset(FOLDER)` the whole",
        hub=f"configs:\n- config_name: default\n  data_files: shards/*.{ending}",
    )


NOT_BY_OTHERS = "`datasets`, `ImageFolder`, clean-fid and torch-fidelity do not"
OPENINGS = {
    "png": _folders("png", "`samples_find_deep=True`"),
    "jpeg": _folders("jpg", "`samples_find_deep=True`"),
    "webp": _folders("webp", '`samples_find_deep=True, samples_find_ext="webp"`'),
    "webdataset": _shards("`webdataset.WebDataset`", "tar"),
    "parquet": _shards("`pyarrow.parquet.read_table`", "parquet"),
    "hdf5": _shards("`h5py.File`", "h5"),
    "npz": Opening(f"`numpy.load` opens its shards; {NOT_BY_OTHERS}", "viewer: false"),
    "npy": Opening(
        f"`numpy.load` opens its shards; {NOT_BY_OTHERS}, and clean-fid takes each of these files "
        "for one image",
        "viewer: false",
    ),
}
UNKNOWN = Opening("open it with the software that wrote it", "")
