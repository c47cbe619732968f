"""``objective=``: a result by its name, of held-back images only, and refused in time."""

import importlib
import json
from pathlib import Path

import pytest

from synthgen.cli.sweep.folder import SweepTable
from synthgen.cli.sweep.objective import Objective, value_of
from synthgen.errors import SynthgenError

RUN = ("run", "model=noise", "logger=csv", "out=new")
TRAIN = ("train", "model=vae", "logger=csv", "out=new")
HOLDOUT = "reference=holdout"
BEST = "trainer.best_every=100"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ((*RUN, "objective=kid"), "would choose by the test images"),
        ((*RUN, "objective=fidelity/kid", "reference=test"), "would choose by the test images"),
        (("evaluate", "synthetic=x", "objective=kid"), "would choose by the test images"),
        ((*RUN, HOLDOUT, "objective=kidd"), "no result 'kidd' in the report. Did you mean 'kid'?"),
        (
            (*RUN, HOLDOUT, "objective=accuracy"),
            "transfer/synthetic_only/accuracy, transfer/real_a",
        ),
        ((*RUN, HOLDOUT, "objective=real_only/accuracy"), "There will be no result"),
        ((*RUN, HOLDOUT, "objective=verdict/difference"), "There will be no result"),
        (
            (*RUN, HOLDOUT, "extractor=[pixels,classifier]", "objective=kid"),
            "kid/pixels, kid/class",
        ),
        ((*RUN, HOLDOUT, "objective=kid/pixel"), "extractor= has classifier"),
        ((*RUN, "objective=distance"), "Add trainer.best_every=IMAGES"),
        ((*TRAIN, "objective=distance"), "Add trainer.best_every=IMAGES"),
        ((*TRAIN, BEST, "objective=kid"), "reports are of run and evaluate"),
        ((*TRAIN, BEST, "objective=distanz"), "Did you mean 'distance'?"),
        (("synthesize", "sampler=x", "objective=kid"), "There is no setting 'objective'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_objective_that_will_not_be_there_is_refused_at_once(synthgen, tmp_path, line, said):
    refused = synthgen(*line)
    assert said in refused.err
    assert refused.code == 2
    assert len(refused.err.splitlines()) == 2
    assert not list(tmp_path.iterdir())


@pytest.fixture
def done_by(monkeypatch):
    """``done_by(verb, act)``: the verb does ``act(settings, folder)`` and no more."""

    def set_(verb, act):
        def run(settings, invocation):
            folder = invocation.folder(settings.out)
            folder.mkdir(parents=True)
            act(settings, folder)
            return folder

        monkeypatch.setattr(importlib.import_module(f"synthgen.cli.jobs.{verb}"), "run", run)

    return set_


def compared(settings, folder):
    rows = [{"images_seen": 1, "distance": value} for value in (9.0, settings.seed + 0.5, 7.0)]
    (folder / "best.json").write_text(json.dumps(rows))


def test_the_distance_is_the_smallest_and_a_small_one_is_best(synthgen, done_by):
    done_by("train", compared)
    swept = ("seed=3,1,2", "out=sweep", "objective=distance", BEST)
    done = synthgen("train", "-m", "model=vae", "logger=csv", *swept)
    assert done.code == 0, done.err
    jobs = SweepTable.read(Path("sweep/sweep.json")).jobs
    assert [job.objective for job in jobs] == [3.5, 1.5, 2.5]
    assert Path("sweep/sweep.csv").read_text().splitlines()[1].startswith("1,1,1.5,0,")


def test_a_training_that_was_never_compared_has_no_objective(synthgen, done_by):
    done_by("train", lambda *_: None)
    done = synthgen(*TRAIN, BEST, "objective=distance")
    assert done.code == 2
    assert "was never compared with the holdout" in done.err


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A run's folder with a report on the holdout."""
    from synthgen.cli.main import main

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("report"))
        line = ("run", "model=noise", HOLDOUT, "objective=kid/pixels", "plan.per_class=4",
                "extractor=pixels", "judge=mlp", "judge.steps=2", "seeds=1", "logger=csv",
                "out=run")  # fmt: skip
        assert main(list(line)) == 0
        return Path("run").absolute()


def test_a_result_of_a_report_is_found_by_its_name(report):
    content = json.loads((report / "report/report.json").read_text())
    overall = [row for row in content["results"] if row["scope"] is None]
    named = {row["name"]: row["value"] for row in overall}
    for name in ("fidelity/kid", "transfer/synthetic_only/accuracy"):
        assert value_of(Objective(name, True), report) == named[name]
    assert value_of(Objective("fidelity/kid", False, "pixels"), report) == named["fidelity/kid"]
    assert value_of(Objective("fidelity/kid", False), report / "report") == named["fidelity/kid"]
    with pytest.raises(SynthgenError, match="has no value for fidelity/mind"):
        value_of(Objective("fidelity/mind", False, "classifier"), report)


def test_a_report_on_the_test_images_is_no_objective(report, tmp_path):
    path = report / "report/report.json"
    content = json.loads(path.read_text())
    content["protocol"]["reference_split"] = "test"
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(SynthgenError, match="a report on the test images, no objective"):
        value_of(Objective("fidelity/kid", False), tmp_path)
