"""Forged and damaged samplers, sets and manifests, whose hashes are put right: each use of one ends
in a SynthgenError or in a sound load, never in another exception. The damages follow from the files
themselves: every field, in turn, is removed or gets a value of another kind."""

import hashlib
import itertools
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from synthgen.data import Digits, prepare, write_split
from synthgen.dataset.formats import NPZ
from synthgen.dataset.origin import Training
from synthgen.dataset.source import Synthetic, read_synthetic
from synthgen.errors import SynthgenError
from synthgen.evaluation.checks import provenance_sentences, require_unseen_test
from synthgen.io import canonical_digest
from synthgen.samplers import PCAGaussian, load_sampler
from synthgen.synthesis import (
    Balanced,
    public_papers,
    regenerate,
    regenerate_row,
    synthesize,
    verify,
)
from synthgen.synthesis.filters import NearCopies
from synthgen.training.finetune import known_to
from synthgen.training.train import export

VALUES = {
    "text": "3", "none": None, "true": True, "-8": -8, "1e9": 10**9, "1e308": 1e308, "0.5": 0.5,
    "list": [[1]], "table": {"a": 1}, "nan": float("nan"), "infinite": float("inf"),
    "control": "\x1b[2J", "huge": 10**400, "empty list": [], "empty table": {}, "empty text": "",
}  # fmt: skip
GONE = object()
WHOLE = {
    "empty": b"", "a list": b"[]", "a number": b"3", "null": b"null", "no JSON": b"{broken",
    "no text": b"\xff\xfe\x00", "deep": b'{"format": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "many digits": b'{"format": ' + b"1" * 10_000 + b"}", "half a character": b'{"a": "\\ud800"}',
    "only its format": b'{"format": "synthgen-dataset/1"}',
}  # fmt: skip


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits())


@pytest.fixture(scope="module")
def sound(splits, tmp_path_factory) -> Path:
    """A run, and of its sampler a set that was added to, one in shards, a filtered one, and public
    papers."""
    folder = tmp_path_factory.mktemp("sound")
    model = PCAGaussian(splits.train.image, components=4)
    model.fit(splits.train)
    (folder / "run").mkdir()
    write_split(splits, folder / "run")
    start = {"images_seen": 64, "new_classes": [], "images_known": True}
    record = {"images_seen": 1259, "seconds": 0.25, "start": start, "seed": 0}
    sampler = export(model, splits, folder / "run", Training.from_json(record))
    for seed in range(2):
        synthesize(sampler, Balanced(1), folder / "set", seed=seed, append=seed > 0)
    synthesize(sampler, Balanced(1), folder / "shards", format=NPZ())
    filters = {"filters": [NearCopies()], "real": splits.train}
    synthesize(sampler, Balanced(1), folder / "filtered", **filters)
    public_papers(folder / "set", folder / "papers")
    shutil.copytree(folder / "set", folder / "public")
    shutil.copytree(folder / "papers", folder / "public", dirs_exist_ok=True)
    return folder


FILES = {
    "sampler": ("run/sampler/sampler.json",),
    "split": ("run/split.json",),
    "set": ("set/dataset.json", "set/manifest.jsonl"),
    "shards": ("shards/dataset.json", "shards/manifest.jsonl", "shards/index.jsonl"),
    "filtered": ("filtered/dataset.json", "filtered/manifest.jsonl"),
    "public": ("public/dataset.json", "public/manifest.jsonl"),
}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every field of a JSON value, by its path; of a list the last entry, of a table of more than
    five like entries the first."""
    if path:
        yield path
    if isinstance(value, dict):
        keys = list(value)
        alike = len(keys) > 5 and len({type(one) for one in value.values()}) == 1
        for key in keys[:1] if alike else keys:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list) and value:
        yield from places(value[-1], (*path, len(value) - 1))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A deep copy of ``value`` in which ``path`` is ``new``, or GONE."""
    copy = json.loads(json.dumps(value))
    node = copy
    for key in path[:-1]:
        node = node[key]
    if new is GONE:
        del node[path[-1]]
    else:
        node[path[-1]] = new
    return copy


def damages(sound: Path) -> list[tuple[str, str, tuple[Any, ...], str]]:
    """(file, name of the damage, where, of what kind), all of them, in one order."""
    found = []
    for files in FILES.values():
        for file in files:
            content = (sound / file).read_text()
            first = content if file.endswith(".json") else content.splitlines()[0]
            for path in places(json.loads(first)):
                if file.endswith("split.json") and path[0] == "assignment" and len(path) > 2:
                    continue
                found += [(file, path, kind) for kind in ("gone", "newer", "deep", *VALUES)]
            found += [(file, (), kind) for kind in (*WHOLE, "cut short", "twice")]
    return found


