"""Two processes of gloo against one: values, gradients, and gradients of gradients."""

import copy
import socket

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing

from synthgen.processes import Processes, Together
from synthgen.seeds import batch_generator, step_generator

WORLD = 2


def alone_or(processes, rows, weight):
    """A loss that looks at the whole batch three ways, and whose gradient is trained through."""
    own = rows[processes.rank * len(rows) // processes.world :][: len(rows) // processes.world]
    own = own.clone().requires_grad_(True)
    seen = torch.tanh(own @ weight)
    everybody = processes.gather(seen)
    centre = processes.mean(seen.mean(0))
    values = (seen @ everybody.T).square().mean(1) + ((seen - centre) ** 3).sum(1)
    (slope,) = torch.autograd.grad(values.sum(), own, create_graph=True)
    return (values + slope.square().sum(1)).mean()


def one_of_several(rank, port, folder):
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=WORLD)
    processes = Together()
    rows, weight = problem()
    loss = alone_or(processes, rows, weight)
    loss.backward()
    processes.average_gradients([weight])
    random = batch_generator(rank, WORLD, 5, 7)
    with random.in_blocks(2):
        drawn = random.randn(4, 3)
    followed = [torch.full((2, 3), 1.0 + rank), torch.tensor([5 - rank]), torch.ones(2) * rank]
    processes.follow_first(followed)
    found = {
        "followed": torch.cat([one.flatten().double() for one in followed]),
        "copied": torch.tensor(copy.deepcopy(processes) is processes),
        "loss": processes.mean(loss.detach()),
        "slope": weight.grad,
        "agreed": torch.tensor(processes.agree(rank == 1, False)),
        "said": torch.tensor(processes.first_says(10 + rank)),
        "drawn": processes.gather(drawn),
        "gathered": processes.gather(torch.tensor([rank])),
    }
    processes.wait()
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def problem():
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(8, 5, generator=random, dtype=torch.float64)
    weight = torch.randn(5, 4, generator=random, dtype=torch.float64)
    return rows, torch.nn.Parameter(weight)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(one_of_several, (port, str(folder)), nprocs=WORLD)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORLD)]


def test_two_compute_what_one_would(found):
    rows, weight = problem()
    loss = alone_or(Processes(), rows, weight)
    loss.backward()
    for one in found:
        torch.testing.assert_close(one["loss"], loss.detach())
        torch.testing.assert_close(one["slope"], weight.grad)


def test_all_follow_the_first_whatever_the_dtype_and_copies_stay_in_the_group(found):
    for one in found:
        assert one["followed"].tolist() == [1.0] * 6 + [5.0] + [0.0] * 2
        assert one["copied"]


def test_flags_and_values_are_the_same_on_all(found):
    for one in found:
        assert one["agreed"].tolist() == [True, False]
        assert one["said"] == 10
        assert one["gathered"].tolist() == [0, 1]
    assert Processes().agree(True, False) == (True, False)
    assert Processes().first_says(3) == 3


def test_two_draw_what_one_would(found):
    """Rows of real images come first, then those of generated ones: each process has some of both,
    while gathering puts one process after another."""
    whole = torch.randn(8, 3, generator=step_generator(5, 7))
    for one in found:
        mine = one["drawn"].view(WORLD, 2, 2, 3)  # process, block, rows
        torch.testing.assert_close(mine.transpose(0, 1).reshape(8, 3), whole)


def test_one_alone_draws_as_torch_does():
    random, plain = batch_generator(0, 1, 5, 7), step_generator(5, 7)
    assert torch.equal(random.rand(4, 2), torch.rand(4, 2, generator=plain))
    assert torch.equal(random.randn(20), torch.randn(20, generator=plain))
    assert torch.equal(random.randint(2, 9, 4), torch.randint(2, 9, (4,), generator=plain))
    with random.in_blocks(2):
        assert torch.equal(random.rand(4), torch.rand(4, generator=plain))
