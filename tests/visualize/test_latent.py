"""Places between latents and classes: ends and lengths before pictures."""

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.images import to_uint8
from synthgen.samplers import Noise
from synthgen.samplers.latent_space import spherical
from synthgen.seeds import row_seeds
from synthgen.visualize.latent import images_at, one_hot, require_latents, ways


def test_the_ends_of_a_way_are_what_the_sampler_draws(neural):
    labels, seeds = torch.tensor([0, 1, 2, 2]), row_seeds(0, 0, 4)
    drawn = neural.sample(labels, seeds).images
    z = neural.latents(labels, seeds)
    places = ways(neural, z[:2], z[2:], torch.tensor([0.0, 1.0]))
    classes = one_hot(neural, labels[[0, 2, 1, 3]])
    ends = images_at(neural, places, classes)
    assert (ends.int() - drawn[[0, 2, 1, 3]].int()).abs().max() <= 1
    assert not torch.equal(drawn[0], drawn[1])


def test_half_a_way_is_another_place(neural):
    labels, seeds = torch.tensor([1, 1]), row_seeds(0, 0, 2)
    z = neural.latents(labels, seeds)
    middle = ways(neural, z[:1], z[1:], torch.tensor([0.5]))
    image = images_at(neural, middle, one_hot(neural, labels[:1]))
    drawn = neural.sample(labels, seeds).images
    assert all((image[0].int() - one.int()).abs().max() > 3 for one in drawn)


def test_a_great_circle_keeps_its_distance_and_a_line_does_not():
    random = torch.Generator().manual_seed(0)
    first, second = (torch.randn(200, 64, generator=random) for _ in range(2))
    half = torch.full((200,), 0.5)
    lengths = spherical(first, second, half).norm(dim=1)
    assert lengths.mean() == pytest.approx(8.0, abs=0.2)
    assert torch.lerp(first, second, half[:, None]).norm(dim=1).mean() < 6


def test_a_great_circle_is_followed_at_an_even_pace():
    first, second = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    shares = torch.linspace(0, 1, 5)
    places = spherical(first.repeat(5, 1), second.repeat(5, 1), shares)
    angles = torch.atan2(places[:, 1], places[:, 0])
    assert torch.allclose(angles, shares * torch.pi / 2, atol=1e-6)
    assert torch.allclose(places.norm(dim=1), torch.tensor(2.0))


@pytest.mark.parametrize("factor", [1.0, 3.0, -1.0])
def test_parallel_latents_give_numbers(factor):
    first = torch.tensor([[1.0, 2.0]])
    assert spherical(first, factor * first, torch.tensor([0.3])).isfinite().all()


def test_a_mixture_of_classes_is_one_of_their_embeddings(neural):
    z = neural.latents(torch.tensor([0]), row_seeds(0, 0, 1))
    network = getattr(neural, "generator", None) or neural.decoder
    pure = images_at(neural, z, torch.tensor([[0.0, 1.0, 0.0]]))
    assert not torch.equal(pure, images_at(neural, z, torch.tensor([[0.0, 0.0, 1.0]])))
    mixed = images_at(neural, z, torch.tensor([[0.0, 0.5, 0.5]]))
    with torch.no_grad():
        network.embedding.weight[1] = network.embedding.weight[1:].mean(0)
    labels = torch.tensor([1])
    outputs = network(z, labels)
    expected = neural.likelihood.mean(outputs) if hasattr(neural, "likelihood") else outputs
    assert (mixed.int() - to_uint8(expected).int()).abs().max() <= 1


def test_samplers_without_latents_are_refused_in_words():
    from synthgen.types import ImageSpec

    with pytest.raises(SynthgenError, match="Noise has no latent space"):
        require_latents(Noise(ImageSpec(1, 8, 8, ("0", "1"))))
