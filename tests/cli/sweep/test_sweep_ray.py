"""Jobs of a sweep as tasks of a Ray cluster of two nodes, where Ray is installed."""

import json
import sys
from pathlib import Path

import pytest

from synthgen.cli.main import main

LINE = ("train", "-m", "hydra/launcher=ray", "model=noise", "logger=csv", "out=sweep")


@pytest.mark.slow
def test_two_nodes_share_a_sweep_of_which_one_job_fails(tmp_path, monkeypatch):
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    monkeypatch.chdir(tmp_path)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        cluster.add_node(num_cpus=1)
        address = f"hydra.launcher.address={cluster.address}"
        assert main([*LINE, "data.holdout=0.1,7,0.2", address]) == 2
    finally:
        cluster.shutdown()
    jobs = json.loads(Path("sweep/sweep.json").read_text())["jobs"]
    assert [job["code"] for job in jobs] == [0, 2, 0]
    assert all(Path(f"sweep/{number}/sampler/sampler.json").is_file() for number in (0, 2))


def test_without_ray_a_sentence_says_what_to_install(synthgen, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    refused = synthgen(*LINE, "seed=1,2")
    assert refused.code == 2
    assert "pip install 'ray" in refused.err
    assert not list(tmp_path.iterdir())
