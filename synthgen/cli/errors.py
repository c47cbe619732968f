"""From an exception to what the person reads and the exit code that a script sees."""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from synthgen.cli.coerce import suggestion
from synthgen.cli.settings import SETTINGS
from synthgen.errors import UNREAD, SynthgenError, printable
from synthgen.io import config_dir

BAD_INPUT, BUG, INTERRUPTED = 2, 1, 130
UNUSABLE = {
    errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM,
    errno.EROFS,
}  # fmt: skip
AMBIGUOUS = "Ambiguous value for argument"  # how Hydra begins, in single runs
LONGEST_PATH = 200  # characters of a path in a message
ISSUES = (
    "This is a bug in synthgen: please report it with the lines above, unless they end in a class "
    "of your own."
)


def explain(error: BaseException, config_name: str | None = None, given: Sequence[str] = ()) -> int:
    """Write ``error`` to stderr, in one or two lines if the person can mend it, with its traceback
    if it is a bug; returns the exit code.

    ``config_name`` and ``given`` (the command line's arguments) help to find what was meant.
    """
    if isinstance(error, SynthgenError):
        return _say(str(error), error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return _say("Stopped. What was not finished was removed.", INTERRUPTED)
    if isinstance(error, BrokenPipeError) and _is_unread(sys.stdout):
        return UNREAD
    if isinstance(error, HydraException | OmegaConfBaseException):
        return _say(_about_config(error, config_name, given), BAD_INPUT)
    odd = _about_composing(error, config_name, given) if config_name is not None else None
    if odd is not None:
        return _say(odd, BAD_INPUT)
    if _out_of_memory(error):
        return _say(
            f"There is not enough memory ({_first_line(error)}).\n"
            "Use smaller batches (batch_size) or images (data.size), or close other programs.",
            BAD_INPUT,
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _say("The disk is full. Free some space and run again.", BAD_INPUT)
    if isinstance(error, OSError) and error.errno in UNUSABLE and error.filename is not None:
        name = shortened(str(error.filename))
        return _say(f"{name} can't be used: {error.strerror}.", BAD_INPUT)
    traceback.print_exception(error)
    return _say(ISSUES, BUG)


def _is_unread(stream: TextIO) -> bool:
    try:
        print(file=stream, flush=True)  # what was lost isn't written again
    except BrokenPipeError:
        return True
    return False


def _about_composing(error: BaseException, config_name: str, given: Sequence[str]) -> str | None:
    """What Python says when config files or arguments are odd, in words; None for other errors."""
    if isinstance(error, YAMLError):
        return f"A config file can't be read: {' '.join(str(error).split())}"
    if isinstance(error, RecursionError):
        return (
            "The config files name each other in a circle, or are nested without end.\n"
            "Look at their defaults lists."
        )
    if isinstance(error, ValueError):  # Hydra's, on odd arguments
        group = _nothing_chosen(given)
        if group and _is_unchosen(group, config_name, ()):
            return f"{group}=null can't be said.\nLeave it out: then no {group} is chosen."
        if group:
            return f"{group} is needed.\nName an option: {group}=OPTION"
        return f"The arguments can't be combined: {_first_line(error)}"
    return None


def shortened(path: str) -> str:
    return path if len(path) <= LONGEST_PATH else f"{path[: LONGEST_PATH - 1]}…"


def _say(message: str, code: int) -> int:
    print(printable(message), file=sys.stderr)
    return code


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _out_of_memory(error: BaseException) -> bool:
    """torch raises RuntimeError (its own subclass on a GPU) where Python has MemoryError."""
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        "can't allocate memory" in text or "out of memory" in text
    )


def _about_argument(argument: str) -> str:
    """That Hydra's grammar has no place for an argument, and how a list is written if it begins as
    one."""
    key, _, value = argument.partition("=")
    what = f"The argument {argument!r} can't be read.\n"
    if value.startswith(("[", "(")):
        items = [one for one in re.split(r"[\s,;()\[\]]+", value) if one]
        items = items if len(items) > 1 else ["A", "B"]  # a space ended it
        return f"{what}A list stands in brackets, with commas and no spaces: {_as_list(key, items)}"
    return (
        f"{what}Arguments have the form key=value; quote values with special characters: "
        "\"key='a=b, c'\"."
    )


def _about_several(argument: str) -> str:
    """That values with commas between them are a list only in brackets."""
    key, _, value = argument.partition("=")
    return (
        f"{argument} gives several values without saying whether they are one list.\n"
        f"A list stands in brackets, {_as_list(key, value.split(','))}; with -m one job is run for "
        f"each value; text with a comma stands in quotes, \"{key}='{value}'\"."
    )


def _as_list(key: str, items: Sequence[str]) -> str:
    """Shells read brackets too, unless they are quoted."""
    return f"'{key}=[{','.join(one.strip() for one in items)}]'"


def _about_config(error: Exception, config_name: str | None, given: Sequence[str]) -> str:
    """Hydra's own words, cut to what matters, and the nearest thing that exists."""
    if isinstance(error, OverrideParseException):
        return _about_argument(error.override)
    if isinstance(error, MissingConfigException):
        return _about_option(error)
    message = _first_line(error)
    if message.startswith(AMBIGUOUS):
        return _about_several(message.removeprefix(AMBIGUOUS).strip().strip("'"))
    if isinstance(error, ConfigCompositionException) and message.startswith("Could not override"):
        key = message.split("'")[1]
        group = key.partition(".")[0]
        if verbs := _other_verbs(group, config_name, given):
            return f"There is no setting '{key}' of this verb.\nThese have it: {', '.join(verbs)}."
        if group != key and _is_unchosen(group, config_name, given):
            options = sorted(path.stem for path in (config_dir() / group).glob("*.yaml"))
            return f"There is no {group} to set {key} of.\nAdd {group}={' or '.join(options)}."
        if others := _options_with(key):
            return (
                f"The chosen {group} has no setting '{key}'.\n"
                f"These have: {', '.join(f'{group}={other}' for other in others)}. In an option of "
                "your own, its YAML must list every setting."
            )
        if "/" in key and (config_dir() / key).is_dir():
            place = f"model.{key.rpartition('/')[2]}"
            return f"{key}= needs the place of its option.\nFor example {key}@{place}=OPTION."
        near = suggestion(key, _known_keys(config_name, given))
        return f"There is no setting '{key}'.{near}\n--cfg job shows every setting."
    cause = error.__cause__
    detail = f" {_first_line(cause)}" if isinstance(cause, OmegaConfBaseException) else ""
    return message + detail


def _about_option(error: MissingConfigException) -> str:
    group, _, option = (error.missing_cfg_file or "?").rpartition("/")
    ours = config_dir() / group  # of several, as in filter=[a, b], Hydra tells no options
    options = error.options or (sorted(path.stem for path in ours.glob("*.yaml")) if group else ())
    if not options:
        return " ".join(str(error).split())
    return (
        f"There is no {group}={option}.{suggestion(option, options)}\n"
        f"The options are {', '.join(options)}."
    )


def _nothing_chosen(given: Sequence[str]) -> str | None:
    """The group that an argument sets to null."""
    keys = (one.removesuffix("=null") for one in given if one.endswith("=null"))
    return next((key for key in keys if (config_dir() / key.split("@")[0]).is_dir()), None)


def _other_verbs(name: str, config_name: str | None, given: Sequence[str]) -> list[str]:
    """The verbs that have the setting, or group, ``name``; none if this one has it."""
    verbs = [verb for verb, known in SETTINGS.items() if name in known.__dataclass_fields__]
    own = {"", *_composed(config_name, given)} if verbs else set()
    return [] if name in own or (config_name or "").replace("_", " ") in verbs else verbs


def _is_unchosen(group: str, config_name: str | None, given: Sequence[str]) -> bool:
    """Whether ``group`` exists, and nothing of it was chosen."""
    return (config_dir() / group).is_dir() and _composed(config_name, given).get(group, 0) is None


def _options_with(key: str) -> list[str]:
    """The options of the group that ``key`` begins with whose own file holds the rest of it."""
    group, _, rest = key.partition(".")
    return sorted(
        path.stem
        for path in (config_dir() / group).glob("*.yaml")
        if rest in _dotted(OmegaConf.to_container(OmegaConf.load(path), resolve=False))
    )


def _known_keys(config_name: str | None, given: Sequence[str]) -> list[str]:
    """Every dotted key of the config that the arguments compose to, without those that fail."""
    return list(_dotted(_composed(config_name, given)))


def _composed(config_name: str | None, given: Sequence[str]) -> dict[str, object]:
    if config_name is None:
        return {}
    GlobalHydra.instance().clear()
    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        try:
            groups = [argument for argument in given if _chooses_group(argument)]
            config = compose(config_name, overrides=groups)
        except (HydraException, OmegaConfBaseException):
            config = compose(config_name)
    plain: Any = OmegaConf.to_container(config, resolve=False)
    return dict(plain)


def _chooses_group(argument: str) -> bool:
    key = argument.partition("=")[0].lstrip("+~").split("@")[0]
    return "=" in argument and (config_dir() / key).is_dir()


def _dotted(plain: Any, prefix: str = "") -> Iterator[str]:
    """Every key of nested tables, as ``a.b.c``."""
    if isinstance(plain, dict):
        for name, value in plain.items():
            yield f"{prefix}{name}"
            yield from _dotted(value, f"{prefix}{name}.")
