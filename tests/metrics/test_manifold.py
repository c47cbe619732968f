import pytest
import torch

from synthgen import neighbors
from synthgen.metrics import coverage, density, manifold_estimates, precision, recall
from synthgen.metrics import manifold as module


def features(count, seed, size=12, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator) + shift


def by_hand(real, fake, k_precision=3, k_density=5):
    """The definitions, one line each, on exact distances."""
    real, fake = real.double(), fake.double()
    exact = {"compute_mode": "donot_use_mm_for_euclid_dist"}
    within_real = torch.cdist(real, real, **exact).sort(1).values
    within_fake = torch.cdist(fake, fake, **exact).sort(1).values
    between = torch.cdist(fake, real, **exact)
    in_ball = between <= within_real[:, k_density]
    return {
        "precision": (between <= within_real[:, k_precision]).any(1).double().mean().item(),
        "recall": (between <= within_fake[:, k_precision][:, None]).any(0).double().mean().item(),
        "density": in_ball.sum().item() / k_density / len(fake),
        "coverage": in_ball.any(0).double().mean().item(),
    }


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_equals_the_definitions_across_chunks(offset, monkeypatch):
    for room in (module, neighbors):
        monkeypatch.setattr(room, "CHUNK", 64)
    real, fake = features(230, 1) + offset, features(170, 2, shift=0.4) + offset
    found = {name: e.value for name, e in manifold_estimates(real=real, fake=fake).items()}
    assert found == pytest.approx(by_hand(real, fake), abs=1e-12)
    singles = {
        "precision": precision(real=real, fake=fake),
        "recall": recall(real=real, fake=fake),
        "density": density(real=real, fake=fake),
        "coverage": coverage(real=real, fake=fake),
    }
    assert singles == pytest.approx(found, abs=1e-12)


def test_agrees_with_torch_fidelity():
    metric_prc = pytest.importorskip("torch_fidelity.metric_prc")
    real, fake = features(230, 1), features(170, 2, shift=0.4)
    theirs = metric_prc.prc_features_to_metric(
        fake.double(), real.double(), prc_neighborhood=3, save_cpu_ram=False, verbose=False
    )
    assert precision(real=real, fake=fake) == pytest.approx(theirs["precision"], abs=1e-6)
    assert recall(real=real, fake=fake) == pytest.approx(theirs["recall"], abs=1e-6)


def test_copies_lie_on_surfaces_and_count():
    real = features(300, 3) + 50
    found = manifold_estimates(real=real, fake=real.flip(0))
    assert found["precision"].value == found["recall"].value == found["coverage"].value == 1
    assert found["density"].value == pytest.approx(6 / 5)  # the image itself and five neighbours


def test_degenerate_sets_are_inside_themselves():
    same = torch.ones(10, 4)
    assert precision(real=same, fake=same) == coverage(real=same, fake=same) == 1
    assert precision(real=same, fake=same + 1) == recall(real=same, fake=same + 1) == 0


def test_two_draws_of_one_distribution_have_the_known_values():
    found = manifold_estimates(real=features(1500, 4), fake=features(1500, 5))
    assert found["density"].value == pytest.approx(1, abs=0.05)
    assert found["coverage"].value == pytest.approx(1 - 2**-5, abs=0.02)


def test_a_collapsed_set_is_precise_but_covers_nothing():
    real = features(400, 6)
    collapsed = real[:1] + 0.01 * features(400, 7)
    found = manifold_estimates(real=real, fake=collapsed)
    assert found["precision"].value == 1
    assert found["recall"].value < 0.05
    assert found["coverage"].value < 0.2


def test_more_neighbours_than_images_are_refused():
    with pytest.raises(ValueError, match="at least 6"):
        coverage(real=features(5, 0), fake=features(50, 1))


def test_pairs_that_float32_leaves_open_are_measured_again():
    """Features that differ in the eighth digit: float32 products alone would be noise."""
    real = 1 + 1e-6 * features(120, 1).double()
    fake = 1 + 1e-6 * features(110, 2).double()
    real[0] += 3  # one outlier makes the bound useless for everything
    found = {name: e.value for name, e in manifold_estimates(real=real, fake=fake).items()}
    assert found == pytest.approx(by_hand(real, fake), abs=1e-12)


def test_most_pairs_are_settled_without_float64(monkeypatch):
    def refuse(self):
        raise AssertionError("a whole block went to float64")

    monkeypatch.setattr(neighbors.Block, "exact", refuse)
    manifold_estimates(real=features(600, 1, size=64), fake=features(600, 2, size=64))
