"""Every missing, changed and extra file is found, and reading refuses what was changed."""

import json
import os
import signal
import socket

import pytest

from synthgen.dataset.source import Synthetic, read_synthetic
from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest
from synthgen.synthesis import Balanced, synthesize, verify


@pytest.fixture
def dataset(noise, one_of_each_kind, tmp_path):
    form = one_of_each_kind
    return synthesize(noise, Balanced(50), tmp_path / "set", format=form, shard_size=64)


def files_of(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_set_as_it_was_written(dataset):
    assert list(verify(dataset)) == []


def test_a_set_of_any_format_that_was_added_to(noise, form, tmp_path):
    for seed in range(2):
        more = {"seed": seed, "append": seed > 0}
        synthesize(noise, Balanced(50), tmp_path / "set", format=form, shard_size=64, **more)
    assert list(verify(tmp_path / "set")) == []


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


@pytest.fixture
def at_once():
    """Nothing may wait, as opening a pipe would."""
    signal.setitimer(signal.ITIMER_REAL, 30)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)


def relisted(folder, **changes):
    """Rewrite the first row of the set, and all hashes, as somebody with bad intent would."""
    import hashlib

    from synthgen.io import canonical_digest

    dataset = json.loads((folder / "dataset.json").read_text())
    listing = "index.jsonl" if dataset["index_lines"] else "manifest.jsonl"
    first, *rest = (folder / listing).read_text().splitlines()
    text = "\n".join([json.dumps(json.loads(first) | changes), *rest]) + "\n"
    (folder / listing).write_text(text)
    dataset["files"][listing] = hashlib.sha256(text.encode()).hexdigest()
    if listing == "manifest.jsonl":
        dataset["digest"] = dataset["files"][listing]
    del dataset["sha256"]
    dataset["sha256"] = canonical_digest(dataset)
    (folder / "dataset.json").write_text(json.dumps(dataset))
    return json.loads(first)["file"]


@pytest.mark.parametrize("outside", ["../secret", "{folder}/secret", "cat/../../secret", ""])
def test_nothing_outside_of_the_set_is_looked_at(dataset, outside):
    (dataset.parent / "secret").write_bytes(b"private")
    name = outside.format(folder=dataset.parent)
    was = relisted(dataset, file=name)
    said = list(verify(dataset))
    assert any(f"{name} lies outside of the set, so it was not looked at" in one for one in said)
    assert f"{was} is extra: the set does not list it." in said


def test_links_are_not_followed(dataset, tmp_path):
    name = json.loads((dataset / "manifest.jsonl").read_text().splitlines()[0])["file"]
    folder = name.partition("/")[0]
    (dataset / folder).rename(tmp_path / "elsewhere")
    (dataset / folder).symlink_to(tmp_path / "elsewhere")
    (dataset / "more").symlink_to(dataset)  # a loop
    said = list(verify(dataset))
    assert any(one.startswith(f"{name} is a link or lies behind one") for one in said)
    assert sorted(said[-2:]) == [
        f"{extra} is extra: the set does not list it." for extra in sorted([folder, "more"])
    ]


@pytest.mark.parametrize("make", ["pipe", "socket", "link"])
@pytest.mark.parametrize("name", ["an image", "manifest.jsonl", "dataset.json"])
def test_what_is_no_plain_file_is_not_opened(dataset, at_once, make, name):
    first = json.loads((dataset / "manifest.jsonl").read_text().splitlines()[0])["file"]
    path = dataset / (first if name == "an image" else name)
    path.rename(dataset.parent / "moved")
    if make == "pipe":
        os.mkfifo(path)
    elif make == "link":
        path.symlink_to(dataset.parent / "moved")
    else:
        os.chdir(path.parent)  # the names of sockets are short
        socket.socket(socket.AF_UNIX).bind(path.name)
    what = "a link" if make == "link" else "a pipe, socket or device"
    try:
        said = list(verify(dataset))
    except SynthgenError as error:
        said = [str(error)]
    assert any(f"{path.name} is {what}" in one for one in said), said


def test_extra_folders_are_found(dataset):
    (dataset / "empty" / "deep").mkdir(parents=True)
    assert list(verify(dataset)) == [
        "empty/ is extra: the set does not list it.",
        "empty/deep/ is extra: the set does not list it.",
    ]


def described(folder, change):
    """dataset.json with ``change`` made, and its own hash put right."""
    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    change(content)
    body = {key: value for key, value in content.items() if key != "sha256"}
    path.write_text(json.dumps(body | {"sha256": canonical_digest(body)}))


@pytest.mark.parametrize("name", ["files", "count", "index_lines"])
@pytest.mark.parametrize("value", ["many", [1]], ids=str)
def test_a_description_of_other_types_is_damaged(dataset, name, value):
    described(dataset, lambda content: content.update({name: value}))
    with pytest.raises(SynthgenError, match=f"damaged: {name} should be"):
        list(verify(dataset))


