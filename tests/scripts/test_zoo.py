"""The zoo: which rows there are, what is marked, and that a row is measured, kept and skipped."""

import copy
import dataclasses
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from synthgen.data import MNIST
from synthgen.errors import SynthgenError
from synthgen.io import config_dir

HIGHER = {"frechet_distance": False, "kid": False, "coverage": True, "accuracy": True}


@pytest.fixture
def zoo():
    return importlib.import_module("zoo")


@pytest.fixture
def table():
    return importlib.import_module("zoo_table")


def record(row, kind="gan", accuracy=0.9, frechet=1.0, **more):
    values = {"frechet_distance": frechet, "kid": 0.01, "coverage": 0.5, "accuracy": accuracy}
    results = {
        name: {"value": value, "ci_low": 0.98 * value, "ci_high": 1.02 * value, "n_real": 10_000,
               "n_fake": 10_000, "higher_is_better": HIGHER[name]}
        for name, value in values.items()
    }  # fmt: skip
    return {
        "data": "mnist", "row": row, "kind": kind, "minutes": 5.0, "images": 20_000,
        "seconds": 400.0, "results": results, "drawing": {"images_per_second": 1234.5},
        "training": {"images_per_second": 1500.0, "parameters": 786_000},
        "machine": {"cpu": "a processor", "cores": 2, "threads": 2, "revision": "abc",
                    "load_average": [0.5, 0.5, 0.5]},
        "extractor": {"name": "classifier-1234", "steps": 1000},
        "judge": {"name": "small_cnn", "steps": 2000, "batch_size": 128},
    } | more  # fmt: skip


CONTROLS = [record("shuffled_labels", "control", 0.1), record("pca_gaussian", "fitted", 0.9)]


def line(text, row):
    return next(one for one in text.splitlines() if one.startswith(f"| {row} |"))


def test_there_are_at_most_24_and_8_rows_and_the_controls_are_among_them(zoo):
    for data, most in (("mnist", 24), ("cifar10", 8)):
        rows = zoo.rows_of(data)
        assert len(rows) <= most
        assert {"real", "shuffled_labels", "pca_gaussian"} <= {row.name for row in rows}
        assert {row.kind for row in rows} >= {"reference", "control", "fitted", "gan", "vae"}


def test_a_row_whose_options_do_not_exist_is_left_out(zoo):
    assert zoo.Row("mnist", "real", "reference", None).available
    assert zoo.Row("mnist", "x", "gan", ("model=gan", "seed=3")).available
    assert not zoo.Row("mnist", "x", "gan", ("model=nowhere",)).available
    assert not zoo.Row("mnist", "x", "gan", ("model=gan", "gan/loss@model.loss=none")).available


def test_the_note_counts_synthetic_images_and_not_those_of_the_row_real(table):
    rows = [record("real", "reference", images=1250), *CONTROLS]
    assert "20,000 synthetic" in table.markdown(rows)


def test_a_row_that_reaches_the_shuffled_labels_is_not_trained(table):
    rows = [*CONTROLS, record("bad", accuracy=0.103), record("good", accuracy=0.12)]
    text = table.markdown(rows)
    assert "not trained at this budget" in line(text, "bad")
    assert "not trained at this budget" not in line(text, "good")
    assert "not trained" not in line(text, "shuffled_labels")


def test_the_better_control_of_two_draws_the_line(table):
    rows = [*CONTROLS, record("noise", "control", 0.15), record("bad", accuracy=0.15)]
    assert "not trained at this budget" in line(table.markdown(rows), "bad")
    drawn = record("strokes", "drawn", accuracy=0.1)
    assert "no better than shuffled labels" in line(table.markdown([*CONTROLS, drawn]), "strokes")
    assert "of shuffled_labels or noise" in table.markdown(rows)
    assert "No control is done" in table.markdown([record("bad", accuracy=0.1)])


