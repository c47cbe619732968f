"""What the JSON files hold: strict, bounded, tolerant of what is new, and published."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from synthgen.dataset.origin import Provenance
from synthgen.dataset.schema import Dataset, ManifestRow, PublicRow, described
from synthgen.errors import SynthgenError
from synthgen.samplers.artifact import SamplerDescription
from synthgen.schema import Image, table_of

OLD = Path(__file__).parent / "artifacts" / "1c8d65d"
IMAGE = {"channels": 1, "height": 8, "width": 6, "classes": ["cat", "dog"]}
ROW = {
    "file": "cat/0.png", "label": 0, "class": "cat", "seed": 7, "sampler": "a" * 64,
    "origin": "synthetic", "source": "x", "sha256": "b" * 64,
}  # fmt: skip


def read_as_dataset(content):
    return described(json.dumps(content).encode(), "set/dataset.json")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"height": "8"}, r"height should be a whole number"),
        ({"height": 8.0}, r"height should be a whole number"),
        ({"height": True}, r"height should be a whole number"),
        ({"height": -8}, r"height should be greater than or equal to 1"),
        ({"height": 10**9}, r"height should be less than or equal to 16384"),
        ({"height": 16384, "width": 16384, "channels": 1024}, r"it has more than"),
        ({"classes": ["cat", 3]}, r"classes\.1 should be text"),
        ({"classes": ["cat", "cat"]}, r"it names a class twice"),
        ({"classes": []}, r"classes "),
        ({"classes": "cat"}, r"classes should be a list"),
    ],
)
def test_a_value_of_another_kind_is_named_and_never_made_into_the_right_one(changes, said):
    with pytest.raises(SynthgenError, match=rf"^set/image is damaged: {said}"):
        Image.from_json(IMAGE | changes, "set/image")


def test_what_a_later_version_adds_is_kept(description):
    content = description({"cat": 3}) | {"later": {"more": [1]}}
    content["image"] = content["image"] | {"depth": 3}
    content["provenance"] = {"training": {"watts": 3.5}}
    assert read_as_dataset(content).to_json() == content


@pytest.mark.parametrize("key", ["file", "sha256", "sampler"])
def test_what_is_shown_on_a_terminal_holds_nothing_that_it_would_obey(key):
    line = json.dumps(ROW | {key: "\x1b[2J"}).encode()
    with pytest.raises(SynthgenError, match=f"line 1: {key} should have another form, without"):
        list(ManifestRow.read_lines([line], "manifest.jsonl", ""))


@pytest.mark.parametrize(
    ("format", "said"),
    [
        ("synthgen-dataset/2", "was written by a newer synthgen"),
        ("synthgen-dataset/0", "is not of the form synthgen-dataset/1"),
        ("synthgen-dataset/x", "is not of the form synthgen-dataset/1"),
        ("x/9", "is not of the form synthgen-dataset/1"),
        (None, "is not of the form synthgen-dataset/1"),
        ("synthgen-public/2", "was written by a newer synthgen"),
    ],
)
def test_another_format_is_told_from_damage(description, format, said):
    with pytest.raises(SynthgenError, match=f"^set/dataset.json {said}.*\n"):
        read_as_dataset(description({"cat": 3}, format=format))


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}', b"[" * 65 + b"]" * 65,
        b'{"a": ' + b"[" * 10**6, b'{"a": "\\udc00"}', b'"' + b'\\"' * 10**6,
    ],
    ids=["nan", "infinite", "too large", "deep", "deep and open", "half", "an open string"],
)  # fmt: skip
def test_what_no_table_of_ours_holds_is_refused_before_it_costs_anything(content):
    with pytest.raises(SynthgenError, match=r"^x is damaged: .*\.\nGet another\.$"):
        table_of(content, "x", "Get another.")


def test_brackets_in_text_are_not_depth():
    table = {"a": "[" * 100 + '\\"' + "{" * 100}
    assert table_of(json.dumps(table).encode(), "x", "") == table


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(Dataset, "LARGEST", 2**20)
    (tmp_path / "dataset.json").write_bytes(b" " * (2**20 + 1))
    with pytest.raises(SynthgenError, match="larger than 1 MiB"):
        Dataset.read(tmp_path / "dataset.json")


def test_the_parts_of_a_set_add_up(description):
    for changes, said in (
        ({"count": 4}, "counts 4 images, its parts are others"),
        ({"quotas": {"cat": 4}}, "another quota of 'cat' than its parts"),
        ({"quotas": {"cat": 3, "dog": 0}}, "quotas for other classes"),
        ({"real_count": 1}, "its quotas are others"),
        ({"classes": ["dog"]}, "other classes than image.classes"),
    ):
        with pytest.raises(SynthgenError, match=said):
            read_as_dataset(description({"cat": 3}) | changes)


def test_the_rows_are_read_until_the_first_damaged_one():
    lines = [json.dumps(ROW | {"seed": seed}).encode() for seed in (1, None, "3", 4)]
    rows = ManifestRow.read_lines(lines, "manifest.jsonl", "Get it again.")
    assert [next(rows).seed, next(rows).seed] == [1, None]
    with pytest.raises(SynthgenError, match=r"line 3: seed should be a whole number"):
        next(rows)


def test_a_line_without_end_is_no_row():
    lines = [b" " * 2**20]
    with pytest.raises(SynthgenError, match="line 1 is longer than a row can be"):
        list(PublicRow.read_lines(lines, "manifest.jsonl", ""))


def test_a_public_row_holds_what_is_named_and_nothing_else():
    (row,) = ManifestRow.read_lines([json.dumps(ROW | {"secret": 1}).encode()], "x", "")
    public = PublicRow.of(row).to_json()
    assert public == {key: ROW[key] for key in ("file", "label", "class", "origin", "sha256")}


def test_a_provenance_of_nothing_is_written_as_nothing():
    assert Provenance().to_json() == Provenance.from_json({}).to_json() == {}


@pytest.mark.parametrize(
    "name", ["pca/sampler.json", "vae/sampler.json", "run/sampler/sampler.json"]
)
def test_what_was_written_before_is_written_again_to_the_byte(name):
    text = (OLD / name).read_text()
    read = SamplerDescription.read(OLD / name)
    assert json.dumps(read.to_json(), indent=2, ensure_ascii=False) + "\n" == text


def test_so_are_a_set_and_its_rows():
    text = (OLD / "set/dataset.json").read_text()
    read = Dataset.read(OLD / "set/dataset.json")
    assert json.dumps(read.to_json(), indent=2, ensure_ascii=False) + "\n" == text
    lines = (OLD / "set/manifest.jsonl").read_bytes().splitlines()
    rows = ManifestRow.read_lines(lines, "x", "")
    assert [json.dumps(row.to_json()).encode() for row in rows] == lines


@pytest.fixture
def published(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "scripts")
    import write_schemas

    return write_schemas


def test_the_published_schemas_are_those_of_the_models(published):
    for name, model in published.SCHEMAS.items():
        text = (published.FOLDER / f"{name}.json").read_text()
        assert text == published.schema_text(model), "run python scripts/write_schemas.py"
    assert {path.stem for path in published.FOLDER.glob("*.json")} >= published.SCHEMAS.keys()


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("sampler", "vae/sampler.json"),
        ("split", "run/split.json"),
        ("dataset", "set/dataset.json"),
        ("manifest_row", "set/manifest.jsonl"),
        ("public_manifest_row", "set/manifest.jsonl"),
    ],
)
def test_saved_files_fit_the_published_schemas(published, schema, file):
    rules = json.loads((published.FOLDER / f"{schema}.json").read_text())
    jsonschema.Draft202012Validator.check_schema(rules)
    text = (OLD / file).read_text()
    value = json.loads(text.splitlines()[0] if file.endswith("l") else text)
    jsonschema.validate(value, rules)
    (key,) = re.findall(r'"(sha256|digest)"', json.dumps(list(value)))[-1:]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**value, key: 3}, rules)
