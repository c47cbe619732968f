"""Fine-tuning: a new model takes the weights of a finished one, also for other classes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from synthgen.data.assign import SPLITS
from synthgen.data.splits import Splits, read_split
from synthgen.dataset.origin import Provenance, Recipe, Start
from synthgen.errors import SynthgenError
from synthgen.io import file_digest, read_json, write_json
from synthgen.networks.base import Generator
from synthgen.samplers.artifact import load_sampler, read_description, sampler_folder
from synthgen.samplers.base import FittedSampler, Sampler
from synthgen.training.module import EMA, GenerativeModule
from synthgen.training.state import LAST, read_state

EXPORTED = ("sampler", "best")  # folders of a run that hold a sampler of it
START = "start.json"  # in the new run's folder
STATE = Path("checkpoints") / LAST
# Parts of a run, not of a network.
ANEW = {"clock", "augmentation", "stateful", "density", "running"}
log = logging.getLogger(__name__)


def begin_from(
    start: str | Path | None,
    model: nn.Module,
    out: Path,
    allow: Iterable[str],
    known: Known | None,
) -> Start | None:
    """:func:`start_from` for a new run in ``out``; a resumed one, for which nothing is ``known``,
    goes on with what it has. Returns what is recorded of the start, None if there was none."""
    if start is None:
        return None
    if not isinstance(model, GenerativeModule):
        raise SynthgenError(
            f"start={start}: {type(model).__name__} is fitted in one go and starts from nothing.\n"
            "Leave start= out, or train a GAN or VAE."
        )
    if known is None:
        return Start.from_json(read_json(out / START), str(out / START), "Train again.")
    found = start_from(model, start, allow).model_copy(update={"images_known": known.complete})
    write_json(out / START, found.to_json())
    return found


def start_from(module: GenerativeModule, path: str | Path, allow: Iterable[str] = ()) -> Start:
    """Copy weights from the finished run ``path``, or from a sampler alone, into ``module``.

    A run gives all of its networks. A sampler gives the averaged generator; what it doesn't hold,
    such as the discriminator, starts anew. Tables with a row per class are matched by the names of
    the classes: a new class gets the mean of all known ones. Optimizers and clock are not touched.
    Only tensors are read, never code. Returns what is recorded with the run.

    Raises SynthgenError if ``path`` holds no trained network, or one of another architecture.
    """
    folder = sampler_folder(path)
    description = read_description(folder)
    sampler = load_sampler(folder, allow)
    if isinstance(sampler, FittedSampler):
        raise SynthgenError(
            f"start={path} holds a {type(sampler).__name__}, which has no network to start from.\n"
            "Give a run of a GAN or VAE."
        )
    rows = rows_by_name(sampler.image.classes, module.image.classes)
    state = folder.parent / STATE
    whole = state.is_file() and folder.name == "sampler"
    source = _of_checkpoint(state, module) if whole else _of_sampler(sampler, module, path)
    taken = _copy(source, module, rows, path)
    _log(taken, module, rows, sampler.image.classes, path)
    training = description.provenance.training
    ours, theirs = module.image.classes, sampler.image.classes
    return Start(
        sampler_sha256=description.sha256,
        checkpoint_sha256=file_digest(state) if whole else None,
        images_seen=None if training is None else training.images_seen,
        new_classes=tuple(name for name in ours if name not in theirs),
        dropped_classes=tuple(name for name in theirs if name not in ours),
    )


@dataclass(frozen=True)
class Known:
    """``images``: hashes of those that a run learned or chose from, and whether these are all."""

    images: frozenset[str]
    complete: bool


def known_to(path: str | Path, splits: Splits) -> Known:
    """What the run ``path`` knows, as far as it says.

    An image may move to a weaker split of the new run (test to holdout to train), never to a
    stronger one. Raises SynthgenError if one does, or if the run must have known images of
    ``splits`` and doesn't say which.
    """
    folder = sampler_folder(path)
    origin = read_description(folder).provenance
    recipe = None if origin.data is None else origin.data.recipe
    same = origin.split_digest == splits.digest
    kept = read_split(folder.parent) if folder.name in EXPORTED else None
    if kept is None or kept.digest != origin.split_digest:
        _require_other_images(path, recipe, splits, same)
        return Known(frozenset(), complete=same and _complete(origin))
    if not same and _brought_elsewhere(kept.recipe, splits.recipe):
        raise _unknown(path, splits)
    if kept.recipe.most_held is not None and not same:  # a stream: it names held images only
        _require_other_images(path, kept.recipe, splits, same)
        return Known(frozenset(), complete=False)
    before: dict[str, str] = {**dict.fromkeys(kept.seen, "train"), **kept.assignment}
    _require_none_moved(path, before, splits, kept.recipe)
    images = frozenset(image for image, part in before.items() if part != "test")
    return Known(images, complete=_complete(origin))


def _complete(origin: Provenance) -> bool:
    """Whether the run, if it started from another one, knew what that one knew."""
    start = None if origin.training is None else origin.training.start
    return start is None or start.images_known


def _require_other_images(
    path: str | Path, recipe: Recipe | None, splits: Splits, same: bool
) -> None:
    """Of a sampler alone nobody can say which images it knows: not those of its own source."""
    if same:
        return
    mine = splits.recipe
    if (
        recipe is not None
        and recipe.source == mine.source
        and (recipe.fingerprint == mine.fingerprint or recipe.name == mine.name)
    ):
        raise _unknown(path, splits)
    log.warning("Nothing says which images %s has seen: some may be test images here.", path)


def _require_none_moved(
    path: str | Path, before: dict[str, str], splits: Splits, recipe: Recipe
) -> None:
    moved = Counter(
        part
        for image, part in splits.assignment.items()
        if SPLITS.index(part) > SPLITS.index(before.get(image, part))
    )
    if moved:
        whole = Counter(splits.assignment.values())
        listed = " and ".join(f"{moved[p]:,} of {whole[p]:,} {p} images" for p in sorted(moved))
        raise SynthgenError(
            f"start={path} knows {listed} already: it was trained on another split.\n"
            f"{_as_there(recipe)}, or leave start= out."
        )


def _brought_elsewhere(one: Recipe, other: Recipe) -> bool:
    """Whether both are of one source whose images were brought to another form there, so that
    hashes say nothing."""
    of_one = (one.source, one.name) == (other.source, other.name)
    return of_one and (one.size, one.fit, one.channels) != (other.size, other.fit, other.channels)


def _as_there(recipe: Recipe) -> str:
    keys = ("holdout", "test", "split_seed", "fit")
    options = [f"data.{key}={getattr(recipe, key)}" for key in keys]
    options.append(f"data.size=[{recipe.size[0]},{recipe.size[1]}]")
    return f"Use the images and the split of its training ({' '.join(options)})"


def _unknown(path: str | Path, splits: Splits) -> SynthgenError:
    return SynthgenError(
        f"start={path} was trained on another split or another form of {splits.name}, and "
        "nothing says which of these images it knows.\n"
        "Give a whole run (with its split.json) and its data settings, or leave start= out."
    )


def rows_by_name(old: tuple[str, ...], new: tuple[str, ...]) -> Tensor:
    """float32 ``(new, old)``: each row of a table for ``new`` classes, as weights of old rows."""
    rows = torch.zeros(len(new), len(old))
    for position, name in enumerate(new):
        rows[position] = torch.tensor([float(name == one) for one in old])
        if name not in old:
            rows[position] = 1 / len(old)
    return rows


def _of_checkpoint(path: Path, module: GenerativeModule) -> dict[str, Tensor]:
    state = read_state(path)
    mine = dict(module.state_dict())
    source = {n: t for n, t in state["state_dict"].items() if not ANEW & set(n.split("."))}
    parameters = {name for name, _ in module.named_parameters()}
    for name in sorted(parameters - source.keys()):
        if not ANEW & set(name.split(".")):
            raise _another(path.parent.parent, f"it has no {name}")
    for name in source:
        if name not in mine:
            raise _another(path.parent.parent, f"its {name} has no place here")
    return source


def _of_sampler(sampler: Sampler, module: GenerativeModule, path: str | Path) -> dict[str, Tensor]:
    """The sampler's tensors under the names that they have in ``module``, averaged and not."""
    current = module.sampler()
    source: dict[str, Tensor] = {}
    names = {tensor.data_ptr(): name for name, tensor in module.state_dict().items()}
    for part, network in sampler.named_children():
        mine = getattr(current, part, None)
        if type(mine) is not type(network):
            if isinstance(network, Generator) or isinstance(mine, Generator):
                raise _another(path, f"its {part} is a {type(network).__name__}")
            continue  # a density that is fitted when training ends, for example
        places = mine.state_dict()
        for name, tensor in network.state_dict().items():
            if name not in places:
                raise _another(path, f"its {part}.{name} has no place here")
            place = names.get(places[name].data_ptr())  # None: computed, as a prior of an encoder
            if place is not None and not ANEW & set(place.split(".")):
                source[place] = tensor
        for name in places.keys() - network.state_dict().keys():
            raise _another(path, f"it has no {part}.{name}")
    return source | dict(_twins(source, module))


