"""metrics.csv: one tidy file that survives growing columns and resumed runs."""

from __future__ import annotations

import csv

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.tracking.metrics_csv import MetricsCSV


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_keyed_by_images_seen_and_columns_may_grow(tmp_path):
    log = MetricsCSV(tmp_path / "metrics.csv")
    log.log_metrics({"images_seen": 64.0, "loss": 0.5}, step=1)
    log.save()
    log.log_metrics({"images_seen": 128, "loss": torch.tensor(0.25)}, step=2)
    log.log_metrics({"images_seen": 128, "speed": 100}, step=2)  # same moment: same row
    log.save()
    log.log_metrics({"loss": float("nan")}, step=192)  # without the metric, the step is the clock
    log.finalize("success")
    assert (tmp_path / "metrics.csv").read_text() == (
        "images_seen,loss,speed\n64,0.5,\n128,0.25,100\n192,nan,\n"
    )


def test_saving_appends_instead_of_rewriting(tmp_path):
    path = tmp_path / "metrics.csv"
    log = MetricsCSV(path)
    log.log_metrics({"loss": 1}, step=1)
    log.save()
    file_number = path.stat().st_ino
    log.log_metrics({"loss": 2}, step=2)
    log.save()
    assert path.stat().st_ino == file_number
    log.log_metrics({"late": 3}, step=2)  # an old row changes: rewritten under a new name
    log.save()
    assert path.stat().st_ino != file_number
    assert read(path)[1] == {"images_seen": "2", "loss": "2", "late": "3"}


def test_a_resumed_run_drops_what_was_lost_and_goes_on(tmp_path):
    first = MetricsCSV(tmp_path / "metrics.csv")
    for moment in (100, 200, 300, 400):
        first.log_metrics({"loss": moment}, step=moment)
    first.save()
    second = MetricsCSV(tmp_path / "metrics.csv")  # resumed from a checkpoint at 250
    second.log_metrics({"loss": -300, "new": 1}, step=300)
    second.save()
    rows = read(tmp_path / "metrics.csv")
    assert [(row["images_seen"], row["loss"]) for row in rows] == [
        ("100", "100"),
        ("200", "200"),
        ("300", "-300"),
    ]


def test_nothing_logged_writes_nothing(tmp_path):
    log = MetricsCSV(tmp_path / "metrics.csv")
    log.save()
    log.finalize("failed")
    assert not list(tmp_path.iterdir())


def test_lightning_accepts_it(tmp_path):
    pl = pytest.importorskip("pytorch_lightning")
    from pytorch_lightning.demos.boring_classes import BoringModel

    class Model(BoringModel):
        def training_step(self, batch, index):
            loss = super().training_step(batch, index)["loss"]
            self.log_dict({"loss": loss, "images_seen": 8.0 * (index + 1)})
            return {"loss": loss}

    log = MetricsCSV(tmp_path / "metrics.csv")
    trainer = pl.Trainer(
        max_steps=4,
        logger=log,
        log_every_n_steps=2,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        accelerator="cpu",
        default_root_dir=tmp_path,
    )
    trainer.fit(Model())
    rows = read(tmp_path / "metrics.csv")
    assert [row["images_seen"] for row in rows] == ["16", "32"]
    assert all(row["loss"] for row in rows)


@pytest.mark.parametrize(
    "content", [b"images_seen,loss\n64,\xb6\n", b'images_seen\n"' + 200_000 * b"a"]
)
def test_a_damaged_file_is_named(tmp_path, content):
    path = tmp_path / "metrics.csv"
    path.write_bytes(content)
    with pytest.raises(SynthgenError, match=r"metrics\.csv is damaged"):
        MetricsCSV(path).log_metrics({"loss": 1}, step=1)
    assert path.read_bytes() == content
