"""Files for ``wandb sweep``, whose command lines are built here as W&B's agent builds them."""

import shlex

import pytest
import wandb
import yaml
from wandb.sdk.launch.sweeps import utils as agents

from synthgen.cli.settings import SETTINGS
from synthgen.cli.sweep import agent
from synthgen.cli.sweep.objective import DISTANCE, Objective
from synthgen.io import config_dir

FILES = sorted((config_dir() / "sweep").glob("*.yaml"))
QUICK = ("model.density=null", "trainer.previews=0", "max_images=256", "trainer.best_every=128")


def command_line(path):
    """What the agent runs for the first values of all parameters."""
    content = yaml.safe_load(path.read_text())
    values = {
        name: {"value": one["values"][0] if "values" in one else one["min"]}
        for name, one in content["parameters"].items()
    }
    macros = agents.create_sweep_command_args({"args": values})
    words = []
    for chunk in agents.create_sweep_command(list(content["command"])):
        known = chunk.startswith("${") and chunk.endswith("}")
        words += macros[chunk[2:-1]] if known else [str(chunk)]
    return words


def test_there_are_such_files():
    assert len(FILES) >= 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_agents_command_has_settings_that_there_are(synthgen, path):
    program, verb, *rest = command_line(path)
    assert program == yaml.safe_load(path.read_text())["program"] == "synthgen"
    assert verb in SETTINGS
    shown = synthgen(verb, *rest, "--cfg", "job", "--resolve")
    assert shown.code == 0, shlex.join(rest) + shown.err
    swept = [word for word in rest if word.startswith("model.lr.start=")]
    assert swept == ["model.lr.start=" + swept[0].partition("=")[2]]
    assert yaml.safe_load(shown.out)["model"]["lr"]["start"] == float(swept[0].partition("=")[2])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_metric_is_the_objective_and_its_goal_its_direction(path):
    content = yaml.safe_load(path.read_text())
    objective = next(w for w in content["command"] if w.startswith("objective="))
    assert objective in (f"objective={DISTANCE}", "objective=kid")  # both better when lower
    assert content["metric"] == {"name": "objective", "goal": "minimize"}


def test_the_agents_run_gets_the_objective(synthgen, monkeypatch, tmp_path):
    _, verb, *rest = command_line(config_dir() / "sweep" / "digits_vae.yaml")
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    monkeypatch.setenv("WANDB_RUN_ID", "run12345")
    done = synthgen(verb, *rest, *QUICK, "logger=csv")
    assert done.code == 0, done.err
    value = next(line for line in done.err.splitlines() if line.startswith("distance: "))
    assert float(value.partition(" ")[2]) > 0
    (written,) = tmp_path.glob("wandb/offline-run-*-run12345/*.wandb")
    assert b"objective" in written.read_bytes()


@pytest.mark.parametrize(("mode", "why"), [("offline", "no key"), ("online", "it is away")])
def test_one_line_says_that_the_agent_is_not_told(tmp_path, monkeypatch, mode, why):
    def away(**_):
        raise wandb.errors.CommError("it is away\nfor long")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_SWEEP_ID", "abcd1234")
    monkeypatch.setenv("WANDB_MODE", mode)
    if mode == "online":
        monkeypatch.setattr(wandb, "init", away)
    said = []
    monkeypatch.setattr(agent.log, "warning", lambda text, *values: said.append(text % values))
    agent.tell_agent(Objective("distance", False), 1.5)
    assert len(said) == 1
    assert said[0].startswith("W&B's agent isn't told distance = 1.5: ")
    assert why in said[0]
    assert "\n" not in said[0]