def test_what_a_gan_loses_to_pca_gaussian_is_marked_where_intervals_are_apart(table):
    rows = [
        *CONTROLS,
        record("loser", accuracy=0.85, frechet=2.0),
        record("near", accuracy=0.89, frechet=1.01),
        record("cheap", "fitted", accuracy=0.5, frechet=9.0),
    ]
    text = table.markdown(rows)
    assert line(text, "loser").count("▽") == 2
    assert "teaches less than PCA-Gaussian" in line(text, "loser")
    assert "▽" not in line(text, "near")
    assert "▽" not in line(text, "cheap")


def test_a_failed_row_a_disturbed_row_and_what_is_said_below(table):
    failed = record("broken", error="Training ended with code 1: a | b\nc")
    busy = copy.deepcopy(record("busy"))
    busy["machine"]["load_average"] = [7.0, 1.0, 1.0]
    text = table.markdown([*CONTROLS, failed, busy])
    assert "failed: Training ended with code 1: a / b c" in line(text, "broken")
    assert "load 7 at its start" in line(text, "busy")
    assert "load" not in line(text, "pca_gaussian")
    for said in ("n_fake", "10,000 of 20,000", "classifier-1234", "small_cnn, 2000 steps", "abc"):
        assert (said in text) != (said == "n_fake")
    columns = {one.count("|") for one in text.splitlines() if one.startswith("|")}
    assert len(columns) == 1


def test_a_training_that_fails_becomes_a_sentence(zoo, tmp_path):
    row = zoo.Row("digits", "x", "gan", ("model=gan", "model.nonsense=1"))
    options = zoo.Options(tmp_path, {"digits": zoo.Digits()}, 0.01, 100, 10)
    found = zoo.do(row, None, options)
    assert "Training ended with code 2" in found["error"]
    assert "nonsense" in found["error"]
    assert found["machine"]["torch"]