def _twins(source: Mapping[str, Tensor], module: GenerativeModule) -> Iterable[tuple[str, Tensor]]:
    """What an average gets, its network gets too: names of the same tensors outside of the EMA."""
    averages = {n: one.average for n, one in module.named_modules() if isinstance(one, EMA)}
    for place, average in averages.items():
        for name, network in module.named_modules():
            inside = name.startswith(f"{place}.")
            if inside or type(network) is not type(average) or network is average:
                continue
            prefix = f"{place}.average."
            for full, tensor in source.items():
                if full.startswith(prefix):
                    yield f"{name}.{full.removeprefix(prefix)}", tensor


def _copy(
    source: Mapping[str, Tensor], module: GenerativeModule, rows: Tensor, path: str | Path
) -> dict[str, bool]:
    """Write ``source`` into the module's tensors; checks all of them before it touches one. Returns
    the names of those, and which have rows per class."""
    mine, tables = dict(module.state_dict()), _tables(module)
    fitted, by_class = {}, {}
    for name, tensor in source.items():
        if name not in mine:
            continue
        per_class = any(name.startswith(table) for table in tables)
        resized = tensor.shape[:1] == rows.shape[1:] and mine[name].shape[:1] == rows.shape[:1]
        resized = resized and tensor.shape[0] != mine[name].shape[0]
        by_class[name] = (per_class or resized) and len(tensor) % rows.shape[1] == 0
        if by_class[name]:
            tensor = _matched(tensor, rows)
        if tensor.shape != mine[name].shape:
            shapes = f"{tuple(tensor.shape)} there and {tuple(mine[name].shape)} here"
            raise _another(path, f"{name} is {shapes}")
        fitted[name] = tensor
    with torch.no_grad():
        for name, tensor in fitted.items():
            mine[name].copy_(tensor)
    return by_class