@pytest.mark.parametrize("count", [-5, 1, 10**6])
def test_another_number_of_images_than_are_listed_is_found(dataset, count):
    described(dataset, lambda content: content.update(count=count))
    said = "count should be" if count < 0 else f"counts {count:,} images, its parts are others"
    with pytest.raises(SynthgenError, match=said):
        list(verify(dataset))


def test_the_command_checks_every_folder(synthgen, noise, tmp_path):
    good, bad, last = (
        synthesize(noise, Balanced(2), tmp_path / name) for name in ("good", "bad", "last")
    )
    (bad / "README.md").unlink()
    done = synthgen("verify", bad, good)
    assert done.code == 3
    assert done.err.splitlines() == [
        f"{good}: every file is as it was written.",
        f"{bad}: README.md is missing.",
    ]
    done = synthgen("verify", good, last)
    assert (done.code, done.out) == (0, f"{good}\n{last}\n")
    done = synthgen("verify", bad, tmp_path / "nothing", good)
    assert done.code == 2
    assert f"{bad}: README.md is missing." in done.err
    assert "nothing has no dataset.json" in done.err


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


def rewritten(folder, change, row=None):
    """The set with ``change`` made to its description, or to its first row, and every hash put
    right, as somebody with bad intent would."""
    import hashlib

    path = folder / "dataset.json"
    content = json.loads(path.read_text())
    if row is not None:
        first, *rest = (folder / "manifest.jsonl").read_text().splitlines()
        text = "\n".join([json.dumps(json.loads(first) | row), *rest]) + "\n"
        (folder / "manifest.jsonl").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        content["digest"] = content["files"]["manifest.jsonl"] = digest
    change(content)
    body = {key: value for key, value in content.items() if key != "sha256"}
    path.write_text(json.dumps(body | {"sha256": canonical_digest(body)}))


def test_a_label_beside_another_class_is_found(dataset):
    rewritten(dataset, lambda content: None, row={"label": 1})
    (said,) = verify(dataset)
    assert said.startswith("manifest.jsonl has 1 rows whose label is not that of their class")


def test_a_class_that_is_not_the_one_drawn_is_found(dataset):
    rewritten(dataset, lambda content: None, row={"label": 1, "class": "dog"})
    assert list(verify(dataset)) == [
        "dataset.json counts 50 synthetic images of 'cat', 49 are listed.",
        "dataset.json counts 50 synthetic images of 'dog', 51 are listed.",
    ]


def test_a_real_image_that_is_not_counted_is_found(dataset):
    rewritten(dataset, lambda content: None, row={"origin": "real"})
    assert list(verify(dataset)) == [
        "dataset.json counts 50 synthetic images of 'cat', 49 are listed.",
        "dataset.json counts 0 real images, 1 are listed.",
    ]


def test_other_quotas_are_found(dataset):
    def change(content):
        content["quotas"] = content["parts"][0]["quotas"] = {"cat": 49, "dog": 51}

    rewritten(dataset, change)
    assert list(verify(dataset)) == [
        "dataset.json counts 49 synthetic images of 'cat', 50 are listed.",
        "dataset.json counts 51 synthetic images of 'dog', 50 are listed.",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "x/9"}, "is not of the form"),
        ({"format": "synthgen-dataset/9"}, "newer synthgen"),
        ({"quotas": {"cat": 49, "dog": 51}}, "another quota"),
        ({"sampler": [[1]]}, "sampler should be a table"),
    ],
)
def test_a_description_that_can_not_be_is_refused(dataset, change, said):
    rewritten(dataset, lambda content: content.update(change))
    with pytest.raises(SynthgenError, match=said):
        list(verify(dataset))


def test_a_description_without_a_hash_of_its_own_is_found(dataset):
    path = dataset / "dataset.json"
    content = json.loads(path.read_text())
    del content["sha256"]
    path.write_text(json.dumps(content))
    (said,) = verify(dataset)
    assert said.startswith("dataset.json has no SHA-256 of its own")


def test_public_papers_are_verified(noise, tmp_path):
    import shutil

    from synthgen.synthesis import public_papers

    out = synthesize(noise, Balanced(5), tmp_path / "set")
    shown = public_papers(out, tmp_path / "public")
    for folder in ("cat", "dog"):
        shutil.copytree(out / folder, shown / folder)
    assert list(verify(shown)) == []
    (shown / "cat" / "000000.png").write_bytes(b"")
    assert list(verify(shown)) == ["cat/000000.png was changed (its SHA-256 differs)."]
    path = shown / "dataset.json"
    path.write_text(path.read_text().replace('"exposes_real": false', '"exposes_real":  false '))
    content = json.loads(path.read_text()) | {"sampler": {"target": "another"}}
    path.write_text(json.dumps(content))
    assert next(verify(shown)) == "dataset.json was changed (its own SHA-256 differs)."


def test_appending_to_a_set_with_a_forged_sampler_is_a_sentence(noise, dataset):
    rewritten(dataset, lambda content: content.update(sampler=[[1]]))
    with pytest.raises(SynthgenError, match="sampler should be a table"):
        synthesize(noise, Balanced(5), dataset, seed=3, append=True)
