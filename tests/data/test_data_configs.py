"""Every yaml of the group names a source and exactly its options."""

import dataclasses
import importlib
import typing
from pathlib import Path

import pytest
import yaml

from synthgen.data import Source

FOLDER = Path(__file__).parents[2] / "configs" / "data"
FILES = sorted(FOLDER.glob("*.yaml"))


def test_there_is_one_per_source():
    assert {path.stem for path in FILES} >= {
        "digits",
        "mnist",
        "fashion_mnist",
        "cifar10",
        "image_folder",
        "csv",
        "dicom",
        "npz",
        "medmnist",
        "synthetic",
    }


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_options_are_those_of_the_class(path):
    config = yaml.safe_load(path.read_text())
    module, _, name = config.pop("_target_").rpartition(".")
    source = getattr(importlib.import_module(module), name)
    assert issubclass(source, Source)
    assert source.kind == path.stem
    fields = {field.name: field.default for field in dataclasses.fields(source)}
    assert set(config) == set(fields)
    for key, value in config.items():
        required = fields[key] is dataclasses.MISSING
        assert value == ("???" if required else fields[key]), key
    hints = typing.get_type_hints(source.__init__)
    assert hints["holdout"] is float
    assert typing.get_args(hints["fit"]) == ("pad", "stretch", "crop")
