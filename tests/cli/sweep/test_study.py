"""``hydra/sweeper=optuna``: what is tried, what is told, and how a study goes on."""

import importlib
import json
import math
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from synthgen.cli.sweep.folder import SweepFolder
from synthgen.cli.sweep.objective import Objective
from synthgen.cli.sweep.study import Study, ask

optuna = pytest.importorskip("optuna")
LINE = ("train", "-m", "hydra/sweeper=optuna", "model=vae", "logger=csv", "objective=distance",
        "trainer.best_every=100", "out=study")  # fmt: skip
DISTANCE = Objective("distance", higher_is_better=False)
RATES = optuna.distributions.FloatDistribution(1e-4, 0.1, log=True)
RATE = "model.lr.start=tag(log,interval(0.0001,0.1))"


@pytest.fixture
def distance(monkeypatch):
    """``distance(act)``: training takes no time and ends ``act(settings)`` from the holdout."""

    def set_(act):
        def run(settings, invocation):
            folder = invocation.folder(settings.out)
            folder.mkdir(parents=True)
            rows = [{"images_seen": 1, "distance": act(settings)}]
            (folder / "best.json").write_text(json.dumps(rows))
            return folder

        monkeypatch.setattr(importlib.import_module("synthgen.cli.jobs.train"), "run", run)

    return set_


def rate(settings):
    return settings.model["lr"]["start"]


def from_a_hundredth(settings):
    return abs(math.log10(rate(settings)) + 2)


def tried():
    jobs = SweepFolder(Path("study")).jobs()
    return [next(o for o in job.overrides if o.startswith("model.lr.start=")) for job in jobs]


def test_it_comes_closer_than_chance_and_says_what_was_best(synthgen, distance):
    distance(from_a_hundredth)
    done = synthgen(*LINE, RATE, "hydra.sweeper.n_trials=25")
    assert done.code == 0, done.err
    jobs = SweepFolder(Path("study")).jobs()
    late = sorted(job.objective for job in jobs[10:])
    assert late[len(late) // 2] < 0.5  # at random it would be 0.75
    best = min(jobs, key=lambda job: job.objective)
    said = f"Best of 25 trials: {best.job}, distance {best.objective:.6g}, with model.lr.start="
    assert said in done.err
    assert done.out.splitlines() == [f"study/{number}" for number in range(25)]


def test_the_same_command_goes_on_and_tries_what_was_not_tried(synthgen, distance):
    """As one study does that nobody interrupted."""
    distance(from_a_hundredth)
    for trials in (4, 9, 9):
        assert synthgen(*LINE, RATE, f"hydra.sweeper.n_trials={trials}").code == 0
    continued = tried()
    assert len(set(continued)) == 9
    Path("study").rename("continued")
    assert synthgen(*LINE, RATE, "hydra.sweeper.n_trials=9").code == 0
    assert tried() == continued


def test_another_seed_tries_other_points(synthgen, distance):
    distance(from_a_hundredth)
    found = []
    for seed in (0, 1):
        line = ("hydra.sweeper.n_trials=3", f"hydra.sweeper.seed={seed}")
        assert synthgen(*LINE, RATE, *line).code == 0
        found += tried()
        Path("study").rename(f"study{seed}")
    assert len(set(found)) == 6


@pytest.mark.parametrize("algorithm", ["tpe", "random", "gp"])
def test_two_workers_try_different_points(synthgen, distance, algorithm):
    """The second begins while the first is at its first trial."""
    theirs = []

    def act(settings):
        if not theirs:
            asked = study().user_attrs["asked"]
            other = Study(algorithm).open(SweepFolder(Path("study")), DISTANCE, asked)
            trials = [ask(other, {"model.lr.start": RATES}) for _ in range(4)]
            theirs.extend(f"model.lr.start={one.params['model.lr.start']}" for one in trials)
        return from_a_hundredth(settings)

    distance(act)
    line = ("hydra.sweeper.n_trials=8", f"hydra.sweeper.algorithm={algorithm}")
    done = synthgen(*LINE, RATE, *line)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [f"study/{number}" for number in (0, 5, 6, 7)]
    assert len({*tried(), *theirs}) == 8


def test_a_failed_trial_is_told_and_the_study_goes_on(synthgen, distance):
    def act(settings):
        return 1 / 0 if rate(settings) > 0.003 else from_a_hundredth(settings)

    distance(act)
    done = synthgen(*LINE, RATE, "hydra.sweeper.n_trials=6")
    assert done.code == 1
    states = [job.code for job in SweepFolder(Path("study")).jobs()]
    assert set(states) == {0, 1}
    assert len(states) == 6  # it counts
    assert [one.state.name for one in study().trials] == [
        "COMPLETE" if code == 0 else "FAIL" for code in states
    ]


def study():
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend("study/.sweep/study.log")
    )
    return optuna.load_study(study_name="study", storage=storage)


