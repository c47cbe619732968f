import hashlib
import io
import pickle

import numpy as np
import pytest
import torch

from synthgen.evaluation.classifiers.base import Predictions, answers_of
from synthgen.evaluation.trial.runner import TrialStore
from synthgen.schema import Schema

SIZES = {"test": 300, "holdout": 60}


@pytest.fixture
def examination():
    generator = torch.Generator().manual_seed(0)
    answers = {n: answers_of(torch.randn(s, 10, generator=generator)) for n, s in SIZES.items()}
    return Predictions(answers, [(5, 0.1 + 0.2), (10, 2 / 3)], 5, 1.0 / 3)


@pytest.fixture
def store(tmp_path, examination):
    store = TrialStore(tmp_path / "report", Schema(seed=1))
    store.write("real_only", 0, examination)
    return store


def the_file(store):
    (path,) = store.folder.iterdir()
    return path


def same(one, other):
    return (
        one.answers.keys() == other.answers.keys()
        and all(torch.equal(one.answers[name], other.answers[name]) for name in SIZES)
        and (one.curve, one.chosen_step, one.seconds)
        == (other.curve, other.chosen_step, other.seconds)
    )


def test_what_was_written_is_read_to_the_last_digit(store, examination):
    found = store.read("real_only", 0, SIZES)
    assert same(found, examination)
    assert found.answers["test"].dtype == torch.float16
    assert found.predictions["test"].dtype == torch.int64
    assert store.read("real_only", 1, SIZES) is None
    assert store.read("real", 0, SIZES) is None


def test_a_trial_with_other_settings_reads_nothing(store, tmp_path, examination):
    assert TrialStore(tmp_path / "report", Schema(seed=2)).read("real_only", 0, SIZES) is None
    assert TrialStore(tmp_path / "other", Schema(seed=1)).read("real_only", 0, SIZES) is None
    assert same(
        TrialStore(tmp_path / "report", Schema(seed=1)).read("real_only", 0, SIZES), examination
    )


@pytest.mark.parametrize(
    "sizes",
    [{"test": 301, "holdout": 60}, {"holdout": 60}, {**SIZES, "synthetic": 5}],
    ids=["other number", "exam too many", "exam too few"],
)
def test_answers_to_other_exams_are_no_answers(store, sizes):
    assert store.read("real_only", 0, sizes) is None


def test_any_damage_is_a_training_that_was_not_done(store):
    """Each of 300 flipped bits or cuts is noticed."""
    path = the_file(store)
    sound, rng = path.read_bytes(), np.random.default_rng(0)
    noticed = 0
    for number in range(300):
        damaged, place = bytearray(sound), int(rng.integers(len(sound)))
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged[:place] if number % 3 == 0 else damaged))
        noticed += store.read("real_only", 0, SIZES) is None
    assert noticed == 300


class Bomb:
    exploded = False

    def __reduce__(self):
        return setattr, (Bomb, "exploded", True)


def test_nothing_foreign_is_read_or_run(store):
    path, content = the_file(store), io.BytesIO()
    np.savez(content, **{"answers/test": np.array([Bomb()], dtype=object)})
    forged = content.getvalue()
    for foreign in (forged, pickle.dumps(Bomb()), b"not a training", b""):
        path.write_bytes(foreign)
        assert store.read("real_only", 0, SIZES) is None
    path.write_bytes(hashlib.sha256(forged).digest() + forged)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        store.read("real_only", 0, SIZES)
    assert not Bomb.exploded


def test_the_folder_is_there_from_the_first_training_to_the_report(tmp_path, examination):
    store = TrialStore(tmp_path / "deep" / "report", Schema())
    assert store.read("real_only", 0, SIZES) is None
    assert not (tmp_path / "deep").exists()
    store.write("real_only", 0, examination)
    assert store.folder.name.startswith(".report.trial-")
    store.remove()
    assert not store.folder.exists()
    store.remove()


def test_trainings_of_another_version_are_found_beside_it(store, tmp_path):
    now = TrialStore(tmp_path / "report", Schema(seed=1, format="newer"))
    assert now.others() == [store.folder]
    assert store.others() == []
    assert TrialStore(tmp_path / "report2", Schema()).others() == []


def test_who_stops_a_trial_learns_what_is_kept(store, tmp_path):
    assert store.kept().startswith(f"Finished trainings of the trial, kept in {store.folder}: 1.")
    assert "No training" in TrialStore(tmp_path / "other", Schema(seed=1)).kept()
