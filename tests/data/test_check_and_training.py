"""``data check`` says what training says, for they ask the same question in the same place."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from synthgen.data import CSV, ImageFolder, check, prepare
from synthgen.data.readers.foreign import BEGINS, foreign_format
from synthgen.errors import SynthgenError


@pytest.fixture
def of(tmp_path, write_classes):
    """``of(case)``: a source with one thing wrong, or nothing."""

    def build(case):
        root = tmp_path / "photos"
        cases = {
            "sound": lambda: folder(root),
            "a class of identical images": lambda: identical(root),
            "two distinct images in a class": lambda: identical(root, distinct=2),
            "training images in the test set": lambda: copied_into_test(root),
            "one group per class": lambda: grouped(root, 1),
            "two groups per class": lambda: grouped(root, 2),
            "a class of four": lambda: folder(write_classes(root, {"3": 4})),
            "a file that is no image": lambda: with_file(root, b"notes"),
            "a format that isn't read": lambda: with_file(root, bytes(128) + b"DICM" + bytes(99)),
            "an empty class": lambda: with_empty_class(root),
            "too many limits": lambda: folder(root, at_most=[5, 5, 5, 5, 5]),
            "one picture saved often": lambda: saved_often(root),
        }
        write_classes(root, {"0": 20, "1": 20})
        return cases[case]()

    return build


def folder(root, **options):
    return ImageFolder(root=str(root), **options)


def identical(root, distinct=1):
    files = sorted((root / "1").iterdir())
    for number, file in enumerate(files[distinct:]):
        shutil.copy(files[number % distinct], file)
    return folder(root)


def copied_into_test(root):
    for name in ("0", "1"):
        shutil.copytree(root / name, root / "test" / name)
        (root / "train").mkdir(exist_ok=True)
        (root / name).rename(root / "train" / name)
    return folder(root)


def grouped(root, groups):
    lines = ["path,label,group"]
    for name in ("0", "1"):
        for number, file in enumerate(sorted((root / name).iterdir())):
            lines.append(f"{file.relative_to(root.parent)},{name},{name}-{number % groups}")
    table = root.parent / "table.csv"
    table.write_text("\n".join(lines))
    return CSV(path=str(table))


def with_file(root, content):
    (root / "1" / "zz.bin").write_bytes(content)
    return folder(root)


def with_empty_class(root):
    (root / "2").mkdir()
    return folder(root)


def saved_often(root):
    picture = Image.open(sorted((root / "1").iterdir())[0])
    shutil.rmtree(root / "1")
    (root / "1").mkdir()
    for quality in range(80, 96, 2):
        picture.save(root / "1" / f"{quality}.jpg", quality=quality)
    return folder(root)


REFUSED = [
    "a class of identical images",
    "two distinct images in a class",
    "training images in the test set",
    "one group per class",
    "two groups per class",
    "a class of four",
    "a file that is no image",
    "a format that isn't read",
    "an empty class",
    "too many limits",
    "one picture saved often",
]


@pytest.mark.parametrize("case", REFUSED)
def test_check_gives_the_reason_that_training_gives(of, case):
    source = of(case)
    with pytest.raises(SynthgenError) as refused:
        prepare(source)
    result = check(source)
    assert result.refusal == str(refused.value)
    assert not result.usable


def test_check_accepts_what_training_accepts(of):
    source = of("sound")
    result = check(source)
    assert result.refusal is None
    assert result.notes == prepare(source).notes


@pytest.mark.parametrize("case", ["two distinct images in a class", "a format that isn't read"])
def test_a_refusal_ends_with_code_3_and_its_findings_are_kept(of, synthgen, tmp_path, case):
    of(case)
    given = ["data=image_folder", f"data.root={tmp_path / 'photos'}"]
    checked = synthgen("data", "check", *given, "out=found")
    trained = synthgen("train", "model=pca_gaussian", *given, "logger=csv", "out=run")
    assert (checked.code, trained.code) == (3, 2)
    assert checked.out == ""
    reason, advice = trained.err.splitlines()[-2:]
    first, second = checked.err.splitlines()[-2:]
    assert first == f"Training would refuse this: {reason}"
    assert second == f"{advice} All findings are in found."
    assert json.loads(Path("found/check.json").read_text())["refusal"] == f"{reason}\n{advice}"


def test_sound_data_ends_with_code_0(of, synthgen, tmp_path):
    of("sound")
    given = ["data=image_folder", f"data.root={tmp_path / 'photos'}"]
    outcome = synthgen("data", "check", *given, "out=found")
    assert (outcome.code, outcome.last_line) == (0, "found")
    assert "Training accepts this." in outcome.err


@pytest.mark.parametrize(("kinds", "code"), [("[two_classes]", 0), ("[odd_size,rare_class]", 3)])
def test_findings_end_with_code_3_if_asked(of, synthgen, tmp_path, kinds, code):
    of("sound")  # two classes of 20 images, which are called hardly enough
    given = ["data=image_folder", f"data.root={tmp_path / 'photos'}", f"fail_on={kinds}"]
    outcome = synthgen("data", "check", *given, "labels=null", "out=found")
    assert outcome.code == code
    assert "Training accepts this." in outcome.err
    assert Path("found/check.html").is_file()
    assert ("of the kind rare_class, which fail_on asks" in outcome.err) == (code == 3)


def test_labels_are_doubted_unless_told_otherwise(of, synthgen, tmp_path):
    of("sound")
    given = ["data", "check", "data=image_folder", f"data.root={tmp_path / 'photos'}"]
    assert "no more than chance" in synthgen(*given, "out=a").err
    assert "chance" not in synthgen(*given, "labels=null", "out=b").err
    assert "labels" in json.loads(Path("a/check.json").read_text())
    assert "labels" not in json.loads(Path("b/check.json").read_text())


def test_near_duplicates_are_listed(of, tmp_path):
    source = of("sound")
    first = sorted((tmp_path / "photos" / "0").iterdir())[0]
    Image.open(first).save(tmp_path / "photos" / "1" / "again.jpg", quality=95)
    (found,) = check(source).of_kind("near_duplicate")
    assert found.file == "1/again.jpg"
    assert found.detail == f"nearly the same as 0/{first.name} of class 0"


@pytest.mark.parametrize("begin", BEGINS, ids=lambda key: BEGINS[key])
def test_good_data_in_another_format_is_not_called_rubbish(of, tmp_path, begin):
    offset, start = begin
    content = bytes(offset) + start + bytes(600)
    (result,) = check(with_file_in(of("sound"), tmp_path, content)).of_kind("unread_format")
    assert BEGINS[begin] in result.detail
    assert "synthgen does not read" in result.detail


def told(path):
    with path.open("rb") as file:
        return foreign_format(file.read(512), path.name)


def with_file_in(source, tmp_path, content):
    (tmp_path / "photos" / "1" / "zz.bin").write_bytes(content)
    return source


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF", "PPM", "QOI"])
def test_formats_that_are_read_are_none_of_them(tmp_path, format):
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "a", format)
    assert told(tmp_path / "a") is None


@pytest.mark.parametrize("format", ["ICO", "DDS", "PDF"])
def test_files_that_others_write_are_told(tmp_path, format):
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "a", format)
    found = told(tmp_path / "a")
    assert found is not None
    assert found.replace(" ", "") == format


def test_text_and_noise_are_no_format(tmp_path):
    (tmp_path / "a.txt").write_text("my notes")
    (tmp_path / "b.png").write_bytes(np.random.default_rng(0).bytes(900))
    assert [told(tmp_path / name) for name in ("a.txt", "b.png")] == [None, None]


def test_deep_images_are_divided_as_training_divides_them(tmp_path):
    noise = np.random.default_rng(0)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(12):
            levels = noise.integers(64, 4000, (16, 16)).astype(np.uint16)
            for copy in range(3):  # the same in 8 bits, not in 12
                levels[0, copy] ^= 1
                Image.fromarray(levels).save(tmp_path / name / f"{number}_{copy}.png")
    source = ImageFolder(root=str(tmp_path))
    found, splits = check(source), prepare(source)
    assert found.splits.digest == splits.digest
    assert found.notes == splits.notes
    assert not found.of_kind("duplicate")  # they are no exact copies
    assert len(found.of_kind("near_duplicate")) == 48
