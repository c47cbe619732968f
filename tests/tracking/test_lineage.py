"""What W&B's offline runs record: previews over images seen, inputs that a sync links, a resumed
run's id, and no number that would spoil a summary."""

from __future__ import annotations

import json
import math
import os
import struct

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.images import encode_png
from synthgen.io import file_digest
from synthgen.samplers import Noise, save_sampler
from synthgen.tracking import log_sampler, open_tracker
from synthgen.tracking.lineage import (
    NOTES,
    Piece,
    data_piece,
    remember_name,
    remembered_name,
    remembered_run,
    sampler_piece,
)
from synthgen.tracking.records import offline_runs, payloads, within
from synthgen.types import ImageSpec

COMMON = {"project": "tests", "group": "demo", "config": {"folder": "run"}}
DIGEST = "ab" * 32


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture
def read(written_runs):
    """The only run in a folder."""

    def only(run):
        written_runs(run)
        (found,) = offline_runs([run / "wandb"])
        return found

    return only


@pytest.fixture
def artifacts_of(written_runs):
    def read(root):
        written_runs(root)
        return artifacts_in(root)

    return read


def artifacts_in(root):
    """(run's job, artifact's name, its digest, aliases, whether it went in) of every artifact."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for path in sorted(root.rglob("*.wandb")):
        job = ""
        for payload in payloads(path):
            record = wandb_internal_pb2.Record.FromString(payload)
            job = record.run.job_type or job
            if record.WhichOneof("record_type") == "artifact":
                one = record.artifact
                found.append((job, one.name, one.digest, sorted(one.aliases), one.use_after_commit))
    return found


def train(run, provenance=None, **more):
    with open_tracker("wandb", run, job_type="train", **{**COMMON, **more}) as tracker:
        save_sampler(Noise(ImageSpec(1, 8, 8, ("0",))), run / "sampler", provenance or {})
        log_sampler(tracker, run / "sampler")


def test_what_a_stage_made_and_what_the_next_one_used_are_one_artifact(tmp_path, artifacts_of):
    """By name and content: that is how W&B finds the version when runs are synced, in any order.
    What goes in is not called the latest, which it need not be."""
    run = tmp_path / "run"
    train(run)
    with open_tracker("wandb", tmp_path / "set", job_type="synthesize", **COMMON) as tracker:
        tracker.use_piece(sampler_piece(run / "sampler"))
        tracker.use_piece(data_piece(DIGEST))
    made, used, data = artifacts_of(run) + artifacts_of(tmp_path / "wandb")
    alias = f"sha256-{sampler_piece(run / 'sampler').fingerprint[:16]}"
    assert made[:2] == ("train", "demo-sampler")
    assert used[:3] == ("synthesize", "demo-sampler", made[2])
    assert (made[3], used[3]) == (["latest", alias], [alias])
    assert (made[4], used[4]) == (False, True)
    assert data[1] == f"data-{DIGEST[:16]}"


def test_the_same_data_are_one_artifact_and_others_another(tmp_path, artifacts_of):
    for name, digest in (("a", DIGEST), ("b", DIGEST), ("c", "cd" * 32)):
        with open_tracker("wandb", tmp_path / name, job_type="train", **COMMON) as tracker:
            tracker.use_piece(data_piece(digest))
    digests = [artifacts_of(tmp_path / name)[0][1:3] for name in "abc"]
    assert digests[0] == digests[1] != digests[2]


def test_a_name_is_found_where_the_piece_lies_and_strange_ones_are_not_believed(tmp_path):
    piece = Piece("sampler", DIGEST, near=tmp_path)
    assert remembered_name(piece) is None
    remember_name(tmp_path, DIGEST, "me/p/run-sampler:v3")
    assert remembered_name(piece) == "me/p/run-sampler:v3"
    remember_name(tmp_path, DIGEST, "x; rm -rf")
    assert remembered_name(piece) is None
    (tmp_path / NOTES).write_text('{"train": "../../x", "artifacts": 3')
    assert remembered_name(piece) is None
    (tmp_path / NOTES).write_text('{"train": "../../x"}')
    assert remembered_run(tmp_path) is None


def preview(run, moment):
    (run / "samples").mkdir(parents=True, exist_ok=True)
    picture = encode_png(torch.full((1, 8, 8), moment % 250, dtype=torch.uint8))
    (run / "samples" / f"{moment:012d}.png").write_bytes(picture)


class Model:
    """As much of a model as a logger is handed."""

    def __init__(self, exposes_real):
        self.exposes_real = exposes_real

    def sampler(self):
        return self


def part_of_a_run(run, moments, exposes_real=False):
    with open_tracker("wandb", run, job_type="train", **COMMON) as tracker:
        logger = tracker.loggers()[1]
        logger.log_graph(Model(exposes_real))
        for moment in moments:
            preview(run, moment)
            loss = math.nan if moment == 300 else float(moment)
            logger.log_metrics({"images_seen": moment, "loss": loss})
        logger.finalize("success")


def test_previews_are_logged_once_at_their_moment_and_a_resumed_run_goes_on(tmp_path, read):
    run = tmp_path / "run"
    part_of_a_run(run, [100, 200])
    part_of_a_run(run, [200, 300])  # from a state at 100: what it repeats is there already
    folders = sorted((run / "wandb").glob("offline-run-*"))
    assert len(folders) == 2
    found = read(run)  # one run
    assert found.id == remembered_run(run)
    shown = [(row["images_seen"], row["samples.caption"]) for row in found.history
             if "samples.path" in row]  # fmt: skip
    said = "images seen; the same latents each time, a column per class"
    assert shown == [(n, f"{n} {said}") for n in (100, 200, 300)]
    assert [row["images_seen"] for row in found.history] == [row["_step"] for row in found.history]
    assert found.summary["loss"] == 200  # not NaN, which was seen last
    assert all(found.picture(row["samples.path"]).is_file() for row in found.history
               if "samples.path" in row)  # fmt: skip


def test_pictures_of_a_model_that_copies_real_images_stay_here(tmp_path):
    part_of_a_run(tmp_path / "run", [100], exposes_real=True)
    assert not [*(tmp_path / "run" / "wandb").rglob("*.png")]


def test_the_best_moment_is_a_finite_number_of_its_own(tmp_path, read):
    run = tmp_path / "run"
    run.mkdir()
    rows = [(100, 3.0), (200, 1.5), (300, 2.0)]
    curve = [{"images_seen": seen, "distance": value} for seen, value in rows]
    (run / "best.json").write_text(json.dumps(curve))
    train(run)
    found = read(run)
    assert (found.summary["best/holdout_distance"], found.summary["best/images_seen"]) == (1.5, 200)


def test_settings_are_flat_and_the_machine_is_watched_only_if_asked(tmp_path, read):
    config = {"model": {"lr": {"start": 0.5}}, "folder": "run", "api_key": "hunter2"}
    train(tmp_path / "a", config=config)
    found = read(tmp_path / "a")
    assert found.config["model.lr.start"] == 0.5
    assert found.config["api_key"] != "hunter2"
    with open_tracker("wandb", tmp_path / "b", job_type="train", **COMMON) as tracker:
        assert tracker.run.settings.x_disable_stats
    more = {**COMMON, "device_use": "shown"}
    with open_tracker("wandb", tmp_path / "c", job_type="train", **more) as tracker:
        assert not tracker.run.settings.x_disable_stats
        assert tracker.run.settings.x_disable_machine_info


def test_a_record_is_read_to_where_it_was_cut_and_a_damaged_one_is_told(tmp_path, read):
    part_of_a_run(tmp_path / "run", range(0, 40_000, 100))
    (path,) = (tmp_path / "run" / "wandb").rglob("*.wandb")
    found = read(tmp_path / "run")
    content = path.read_bytes()
    assert len(content) > 3 * 32 * 1024  # records that run over blocks are among them
    losses = [row["loss"] for row in found.history if "loss" in row]
    assert losses == [float(n) for n in range(0, 40_000, 100) if n != 300]
    whole = len([*payloads(path)])
    path.write_bytes(content[:-5])
    assert len([*payloads(path)]) == whole - 1
    path.write_bytes(content[:200] + bytes([content[200] ^ 1]) + content[201:])
    with pytest.raises(SynthgenError, match="damaged at byte"):
        list(payloads(path))
    path.write_bytes(struct.pack("<I", 7) + content[4:])
    with pytest.raises(SynthgenError, match="no record of a W&B run"):
        list(payloads(path))


def test_a_record_names_no_files_outside_its_folder(tmp_path):
    root = tmp_path / "run"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "link").symlink_to(tmp_path / "secret")
    for name in ("../secret", str(tmp_path / "secret"), "link", ""):
        assert within(root, name) is None
    assert within(root, "a/b.png") == root / "a/b.png"


def test_a_data_piece_says_nothing_but_that_it_is_these_images():
    piece = data_piece(DIGEST)
    assert piece.made == {"data.json": json.dumps({"digest": DIGEST}).encode()}
    assert piece.files == ()


def test_a_sampler_piece_has_the_files_of_the_sampler(tmp_path):
    folder = save_sampler(Noise(ImageSpec(1, 8, 8, ("0",))), tmp_path / "sampler", {})
    piece = sampler_piece(folder)
    assert [path.name for path in piece.files] == ["sampler.json", "weights.safetensors"]
    assert all(file_digest(path) for path in piece.files)
    assert piece.near == tmp_path
