import numpy as np
import pytest
import torch

from synthgen.ranges import MAX_PLAN_SEED
from synthgen.seeds import (
    image_rng,
    normal_latents,
    redraw_seed,
    row_seeds,
    step_generator,
    truncated,
)


def test_seeds_are_distinct_over_plans_and_rows():
    blocks = [
        row_seeds(plan, first, 1000)
        for plan in (0, 1, 2, MAX_PLAN_SEED)
        for first in (0, 1000, 2**32 - 1000)
    ]
    seeds = torch.cat(blocks).tolist()
    assert len(set(seeds)) == len(seeds)


def test_every_seed_is_exact_as_a_json_number():
    assert int(float(int(row_seeds(MAX_PLAN_SEED, 2**32 - 1, 1)))) == 2**53 - 1


@pytest.mark.parametrize("seed", [-1, MAX_PLAN_SEED + 1])
def test_a_plan_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be between"):
        row_seeds(seed, 0, 1)


def test_latents_are_those_of_the_images_own_generator():
    seeds = [0, 1, 2**32, 2**53 - 1, -1]
    for stream in (0, 1):
        expected = [image_rng(s, stream).standard_normal(33, dtype=np.float32) for s in seeds]
        assert np.array_equal(normal_latents(seeds, 33, stream).numpy(), np.stack(expected))


def test_latents_of_all_64_bits_of_the_seed_differ():
    seeds = torch.tensor([7, 7 + 2**32, 7 + 2**40, 7 + 2**52])
    assert len({bytes(row.numpy()) for row in normal_latents(seeds, 8)}) == 4


def test_streams_and_neighbouring_seeds_are_unrelated():
    a, b = normal_latents(range(2000), 50), normal_latents(range(2000), 50, stream=1)
    for x, y in ((a, b), (a[:-1], a[1:])):
        correlation = torch.corrcoef(torch.stack([x.flatten(), y.flatten()]))[0, 1]
        assert abs(float(correlation)) < 0.015
    assert float(a.mean()) == pytest.approx(0, abs=0.015)
    assert float(a.std()) == pytest.approx(1, abs=0.015)


def test_training_noise_is_a_function_of_seed_and_position():
    draw = [torch.randn(4, generator=step_generator(*key)) for key in ((0, 5), (0, 5), (0, 6))]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])


def test_a_redraw_has_a_seed_of_its_own_that_any_json_reader_keeps():
    seeds = [redraw_seed(p, row, a) for p in (0, 1) for row in range(300) for a in range(1, 30)]
    assert len(set(seeds)) == len(seeds)
    assert all(2**62 <= seed < 2**63 and int(float(seed)) == seed for seed in seeds)
    assert redraw_seed(3, 7, 0) == int(row_seeds(3, 7, 1)[0])
    image_rng(seeds[0])  # any sampler can be seeded with it


def test_truncated_latents_follow_the_cut_normal_distribution():
    z = normal_latents(range(400), 50)
    cut = truncated(z, 1.5)
    assert float(cut.abs().max()) <= 1.5
    assert float(cut.var()) == pytest.approx(0.5515, abs=0.01)  # closed form at ± 1.5
    assert torch.allclose(truncated(z, 9.0), z, atol=1e-5)
    assert torch.equal(truncated(z[:3], 1.5), cut[:3])
