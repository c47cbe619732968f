"""The same table from folders, from W&B's offline runs alone, and from its service."""

from __future__ import annotations

import csv
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.compare import compare_experiments
from synthgen.evaluation.experiments import experiments_in, labels, runs_in
from synthgen.evaluation.provenance import public_report
from synthgen.evaluation.report.comparison_page import (
    pareto_front,
    quality_against_time,
    stages,
)
from synthgen.evaluation.report.schema import Report
from synthgen.images import encode_png
from synthgen.tracking import log_report, open_tracker
from synthgen.tracking.experiments import experiments_of
from synthgen.tracking.records import RecordedRun, offline_runs
from synthgen.tracking.remote import RunsAddress, downloaded_runs
from synthgen.tracking.report import Panels, build, report_spec

MOMENTS = {"fast": (0, 500, 1000), "slow": (0, 900, 2000), "odd": (0, 1000)}
FACTORS = {"fast": 0.9, "slow": 1.0, "odd": 0.8}


@pytest.fixture(scope="module")
def quick_environment() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WANDB_")]:
            patch.delenv(name)
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("WANDB_ERROR_REPORTING", "false")
        yield


@pytest.fixture
def lines(tmp_path, make_report, quick_environment, written_runs) -> Path:
    """Three runs with previews and reports, tracked offline: ``tmp_path/lines/NAME``."""
    root = tmp_path / "lines"
    for number, (name, moments) in enumerate(MOMENTS.items()):
        write_line(root / name, make_report(root / name / "report"), number, moments)
    written_runs(root)
    return root


def write_line(run: Path, content: dict, number: int, moments: tuple[int, ...]) -> None:
    for result in content["results"]:
        if result["value"] is not None and result["name"].startswith("transfer/synthetic"):
            for part in ("value", "ci_low", "ci_high"):
                result[part] *= FACTORS[run.name]
    seconds = {"images_seen": moments[-1], "seconds": 10.0 * moments[-1] / 1000}
    content["provenance"]["synthetic"]["dataset"] = {
        "sampler": {"sha256": str(number) * 64},
        "provenance": {"training": seconds},
        "seed": number,
    }
    content["curves"]["training"] = None
    (run / "report" / "report.json").write_text(json.dumps(content))
    report = Report.from_json(content)
    (run / "report" / "report.public.json").write_text(json.dumps(public_report(report)))
    common = {"project": "tests", "group": "all", "config": {"folder": run.name, "a": {"b": 1}}}
    with open_tracker("wandb", run, job_type="train", **common) as tracker:
        csv_log, wandb_log = tracker.loggers()
        wandb_log.shows_pictures = True
        (run / "samples").mkdir()
        for moment in moments:
            shade = torch.full((1, 8, 8), 40 + 60 * number + moment % 50, dtype=torch.uint8)
            (run / "samples" / f"{moment:012d}.png").write_bytes(encode_png(shade))
            for logger in (csv_log, wandb_log):
                logger.log_metrics({"images_seen": moment, "loss": 1 / (moment + 1)})
        csv_log.save()
        tracker.log_fingerprints({"sampler": str(number) * 64})
    with open_tracker("wandb", run / "report", job_type="evaluate", **common) as tracker:
        log_report(tracker, report, run / "report")


class StandInRun:
    """What ``wandb.Api`` gives of a run: config nested, media as dicts, files by name."""

    def __init__(self, run: RecordedRun) -> None:
        self.id, self.job_type, self.group = run.id, run.job_type, run.group
        self.config = {"folder": run.config["folder"], "fingerprints": {
            name.partition(".")[2]: value
            for name, value in run.config.items() if name.startswith("fingerprints.")
        }}  # fmt: skip
        self._run = run

    def scan_history(self):
        for row in self._run.history:
            path = row.get("samples.path")
            media = {"samples": {"_type": "image-file", "path": path}} if path else {}
            yield {k: v for k, v in row.items() if not k.startswith("samples.")} | media

    def logged_artifacts(self):
        return [StandInArtifact(kind, files) for kind, files in self._run.artifacts.items()]

    def file(self, name):
        return StandInEntry(self._run.folders[0] / "files" / name, name)


class StandInEntry:
    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path, name

    def download(self, root, replace=False):
        (Path(root) / self.name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.path, Path(root) / self.name)


class StandInArtifact:
    def __init__(self, kind, files) -> None:
        self.type, self.metadata, self.files = kind, {}, files

    def get_entry(self, name):
        return StandInEntry(self.files[name], name)


