"""Every missing, changed and extra file is found, and reading refuses what was changed."""

import json

import pytest

from synthgen.data import Synthetic, read_synthetic
from synthgen.errors import SynthgenError
from synthgen.synthesis import Balanced, synthesize, verify


@pytest.fixture
def dataset(noise, one_of_each_kind, tmp_path):
    form = one_of_each_kind
    return synthesize(noise, Balanced(50), tmp_path / "set", format=form, shard_size=64)


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_set_as_it_was_written(dataset):
    assert list(verify(dataset)) == []


def test_every_single_file_is_missed(dataset):
    names = files_of(dataset)
    chosen = [*names[:2], *names[-6:]]
    for name in chosen:
        content = (dataset / name).read_bytes()
        (dataset / name).unlink()
        if name == "dataset.json":
            with pytest.raises(SynthgenError, match="never finished"):
                next(verify(dataset))
        else:
            assert any(one.startswith(f"{name} is missing") for one in verify(dataset)), name
        (dataset / name).write_bytes(content)


def test_a_changed_byte_in_any_file_is_found(dataset):
    names = files_of(dataset)
    for name in [*names[:2], *names[-6:]]:
        content = (dataset / name).read_bytes()
        middle = len(content) // 2
        changed = bytes([content[middle] ^ 1])
        (dataset / name).write_bytes(content[:middle] + changed + content[middle + 1 :])
        try:
            found = list(verify(dataset))
        except SynthgenError as error:
            found = [str(error)]
        assert any(name in one for one in found), name
        (dataset / name).write_bytes(content)
    assert list(verify(dataset)) == []


def test_extra_files_are_found(dataset):
    (dataset / "cat").mkdir(exist_ok=True)
    (dataset / "cat" / "more.png").write_bytes(b"")
    (dataset / ".hidden").write_bytes(b"")
    assert list(verify(dataset)) == [
        ".hidden is extra: the set does not list it.",
        "cat/more.png is extra: the set does not list it.",
    ]


def test_a_corrupt_image_or_shard_is_not_read(noise, form, tmp_path):
    out = synthesize(noise, Balanced(50), tmp_path / "set", format=form, shard_size=64)
    name = json.loads((out / "manifest.jsonl").read_text().splitlines()[-1])["file"]
    content = (out / name).read_bytes()
    for changed in (content[: len(content) // 2], b""):
        (out / name).write_bytes(changed)
        with pytest.raises(SynthgenError, match=name):
            read_synthetic(out, ("cat", "dog"))
        with pytest.raises(SynthgenError, match=name):
            Synthetic(root=str(out)).read()
    (out / name).unlink()
    with pytest.raises(SynthgenError, match=name):
        read_synthetic(out, ("cat", "dog"))


def test_the_command_ends_with_one_and_a_sentence_for_each(synthgen, dataset):
    assert synthgen("verify", dataset).code == 0
    (dataset / "README.md").unlink()
    (dataset / "extra.txt").write_text("")
    done = synthgen("verify", dataset)
    assert done.code == 3
    assert done.err.splitlines() == [
        "README.md is missing.",
        "extra.txt is extra: the set does not list it.",
    ]
    assert synthgen("verify", dataset.parent / "nothing").code == 2
