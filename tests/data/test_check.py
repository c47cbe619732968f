import json
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from synthgen.data import CSV, NPZ, Digits, ImageFolder, check, heading, tables, write_check
from synthgen.errors import SynthgenError


@pytest.fixture
def messy(tmp_path, write_classes, colour_noise):
    """Everything that can be wrong at once."""
    root = write_classes(tmp_path / "messy", {"0": 30, "1": 8, "2": 2})
    (root / "0" / "notes.bin").write_text("my notes")
    good = (root / "0" / "000.png").read_bytes()
    (root / "0" / "cut.png").write_bytes(good[:-30])
    (root / "0" / "copy.png").write_bytes(good)
    (root / "1" / "copy.png").write_bytes(good)
    Image.fromarray(colour_noise(20, 10, 0)).save(root / "1" / "large.png")
    (root / "3").mkdir()
    Image.new("L", (8, 8), 3).save(root / "loose.png")
    return root


def found(result):
    return {(finding.kind, finding.file) for finding in result.findings}


def test_everything_is_listed_at_once(messy):
    result = check(ImageFolder(root=str(messy)))
    kinds = Counter(finding.kind for finding in result.findings)
    assert {
        ("not_image", "0/notes.bin"),
        ("corrupt", "0/cut.png"),
        ("duplicate", "0/copy.png"),
        ("two_classes", "1/copy.png"),
        ("odd_size", "1/large.png"),
        ("mixed_mode", "1/large.png"),
        ("rare_class", "1"),
        ("rare_class", "2"),
        ("rare_class", "3"),
    } <= found(result)
    assert kinds == {
        "not_image": 1,
        "corrupt": 1,
        "duplicate": 1,
        "two_classes": 1,
        "odd_size": 1,
        "mixed_mode": 1,
        "rare_class": 3,
        "layout": 2,
    }
    layout = " ".join(finding.file for finding in result.of_kind("layout"))
    assert "loose.png" in layout
    assert "3 holds no images" in layout
    assert result.images.counts == [31, 10, 2, 0]
    assert result.sizes == {(8, 8): 42, (20, 10): 1}
    assert not result.usable


def test_many_odd_sizes_and_modes_are_one_row_each(tmp_path, write_classes, colour_noise):
    root = write_classes(tmp_path / "sizes", {"0": 30, "1": 30})
    for side in range(9, 21):
        Image.fromarray(colour_noise(side, 2 * side, side)).save(root / "1" / f"x{side}.png")
    result = check(ImageFolder(root=str(root)))
    rows = list(zip(*(column.cells for column in tables(result)[-1].columns), strict=True))
    assert len(result.of_kind("odd_size")) == 12  # and check.json has them all
    assert [tuple(map(str, row)) for row in rows] == [
        (
            "not the commonest size; will be fitted",
            "12 files: 1/x10.png, …",
            "9 × 18 to 20 × 40; the commonest is 8 × 8; check.json names each",
        ),
        (
            "not the commonest kind; will be converted",
            "12 files: 1/x10.png, …",
            "RGB; the commonest is grey; check.json names each",
        ),
    ]


def test_a_clean_source_has_no_findings(tmp_path, write_classes):
    result = check(ImageFolder(root=str(write_classes(tmp_path, {"0": 30, "1": 30}))))
    assert result.findings == ()
    assert result.usable
    assert tables(result) == []  # the tree counts the classes
    assert [len(tables(check(Digits()))), result.tree is None] == [1, False]
    assert heading(result).endswith(": 60 images, brought to 8 × 8, 1 channel")


def test_rare_but_allowed_classes_are_usable(tmp_path, write_classes):
    result = check(ImageFolder(root=str(write_classes(tmp_path, {"0": 30, "1": 6}))))
    assert found(result) == {("rare_class", "1")}
    assert result.usable


def test_arrays_and_tables_are_checked_too(tmp_path, messy):
    result = check(Digits())
    assert len(result.images) == 1797
    assert result.usable
    images = np.zeros((12, 8, 8), dtype=np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=[0, 1] * 6)
    kinds = Counter(f.kind for f in check(NPZ(path=str(tmp_path / "a.npz"))).findings)
    assert kinds == {"duplicate": 5, "two_classes": 6, "rare_class": 2}
    (messy / "a.csv").write_text("path,label\n0/000.png,a\n0/notes.bin,b\nnowhere.png,b\n,b\n")
    result = check(CSV(path=str(messy / "a.csv")))
    assert ("corrupt", "nowhere.png") in found(result)
    assert ("not_image", "0/notes.bin") in found(result)
    assert len(result.of_kind("layout")) == 1


def test_nothing_readable_at_all(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_text("no image")
    result = check(ImageFolder(root=str(tmp_path)))
    assert found(result) == {("not_image", "a/x.png"), ("rare_class", "a")}
    write_check(result, tmp_path / "out")
    (tmp_path / "nothing").mkdir()
    with pytest.raises(SynthgenError, match="holds no class folders"):
        check(ImageFolder(root=str(tmp_path / "nothing")))


def test_tables_name_every_problem(messy):
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in tables(check(ImageFolder(root=str(messy)))):
        console.print(table)
    text = console.export_text()
    for word in ("0/notes.bin", "0/cut.png", "1/large.png", "20 × 10", "same picture as 0/000.png"):
        assert word in text


def test_names_are_no_markup(tmp_path, write_classes):
    result = check(ImageFolder(root=str(write_classes(tmp_path, {"[red]0": 3}))))
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for table in tables(result):
        console.print(table)
    assert "[red]0" in console.export_text()


def test_long_lists_are_cut_in_the_table_but_not_in_the_file(tmp_path, write_classes):
    root = write_classes(tmp_path / "data", {"0": 30})
    for i in range(15):
        (root / "0" / f"note{i}.bin").write_text("x")
    result = check(ImageFolder(root=str(root)))
    assert tables(result)[-1].row_count == 11
    out = write_check(result, tmp_path / "out")
    content = json.loads((out / "check.json").read_text())
    assert len(content["findings"]) == 15
    assert content["usable"] is False
    assert content["classes"] == {"0": 30}


def test_thumbnails_show_the_images(messy, tmp_path):
    result = check(ImageFolder(root=str(messy)))
    out = write_check(result, tmp_path / "out")
    assert sorted(path.name for path in out.iterdir()) == [
        "check.html",
        "check.json",
        "thumbnails.png",
    ]
    sheet = np.asarray(Image.open(out / "thumbnails.png"))
    first = result.images.images[0, 0].numpy()
    tile = np.kron(first, np.ones((5, 5), dtype=np.uint8))  # 8 px enlarged to 40
    left = sheet.shape[1] - 12 * 44 - 4  # twelve columns, and as much for names as they need
    assert np.array_equal(sheet[4:44, left : left + 40, 0], tile)
    assert sheet[4:44, 4 : left - 4].max() > 200  # the label is written


def test_out_that_exists_is_left_alone(messy, tmp_path):
    with pytest.raises(SynthgenError, match="already exists"):
        write_check(check(ImageFolder(root=str(messy))), messy)
    assert (messy / "loose.png").exists()