def damage(folder: Path, file: str, path: tuple[Any, ...], kind: str) -> None:
    """Damage ``file`` and put right every hash that depends on it."""
    target = folder / file
    if not path:
        content = target.read_bytes()
        whole = {"cut short": content[: len(content) // 2], "twice": content + content}
        target.write_bytes(WHOLE.get(kind) if kind in WHOLE else whole[kind])
        if file.endswith(".jsonl"):
            put_right(target.parent, target.name)
        return
    lines = target.read_text().splitlines()
    whole_file = file.endswith(".json")
    value = json.loads(target.read_text() if whole_file else lines[0])
    old = value
    for key in path:
        old = old[key]
    new = {"gone": GONE, "newer": f"{old}9", "deep": nested(400)} | VALUES
    value = changed(value, path, new[kind])
    if whole_file:
        signed(target, value)
    else:
        target.write_text("\n".join([json.dumps(value), *lines[1:]]) + "\n")
        put_right(target.parent, target.name)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def signed(path: Path, value: Any) -> None:
    """Write ``value`` with its own hash, if it has one."""
    if isinstance(value, dict) and "sha256" in value:
        body = {key: item for key, item in value.items() if key != "sha256"}
        fixed = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        if value["sha256"] == json.loads(path.read_text())["sha256"]:
            value = {**value, "sha256": hashlib.sha256(fixed.encode()).hexdigest()}
    path.write_text(json.dumps(value, ensure_ascii=False))


def put_right(folder: Path, name: str) -> None:
    path = folder / "dataset.json"
    dataset = json.loads(path.read_text())
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if name in dataset.get("files", {}):
        dataset["files"][name] = digest
    if name == "manifest.jsonl":
        dataset["digest"] = digest
    if "sha256" in dataset:
        del dataset["sha256"]
        dataset["sha256"] = canonical_digest(dataset)
    path.write_text(json.dumps(dataset))


def uses(folder: Path, file: str, splits: Any) -> dict[str, Any]:
    """What is done with the run or set that ``file`` belongs to."""
    place, run = folder / file.partition("/")[0], folder / "run"
    classes = tuple("0123456789")
    if place == run:
        return {
            "draw": lambda: load_sampler(run).sample(torch.arange(2), torch.arange(2)),
            "start": lambda: known_to(run, splits),
            "synthesize": lambda: synthesize(run, Balanced(1), folder / "new"),
            "synthesize with a filter": lambda: synthesize(
                run, Balanced(1), folder / "other", filters=[NearCopies()], real=splits.train
            ),
        }

    def judge() -> None:
        one = read_synthetic(place, classes)
        require_unseen_test(splits, one)
        provenance_sentences(splits, one, {})

    more = {"format": NPZ()} if place.name == "shards" else {}
    return {
        "judge": judge,
        "train": lambda: Synthetic(root=str(place)).read(),
        "verify": lambda: list(verify(place)),
        "regenerate": lambda: regenerate(place, run, folder / "again"),
        "regenerate a row": lambda: regenerate_row(place, run, 0),
        "publish": lambda: public_papers(place, folder / "shown"),
        "append": lambda: synthesize(run, Balanced(1), place, seed=9, append=True, **more),
    }


def outcomes(sound: Path, scratch: Path, chosen: list[Any], splits: Any) -> list[str]:
    """What went wrong, a line for each use that ended in anything but a SynthgenError."""
    wrong = []
    for number, (file, path, kind) in enumerate(chosen):
        folder = scratch / str(number)
        room = file.partition("/")[0]
        for needed in {room, "run"}:
            shutil.copytree(sound / needed, folder / needed)
        damage(folder, file, path, kind)
        for name, use in uses(folder, file, splits).items():
            try:
                use()
            except SynthgenError as error:
                lines = str(error).splitlines()
                if not 1 <= len(lines) <= 2 or len(str(error)) > 600:
                    wrong.append(f"{file} {path} {kind}: {name}: no sentence: {error}")
            except Exception as error:
                wrong.append(f"{file} {path} {kind}: {name}: {type(error).__name__}: {error!s:.80}")
        shutil.rmtree(folder)
    return wrong


def test_a_damaged_file_is_a_sentence_or_a_sound_load(sound, splits, tmp_path):
    every = damages(sound)
    chosen = [
        one
        for file in itertools.chain(*FILES.values())
        for one in random.Random(18).sample([one for one in every if one[0] == file], 6)
    ]
    assert len(chosen) >= 60
    wrong = outcomes(sound, tmp_path, chosen, splits)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
def test_every_damaged_file_is_a_sentence_or_a_sound_load(sound, splits, tmp_path):
    every = damages(sound)
    assert len(every) > 1000
    wrong = outcomes(sound, tmp_path, every, splits)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"format": "synthgen-job/9"}', b'{"format": "synthgen-job/1"}']
)
def test_a_damaged_job_of_an_unfinished_set_is_a_sentence_and_stays(sound, tmp_path, content):
    job = tmp_path / "set" / ".synthgen" / "job.json"
    job.parent.mkdir(parents=True)
    job.write_bytes(content)
    with pytest.raises(SynthgenError, match=r"job\.json (is damaged|was written by a newer)"):
        synthesize(sound / "run", Balanced(1), tmp_path / "set")
    assert job.read_bytes() == content
