"""Which split a set is judged on: that of its generator, or a new one where it doesn't say."""

import json

import pytest

from synthgen.cli.jobs.evaluate import splits_behind
from synthgen.data import Digits, prepare
from synthgen.errors import SynthgenError


@pytest.fixture(scope="module")
def splits():
    return prepare(Digits(split_seed=3))


@pytest.mark.parametrize(
    "described",
    [None, [], {"of": "another program"}, {"data": None}, {"data": {"name": "x", "digest": "y"}}],
)
def test_a_set_that_does_not_say_enough_gets_a_new_split(tmp_path, description, described):
    if described is not None:
        ours = isinstance(described, dict) and "data" in described
        content = description({"cat": 0}, provenance=described) if ours else described
        (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert splits_behind(tmp_path, Digits()).digest == prepare(Digits()).digest


def test_the_generators_own_split_comes_back(tmp_path, splits, description):
    data = {"recipe": splits.recipe.to_json(), "digest": splits.digest}
    content = description({"cat": 0}, provenance={"data": data})
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    assert splits_behind(tmp_path, Digits()).digest == splits.digest


@pytest.mark.parametrize("format", ["synthgen-dataset/9", "x/9", None, 3], ids=str)
def test_a_description_that_can_not_be_read_is_no_leave_to_take_another_split(
    tmp_path, description, format
):
    """Its generator may have seen what another split would test it on."""
    content = description({"cat": 0}, format=format)
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    (tmp_path / "manifest.jsonl").write_text("")
    with pytest.raises(SynthgenError, match="newer synthgen" if "d" in str(format) else "form"):
        splits_behind(tmp_path, Digits())
