import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.seeds import redraw_seed, row_seeds
from synthgen.synthesis import (
    Balanced,
    Fill,
    FillEffectiveNumber,
    FillSquareRoot,
    MatchReal,
    PerClass,
)
from synthgen.synthesis.plan import (
    PlannedRows,
    checked_quotas,
    largest_remainder,
    segments_of,
    shared_quotas,
)

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


def rows_of(quotas, seed, first=0):
    return PlannedRows(tuple(quotas), tuple(segments_of(quotas, 0)), seed, first)


def test_rows_are_numbered_class_by_class_with_the_seed_of_their_number():
    rows = rows_of({"b": 2, "a": 0, "c": 3}, seed=7)
    part = rows.part(range(5))
    assert part.labels.tolist() == [0, 0, 2, 2, 2]
    assert part.positions.tolist() == [0, 1, 0, 1, 2]
    assert rows.seeds(part, torch.zeros(5)).tolist() == row_seeds(7, 0, 5).tolist()
    assert rows.names(range(1, 3)) == ["000001", "000002"]


def test_any_rows_can_be_asked_for_and_know_their_redraws():
    rows = rows_of({"b": 2, "a": 0, "c": 3}, seed=7, first=10)
    part = rows.part([11, 12, 14])
    assert part.labels.tolist() == [0, 2, 2]
    first, again = rows.seeds(part, torch.zeros(3)), rows.seeds(part, torch.tensor([0, 2, 0]))
    assert (first == again).tolist() == [True, False, True]
    assert int(again[1]) == redraw_seed(7, 12, 2)


def test_names_are_equally_wide_beyond_a_million_rows():
    rows = rows_of({"a": 1_000_001}, seed=0)
    assert rows.names([0, 1_000_000]) == ["0000000", "1000000"]


@pytest.mark.parametrize("seed", [-1, 2**21, 1.0, None, True])
def test_an_impossible_seed_is_refused(seed):
    with pytest.raises(SynthgenError, match="seed must be"):
        rows_of({"a": 1}, seed)


def test_a_plan_of_a_billion_rows_takes_no_memory():
    rows = rows_of({"a": 10**9, "b": 1}, seed=0)
    assert rows.part(range(10**9 - 1, 10**9 + 1)).labels.tolist() == [0, 1]


def test_several_samplers_share_every_class_exactly():
    shared = shared_quotas({"x": 10, "y": 3, "z": 0}, {"a": 3, "b": 1})
    assert shared == {"a": {"x": 8, "y": 2, "z": 0}, "b": {"x": 2, "y": 1, "z": 0}}


FEW = {"cat": 1000, "dog": 100, "horse": 10}


def test_fill_brings_every_class_up_to_the_largest_or_to_a_target():
    assert checked_quotas(Fill(), CLASSES, FEW) == {"cat": 0, "dog": 900, "horse": 990}
    assert checked_quotas(Fill(300), CLASSES, FEW) == {"cat": 0, "dog": 200, "horse": 290}
    assert checked_quotas(Fill(cap=2.5), CLASSES, FEW) == {"cat": 0, "dog": 250, "horse": 25}


def test_fill_to_the_square_root_lies_half_way_on_a_logarithmic_scale():
    quotas = checked_quotas(FillSquareRoot(), CLASSES, FEW)
    assert quotas == {"cat": 0, "dog": 316 - 100, "horse": 100 - 10}


def test_fill_by_effective_number_lies_between_the_real_shares_and_equal_ones():
    almost_real = FillEffectiveNumber(beta=0.001).targets(FEW)
    assert almost_real == pytest.approx(FEW, rel=1e-3)
    almost_equal = FillEffectiveNumber(beta=1 - 1e-9).targets(FEW)
    assert almost_equal == pytest.approx(dict.fromkeys(CLASSES, 1000), rel=1e-3)
    between = FillEffectiveNumber(beta=0.999)
    assert between.effective_number(100) == pytest.approx(95.2, abs=0.1)  # (1 - β^100) / (1 - β)
    targets = between.targets(FEW)
    assert pytest.approx(targets["cat"]) == 1000
    assert FEW["dog"] < targets["dog"] < 1000
    # Weights of the class-balanced loss, 1 / E_n per image, become counts per image.
    ratio = targets["horse"] / targets["dog"]
    weights = [FEW[name] / between.effective_number(FEW[name]) for name in ("horse", "dog")]
    assert ratio == pytest.approx(weights[0] / weights[1])


def test_a_balanced_set_can_not_be_filled():
    with pytest.raises(SynthgenError, match="nothing is missing"):
        checked_quotas(Fill(), CLASSES, dict.fromkeys(CLASSES, 5))
    with pytest.raises(SynthgenError, match="doesn't say how many"):
        checked_quotas(Fill(), CLASSES, None)


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan")])
def test_wrong_settings_of_fill_are_refused(wrong):
    with pytest.raises(SynthgenError, match=r"plan\.cap"):
        Fill(cap=wrong)
    with pytest.raises(SynthgenError, match=r"plan\.beta"):
        FillEffectiveNumber(beta=wrong or 1)