class StandInClient:
    default_entity = "me"

    def __init__(self, runs) -> None:
        self.of_all, self.asked = [StandInRun(run) for run in runs], []

    def runs(self, path, filters):
        self.asked.append((path, filters))
        group = filters.get("group")
        return [run for run in self.of_all if group is None or run.group == group]

    def artifact(self, name):
        raise AssertionError(name)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "comparison.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_folders_offline_runs_and_the_service_give_one_table(lines, tmp_path):
    made = compare_experiments(experiments_in([lines / name for name in MOMENTS]), tmp_path / "f")
    assert made.names == ["slow", "fast", "odd"]  # by the primary result, not as they were named

    bare = tmp_path / "elsewhere"  # nothing but what W&B wrote
    for name in MOMENTS:
        shutil.copytree(lines / name / "wandb", bare / name / "wandb")
    runs = offline_runs([bare / name / "wandb" for name in MOMENTS])
    offline = experiments_of(runs, "there")
    again = compare_experiments(offline, tmp_path / "o")
    assert rows_of(tmp_path / "o") == rows_of(tmp_path / "f")
    assert again.differences == made.differences

    client = StandInClient(runs)
    with downloaded_runs("wandb:me/tests/all", client) as found:
        online = experiments_of(found, "wandb:me/tests/all")
        compare_experiments(online, tmp_path / "w")
    assert client.asked == [("me/tests", {"group": "all"})]
    assert rows_of(tmp_path / "w") == rows_of(tmp_path / "f")
    assert len(rows_of(tmp_path / "f")) > 10

    shown = [{one.name: [p.images_seen for p in one.previews] for one in e}
             for e in (offline, online)]  # fmt: skip
    assert shown == [{name: [*moments] for name, moments in MOMENTS.items()}] * 2
    for one in offline:
        curves = one.report.curves.training
        assert curves.columns == ["images_seen", "loss"]
        assert [row[0] for row in curves.rows] == [*MOMENTS[one.name]]
    for page in ("f", "o", "w"):
        text = (tmp_path / page / "comparison.html").read_text()
        assert "As they learned" in text
        assert "Training: loss" in text
        assert "Worth its time?" in text


def test_a_report_whose_files_are_gone_is_not_compared(lines):
    runs = offline_runs([lines / "fast" / "wandb"])
    shutil.rmtree(lines / "fast" / "wandb" / "artifacts")
    with pytest.raises(SynthgenError, match="No run in here has a report"):
        experiments_of(runs, "here")


def test_a_sweep_stands_for_its_runs_in_order(lines, tmp_path, caplog):
    sweep = tmp_path / "sweep"
    for number, name in ((10, "fast"), (9, "slow")):
        shutil.copytree(lines / name, sweep / str(number))
    (sweep / "11").mkdir()
    (sweep / "11" / "config.yaml").write_text("")
    with caplog.at_level("INFO", logger="synthgen"):
        found = runs_in(sweep)
    assert labels(found) == ["9", "10"]
    assert "not compared: 11" in caplog.text
    assert runs_in(lines / "fast") == [lines / "fast"]


def test_previews_stand_beside_those_of_the_same_moment(lines):
    shown = stages(experiments_in([lines / name for name in ("fast", "slow")]))
    assert [stage.images_seen for stage in shown] == [0, 333, 666, 1000]
    assert shown[-1].captions == ["fast: 1,000", "slow: 900"]
    assert stages(experiments_in([lines / "fast"])) == []


def test_the_pareto_front_is_what_nothing_beats_in_both(lines, tmp_path):
    points = [(1.0, 0.5), (2.0, 0.9), (3.0, 0.8), (4.0, 0.95), (2.0, 0.9), (1.0, 0.4)]
    assert pareto_front(points, higher_is_better=True) == [0, 1, 4, 3]
    assert pareto_front(points, higher_is_better=False) == [5]
    made = compare_experiments(experiments_in([lines / name for name in MOMENTS]), tmp_path / "c")
    chart = quality_against_time(made)
    assert chart is not None
    ringed = {curve.label for curve in chart.curves if any(p.chosen for p in curve.points)}
    assert ringed == {"slow", "fast"}  # odd took as long as fast, and is worse


@pytest.mark.parametrize("text", ["wandb:me", "wandb:me/a/b/c", "wandb:me/a:v1", "wandb:/a/b"])
def test_addresses_that_are_none(text):
    with pytest.raises(SynthgenError, match="no address of runs"):
        RunsAddress.of(text)


def test_a_report_in_wandb_is_planned_without_an_account(lines, tmp_path):
    experiments = experiments_in([lines / name for name in MOMENTS])
    made = compare_experiments(experiments, tmp_path / "c")
    spec = report_spec(made, experiments, project="p", entity="me")
    words = "\n".join(block.markdown for block in spec.blocks if not isinstance(block, Panels))
    assert made.answers[0].text in words
    assert "| slow | fast | odd |" in words
    grids = [block for block in spec.blocks if isinstance(block, Panels)]
    keys = [panel.keys for grid in grids for panel in grid.panels]
    assert [*keys] == [("loss",), ("samples",), ("primary/value",), ()]
    assert grids[0].filters == "Config('folder') in ['slow', 'fast', 'odd'] and JobType = 'train'"


def test_wandbs_own_objects_are_made_of_the_plan(lines, tmp_path, monkeypatch):
    interface = pytest.importorskip("wandb_workspaces.reports.v2.interface")
    answer = {"project": {"internalId": "1"}}
    monkeypatch.setattr(interface, "_get_api", lambda: None)
    monkeypatch.setattr(interface, "execute_graphql", lambda *_, **__: answer)
    experiments = experiments_in([lines / name for name in MOMENTS])
    made = compare_experiments(experiments, tmp_path / "c")
    report = build(report_spec(made, experiments, project="p", entity="me"))
    model = json.loads(report._to_model().model_dump_json(by_alias=True))
    kinds = [block["type"] for block in model["spec"]["blocks"]]
    assert kinds.count("panel-grid") == 2
    text = json.dumps(model)
    assert '"value": ["slow", "fast", "odd"]' in text
    assert "images_seen" in text
