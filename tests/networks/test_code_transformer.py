"""A causal prior over codes."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from synthgen.networks.vq import CodeTransformer


@pytest.fixture
def prior():
    torch.manual_seed(0)
    prior = CodeTransformer(3, 4, 6, width=16, layers=2, heads=2)
    for parameter in prior.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return prior


def test_logits_depend_on_earlier_codes_alone(prior):
    labels = torch.tensor([1])
    codes = torch.tensor([[0, 1, 2, 3, 0, 1]])
    before = prior(codes, labels)
    for changed in range(6):
        other = codes.clone()
        other[0, changed] = (other[0, changed] + 1) % 4
        moved = (prior(other, labels) - before).abs().sum(2)[0] > 0
        assert moved.tolist() == [place > changed for place in range(6)]


def test_the_gradient_at_a_position_comes_from_earlier_inputs_alone(prior):
    embedded = []
    prior.codes.register_forward_hook(
        lambda module, args, out: embedded.append(out.requires_grad_()) or None
    )
    logits = prior(torch.tensor([[0, 1, 2, 3, 0, 1]]), torch.tensor([2]))
    for place in range(6):
        (gradient,) = torch.autograd.grad(
            logits[0, place].square().sum(), embedded[0], retain_graph=True
        )
        reached = gradient[0].abs().sum(1) > 0
        assert reached.tolist() == [earlier < place for earlier in range(5)]


def test_the_probabilities_of_all_grids_sum_to_one():
    torch.manual_seed(0)
    prior = CodeTransformer(2, 3, 4, width=8, layers=1, heads=2)
    torch.nn.init.normal_(prior.head.weight)
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))
    for label in range(2):
        log_likelihood = -F.cross_entropy(
            prior(every, torch.full((81,), label)).transpose(1, 2), every, reduction="none"
        ).sum(1)
        assert log_likelihood.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_one_position_at_a_time_gives_the_same_logits(prior):
    codes, labels = torch.randint(0, 4, (5, 6)), torch.tensor([0, 1, 2, 0, 1])
    caches = prior.empty_caches(5)
    for place in range(6):
        before = codes[:, place - 1] if place else None
        step = prior.advance(before, labels, place, caches)
        assert torch.allclose(step, prior(codes, labels)[:, place], atol=1e-4)