def test_a_process_that_takes_too_long_is_ended(zoo, tmp_path):
    started = time.monotonic()
    with pytest.raises(SynthgenError, match="ended after 1 seconds"):
        zoo.run_process([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", 1)
    assert time.monotonic() - started < 20


HOLDS_ON = """
import pathlib, signal, sys, time
told = []
signal.signal(signal.SIGINT, lambda number, frame: told.append(number))
pathlib.Path(sys.argv[1]).touch()
while not told:
    time.sleep(0.05)
time.sleep(0.5)  # saves its state
pathlib.Path(sys.argv[1]).write_text(str(len(told)))
"""
DRIVER = """
import pathlib, signal, sys, zoo
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    zoo.run_process([sys.executable, "-c", sys.argv[1], sys.argv[2]], pathlib.Path(sys.argv[3]), 60)
except KeyboardInterrupt:
    print("stopped")
"""


@pytest.mark.slow  # a process that imports torch
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_is_told_once_to_stop_and_may_save_its_state(tmp_path, number):
    """The terminal sends Ctrl-C to the whole group; a training told twice ends at once."""
    told = tmp_path / "told"
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, HOLDS_ON, str(told), str(tmp_path / "log")],
        cwd=Path(__file__).parents[2] / "scripts",
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    deadline = time.monotonic() + 60
    while not told.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(driver.pid, number)
    else:
        driver.send_signal(number)
    said, _ = driver.communicate(timeout=30)
    assert said == b"stopped\n"
    assert told.read_text() == "1"


def test_rows_of_different_budgets_do_not_mix(zoo, tmp_path):
    (tmp_path / "mnist").mkdir()
    real = record("real", "reference", images=1000)
    for one in (real, record("vae", "vae"), record("broken", error="x", minutes=1.0)):
        (tmp_path / "mnist" / f"{one['row']}.json").write_text(json.dumps(one))
    same = zoo.Options(tmp_path, {"mnist": None}, 5.0, 20_000, 2000)
    zoo.refuse_mixture(same)
    for change in ({"minutes": 1.0}, {"images": 500}, {"judge_steps": 50}):
        with pytest.raises(SystemExit, match=r"vae\.json has minutes, images and judge steps"):
            zoo.refuse_mixture(dataclasses.replace(same, **change))


def test_images_that_cannot_be_read_are_refused_before_a_row_is_forgotten(zoo, tmp_path):
    kept = tmp_path / "mnist" / "vae.json"
    kept.parent.mkdir()
    kept.write_text(json.dumps(record("vae", "vae")))
    options = zoo.Options(tmp_path, {"mnist": MNIST(root=str(tmp_path))}, 5.0, 20_000, 2000)
    with pytest.raises(SystemExit, match=r"mnist can't be read. .*MNIST"):
        zoo.work(options, [], ["vae"])
    assert kept.is_file()


def test_published_sizes_are_timed_once_and_listed(zoo, table, tmp_path, monkeypatch):
    asked = []

    def apart(settings, image, seconds):
        asked.append(settings)
        if settings.startswith("stylegan2"):
            return {"model": settings, "note": "not done after 310 s"}
        return {"model": settings, "images_per_second": 3.25, "draws_per_second": 25.0,
                "parameters": 43_600_000, "multiply_adds": 7_000_000_000, "memory_mib": 2000,
                "batch_size": 16, "note": None}  # fmt: skip

    monkeypatch.setattr(zoo, "apart", apart)
    zoo.published(tmp_path)
    zoo.published(tmp_path)
    assert len(asked) == len(zoo.published_sizes()) == len(set(asked))
    files = sorted((tmp_path / "published").glob("*.json"))
    text = table.speeds([json.loads(file.read_text()) for file in files])
    assert "| r3gan | 3x32x32 | 3.2 | 25 | 43.6 M | 7 G | 2,000 MiB | 16 |" in text
    assert "not done after 310 s" in line(text, "stylegan2")
    assert len({one.count("|") for one in text.splitlines() if one.startswith("|")}) == 1


def test_every_published_size_composes(zoo):
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        for image, settings in zoo.published_sizes().values():
            assert image.count("x") == 2
            model, *rest = settings.split()
            assert all(map(importlib.import_module("zoo_rows").exists, rest))
            compose("train", [f"model={model}", *rest])


def test_every_row_exists_and_composes(zoo):
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        for row in (*zoo.rows_of("mnist"), *zoo.rows_of("cifar10")):
            assert row.available, row
            if row.settings:
                compose("train", list(row.settings))


@pytest.mark.slow
def test_from_training_to_the_table_and_nothing_is_done_twice(zoo, tmp_path, monkeypatch, capsys):
    names = ["real", "shuffled_labels", "pca_gaussian", "vae"]
    sizes = ["--minutes", "0.02", "--images", "300", "--judge-steps", "60"]
    command = ["zoo.py", "--digits", "--out", str(tmp_path), *sizes, "--rows", *names]
    monkeypatch.setattr(sys, "argv", command)
    zoo.main()
    shown = capsys.readouterr()
    for name in names:
        row = json.loads((tmp_path / "digits" / f"{name}.json").read_text())
        assert "error" not in row, row
        assert set(row["results"]) >= set(HIGHER)
        assert (tmp_path / "digits" / f"{name}.png").is_file()
        assert line(shown.out, name)
    accuracy = {name: float(line(shown.out, name).split("|")[9].split()[0]) for name in names}
    assert accuracy["shuffled_labels"] < 25 < 60 < min(accuracy["real"], accuracy["pca_gaussian"])
    before = (tmp_path / "digits" / "vae.json").read_bytes()
    monkeypatch.setattr(sys, "argv", [*command, "--again", "pca_gaussian"])
    zoo.main()
    again = capsys.readouterr()
    assert again.err.count("done before") == 3
    assert "[1/1] digits/pca_gaussian" in again.err
    assert (tmp_path / "digits" / "vae.json").read_bytes() == before
    extractors = {line.split("classifier-")[1][:8] for line in (shown.out, again.out)}
    assert len(extractors) == 1
