"""Which split a set is judged on: that of its generator, or a new one where it doesn't say."""

import json

import pytest

from synthgen.cli.jobs.evaluate import splits_behind
from synthgen.data import Digits, prepare


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits(split_seed=3))


@pytest.mark.parametrize(
    "described",
    [None, [], {}, {"provenance": None}, {"provenance": {"data": {"name": "x", "digest": "y"}}}],
)
def test_a_set_that_does_not_say_enough_gets_a_new_split(tmp_path, described):
    if described is not None:
        (tmp_path / "dataset.json").write_text(json.dumps(described))
    assert splits_behind(tmp_path, Digits()).digest == prepare(Digits()).digest


def test_the_generators_own_split_comes_back(tmp_path, splits):
    data = {"recipe": splits.recipe, "digest": splits.digest}
    (tmp_path / "dataset.json").write_text(json.dumps({"provenance": {"data": data}}))
    assert splits_behind(tmp_path, Digits()).digest == splits.digest