def test_an_interrupted_trial_does_not_count_and_is_tried_again(synthgen, distance):
    stop_at = [2]

    def act(settings):
        if stop_at and len(tried()) > stop_at[0]:
            stop_at.clear()
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        return from_a_hundredth(settings)

    distance(act)
    assert synthgen(*LINE, RATE, "hydra.sweeper.n_trials=4").code == 130
    done = synthgen(*LINE, RATE, "hydra.sweeper.n_trials=4")
    assert done.code == 0, done.err
    codes = [job.code for job in SweepFolder(Path("study")).jobs()]
    assert codes == [0, 0, 130, 0, 0]
    assert tried()[3] == tried()[2]


def test_a_trial_of_a_killed_process_is_tried_again(synthgen, distance):
    distance(from_a_hundredth)
    assert synthgen(*LINE, RATE, "hydra.sweeper.n_trials=1").code == 0
    lost = study().ask({"model.lr.start": RATES})
    lost.set_user_attr("worker", [socket.gethostname(), 2**22 + 1])  # above any process's number
    done = synthgen(*LINE, RATE, "hydra.sweeper.n_trials=2")
    assert done.code == 0, done.err
    assert tried()[-1] == f"model.lr.start={lost.params['model.lr.start']}"
    assert len(tried()) == 2


def test_kinds_of_ranges(synthgen, distance):
    distance(lambda settings: settings.seed + settings.model["batch_size"])
    ranges = ("seed=int(interval(0,5))", "model.batch_size=range(8,33,8)", "model=vae,beta_vae",
              "model.lr.start=choice(0.01,0.001)")  # fmt: skip
    done = synthgen(*LINE[:3], *LINE[4:], *ranges, "hydra.sweeper.n_trials=8")
    assert done.code == 0, done.err
    found = SweepFolder(Path("study")).jobs()
    jobs = [dict(one.split("=", 1) for one in job.overrides) for job in found]
    assert {job["model.batch_size"] for job in jobs} <= {"8", "16", "24", "32"}
    assert {int(job["seed"]) for job in jobs} <= set(range(6))
    assert {job["model"] for job in jobs} == {"vae", "beta_vae"}
    assert {job["model.lr.start"] for job in jobs} <= {"0.01", "0.001"}


def test_sqlite_keeps_a_study_too(synthgen, distance):
    distance(from_a_hundredth)
    line = (*LINE, RATE, "hydra.sweeper.storage=sqlite:///trials.db")
    for trials in (2, 4):
        assert synthgen(*line, f"hydra.sweeper.n_trials={trials}").code == 0
    assert len(set(tried())) == 4
    assert Path("trials.db").is_file()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ((*LINE[:5], "out=study", RATE), "A search needs objective="),
        (LINE, "There is nothing to search."),
        ((*LINE, RATE, "hydra.sweeper.n_trials=0"), "hydra.sweeper.n_trials is 0"),
        ((*LINE, RATE, "hydra.sweeper.algorithm=grid"), "hydra.sweeper.algorithm is 'grid'"),
        ((*LINE, RATE, "hydra.sweeper.storage=nosuch://x"), "storage=nosuch://x can't be used"),
        (("run", *LINE[1:5], RATE, "objective=kid", "out=study"), "by the test images"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else "",
)
def test_what_can_not_be_searched_is_a_sentence(synthgen, tmp_path, line, said):
    refused = synthgen(*line)
    assert refused.code == 2
    assert said in refused.err
    assert len(refused.err.splitlines()) <= 2
    assert not list(tmp_path.iterdir())


def test_a_study_of_other_ranges_is_left_as_it_is(synthgen, distance):
    distance(from_a_hundredth)
    assert synthgen(*LINE, RATE, "hydra.sweeper.n_trials=2").code == 0
    before = {path: path.read_bytes() for path in Path("study").rglob("*.json")}
    refused = synthgen(*LINE, RATE.replace("0.1", "0.2"), "hydra.sweeper.n_trials=4")
    assert refused.code == 2
    assert "holds a study of other settings or ranges" in refused.err
    assert synthgen("train", "-m", *LINE[3:], "seed=1,2").code == 2  # nor a grid there
    assert {path: path.read_bytes() for path in before} == before


def test_without_optuna_a_sentence_says_what_to_install(synthgen, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    refused = synthgen(*LINE, RATE)
    assert refused.code == 2
    assert "pip install 'optuna" in refused.err
