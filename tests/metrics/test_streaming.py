"""Metrics in batches, as torchmetrics modules: in parts, copied, and on two processes they give
what the metric gives on everything at once."""

import copy
import os
import pickle
import socket

import pytest
import torch
import torchmetrics

from synthgen.metrics import CMMD, KID, STANDARD, Comparison, frechet_distance, frechet_infinity
from synthgen.metrics.frechet import FrechetInfinity
from synthgen.metrics.streaming import held

SIZE = 6


def features(count, seed):
    return 3 + torch.randn(count, SIZE, generator=torch.Generator().manual_seed(seed)).relu()


REAL, FAKE = features(96, 1), features(84, 2)


# FD∞ deals images to its parts in another order, see below.
METRICS = {
    metric.name: metric for metric in (*STANDARD, CMMD()) if metric.name != "frechet_infinity"
}


def expected(name):
    return METRICS[name].value(Comparison(REAL, FAKE, logits=lambda features: features))


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
@pytest.mark.parametrize("name", METRICS)
def test_in_batches_equals_the_value_of_all(name):
    metric = METRICS[name].streaming(SIZE)
    assert metric.higher_is_better == METRICS[name].higher_is_better
    for real, fake in zip(REAL.split(32), FAKE.split(28), strict=True):
        metric.update(real=real)
        metric.update(fake=fake)
        metric = pickle.loads(pickle.dumps(copy.deepcopy(metric)))  # as checkpoints do
    assert float(metric.compute()) == pytest.approx(expected(name), rel=1e-5, abs=1e-9)
    metric.reset()
    with pytest.raises(ValueError, match=r"at least|no similarities"):
        metric.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_a_collection_keeps_the_images_of_all_its_metrics_once():
    several = torchmetrics.MetricCollection(
        {name: METRICS[name].streaming(SIZE) for name in ("precision", "recall", "coverage")}
    )
    for real, fake in zip(REAL.split(32), FAKE.split(28), strict=True):
        several.update(real=real, fake=fake)
    assert list(several.compute_groups.values()) == [["coverage", "precision", "recall"]]
    for name, value in several.compute().items():
        assert float(value) == pytest.approx(expected(name), abs=1e-9)


def test_infinity_in_batches_removes_the_bias():
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 3000, 24, generator=generator)
    metric = FrechetInfinity().streaming(24)
    for a, b in zip(real.split(250), fake.split(250), strict=True):
        metric.update(real=a, fake=b)
    assert metric.real_count.tolist() == [500] * 6
    found = float(metric.compute())
    assert abs(found) < 0.25 * frechet_distance(real=real, fake=fake)
    assert found == pytest.approx(frechet_infinity(real=real, fake=fake), abs=0.03)


def test_a_reservoir_stops_growing_and_takes_every_image_alike():
    kept = torch.zeros(100)
    for seed in range(60):
        metric = KID().streaming(1, capacity=20, seed=1000 * seed)
        for batch in torch.arange(100.0)[:, None].split(7):
            metric.update(real=batch)
        rows = held(metric.real_rows)
        assert rows.shape == (20, 1)
        assert len(rows.unique()) == 20
        kept[rows.flatten().long()] += 1
    assert kept.sum() == 1200
    assert kept[:50].sum() == pytest.approx(600, abs=60)
    assert kept.max() < 30  # 12 expected of each


def free_port():
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


def one_of_two(rank, port, folder):
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    shares = (slice(0, 31), slice(31, None))  # of unequal size
    found = {}
    for name, one in METRICS.items():
        metric = one.streaming(SIZE)
        metric.update(real=REAL[shares[rank]], fake=FAKE[shares[rank]])
        found[name] = float(metric.compute())
    small = KID().streaming(SIZE, capacity=20)
    small.update(real=REAL[shares[rank]], fake=FAKE[shares[rank]])
    small.sync()
    found["kept"] = held(small.real_rows)
    torch.save(found, f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_equal_one(tmp_path):
    torch.multiprocessing.spawn(one_of_two, (free_port(), str(tmp_path)), nprocs=2)
    ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for name in METRICS:
        for found in ranks:
            assert found[name] == pytest.approx(expected(name), rel=1e-5, abs=1e-9), name
    assert torch.equal(ranks[0]["kept"], ranks[1]["kept"])
    first = [bool((row == REAL[:31]).all(1).any()) for row in ranks[0]["kept"]]
    assert len(first) == 20
    assert 0 < sum(first) < 20  # images of both processes were kept
