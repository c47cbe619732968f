"""What tests of several rooms share."""

import os
import time

# One thread: the networks of the tests are so small that a second one costs more than it brings,
# and on a busy machine waiting for it costs a hundredfold. Subprocesses inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from synthgen.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """One command line, run in this process."""

    code: int
    out: str
    err: str

    @property
    def last_line(self) -> str:
        return self.out.splitlines()[-1]


@pytest.fixture(scope="session")
def description() -> Callable[..., dict[str, Any]]:
    """``description({"cat": 3, "dog": 2}, seed=7)``: a ``dataset.json`` of such a set, of grey
    images of 8 × 8 pixels; ``part`` changes its only part."""

    def describe(quotas: Mapping[str, int], **changes: Any) -> dict[str, Any]:
        sampler = {"sha256": "ab" * 32, "target": "synthgen.samplers.PCAGaussian"}
        order = {
            "plan": {"_target_": "synthgen.synthesis.Balanced", "per_class": 2},
            "seed": 0,
            "mode": "synthetic",
        }
        part = {
            "id": "0123456789abcdef", "first": 0, "first_shard": 0, "digits": 6, "quotas": quotas,
            "count": sum(quotas.values()), "real_counts": {}, **order,
            "samplers": [{"name": "sampler", **sampler}], "shares": None,
            "latents": {"temperature": None, "truncation": None}, "filters": [], "attempts": None,
            "facts": {},
        }  # fmt: skip
        png = {"_target_": "synthgen.dataset.formats.PNG"}
        content = {
            "format": "synthgen-dataset/1",
            "classes": list(quotas),
            "image": {"channels": 1, "height": 8, "width": 8, "classes": list(quotas)},
            **order,
            "quotas": quotas,
            "count": part["count"],
            "real_count": 0,
            "sampler": sampler,
            "exposes_real": False,
            "provenance": {},
            "execution": {"chunk": 64, "threads": 1, "device": "cpu", "torch": "2", "cpu": "any"},
            "versions": {"synthgen": "0.1.0"},
            "file_format": {"name": "png", "spec": png},
            "shard_size": 64,
            "parts": [part | changes.pop("part", {})],
            "index_lines": 0,
            "papers": {},
            "digest": "cd" * 32,
            "files": {},
            "sha256": "ef" * 32,
        }
        return content | changes

    return describe


@pytest.fixture
def synthgen(capsys, monkeypatch, tmp_path) -> Callable[..., Outcome]:
    """``synthgen("train", "model=vae")`` in an empty folder, without W&B's network."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Outcome(code, out, err)

    return run


@pytest.fixture(scope="session")
def written_runs() -> Callable[[Path], None]:
    """``written_runs(folder)`` returns when every offline W&B run below it is whole: wandb's own
    process closes the files a moment after ``finish``."""

    def wait(folder: Path) -> None:
        from wandb.proto import wandb_internal_pb2

        from synthgen.tracking.records import payloads

        end = time.monotonic() + 60
        for path in folder.rglob("*.wandb"):
            kind = None
            while kind != "exit" and time.monotonic() < end:
                last = [b"", *payloads(path)][-1]
                kind = wandb_internal_pb2.Record.FromString(last).WhichOneof("record_type")
                time.sleep(0.02)
            assert kind == "exit", f"{path} was never finished"

    return wait
