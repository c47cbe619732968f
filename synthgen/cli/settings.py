"""What each verb's config holds at its root, with types; and the check that it holds just that."""

from __future__ import annotations

import dataclasses
import importlib.util
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from synthgen.cli.coerce import coerce, suggestion
from synthgen.cli.overrides import names_a_path
from synthgen.errors import SynthgenError
from synthgen.ranges import BatchSize, Count, Few, Positive, Rows, Seed, Size

Node = dict[str, Any]  # a table that build() turns into an object
MISSING = "???"
FOLDERS = {"folders", "cache"}  # paths whose commas Hydra reads
Reference = Literal["test", "holdout"]  # the final report; while choosing
Mode = Literal["synthetic", "augment"]  # with real training images beside the synthetic ones
Finding = Literal[
    "duplicate",
    "two_classes",
    "near_duplicate",
    "odd_size",
    "mixed_mode",
    "rare_class",
    "suspicious_label",
]  # of a data check: what training accepts
FailOn = Literal["harmed", "no evidence"]  # the verdict, or a worse one, that ends with code 3


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What every verb takes. One that a verb has no use for isn't among its own: given, it is
    refused."""

    allow: list[str]  # further packages whose classes may be built; from the command line only


@dataclass(frozen=True, kw_only=True)
class WritingSettings(Settings):
    """Of verbs that write a folder."""

    out: str | None  # None: runs/<experiment or verb>-<date and time>


@dataclass(frozen=True, kw_only=True)
class TrackedSettings(WritingSettings):
    """Of verbs whose results go into a table, and to W&B."""

    logger: Node


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrackedSettings):
    data: Node
    model: Node
    trainer: Node
    seed: Seed
    max_images: Count | None  # images shown to the model, None: no limit
    max_time: Positive | None  # minutes, None: no limit
    resume: str | None  # folder of the run to go on with
    ckpt: Literal["last", "best"] | Count = "last"  # state to go on from: a number of images seen
    order: Node | None = None  # of the real images; None, as in older runs: shuffled
    start: str | None = None  # run, or its sampler/, whose weights are taken
    objective: str | None = None  # the result of held-back images that a sweep makes better


@dataclass(frozen=True, kw_only=True)
class SynthesizeSettings(TrackedSettings):
    sampler: str | dict[str, str]  # a run folder or its sampler/; several by name
    shares: dict[str, Rows] | None  # whole weights of several samplers, None: equal
    attributes: dict[str, list[str]] | None  # options by attribute; all combinations, equally
    plan: Node
    format: Node | None
    mode: Mode
    data: Node | None  # real images, for mode=augment and filters
    filter: Node | None  # name -> node
    attempts: Few  # draws per row before a filter is taken for impossible
    temperature: Positive | None
    truncation: Positive | None
    shard_size: Count | None
    append: bool
    dry_run: bool
    papers: dict[str, str | None]  # what the card should say
    seed: Seed
    batch_size: BatchSize
    device: str


@dataclass(frozen=True, kw_only=True)
class VerifySettings(Settings):
    folder: str | list[str]  # several: each is checked


@dataclass(frozen=True, kw_only=True)
class ModelsSettings(Settings):
    group: str | None  # None: all
    image: str | None  # channels, height and width; None: each at its own size, else 3x32x32
    classes: Size
    show: Literal["table", "json"]


@dataclass(frozen=True, kw_only=True)
class LookSettings(WritingSettings):
    sampler: str  # a run folder or its sampler/
    what: Node
    seed: Seed
    device: str


@dataclass(frozen=True, kw_only=True)
class EvaluateSettings(TrackedSettings):
    data: Node
    synthetic: str  # a folder that we wrote, any ImageFolder, or an npz file
    extractor: Node  # name -> node
    metric: Node  # name -> node
    judge: Node
    reference: Reference
    seeds: Few  # training repetitions of the transfer classifiers, if there is no trial
    trial: Node | None  # the paired utility trial; None: none
    sampler: str | None  # draws the trial's images anew for each seed; None: the set's own images
    review: Few | None = None  # images on a page for a blinded expert, half of them real
    fail_on: FailOn | None
    cache: str | None  # folder of extracted features, None: extracted each time
    seed: Seed
    objective: str | None = None  # the result of held-back images that a sweep makes better


@dataclass(frozen=True, kw_only=True)
class CompareSettings(TrackedSettings):
    folders: list[str]
    report: Literal["page", "wandb"]  # wandb: one in W&B, too


@dataclass(frozen=True, kw_only=True)
class ReviewSettings(WritingSettings):
    data: Node
    synthetic: str | None  # to ask an expert about
    images: Few  # on the page, half of them real
    answers: str | None  # what the expert saved, with its key
    key: str | None
    seed: Seed


@dataclass(frozen=True, kw_only=True)
class DataCheckSettings(WritingSettings):
    data: Node
    labels: Count | None  # images that each classifier that doubts them learns from; None: no doubt
    fail_on: list[Finding]  # kinds that end with code 3 though training accepts the source


@dataclass(frozen=True, kw_only=True)
class RunSettings(TrainSettings):
    plan: Node
    format: Node | None = None
    mode: Mode = "synthetic"
    filter: Node | None = None
    attempts: Few = 100
    temperature: Positive | None = None
    truncation: Positive | None = None
    batch_size: BatchSize
    device: str
    extractor: Node
    metric: Node | None = None  # older runs, which resume= goes on with, don't say it
    judge: Node
    trial: Node | None = None
    fail_on: FailOn | None = None
    cache: str | None = None
    reference: Reference = "test"  # older runs, which resume= goes on with, don't say it
    seeds: Few
    review: Few | None = None


VerbName = Literal[
    "train",
    "synthesize",
    "look",
    "evaluate",
    "compare",
    "review",
    "verify",
    "run",
    "data check",
    "models",
]
SETTINGS: dict[str, type[Settings]] = {
    "train": TrainSettings,
    "synthesize": SynthesizeSettings,
    "look": LookSettings,
    "evaluate": EvaluateSettings,
    "compare": CompareSettings,
    "review": ReviewSettings,
    "verify": VerifySettings,
    "run": RunSettings,
    "data check": DataCheckSettings,
    "models": ModelsSettings,
}
SettingsType = TypeVar("SettingsType", bound=Settings)


def validate(
    config: Mapping[str, Any], schema: type[SettingsType], *, also_known: Iterable[str] = ()
) -> SettingsType:
    """The typed settings in ``config`` (plain values, resolved).

    Keys in ``also_known`` belong to other verbs (an experiment describes the whole line) and are
    left aside. Raises SynthgenError for unknown, missing and wrongly typed values.
    """
    annotations = typing.get_type_hints(schema, include_extras=True)
    known = [field.name for field in dataclasses.fields(schema)]
    for name in config:
        if name not in known and name not in set(also_known):
            raise SynthgenError(
                f"There is no setting '{name}' here.{suggestion(str(name), known)}\n"
                f"The settings are {', '.join(known)}."
            )
    for name in known:
        if name not in config:
            raise SynthgenError(f"The setting '{name}' is missing. Set it: {name}=VALUE")
    _refuse_missing(dict(config))
    return schema(**{name: coerce(config[name], annotations[name], name) for name in known})


def require_packages(names: Iterable[str]) -> None:
    """Raises SynthgenError for a name in ``allow`` that no installed package or module has."""
    for name in names:
        root = name.partition(".")[0]
        if not root.isidentifier() or importlib.util.find_spec(root) is None:
            raise SynthgenError(
                f"allow names {name!r}, and there is no such package here.\n"
                "Install it, or run where its folder lies."
            )


def _refuse_missing(value: Any, key: str = "") -> None:
    """``???`` marks what only the person can know. Nor is an empty text a path: as one it would
    be the folder that one is in."""
    if value == MISSING:
        how = "PACKAGE.CLASS allow=[PACKAGE]" if key.endswith("._target_") else "VALUE"
        raise SynthgenError(f"{key} must be given. Set it on the command line: {key}={how}")
    empty = value == "" or (isinstance(value, list) and "" in value)
    if empty and (names_a_path(key) or key in FOLDERS):  # such as an unset variable of the shell
        raise SynthgenError(f"{key} is empty.\nName a path; '.' is the folder that you are in.")
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_missing(item, f"{key}.{name}" if key else str(name))
