"""The settings of a run, kept in its folder, and read back to go on with it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from omegaconf import OmegaConf
from yaml import YAMLError

import synthgen
from synthgen.cli.overrides import names_a_path
from synthgen.cli.settings import RunSettings, TrainSettings, validate
from synthgen.errors import SynthgenError
from synthgen.io import read_json, write_json, write_text
from synthgen.moved import specs_today

if TYPE_CHECKING:
    from synthgen.cli.application import Invocation

CONFIG = "config.yaml"
ASKED = ".config.json"  # what config.yaml held when the run began
OF_THE_COMMAND = ("out", "resume", "ckpt", "allow")  # and not of the run
CHANGEABLE = ("max_images", "max_time", "logger", "allow")
PLACE = ("devices", "num_nodes")  # of the trainer: where it runs, not what it computes
ResumableType = TypeVar("ResumableType", bound=TrainSettings)


def save_config(settings: TrainSettings, verb: str, folder: Path) -> None:
    """Write ``folder``/config.yaml. Paths become absolute, so that the run can be resumed from
    anywhere; ``out``, ``resume``, ``ckpt`` and ``allow`` belong to the command line, and are left
    out."""
    plain = plain_config(settings)
    text = OmegaConf.to_yaml(OmegaConf.create(absolute_paths(plain)))
    write_json(folder / ASKED, _dotted(OmegaConf.to_container(OmegaConf.create(text))))
    write_text(folder / CONFIG, f"# synthgen {synthgen.__version__}: synthgen {verb}\n{text}")


def plain_config(settings: Any) -> dict[str, object]:
    """What was asked for, without how and where: plain values, fit for a report."""
    return {
        name: value
        for name, value in dataclasses.asdict(settings).items()
        if name not in OF_THE_COMMAND
    }


def absolute_paths(value: Any, key: str = "") -> Any:
    """``value`` with every path in it made absolute; ``key`` is its dotted name."""
    if isinstance(value, Mapping):
        inside = f"{key}." if key else ""
        return {name: absolute_paths(item, f"{inside}{name}") for name, item in value.items()}
    is_path = names_a_path(key) and isinstance(value, str)
    return str(Path(value).expanduser().absolute()) if is_path else value


def resumed(settings: ResumableType, invocation: Invocation) -> ResumableType:
    """The settings kept in ``settings.resume``, with the few changes that resuming admits.

    The file is checked like any other config, and can't admit packages by itself.
    """
    folder = Path(str(settings.resume))
    saved = _read(folder)
    _require_unchanged(saved, folder)
    saved = specs_today(saved)
    changes = {name: getattr(settings, name) for name in _changed(invocation, folder)}
    if "trainer" in changes:
        kept: Any = saved.get("trainer", {})
        changes["trainer"] = {**kept, **{one: settings.trainer[one] for one in _moved(invocation)}}
    schema = type(settings)
    fields = dataclasses.fields(schema)
    defaults = {one.name: one.default for one in fields if one.default is not dataclasses.MISSING}
    asked = {
        "out": None, "resume": str(folder), "ckpt": settings.ckpt, "allow": settings.allow
    }  # fmt: skip
    merged = {**defaults, **saved, **changes, **asked}
    missing = [field.name for field in fields if field.name not in merged]
    if missing and schema is RunSettings:
        raise SynthgenError(
            f"{folder} was not written by synthgen run.\nUse: synthgen train resume={folder}"
        )
    return validate(merged, schema, also_known=RunSettings.__dataclass_fields__)


def settings_of(settings: TrainSettings, folder: Path) -> bool:
    """Whether the run ``folder`` was begun with just these settings."""
    text = OmegaConf.to_yaml(OmegaConf.create(absolute_paths(plain_config(settings))))
    asked, begun = _dotted(OmegaConf.to_container(OmegaConf.create(text))), _asked(folder)
    if settings.max_time is None:  # a run without a limit was given one
        asked, begun = ({**one, "max_time": ""} for one in (asked, begun))
    return asked == begun


def _asked(folder: Path) -> dict[str, str]:
    found = read_json(folder / ASKED) if (folder / ASKED).is_file() else {}
    return found if isinstance(found, dict) else {}


def _read(folder: Path) -> dict[str, object]:
    path = folder / CONFIG
    if not path.is_file():
        raise SynthgenError(
            f"There is no run to resume in {folder} ({CONFIG} is missing).\n"
            "Give the folder that synthgen train or synthgen run wrote."
        )
    try:
        content = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    except (YAMLError, UnicodeDecodeError, OSError) as error:
        raise SynthgenError(f"{path} is damaged: {str(error).splitlines()[0]}.") from None
    if not isinstance(content, dict):
        raise SynthgenError(f"{path} is damaged: it holds no settings.")
    return {str(name): value for name, value in content.items()}


def _require_unchanged(saved: dict[str, object], folder: Path) -> None:
    """Refuse a config.yaml that was edited since the run began. What resuming may change may be
    edited too, and paths of the data, which is known by its contents. Older runs pass."""
    if not (folder / ASKED).is_file():
        return
    before, now = read_json(folder / ASKED), _dotted(saved)
    for key in sorted(before.keys() | now.keys()):
        free = key.partition(".")[0] in (*CHANGEABLE, "cache")
        moved = key.startswith("data.") and names_a_path(key)
        if free or moved or before.get(key) == now.get(key):
            continue
        raise SynthgenError(
            f"{folder / CONFIG} was edited: {key} is {now.get(key, 'gone')}, and was "
            f"{before.get(key, 'absent')} when the run began.\n"
            f"Put it back (only {', '.join(CHANGEABLE)} can change), or start a new run."
        )


def _dotted(value: Any, key: str = "") -> dict[str, str]:
    """Every single value under its dotted name, as text."""
    if isinstance(value, Mapping) and value:
        return {
            full: text
            for name, item in value.items()
            for full, text in _dotted(item, f"{key}.{name}" if key else str(name)).items()
        }
    return {key: repr(value)}


def _moved(invocation: Invocation) -> set[str]:
    """Settings of the trainer that say where a run goes on."""
    keys = {override.partition("=")[0] for override in invocation.overrides}
    return {one for one in PLACE if f"trainer.{one}" in keys}


def _changed(invocation: Invocation, folder: Path) -> set[str]:
    elsewhere = {f"trainer.{one}" for one in PLACE}
    keys = {override.lstrip("+~").partition("=")[0] for override in invocation.overrides}
    names = {key.partition(".")[0] for key in keys - elsewhere} - {"resume", "ckpt"}
    refused = sorted(names - set(CHANGEABLE))
    if refused:
        raise SynthgenError(
            f"resume= goes on with the settings in {folder / CONFIG}; "
            f"{', '.join(refused)} can't be changed.\n"
            f"Leave it out (only {', '.join(CHANGEABLE)} can change), or start a new run."
        )
    return names | {"trainer"} if keys & elsewhere else names
