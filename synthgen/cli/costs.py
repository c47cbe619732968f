"""Costs of the networks and models that the config groups offer, counted without their weights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from hydra import compose
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from synthgen.cli.build import build
from synthgen.cli.catalogue import Entry
from synthgen.networks.cost import Cost, cost, example_inputs, multiply_adds, parameters
from synthgen.training.module import GenerativeModule
from synthgen.types import ImageSpec

MODEL, NETWORK = "model", "network/"
SMALL = 5_000_000  # parameters


@dataclass(frozen=True)
class Costs:
    """Of one option.

    Attributes:
        parameters: trainable numbers; None for what has none or could not be built.
        multiply_adds: of one image forwards; of a model, of drawing one.
        parts: of a model, each of its networks.
        note: why there are no numbers.
    """

    parameters: int | None = None
    multiply_adds: int | None = None
    parts: dict[str, dict[str, int | None]] = field(default_factory=dict)
    note: str | None = None


def costs(
    options: Iterable[Entry], image: ImageSpec, allow: Iterable[str]
) -> dict[tuple[str, str], Costs]:
    """By group and name, for models and networks. Must be called inside a Hydra application, whose
    config folders are searched."""
    options = list(options)
    models = [one.name for one in options if one.group == MODEL]
    wanted = {(one.group, one.name) for one in options if one.group.startswith(NETWORK)}
    found: dict[tuple[str, str], Costs] = {}
    places: dict[str, list[tuple[str, str]]] = {}  # a network's group -> (model, its key there)
    for name in models:
        config, chosen = composed(name)
        if config is None:
            found[MODEL, name] = Costs(note="its config can't be composed")
            continue
        found[MODEL, name] = model_costs(config, name, image, allow)
        for key, option in chosen.items():
            group, _, place = key.partition("@")
            places.setdefault(group, []).append((name, key))
            if (group, option) in wanted and not counted(found.get((group, option))):
                found[group, option] = network_costs(config, place, image, allow)
    for group, option in sorted(wanted - set(found)):
        found[group, option] = elsewhere(group, option, places.get(group, []), image, allow)
    return found


def counted(costs: Costs | None) -> bool:
    """False for what could not be built, or not without the rest of its model (a partial)."""
    return costs is not None and costs.parameters is not None


def elsewhere(
    group: str,
    option: str,
    places: list[tuple[str, str]],
    image: ImageSpec,
    allow: Iterable[str],
) -> Costs:
    """An option that is no model's default, put into the first model that it fits."""
    tried = Costs(note="no model offers it")
    for model, key in places:
        config, _ = composed(model, f"{key}={option}")
        if config is not None:
            tried = network_costs(config, key.partition("@")[2], image, allow)
            if counted(tried):
                break
    return tried


def composed(model: str, *overrides: str) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The plain config of a training, and the chosen option of each group; None if there is a
    value that only the person knows."""
    try:
        config = compose(f"model/{model}", list(overrides), return_hydra_config=True)
        chosen = {str(k): str(v) for k, v in config.hydra.runtime.choices.items()}
        return {"model": OmegaConf.to_container(config.model, resolve=True)}, chosen
    except (HydraException, OmegaConfBaseException):
        return None, {}


def model_costs(config: dict[str, Any], name: str, image: ImageSpec, allow: Iterable[str]) -> Costs:
    def count(model: Any) -> Costs:
        if not isinstance(model, GenerativeModule):
            return Costs()
        parts = {part: asdict(cost(network)) for part, network in networks(model)}
        return Costs(parameters(model), drawing(model), parts)

    return built(config["model"], f"model={name}", image, allow, count)


def network_costs(
    config: dict[str, Any], place: str, image: ImageSpec, allow: Iterable[str]
) -> Costs:
    node: Any = config
    for key in place.split("."):
        node = node[key]

    def count(network: Any) -> Costs:
        if not isinstance(network, nn.Module):  # a partial, which a model completes
            return Costs()
        found: Cost = cost(network)
        return Costs(found.parameters, found.multiply_adds)

    return built(node, place, image, allow, count)


def built(node: Any, key: str, image: ImageSpec, allow: Iterable[str], count: Any) -> Costs:
    """``count`` of what ``node`` describes. A large network never gets weights; a small one does,
    since torch's meta device is slower than that, and so does one whose constructor looks at its
    values. A class that fails says so in the note: its bug must not hide all the others."""

    def build_on(device: str) -> Any:
        with torch.device(device):
            return build(node, key=key, allow=allow, facts={"image": image})

    said = ""
    for device in ("meta", "cpu"):
        try:
            found = build_on(device)
            small = device == "meta" and isinstance(found, nn.Module) and parameters(found) < SMALL
            if small:
                found, device = build_on("cpu"), "cpu"
            with torch.device(device):
                return count(found)
        except Exception as error:
            said = str(error).strip().partition("\n")[0] or type(error).__name__
    return Costs(note=said)


def drawing(model: GenerativeModule) -> int:
    """Multiply-adds of one image out of the model's sampler, autoregressive steps and all."""
    with torch.device("cpu"):  # labels and seeds are read; the sampler takes them to its weights
        one = torch.zeros(1, dtype=torch.int64)
        return multiply_adds(model.sampler().eval().draw, one, one)


def networks(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The outermost networks that are trained, by their last name."""
    found: list[tuple[str, nn.Module]] = []
    outer: list[str] = []
    for path, module in model.named_modules():
        inside = any(path.startswith(f"{one}.") for one in outer)
        if not inside and example_inputs(module) is not None and parameters(module):
            outer.append(path)
            found.append((path.rpartition(".")[2], module))
    return found
