from pathlib import Path

import pytest

from synthgen.data import CSV, prepare
from synthgen.errors import SynthgenError


@pytest.fixture
def write_csv(tmp_path, write_classes):
    write_classes(tmp_path / "pictures", {"2": 10, "10": 10})

    def write(columns=("path", "label"), rows=None, **values):
        rows = rows or [
            {"path": f"pictures/{name}/{i:03d}.png", "label": name, "group": f"{name}-{i // 2}"}
            for name in ("2", "10")
            for i in range(10)
        ]
        lines = [",".join(columns)] + [
            ",".join(row.get(column, "x") for column in columns) for row in rows
        ]
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines), encoding=values.get("encoding", "utf-8"))
        return str(path)

    return write


def test_paths_are_relative_to_the_file_and_numbers_sort_as_numbers(write_csv, monkeypatch):
    monkeypatch.chdir("/")
    records = CSV(path=write_csv()).read()
    assert records.images.classes == ("2", "10")
    assert records.images.counts == [10, 10]
    assert records.files[0] == "pictures/2/000.png"


def test_order_of_columns_does_not_matter(write_csv):
    one = prepare(CSV(path=write_csv(("path", "label", "group"))))
    other = prepare(CSV(path=write_csv(("group", "extra", "label", "path"), encoding="utf-8-sig")))
    assert one.digest == other.digest
    assert one.recipe == other.recipe
    assert any("Ignored the column extra of" in note for note in other.notes)


def test_groups_decide_the_split(write_csv):
    path = write_csv(("path", "label", "group"))
    records = CSV(path=path).read()
    splits = prepare(CSV(path=path))
    from synthgen.data import image_hashes

    where = [splits.assignment[h] for h in image_hashes(records.images.images)]
    assert all(where[i] == where[i + 1] for i in range(0, 20, 2))
    assert set(where) == {"train", "holdout", "test"}


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        (("path", "kind"), None, "no column label"),
        (("path", "label"), [{"path": "nowhere.png", "label": "a"}], "nowhere.png does not exist"),
        (
            ("path", "label"),
            [{"path": "x.png", "label": ""}],
            "no label (label) in data row 1: x.png",
        ),
        (("path", "label"), [{"path": "x.png", "label": "../x"}], "'../x' can't be"),
        (("path", "label"), [{"path": "x.png", "label": ".."}], "begins with a dot"),
        (("path", "label", "label"), None, "more than one column label"),
        (("path", "label"), [{"path": "\0.png", "label": "a"}], "a NUL character in data row 1"),
    ],
)
def test_refused(write_csv, columns, rows, message):
    with pytest.raises(SynthgenError) as error:
        CSV(path=write_csv(columns, rows)).read()
    assert message in str(error.value)


def test_not_text(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"path,label\na\x81.png,b")  # nothing in Windows-1252 either
    with pytest.raises(SynthgenError, match="UTF-8"):
        CSV(path=str(tmp_path / "a.csv")).read()
    (tmp_path / "b.csv").write_text("path,label\n")
    with pytest.raises(SynthgenError, match="lists no images"):
        CSV(path=str(tmp_path / "b.csv")).read()


def test_an_attribute_follows_its_image_and_changes_no_split(write_csv):
    rows = [
        {"path": f"pictures/{name}/{i:03d}.png", "label": name, "Scanner": f"S{name}{i}" * (i > 0)}
        for name in ("2", "10")
        for i in range(10)
    ]
    path = write_csv(("path", "Scanner", "label"), rows)
    records = CSV(path=path, attribute="Scanner").read()
    assert records.attributes == tuple(row["Scanner"] or None for row in rows)
    assert not any("Ignored" in note for note in records.notes)
    splits = prepare(CSV(path=path, attribute="scanner"))
    from synthgen.data import image_hashes

    value_of = dict(zip(image_hashes(records.images.images), records.attributes, strict=True))
    assert splits.test_attributes == tuple(
        value_of[one] for one in image_hashes(splits.test.images)
    )
    without = prepare(CSV(path=path))
    assert without.test_attributes is None
    assert (without.digest, without.recipe) == (splits.digest, splits.recipe)
    with pytest.raises(
        SynthgenError, match=r"no column 'scaner'.*\n.*are Scanner, label.*'Scanner'"
    ):
        CSV(path=path, attribute="scaner").read()


def test_a_row_longer_than_the_first_line_is_told_from_one_that_ends_with_commas(write_csv):
    path = write_csv(("path", "label"), None)
    header, first, *rest = Path(path).read_text().splitlines()
    Path(path).write_text("\n".join([header, f"{first},, ", *rest]))
    assert len(CSV(path=path).read().images.labels) == 1 + len(rest)
    Path(path).write_text("\n".join([header, f"scan 1,{first}", *rest]))
    with pytest.raises(SynthgenError, match="more cells than the first line in data row 1"):
        CSV(path=path).read()


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(SynthgenError, match="is a folder, not a CSV file"):
        CSV(path=str(tmp_path)).read()
