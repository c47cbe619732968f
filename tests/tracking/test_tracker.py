"""Trackers: files only without wandb, W&B offline for real, and no way to lose a stage to it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from synthgen.dataset.card import sheet_page
from synthgen.errors import SynthgenError
from synthgen.evaluation.report.schema import Report
from synthgen.images import encode_png
from synthgen.io import canonical_digest
from synthgen.samplers import Noise, save_sampler
from synthgen.tracking import CsvOnly, log_dataset, log_report, log_sampler, open_tracker
from synthgen.tracking.lineage import Piece
from synthgen.tracking.wandb import choose_mode, netrc_hosts, run_folder, safe_name
from synthgen.types import ImageSpec

ARTIFACTS = Path(__file__).parents[1] / "artifacts" / "1c8d65d"
COMMON = {"project": "tests", "group": "demo", "config": {}}


@pytest.fixture
def offline(monkeypatch):
    """No credentials, whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.mark.parametrize(
    ("environ", "hosts", "mode"),
    [
        ({}, [], "offline"),
        ({}, ["api.wandb.ai"], "online"),
        ({}, ["github.com"], "offline"),
        ({"WANDB_API_KEY": "k"}, [], "online"),
        ({"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, ["api.wandb.ai"], "offline"),
        ({"WANDB_MODE": "online"}, [], "offline"),  # a wish without a key can't be met
        ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "k"}, [], "disabled"),
        ({"WANDB_BASE_URL": "https://wandb.example.org"}, ["wandb.example.org"], "online"),
        ({"WANDB_BASE_URL": "https://wandb.example.org"}, ["api.wandb.ai"], "offline"),
    ],
)
def test_mode(environ, hosts, mode):
    assert choose_mode(environ, hosts) == mode


def test_netrc(tmp_path):
    file = tmp_path / "netrc"
    file.write_text("machine api.wandb.ai login user password secret\n")
    assert netrc_hosts({"NETRC": str(file)}) == ["api.wandb.ai"]
    file.write_text("machine api.wandb.ai surprise\n")
    assert netrc_hosts({"NETRC": str(file)}) == []
    assert netrc_hosts({"NETRC": str(tmp_path / "none")}) == []


def test_a_set_holds_nothing_but_classes_so_wandb_goes_beside_it(tmp_path):
    assert run_folder(tmp_path / "run", "train") == tmp_path / "run"
    assert run_folder(tmp_path / "run/synthetic", "synthesize") == tmp_path / "run"


