import pytest

from synthgen.errors import SynthgenError
from synthgen.seeds import row_seeds
from synthgen.synthesis import Balanced, MatchReal, PerClass
from synthgen.synthesis.plan import checked_quotas, largest_remainder
from synthgen.synthesis.rows import rows_of

CLASSES = ("cat", "dog", "horse")
REAL = {"cat": 5, "dog": 3, "horse": 1}


def test_balanced():
    assert checked_quotas(Balanced(7), CLASSES, None) == {"cat": 7, "dog": 7, "horse": 7}


def test_match_real_without_a_total_is_as_many_as_there_are():
    assert checked_quotas(MatchReal(), CLASSES, REAL) == REAL


@pytest.mark.parametrize("total", [1, 2, 3, 8, 10, 100, 12_345, 2**32])
def test_match_real_adds_up_exactly_and_is_off_by_less_than_one(total):
    quotas = checked_quotas(MatchReal(total), CLASSES, REAL)
    assert sum(quotas.values()) == total
    assert all(abs(quotas[name] * 9 - total * REAL[name]) < 9 for name in CLASSES)


def test_largest_remainder_on_a_known_example():
    """The textbook's six parties and ten seats."""
    votes = {"a": 47_000, "b": 16_000, "c": 15_800, "d": 12_000, "e": 6_100, "f": 3_100}
    assert largest_remainder(votes, 10) == {"a": 5, "b": 2, "c": 1, "d": 1, "e": 1, "f": 0}


def test_equal_remainders_go_to_the_earlier_class():
    assert largest_remainder({"x": 1, "y": 1, "z": 1}, 4) == {"x": 2, "y": 1, "z": 1}


def test_match_real_needs_real_counts():
    with pytest.raises(SynthgenError, match="real images per class"):
        checked_quotas(MatchReal(10), CLASSES, None)


def test_per_class_map_leaves_unnamed_classes_out():
    quotas = checked_quotas(PerClass({"horse": 2, "cat": 4}), CLASSES, None)
    assert list(quotas.items()) == [("cat", 4), ("dog", 0), ("horse", 2)]


def test_per_class_number_and_numeric_class_names():
    assert checked_quotas(PerClass(3), ("0", "1"), None) == {"0": 3, "1": 3}
    assert checked_quotas(PerClass({0: 5, 1: 6}), ("0", "1"), None) == {"0": 5, "1": 6}


def test_unknown_class_is_answered_with_the_nearest_name():
    with pytest.raises(SynthgenError, match=r"'hose'.*\n.*Did you mean 'horse'"):
        checked_quotas(PerClass({"hose": 2}), CLASSES, None)
    with pytest.raises(SynthgenError, match="The classes are: cat, dog, horse"):
        checked_quotas(PerClass({"submarine": 2}), CLASSES, None)


@pytest.mark.parametrize("number", [-1, 2.5, "12", None, True, float("nan"), [1]])
def test_a_quota_that_is_no_whole_number_is_refused(number):
    with pytest.raises(SynthgenError, match=r"plan\.per_class must be a whole number"):
        Balanced(number)
    with pytest.raises(SynthgenError, match=r"plan\.per_class\.cat must be a whole number"):
        PerClass({"cat": number})


@pytest.mark.parametrize("plan", [Balanced(0), MatchReal(0), PerClass({"cat": 0}), PerClass({})])
def test_a_plan_for_nothing_is_refused(plan):
    with pytest.raises(SynthgenError, match="no images at all"):
        checked_quotas(plan, CLASSES, REAL)


def test_a_plan_too_large_for_its_seeds_is_refused():
    with pytest.raises(SynthgenError, match="at most"):
        checked_quotas(Balanced(2**31), CLASSES, None)


def test_rows_are_numbered_class_by_class_with_the_seed_of_their_number():
    rows = rows_of({"b": 2, "a": 0, "c": 3}, seed=7)
    assert rows.labels.tolist() == [0, 0, 2, 2, 2]
    assert rows.seeds.tolist() == row_seeds(7, 0, 5).tolist()
    assert rows.files(range(1, 3)) == ["b/000001.png", "c/000002.png"]
    assert rows.used_classes == ["b", "c"]


def test_names_are_equally_wide_beyond_a_million_rows():
    rows = rows_of({"a": 1_000_001}, seed=0)
    assert rows.files(range(1)) == ["a/0000000.png"]
    assert rows.files(range(1_000_000, 1_000_001)) == ["a/1000000.png"]


@pytest.mark.parametrize("seed", [-1, 2**21, 1.0, None, True])
def test_an_impossible_seed_is_refused(seed):
    with pytest.raises(SynthgenError, match="seed must be"):
        rows_of({"a": 1}, seed)
