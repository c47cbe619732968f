"""Samplers out of W&B: checked by their hashes, from a stand-in of its service."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from synthgen.errors import SynthgenError
from synthgen.io import canonical_digest
from synthgen.samplers import Noise, save_sampler
from synthgen.samplers.artifact import load_sampler, read_description
from synthgen.tracking.lineage import remembered_name, sampler_piece
from synthgen.tracking.remote import fetch_sampler, kept_samplers, open_client, version_of
from synthgen.types import ImageSpec

ADDRESS = "wandb:me/digits/run-sampler:v3"


class Entry:
    def __init__(self, path: Path) -> None:
        self.path = path

    def download(self, root):
        shutil.copy(self.path, root)


class Artifact:
    type = "sampler"

    def __init__(self, folder: Path) -> None:
        self.folder, self.downloads = folder, []
        self.metadata = {"sha256": read_description(folder).sha256}

    def get_entry(self, name):
        if not (self.folder / name).is_file():
            raise KeyError(name)
        self.downloads.append(name)
        return Entry(self.folder / name)


class Client:
    default_entity = "me"

    def __init__(self, folder: Path) -> None:
        self.one, self.asked = Artifact(folder), []

    def artifact(self, name):
        self.asked.append(name)
        return self.one

    def runs(self, path, filters):
        raise AssertionError(path)


@pytest.fixture
def client(tmp_path):
    return Client(save_sampler(Noise(ImageSpec(1, 8, 8, ("0",))), tmp_path / "there", {}))


def test_a_sampler_is_fetched_once_checked_and_remembers_its_version(client, tmp_path):
    folder = fetch_sampler(ADDRESS, client, tmp_path / "kept")
    assert client.asked == ["me/digits/run-sampler:v3"]
    assert load_sampler(folder).image.classes == ("0",)
    assert remembered_name(sampler_piece(folder)) == "me/digits/run-sampler:v3"
    assert fetch_sampler(ADDRESS, client, tmp_path / "kept") == folder
    assert sorted(client.one.downloads) == ["sampler.json", "weights.safetensors"]


@pytest.mark.parametrize("file", ["weights.safetensors", "sampler.json"])
def test_files_that_were_changed_are_refused_and_not_kept(client, tmp_path, file):
    path = client.one.folder / file
    good = path.read_bytes()
    if file == "sampler.json":  # whole in itself, but another one
        content = {**json.loads(good), "exposes_real": True}
        del content["sha256"]
        path.write_text(json.dumps({**content, "sha256": canonical_digest(content)}))
    else:
        path.write_bytes(good + b" ")
    with pytest.raises(SynthgenError, match="SHA-256 differs"):
        fetch_sampler(ADDRESS, client, tmp_path / "kept")
    assert not [one for one in (tmp_path / "kept").rglob("*") if one.is_file()]
    path.write_bytes(good)
    assert fetch_sampler(ADDRESS, client, tmp_path / "kept").is_dir()


def test_a_sampler_without_its_weights_and_what_is_no_sampler(client, tmp_path):
    (client.one.folder / "weights.safetensors").unlink()
    with pytest.raises(SynthgenError, match=r"no weights\.safetensors"):
        fetch_sampler(ADDRESS, client, tmp_path / "kept")
    client.one.metadata = {"sha256": "../../x"}
    with pytest.raises(SynthgenError, match="no sampler that synthgen logged"):
        fetch_sampler(ADDRESS, client, tmp_path / "kept")


def test_what_the_service_refuses_is_a_sentence(client, tmp_path):
    def refuse(name):
        raise ValueError("artifact not found\nlong trace")

    client.artifact = refuse
    with pytest.raises(SynthgenError, match=r"could not be read: artifact not found\n"):
        fetch_sampler(ADDRESS, client, tmp_path / "kept")


@pytest.mark.parametrize(
    "text", ["wandb:me/p/x", "wandb:me/p", "wandb:me/p/x:v1/../y", "wandb:../p/x y:v1"]
)
def test_addresses_of_no_sampler(text):
    with pytest.raises(SynthgenError, match="no address of a sampler"):
        version_of(text)


@pytest.mark.parametrize("mode", ["", "offline"])
def test_without_a_login_it_is_one_sentence(monkeypatch, tmp_path, synthgen, mode):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("WANDB_MODE", mode)
    with pytest.raises(SynthgenError, match="WANDB_MODE is offline" if mode else "needs a login"):
        open_client()
    for line in (
        ["synthesize", f"sampler={ADDRESS}", "out=set"],
        ["compare", "wandb:me/digits", "out=side"],
        ["look", f"sampler={ADDRESS}", "out=seen"],
    ):
        done = synthgen(*line)
        assert done.code == 2
        assert "Reading from W&B needs" in done.err
        assert "Traceback" not in done.err
    assert not [*tmp_path.iterdir()]


def test_the_line_draws_from_a_fetched_sampler(monkeypatch, client, tmp_path, synthgen):
    monkeypatch.setattr("synthgen.tracking.remote.open_client", lambda: client)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    done = synthgen("synthesize", f"sampler={ADDRESS}", "plan.per_class=2", "out=set")
    assert done.code == 0, done.err
    about = json.loads((tmp_path / "set" / "dataset.json").read_text())
    assert about["sampler"]["sha256"] == client.one.metadata["sha256"]
    records = b"".join(path.read_bytes() for path in (tmp_path / "wandb").rglob("*.wandb"))
    assert b"run-sampler" in records  # it went in under its own name


def test_where_nothing_can_be_kept_it_is_kept_for_this_time(tmp_path):
    (tmp_path / "file").write_text("")
    with kept_samplers({"XDG_CACHE_HOME": str(tmp_path / "file")}) as place:
        assert place.is_dir()
    assert not place.exists()
