"""Costs of the networks and models that the config groups offer, counted without their weights."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from synthgen.cli.build import PARTIAL, build
from synthgen.cli.catalogue import Entry, Key
from synthgen.networks.cost import Cost, cost, example_inputs, multiply_adds, parameters
from synthgen.samplers import FittedSampler
from synthgen.training.module import GenerativeModule
from synthgen.types import ImageSpec

MODEL, NETWORK = "model", "network/"
SMALL = 5_000_000  # parameters
MODELS = GenerativeModule | FittedSampler


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
    options: Iterable[Entry],
    models: Mapping[str, frozenset[Key]],
    image: ImageSpec,
    allow: Iterable[str],
) -> dict[Key, Costs]:
    """By group and name, for models and networks; these are looked for in ``models``, of which is
    said what they may be made of. Counted for ``image``, or for as many pixels of it as a network's
    entry names. Must be called inside a Hydra application, whose config folders are searched."""
    options = list(options)
    config_of = functools.cache(composed)
    found: dict[Key, Costs] = {}
    for name in (one.name for one in options if one.group == MODEL):
        config, _ = config_of(name)
        found[MODEL, name] = (
            Costs(note="its config can't be composed")
            if config is None
            else model_costs(resolved(config), name, image, allow)
        )
    wanted = {
        (one.group, one.name): of_side(image, one.pixels)
        for one in options
        if one.group.startswith(NETWORK)
    }
    for key, size in wanted.items():
        for place in places(models, config_of, *key):
            found[key] = network_costs(resolved(place.config), place.key, size, allow)
            if counted(found[key]):
                break
    left = sorted(key for key in wanted if not counted(found.get(key)))
    for key, node in alone(left).items():
        offered = places(models, config_of, key[0])
        found[key] = elsewhere(node, offered, wanted[key], allow)
    return found


def places(
    models: Mapping[str, frozenset[Key]],
    config_of: Callable[[str], tuple[DictConfig | None, dict[str, str]]],
    group: str,
    name: str | None = None,
) -> Iterator[Place]:
    """Where models choose the option ``name`` of ``group`` (None: any). Composing a model takes a
    tenth of a second, so those that can't have one are left out."""

    def fits(option: Key) -> bool:
        return option[0] == group and name in (None, option[1])

    for model, parts in models.items():
        config, chosen = config_of(model) if any(map(fits, parts)) else (None, {})
        for key, option in chosen.items():
            if config is not None and fits((key.partition("@")[0], option)):
                yield Place(config, key.partition("@")[2])


def of_side(image: ImageSpec, pixels: int | None) -> ImageSpec:
    return image if pixels is None else replace(image, height=pixels, width=pixels)


@dataclass(frozen=True)
class Place:
    """Where a model takes a network: a config not yet resolved, and a dotted key of it."""

    config: DictConfig
    key: str


def counted(costs: Costs | None) -> bool:
    """False for what could not be built."""
    return costs is not None and costs.parameters is not None


def alone(options: list[Key]) -> dict[Key, DictConfig | None]:
    """The config of each option, all composed at once, which takes a tenth of the time of as many
    compositions of a model; None where that is impossible."""
    chosen = [f"+{group}@of.n{i}={name}" for i, (group, name) in enumerate(options)]
    try:
        config = compose(None, chosen) if chosen else None
    except (HydraException, OmegaConfBaseException):
        return dict.fromkeys(options)
    return {key: config.of[f"n{i}"] for i, key in enumerate(options)} if config else {}


def elsewhere(
    node: DictConfig | None, places: Iterable[Place], image: ImageSpec, allow: Iterable[str]
) -> Costs:
    """An option that is no model's default, put into the first model that it fits."""
    tried = Costs(note="no model offers it")
    for place in places if node is not None else []:
        config = copy.deepcopy(place.config)
        OmegaConf.update(config, place.key, node, merge=False)
        tried = network_costs(resolved(config), place.key, image, allow)
        if counted(tried):
            break
    return tried


def composed(model: str) -> tuple[DictConfig | None, dict[str, str]]:
    """The config of a model, and the chosen option of each of its groups."""
    try:
        config = compose(f"model/{model}", return_hydra_config=True)
        chosen = {str(k): str(v) for k, v in config.hydra.runtime.choices.items()}
        only = OmegaConf.create({"model": config.model})
        resolved(only)
        return only, chosen
    except (HydraException, OmegaConfBaseException):  # a value, say, that only the person knows
        return None, {}


def resolved(config: DictConfig) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def model_costs(config: dict[str, Any], name: str, image: ImageSpec, allow: Iterable[str]) -> Costs:
    def count(model: Any) -> Costs:
        if not isinstance(model, GenerativeModule):
            return Costs()
        parts = {part: asdict(cost(network)) for part, network in networks(model)}
        return Costs(parameters(model), drawing(model), parts)

    return built(config["model"], MODELS, f"model={name}", image, allow, count)


def network_costs(
    config: dict[str, Any], place: str, image: ImageSpec, allow: Iterable[str]
) -> Costs:
    """Of what stands at ``place``. A part that only its model can complete (a partial) is looked
    up in the model, which may refuse it: then there are no numbers, and nothing is wrong."""
    node: Any = config
    for key in place.split("."):
        node = node[key]

    def count(network: Any) -> Costs:
        found: Cost = cost(network)
        return Costs(found.parameters, found.multiply_adds)

    def count_within(model: nn.Module) -> Costs:
        return count(named(model, place.rpartition(".")[2]))

    if not node.get(PARTIAL):
        return built(node, nn.Module, place, image, allow, count)
    return replace(built(config["model"], MODELS, place, image, allow, count_within), note=None)


def named(model: nn.Module, name: str) -> nn.Module:
    """The outermost part of a model that is called ``name``."""
    return next(part for path, part in model.named_modules() if path.rpartition(".")[2] == name)


def built(
    node: Any, role: Any, key: str, image: ImageSpec, allow: Iterable[str], count: Any
) -> Costs:
    """``count`` of what ``node`` describes, which must be a ``role``. A large network never gets
    weights; a small one does, since torch's meta device is slower than that, and so does one whose
    constructor looks at its values. A class that fails says so in the note: its bug must not hide
    all the others."""

    def build_on(device: str) -> Any:
        with torch.device(device):
            return build(node, key=key, role=role, allow=allow, facts={"image": image})

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
