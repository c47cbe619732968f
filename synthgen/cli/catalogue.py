"""Everything that config groups offer, read from their yaml files and the classes named there,
and what it costs, counted without weights."""

from __future__ import annotations

import copy
import functools
import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import nn

from synthgen.cli.build import PARTIAL, TARGET, build, find_target
from synthgen.cli.settings import MISSING
from synthgen.errors import SynthgenError
from synthgen.networks.cost import Cost, cost, example_inputs, multiply_adds, parameters
from synthgen.samplers import FittedSampler
from synthgen.training.module import GenerativeModule
from synthgen.types import ImageSpec

NAMES = r"[A-Z][\w’'-]+(?: et al\.|(?:,? (?:&|and) [A-Z][\w’'-]+)+)"
YEAR = r"(?:19|20)\d\d[a-z]?\b"
CITATION = re.compile(rf"\(([^()]*?[A-Z][^()]*?{YEAR}[^()]*)\)|({NAMES},? {YEAR})")
WORK = re.compile(rf"([A-Z][\w’'-]+)(?: et al\.|(?:,? (?:&|and) [A-Z][\w’'-]+)*),? ({YEAR})")
SENTENCE = re.compile(r"(?<!et al)(?<!e\.g)(?<!i\.e)[.](?:\s|$)")
OWN_SIZE = re.compile(r"\b(?:for|at) (\d+) pixels")
PACKAGE = re.compile(r"pip install ([A-Za-z][\w-]+)")
Key = tuple[str, str]  # group and name of an option

FEWEST = 2  # words that say what something is


@dataclass(frozen=True)
class Entry:
    """One option of a group.

    Attributes:
        what: its first sentence.
        papers: citations as its yaml gives them, and its class if that is its alone.
        needs: what has to be there before it can be used, in words.
        pixels: side of the images that it is made for, if its yaml names one ("for 64 pixels").
    """

    group: str
    name: str
    what: str
    papers: tuple[str, ...]
    needs: tuple[str, ...]
    targets: tuple[str, ...]
    pixels: int | None = None


def entries(
    folders: Sequence[Path], allow: Sequence[str], without: Container[Key] = ()
) -> list[Entry]:
    """Every option below ``folders`` (of one name, the first folder's) but for those of
    ``without``, sorted by group."""
    files = sources(folders)
    uses = Counter(target for file in files.values() for target in file.targets)
    return [
        entry(file, *key, allow, shared=len(file.targets) != 1 or uses[file.targets[0]] > 1)
        for key, file in files.items()
        if key not in without
    ]


OF_SWEEPS = ("hydra", "sweep")  # how many jobs are run, not what a job is made of


