"""A codebook: the nearest code, straight-through gradients, moving averages, restarts."""

import pytest
import torch

from synthgen.networks.vq import Codebook


@pytest.fixture
def book():
    torch.manual_seed(0)
    return Codebook(5, 3, restart_below=0.0)


def grid_of(vectors):
    """``(M, D)`` -> ``(1, D, 1, M)``."""
    return vectors.T[None, :, None]


def test_the_nearest_code_is_chosen(book):
    grid = torch.randn(4, 3, 2, 6)
    quantized, codes = book.quantize(grid)
    flat = grid.permute(0, 2, 3, 1).reshape(-1, 3)
    nearest = torch.cdist(flat, book.vectors).argmin(1)
    assert torch.equal(codes.flatten(), nearest)
    assert torch.allclose(quantized.permute(0, 2, 3, 1).reshape(-1, 3), book.vectors[nearest])
    assert len(nearest.unique()) > 2


def test_the_gradient_passes_straight_through(book):
    grid = torch.randn(2, 3, 2, 2, requires_grad=True)
    weights = torch.randn(2, 3, 2, 2)
    (book.quantize(grid)[0] * weights).sum().backward()
    assert torch.equal(grid.grad, weights)


def test_without_memory_an_update_is_a_step_of_k_means(book):
    vectors = torch.randn(200, 3)
    grid = grid_of(vectors)
    _, codes = book.quantize(grid)
    before = book.vectors.clone()
    book.update(grid, codes, keep=0.0, random=torch.Generator())
    for code in range(5):
        mine = vectors[codes.flatten() == code]
        expected = mine.mean(0) if len(mine) else before[code]
        assert torch.allclose(book.vectors[code], expected, atol=1e-6)


def test_updates_on_the_same_vectors_converge_to_their_means(book):
    vectors = torch.randn(200, 3)
    grid = grid_of(vectors)
    _, codes = book.quantize(grid)
    for _ in range(60):
        book.update(grid, codes, keep=0.8, random=torch.Generator())
    one = codes.flatten().mode().values
    assert torch.allclose(book.vectors[one], vectors[codes.flatten() == one].mean(0), atol=1e-5)


def test_unused_codes_move_onto_vectors_of_the_batch_by_seed_alone():
    vectors = 5 + torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    placed = []
    for _ in range(2):
        torch.manual_seed(len(placed))  # global random numbers must not matter
        book = Codebook(16, 3)
        book.vectors.fill_(-1.0)
        _, codes = book.quantize(grid_of(vectors))
        book.update(grid_of(vectors), codes, 0.9, torch.Generator().manual_seed(7))
        placed.append(book.vectors)
    assert torch.equal(*placed)
    apart = (placed[0][1:, None] - vectors).abs().sum(2)
    distance = apart.min(1).values  # code 0 had them all
    assert distance.max() == 0
    assert len(placed[0].unique(dim=0)) == 16


def test_a_code_in_use_is_not_moved():
    book = Codebook(4, 2, restart_below=0.1)
    corners = torch.tensor([[0.0, 0], [0, 9], [9, 0], [9, 9]])
    book.vectors.copy_(corners)
    vectors = corners.repeat_interleave(25, 0)
    _, codes = book.quantize(grid_of(vectors))
    book.update(grid_of(vectors), codes, 0.5, torch.Generator())
    assert torch.allclose(book.vectors, corners)


def test_a_code_that_is_long_unused_stays_where_it_is_without_restarts():
    """Its average count falls towards 0, where the quotient of two such numbers is noise."""
    book = Codebook(2, 2, restart_below=0.0)
    ends = torch.tensor([[0.0, 0.0], [1.0, 3.0]])
    book.vectors.copy_(ends)
    grid = grid_of(ends.repeat(10, 1))
    book.update(grid, book.quantize(grid)[1], 0.5, torch.Generator())
    grid = grid_of(ends[:1].repeat(10, 1))
    for _ in range(200):
        book.update(grid, book.quantize(grid)[1], 0.5, torch.Generator())
    assert torch.allclose(book.vectors, ends, atol=1e-5)
