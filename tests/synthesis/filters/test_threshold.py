"""Thresholds keep what they promise, and rounding hides the order of a sum."""

import pytest
import torch

from synthgen.neighbors import nearest, nearest_others
from synthgen.synthesis.filters.base import keeping, rounded, threshold


def test_the_promise_holds_over_many_draws():
    """P(new score passes) = 1 - k / (n + 1) exactly; 39 scores and 0.95 make k = 2."""
    random = torch.Generator().manual_seed(0)
    passed = []
    for _ in range(4000):
        draws = torch.rand(40, generator=random)
        passed.append(float(draws[39]) >= keeping(0.95, draws[:39]))
    assert sum(passed) / len(passed) == pytest.approx(0.95, abs=0.012)


def test_a_common_class_does_not_set_the_line_of_another():
    scores = torch.cat(
        [torch.linspace(10, 11, 200), torch.linspace(0, 1, 100), torch.tensor([5.0])]
    )
    labels = torch.tensor([0] * 200 + [1] * 100 + [2])
    made = threshold(scores, labels, "abc", keep_real=0.9, threshold=None)
    kept = made.facts.keeps_of_real_per_class
    assert kept["a"] == pytest.approx(0.9, abs=0.02)
    assert kept["b"] == pytest.approx(0.9, abs=0.02)
    assert "c" not in kept  # one image says nothing of a share
    assert made.thresholds[2] < 1  # one image can't promise anything: the common line


@pytest.mark.parametrize("counts", [[10] * 10, [2] * 10, [30, 5, 5], [300, 40]])
def test_what_is_stated_is_what_new_images_meet(counts):
    """Classes with lines of their own and without, each drawn anew many times."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    shift = labels / 20
    random = torch.Generator().manual_seed(1)
    stated, passed = [], []
    for _ in range(300):
        draw, new = (torch.rand(len(labels), generator=random) + shift for _ in range(2))
        made = threshold(draw, labels, [str(c) for c in range(len(counts))], keep_real=0.95,
                    threshold=None)  # fmt: skip
        stated.append(made.facts.keeps_of_real)
        passed.append(float(made.verdicts(new, labels).keep.double().mean()))
    mean = sum(passed) / 300
    assert sum(stated) / 300 == pytest.approx(mean, abs=0.01)
    assert mean == pytest.approx(0.95, abs=0.03)


def test_too_few_to_promise_is_said(caplog):
    made = threshold(torch.rand(30), torch.zeros(30).long(), "a", keep_real=0.99, threshold=None)
    assert made.facts.too_few_to_promise is True
    assert made.facts.keeps_of_real == pytest.approx(29 / 30, abs=1e-4)
    assert "30 held-out real images are too few to keep 0.99" in caplog.text
    enough = threshold(torch.rand(99), torch.zeros(99).long(), "a", keep_real=0.99, threshold=None)
    assert enough.facts.too_few_to_promise is False


def test_rounded_scores_forget_the_last_digits():
    scores = torch.rand(1000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(rounded(scores), rounded(scores * (1 + 1e-12)))
    assert (rounded(scores) / scores - 1).abs().max() < 2**-15
    assert torch.equal(rounded(rounded(scores)), rounded(scores))


def test_nearest_agrees_with_all_pairs():
    random = torch.Generator().manual_seed(0)
    queries, references = (torch.randn(n, 9, generator=random) for n in (50, 70_000))
    pairs = torch.cdist(queries.double(), references.double())
    distances, positions = nearest(queries, references, 3)
    assert torch.allclose(distances, pairs.topk(3, largest=False).values)
    assert torch.allclose(pairs.gather(1, positions), distances)


def test_a_member_is_not_its_own_neighbour():
    points = torch.tensor([[0.0], [0.0], [0.0], [3.0]]).repeat(1, 2)
    distances, positions = nearest_others(torch.arange(4), points, 2)
    assert not (positions == torch.arange(4)[:, None]).any()
    assert distances[0].tolist() == [0, 0]
    assert distances[3, 0] == pytest.approx(18**0.5)
