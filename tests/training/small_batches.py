"""Two processes of gloo that train what one does: the steps that the tests of several processes
share. Nothing here needs Lightning's trainer."""

import socket
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from synthgen.cli.build import build
from synthgen.io import config_dir
from synthgen.processes import Together
from synthgen.training.module import GenerativeModule
from synthgen.types import ImageSpec

IMAGE = ImageSpec(3, 16, 16, ("a", "b", "c"))
BATCH, SEED = 16, 5
TARGET = "_target_"


def model_config(overrides, eps):
    """The ``model`` of ``synthgen train OVERRIDES``, plain. Adam divides by the root of what may be
    all rounding; ``eps`` (1e-8 is its own) says from what size on a gradient counts."""
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        config = compose("train", overrides=list(overrides))
    model = OmegaConf.to_container(OmegaConf.masked_copy(config, ["model"]), resolve=True)["model"]
    return with_eps(model, eps)


def with_eps(node, eps):
    if not isinstance(node, dict):
        return node
    ours = {"eps": eps} if str(node.get(TARGET, "")).startswith("torch.optim.") else {}
    return {name: with_eps(item, eps) for name, item in node.items()} | ours


def batches(steps, count):
    """Smooth pictures, uint8, with the labels 0, 1, 2, 0, …"""
    random = torch.Generator().manual_seed(1)
    for _ in range(steps):
        coarse = torch.rand(count, 3, 4, 4, generator=random)
        images = torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bilinear")
        labels = torch.arange(count) % 3
        yield (images * 255).to(torch.uint8), labels[torch.randperm(count, generator=random)]


def ready(model, steps, batch=BATCH, weights=0):
    """The module of a config, which steps without a trainer through a run of ``steps`` batches."""
    torch.manual_seed(weights)
    module = build(model, key="model", facts={"image": IMAGE, "training_images": 1000})
    return prepared(module, steps, batch) if isinstance(module, GenerativeModule) else None


def prepared(module, steps, batch=BATCH):
    module.batch_size, module.run_seed, module.precision = batch, SEED, "float32"
    module.to(memory_format=torch.channels_last)
    module.clock.start(batch * steps, None)
    found = module.configure_optimizers()
    optimizers = found if isinstance(found, list) else [found]
    module.optimizer_list = lambda: optimizers
    module.manual_backward = lambda loss: loss.backward()
    return module


def stepped(module, steps):
    """The state after ``steps``, and every step's losses."""
    rank, share = module.processes.rank, module.batch_size // module.processes.world
    losses = []
    for batch in batches(steps, module.batch_size):
        module.training_step(tuple(part[rank * share : (rank + 1) * share] for part in batch), 0)
        losses.append({k: value.item() for k, value in module.logged_losses().items()})
    state = {k: v.clone() for k, v in module.state_dict().items() if k != "clock._seconds"}
    return {"state": state, "losses": losses}


@contextmanager
def group(rank, world, port):
    address = f"tcp://127.0.0.1:{port}"
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=world)
    try:
        yield Together()
    finally:
        dist.destroy_process_group()


def train(rank, world, port, folder, cases):
    """One of ``world`` processes."""
    torch.set_num_threads(1)
    with group(rank, world, port) as processes:
        train_cases(processes, folder, cases)


def train_exactly(rank, world, port, folder, cases):
    """The same in numbers of 64 bits: rounding stays far below what any mistake does, even where it
    grows from step to step, as it does against a discriminator. Only in a process of its own."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float, torch.float32 = torch.Tensor.double, torch.float64
    train(rank, world, port, folder, cases)


def train_cases(processes, folder, cases):
    """Every case, a name to (config, steps, images of a batch)."""
    for name, (model, steps, batch) in cases.items():
        module = ready(model, steps, batch, weights=processes.rank)  # 0's are those that count
        module.to(torch.get_default_dtype())
        module.share(processes)
        torch.save(stepped(module, steps), Path(folder) / f"{name}-{processes.rank}.pt")


def spawned(target, *arguments, world=2):
    """``target(rank, world, port, *arguments)`` in ``world`` processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(target, (world, port, *arguments), nprocs=world)


def largest_difference(one, other):
    """Over all weights and buffers, and where it is."""
    assert one.keys() == other.keys()
    apart = {
        k: (v.double() - other[k].double()).abs().max().item() for k, v in one.items() if v.numel()
    }
    where = max(apart, key=apart.get)
    return apart[where], where
