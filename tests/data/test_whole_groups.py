"""A held-out part tears no group apart, and has its share of each class."""

import pytest
import torch

from synthgen.types import whole_groups


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_no_group_is_torn_and_each_class_has_its_share(share):
    groups = torch.randint(60, (600,), generator=generator(1))
    labels = groups % 3  # a patient is of one class
    held = whole_groups(labels, groups, share, generator())
    assert not set(groups[held].tolist()) & set(groups[~held].tolist())
    for label in range(3):
        assert held[labels == label].double().mean().item() == pytest.approx(share, abs=0.06)
    assert torch.equal(held, whole_groups(labels, groups, share, generator()))
    assert not torch.equal(held, whole_groups(labels, groups, share, generator(5)))


def test_a_class_in_two_groups_has_one_held_out_and_one_in_a_single_group_none():
    labels = torch.tensor([0] * 12 + [1] * 5)
    groups = torch.tensor([0] * 10 + [1] * 2 + [2] * 5)
    held = whole_groups(labels, groups, 0.1, generator())
    assert held.nonzero().flatten().tolist() == [10, 11]