def sources(folders: Sequence[Path]) -> dict[Key, Source]:
    """The file of every option, sorted by group; of one name, the first folder's."""
    found: dict[Key, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.yaml")):
            group = path.relative_to(folder).parent.as_posix()
            listed = group.partition("/")[0] not in OF_SWEEPS
            if group != "." and listed and path.is_file():  # not a pipe, which would never end
                found.setdefault((group, path.stem), path)
    return {key: Source.read(found[key]) for key in sorted(found)}


def made_of(files: Mapping[Key, Source]) -> dict[Key, frozenset[Key]]:
    """Every option with all that its defaults list may put into it, through the lists of others
    too; what one of them replaces is among it."""
    direct = {key: frozenset(chosen(file.node, key[0])) for key, file in files.items()}
    found: dict[Key, frozenset[Key]] = {}
    for key in files:
        reached, left = {key}, [key]
        while left:
            new = direct.get(left.pop(), frozenset()) - reached
            reached |= new
            left += new
        found[key] = frozenset(reached)
    return found


def chosen(node: Any, group: str) -> Iterator[Key]:
    """The options that the defaults list of a file of ``group`` names."""
    lines = node.get("defaults") if isinstance(node, dict) else None
    for line in lines if isinstance(lines, list) else ():
        for place, names in line.items() if isinstance(line, dict) else [("", line)]:
            where = str(place).rpartition(" ")[2]  # override, optional
            for name in names if isinstance(names, list) else [names]:
                parts = [part.partition("@")[0] for part in (where, str(name)) if part]
                path = "/".join(parts)
                full = path[1:] if path.startswith("/") else f"{group}/{path}"
                yield full.rpartition("/")[0], full.rpartition("/")[2]


@dataclass(frozen=True)
class Source:
    """A yaml file, read."""

    comment: str
    node: Any
    targets: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> Source:
        text = path.read_text(encoding="utf-8")
        node = yaml.safe_load(text) or {}
        return cls(first_comment(text), node, tuple(targets_of(node)))


def entry(file: Source, group: str, name: str, allow: Sequence[str], *, shared: bool) -> Entry:
    """A class that other files name too (``shared``) is told apart by the yaml's comment; else the
    class says itself what it is."""
    classes, refused = classes_of(file.targets, f"{group}/{name}", allow)
    described = [inspect.cleandoc(one.__doc__ or "") for one in classes]
    modules = [sys.modules[one.__module__] for one in classes]
    texts = [file.comment, *described, *(one.__doc__ or "" for one in modules)]
    first = texts if shared or group == "model" else [*described, *texts]
    return Entry(
        group=group,
        name=name,
        what=next((what for what in map(first_sentence, first) if len(what.split()) >= FEWEST), ""),
        papers=(citations(texts[:1]) if shared else ()) or citations(texts),
        needs=(*needs(texts, [inspect.getsource(one) for one in classes], file.node), *refused),
        targets=file.targets,
        pixels=own_size(file.comment),
    )


def own_size(text: str) -> int | None:
    found = OWN_SIZE.search(text)
    return int(found.group(1)) if found else None


def first_comment(text: str) -> str:
    """The comment on top of a yaml file, or the one beside its first line; an experiment's
    purpose."""
    lines: list[str] = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        words = line.lstrip("# ").rstrip()
        if words.startswith(("Command ", "Time ")):
            break
        if not words.startswith("@package"):
            lines.append(words.removeprefix("Purpose").strip())
    if not lines and "#" in (first := text.partition("\n")[0]):
        lines.append(first.partition("#")[2].strip())
    return " ".join(lines)


def first_sentence(text: str) -> str:
    """Up to the first full stop, without citations; at most one paragraph."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    paragraph = re.sub(rf" ?\([^()]*{YEAR}[^()]*\)", "", paragraph)
    end = SENTENCE.search(paragraph)
    return (paragraph[: end.start()] if end else paragraph).strip().rstrip(".:;")


def citations(texts: Sequence[str]) -> tuple[str, ...]:
    """Each cited work once, as it is first named: "Brock et al. 2019, section 3"."""
    found: dict[str, str] = {}
    for text in texts:
        for in_brackets, in_the_text in CITATION.findall(" ".join(text.split())):
            for cited in works(str(in_brackets or in_the_text)):
                first = WORK.search(cited)
                assert first is not None
                found.setdefault(" ".join(first.groups()), cited)
    return tuple(found.values())


def works(cited: str) -> list[str]:
    """The works in one bracket, divided by semicolons, of which titles may hold some too."""
    found: list[str] = []
    for part in cited.split(";"):
        if WORK.search(part):
            found.append(part.strip())
        elif found:
            found[-1] += f";{part}"
    return found


def targets_of(node: Any) -> Iterator[str]:
    """The class that a file is about, or those of a table of several."""
    if not isinstance(node, dict):
        return
    if isinstance(node.get(TARGET), str):
        yield node[TARGET]
        return
    for item in node.values():
        if isinstance(item, dict) and isinstance(item.get(TARGET), str):
            yield item[TARGET]


def classes_of(
    targets: Sequence[str], key: str, allow: Sequence[str]
) -> tuple[list[type], list[str]]:
    """Our classes among ``targets``, and what is in the way of the others."""
    found, refused = [], []
    for target in targets:
        if target == MISSING:
            continue
        try:
            one = find_target(target, key, allow)
        except SynthgenError as error:
            refused.append(str(error).partition("\n")[0])
            continue
        if inspect.isclass(one) and not one.__module__.startswith(("torch.", "sklearn.")):
            found.append(one)
    return found, refused


def needs(texts: Sequence[str], sources: Sequence[str], node: Any) -> list[str]:
    """Packages to install (a module's own message names them), a GPU, weights, and values that
    only the person can give."""
    packages = PACKAGE.findall(" ".join(" ".join([*texts, *sources]).split()))
    found = list(dict.fromkeys(packages))
    if re.search(r"\b(?:[Ff]or a|[Nn]eeds a|on a) GPU\b", " ".join(texts)):
        found.append("GPU")
    if isinstance(node, dict) and "weights" in node:
        found.append("weights")
    missing = [key for key, value in node.items() if value == MISSING and key != TARGET]
    return found + [f"{key}=…" for key in missing]


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


def resolved(config: DictConfig) -> dict[str, object]:
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def model_costs(
    config: dict[str, object], name: str, image: ImageSpec, allow: Iterable[str]
) -> Costs:
    def count(model: Any) -> Costs:
        if not isinstance(model, GenerativeModule):
            return Costs()
        parts = {part: asdict(cost(network)) for part, network in networks(model)}
        return Costs(parameters(model), drawing(model), parts)

    return built(config["model"], MODELS, f"model={name}", image, allow, count)


def network_costs(
    config: dict[str, object], place: str, image: ImageSpec, allow: Iterable[str]
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
