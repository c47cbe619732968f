"""What a split's recipe keeps of how files were read, so that nobody has to say it twice."""

import dataclasses
import json

import numpy as np
import pytest
from dicom_files import write_dicom
from sklearn.datasets import load_digits

from synthgen.cli.jobs.evaluate import splits_behind
from synthgen.data import (
    CSV,
    NPZ,
    DICOMFolder,
    Digits,
    HuggingFace,
    ImageFolder,
    MedMNIST,
    WebDataset,
    prepare,
    rebuild,
)
from synthgen.data.reading import reading_of
from synthgen.dataset.origin import Recipe
from synthgen.errors import SynthgenError

PLACES = {"root", "path", "folder", "suffix", "cache"}  # where files lie
VALUES = {"splits", "attribute", "max_pixels"}  # names of folders; what changes no image


@pytest.fixture
def ward(tmp_path):
    for number, digit in enumerate(load_digits().images[:40]):
        label = ("ill", "well")[number % 2]
        pixels = digit.astype(np.uint16) * 100
        write_dicom(tmp_path / "ward" / label / f"{number}.dcm", pixels, PatientID=str(number))
    return str(tmp_path / "ward")


@pytest.fixture
def table(tmp_path):
    digits = load_digits()
    np.savez(
        tmp_path / "t.npz",
        pictures=digits.images[:60] * 15,
        kinds=digits.target[:60] % 2,
        person=np.arange(60) // 3,
    )
    return str(tmp_path / "t.npz")


def unsized(known):
    """The notes less that on the size, which the recipe sets."""
    return tuple(note for note in known.notes if not note.startswith("Size"))


def columns(path, **settings) -> NPZ:
    return NPZ(path=path, **settings)


NAMED = {"image": "pictures", "label": "kinds", "group": "person", "classes": ["even", "odd"]}


def test_a_window_needs_no_second_word(ward):
    known = prepare(ImageFolder(root=ward, window=[700, 900], patients="ignore"))
    assert known.recipe.reading == {"window": (700, 900), "patients": "ignore"}
    again = rebuild(ImageFolder(root=ward), known.recipe, known.digest)
    assert again.digest == known.digest
    assert again.recipe == known.recipe
    assert again.notes[0] == "Read as for training: data.window=[700,900] data.patients=ignore."
    assert again.notes[1:] == unsized(known)


def test_columns_need_no_second_word(table):
    known = prepare(columns(table, **NAMED))
    again = rebuild(columns(table), known.recipe, known.digest)
    assert again.digest == known.digest
    assert again.train.classes == ("even", "odd")
    partly = rebuild(columns(table, image="pictures"), known.recipe, known.digest)
    assert "data.image" not in partly.notes[0]
    assert rebuild(columns(table, **NAMED), known.recipe, known.digest).notes == unsized(known)


def test_the_usual_settings_leave_the_recipe_as_it_was(ward):
    known = prepare(ImageFolder(root=ward))
    assert "reading" not in known.recipe.to_json()
    assert rebuild(ImageFolder(root=ward), known.recipe, known.digest).notes == unsized(known)


def test_another_setting_is_refused_and_named(ward):
    known = prepare(ImageFolder(root=ward, window=[700, 900]))
    with pytest.raises(SynthgenError, match=r"It was read with data\.window=\[700,900\]\."):
        rebuild(ImageFolder(root=ward, window=[600, 300]), known.recipe, known.digest)
    plain = prepare(ImageFolder(root=ward))
    with pytest.raises(SynthgenError, match=r"data\.window was not set\."):
        rebuild(ImageFolder(root=ward, window=[600, 300]), plain.recipe, plain.digest)


def test_evaluation_takes_them_from_the_set(ward, tmp_path, description):
    known = prepare(ImageFolder(root=ward, window=[700, 900]))
    data = {"recipe": known.recipe.to_json(), "digest": known.digest}
    content = description({"ill": 0, "well": 0}, provenance={"data": data})
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert splits_behind(tmp_path, ImageFolder(root=ward)).digest == known.digest


@pytest.mark.parametrize(
    "reading",
    [
        {"root": "/etc"},
        {"cache": "/tmp/x"},
        {"window": "wide"},
        {"window": ["a", "b"]},
        {"frame": -1.5},
        {"patients": True},
        {"unheard": 1},
    ],
)
def test_a_strangers_recipe_sets_nothing_else(ward, reading):
    known = prepare(ImageFolder(root=ward))
    recipe = Recipe.from_json(known.recipe.to_json() | {"reading": reading})
    with pytest.raises(SynthgenError, match="doesn't take"):
        rebuild(ImageFolder(root=ward), recipe, known.digest)


def test_another_kind_of_source_keeps_its_own_settings(ward):
    known = prepare(DICOMFolder(root=ward, window=[700, 900]))
    folder = ImageFolder(root=ward, window=[700, 900])
    assert rebuild(folder, known.recipe, known.digest).digest == known.digest
    with pytest.raises(SynthgenError, match="does not hold the images"):
        rebuild(ImageFolder(root=ward), known.recipe, known.digest)


@pytest.mark.parametrize(
    "kind", [CSV, NPZ, Digits, DICOMFolder, HuggingFace, ImageFolder, MedMNIST, WebDataset]
)
def test_every_setting_of_reading_is_kept_or_known_not_to_be(kind):
    own = {field.name for field in dataclasses.fields(kind)}
    divided = {field.name for field in dataclasses.fields(Digits)}  # the recipe's own
    assert own - divided - set(kind.reading) <= PLACES | VALUES
    assert set(kind.reading) <= own
    assert not set(kind.reading) & PLACES


def test_only_what_is_unusual_is_kept(table):
    assert reading_of(columns(table)) == {}
    assert reading_of(columns(table, group=None)) == {"group": None}