def test_csv_leaves_wandb_out(tmp_path):
    code = (
        "import sys; from synthgen.tracking import open_tracker\n"
        f"t = open_tracker('csv', {str(tmp_path)!r}, project='p', group=None, job_type='train',"
        " config={})\n"
        "with t: [logger] = t.loggers()\n"
        "logger.log_metrics({'loss': 1.0}, step=5); logger.save()\n"
        "assert 'wandb' not in sys.modules, 'imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert (tmp_path / "metrics.csv").read_text() == "images_seen,loss\n5,1\n"
    assert not (tmp_path / "wandb").exists()


def test_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(SynthgenError, match="tensorboard"):
        open_tracker("tensorboard", tmp_path, job_type="train", **COMMON)


def test_disabled_means_files_only(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert isinstance(open_tracker("wandb", tmp_path, job_type="train", **COMMON), CsvOnly)


def files_of_stages(root, description):
    """The smallest folders that the stages would leave behind."""
    for name in ("synthetic", "report/figures"):
        (root / name).mkdir(parents=True)
    save_sampler(Noise(ImageSpec(1, 8, 8, ("0",))), root / "sampler", {})
    (root / "synthetic/manifest.jsonl").write_text('{"file": "0/0.png"}\n')
    content = json.dumps(description({"0": 1}))
    (root / "synthetic/dataset.json").write_text(content)
    (root / "report/report.html").write_text("page with real images")
    (root / "report/report.json").write_text("private: nearest training image 4711")
    (root / "report/report.public.json").write_text("the public form")
    picture = encode_png(torch.zeros(1, 8, 8, dtype=torch.uint8))
    (root / "report/figures/grid.png").write_bytes(picture)
    page = sheet_page(picture, ["0"])
    (root / "synthetic/contact_sheet.html").write_text(page)
    return report_of_kid()


def report_of_kid():
    """A report with one result, once over all and once for a class, and with a verdict."""
    kid = {
        "name": "fidelity/kid", "extractor": "classifier-12345678", "scope": None,
        "classifier": None, "value": 0.25, "ci_low": 0.1, "ci_high": 0.4, "n_real": 50,
        "n_fake": 50, "higher_is_better": False, "seconds": 0.1,
    }  # fmt: skip
    nothing = {"value": None, "ci_low": None, "ci_high": None}
    primary = {
        "name": "real_and_synthetic_2", "against": "real_only", "primary": True,
        "verdict": "helped", "difference": 0.03125, "ci_low": 0.01, "ci_high": 0.05, "p": 0.01,
        "p_adjusted": 0.01, "smallest_detectable": 0.02,
    }  # fmt: skip
    verdict = {
        "endpoint": "macro_f1", "minimum_difference": 0.01, "sentence": "They helped.",
        "against_best_cheap": None, "arms": [primary],
    }  # fmt: skip
    whole = json.loads((ARTIFACTS / "report" / "report.json").read_text())
    results = [kid, {**kid, "scope": {"class": "0"}, **nothing}]
    return Report.from_json({**whole, "results": results, "verdict": verdict})


def test_a_whole_run_offline(tmp_path, description, offline, caplog):
    report = files_of_stages(tmp_path, description)
    common = {**COMMON, "config": {"lr": 0.5, "api_key": "hunter2-secret"}}
    with caplog.at_level(logging.INFO, logger="synthgen"):
        with open_tracker("wandb", tmp_path, job_type="train", **common) as tracker:
            csv_log, wandb_log = tracker.loggers()
            for logger in (csv_log, wandb_log):
                logger.log_metrics({"images_seen": 64, "loss": 0.5}, step=1)
                logger.finalize("success")
            log_sampler(tracker, tmp_path / "sampler")
        out = tmp_path / "synthetic"
        with open_tracker("wandb", out, job_type="synthesize", **common) as tracker:
            log_dataset(tracker, out)
        out = tmp_path / "report"
        with open_tracker("wandb", out, job_type="evaluate", **common) as tracker:
            log_report(tracker, report, out)
    runs = sorted((tmp_path / "wandb").glob("offline-run-*"))
    assert len(runs) == 3  # all beside each other
    assert not list((tmp_path / "synthetic").glob("wandb"))
    hints = [r.getMessage() for r in caplog.records if "wandb sync" in r.getMessage()]
    assert len(hints) == 3
    beginning = f"W&B is offline. To upload this run: cd {tmp_path} && wandb sync "
    assert set(hints) == {f"{beginning}{run.relative_to(tmp_path)}" for run in runs}
    ours = [r for r in caplog.records if r.name.startswith("synthgen")]
    assert not [r for r in ours if r.levelno >= logging.WARNING]
    assert (tmp_path / "metrics.csv").read_text() == "images_seen,loss\n64,0.5\n"

    records = [run.read_bytes() for folder in runs for run in folder.glob("*.wandb")]
    everything = b"".join(p.read_bytes() for p in (tmp_path / "wandb").rglob("*") if p.is_file())
    assert len(records) == 3
    assert b"hunter2" not in everything
    for wanted in (b"demo", b"fingerprints", b"synthesize", b"images_seen", b"ab" * 32):
        assert wanted in b"".join(records), wanted
    names = {p.name for p in (tmp_path / "wandb").rglob("*") if p.is_file()}
    assert not names & {"requirements.txt", "output.log", "debug.log", "wandb-metadata.json"}
    assert not [p for p in (tmp_path / "wandb").rglob("*") if p.is_symlink()]
    assert b"page with real images" not in everything  # pages and grids show real images
    pictures = [name for name in names if name.endswith(".png")]
    assert len(pictures) == 1
    assert "contact_sheet" in pictures[0]


class Remembering(CsvOnly):
    """A tracker that keeps what it is told."""

    def __init__(self, out):
        super().__init__(out)
        self.values, self.tables, self.files = {}, {}, []

    def log_values(self, values):
        self.values |= values

    def log_table(self, name, columns, rows):
        self.tables[name] = (columns, rows)

    def log_piece(self, piece):
        self.files += [file.name for file in piece.files]


def test_a_report_goes_in_its_public_form_with_the_verdict_as_numbers(tmp_path, description):
    tracker = Remembering(tmp_path)
    log_report(tracker, files_of_stages(tmp_path, description), tmp_path / "report")
    assert tracker.files == ["report.public.json"]  # never report.json, never the page
    assert tracker.values["verdict/difference"] == 0.03125
    assert (tracker.values["verdict"], tracker.values["primary/value"]) == ("helped", 0.03125)
    columns, rows = tracker.tables["trial"]
    assert dict(zip(columns, rows[0], strict=True))["verdict"] == "helped"


def test_a_failed_stage_ends_its_run(tmp_path, offline):
    import wandb

    def stage():
        with open_tracker("wandb", tmp_path, job_type="train", **COMMON):
            assert wandb.run is not None
            raise KeyError("x")

    with pytest.raises(KeyError):
        stage()
    assert wandb.run is None


def test_an_unreachable_service_turns_into_an_offline_run(tmp_path, offline, monkeypatch, caplog):
    import wandb

    asked, real = [], wandb.init

    def init(**arguments):
        asked.append(arguments["mode"])
        if arguments["mode"] == "online":
            raise wandb.errors.CommError("no route\nsecond line")
        return real(**arguments)

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb, "init", init)
    with caplog.at_level(logging.WARNING, logger="synthgen"):
        tracker = open_tracker("wandb", tmp_path, job_type="train", **COMMON)
        tracker.close(0)
    assert asked == ["online", "offline"]
    assert "no route" in caplog.text
    assert "second line" not in caplog.text


def test_errors_of_the_service_are_told_and_survived(tmp_path, offline, monkeypatch, caplog):
    import wandb

    with open_tracker("wandb", tmp_path, job_type="train", **COMMON) as tracker:

        def refuse(*_, **__):
            raise wandb.errors.CommError("connection lost")

        monkeypatch.setattr(tracker.run, "log_artifact", refuse)
        with caplog.at_level(logging.WARNING, logger="synthgen"):
            tracker.log_piece(Piece("report", "0" * 64))
    assert "connection lost" in caplog.text


def test_artifact_names():
    assert safe_name("a b/ç:1") == "a-b-1"
    assert len(safe_name("x" * 500)) == 128


class Attached(CsvOnly):
    """Remembers the names of the files that would be uploaded."""

    def log_piece(self, piece):
        self.names = [file.name for file in piece.files]


@pytest.mark.parametrize("exposes_real", [False, True])
def test_copies_of_real_images_and_their_hashes_stay_here(tmp_path, description, exposes_real):
    files_of_stages(tmp_path, description)
    for file in ("sampler/sampler.json", "synthetic/dataset.json"):
        content = {**json.loads((tmp_path / file).read_text()), "exposes_real": exposes_real}
        del content["sha256"]
        content["sha256"] = canonical_digest(content)
        (tmp_path / file).write_text(json.dumps(content))
    tracker = Attached(tmp_path)
    log_sampler(tracker, tmp_path / "sampler")
    assert ("weights.safetensors" in tracker.names) is not exposes_real
    log_dataset(tracker, tmp_path / "synthetic")
    assert ("manifest.jsonl" in tracker.names) is not exposes_real
    assert "dataset.json" in tracker.names