def _matched(tensor: Tensor, rows: Tensor) -> Tensor:
    """For new classes a table with one or more rows per class, those of a class side by side."""
    new, old = rows.shape
    flat = tensor.reshape(old, -1)
    return (rows.to(flat) @ flat).view(len(tensor) // old * new, *tensor.shape[1:])


def _tables(module: GenerativeModule) -> list[str]:
    """Prefixes of tensors with rows per class; those of an auxiliary classifier are, too."""
    classes = module.image.num_classes
    found = [
        f"{name}."
        for name, layer in module.named_modules()
        if (isinstance(layer, nn.Embedding) and layer.num_embeddings == classes)
        or (isinstance(layer, nn.Linear) and layer.out_features == classes and "auxiliary" in name)
    ]
    priors = [name for name, _ in module.named_parameters() if ".prior." in name]
    return found + priors


def _another(path: str | Path, mismatch: str) -> SynthgenError:
    return SynthgenError(
        f"start={path} is of another architecture than model: {mismatch}.\n"
        "Give model the networks and sizes of that run (its config.yaml)."
    )


def _log(
    taken: Mapping[str, bool],
    module: GenerativeModule,
    rows: Tensor,
    old: tuple[str, ...],
    path: str | Path,
) -> None:
    parameters = dict(module.named_parameters())
    missing = [n.removeprefix("critic.") for n in parameters if n not in taken]
    anew = sorted({n.split(".")[0] for n in missing})
    new = [n for n in module.image.classes if n not in old]
    dropped = [n for n in old if n not in module.image.classes]
    known = {n: parameters[n].numel() for n in taken if n in parameters}
    for name in known:
        if taken[name]:  # a new class's row is a mean of others, taken from nobody
            known[name] -= known[name] * len(new) // len(rows)
    log.info(
        "Starting from %s: %s of %s weights taken; anew: %s; classes new: %s; dropped: %s.",
        path,
        f"{sum(known.values()):,}",
        f"{sum(p.numel() for p in parameters.values()):,}",
        ", ".join(anew) or "nothing",
        ", ".join(new) or "none",
        ", ".join(dropped) or "none",
    )
