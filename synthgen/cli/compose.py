"""Hydra's command line, with a guard between what it reads and what it runs.

``hydra.main`` builds the callbacks that a config names as soon as it has composed it. Here the same
steps are taken with a config loader that looks at every file as it is read, and at the composed
``hydra`` node, in each job of a sweep too, before anything gets hold of it.
"""

from __future__ import annotations

import functools
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.hydra import Hydra
from hydra._internal.utils import _run_app, create_config_search_path, get_args_parser
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from synthgen.cli.sweep.command import MODE
from synthgen.cli.trust import (
    is_copy_of_ours,
    require_inside,
    require_modest,
    require_no_link_out,
    require_plain_config,
    require_same_hydra,
)
from synthgen.errors import SynthgenError
from synthgen.io import config_dir

FILE = "file://"


def run_hydra(config_name: str, task: Callable[[DictConfig], Any]) -> None:
    """Do what ``hydra.main`` does with ``sys.argv``, and with ``task`` as the application.

    Raises SynthgenError if a config from elsewhere would do more than choose settings.
    """
    version.setbase("1.3")
    parser = get_args_parser()
    args = flags(parser)
    if args.experimental_rerun is not None:
        raise SynthgenError(
            "--experimental-rerun reads a pickle, which could run any code.\n"
            "Give the settings on the command line, or in a config file."
        )
    if args.shell_completion:  # its scripts call "synthgen -sc", without a verb
        raise SynthgenError(
            "There is no completion for shells: Hydra's knows no verbs.\n"
            "synthgen VERB --help lists the settings."
        )
    loader = GuardedLoader(search_path(args.config_path, args.config_dir), config_name)
    hydra = Hydra(task_name="synthgen", config_loader=loader)
    GlobalHydra.instance().initialize(hydra)
    try:
        dispatch(hydra, parser, args, args.config_name or config_name, task)
    finally:
        GlobalHydra.instance().clear()


def flags(parser: ArgumentParser) -> Namespace:
    """What ``sys.argv`` says. Raises SynthgenError where argparse would write its usage, in nine
    lines that name no setting."""
    with redirect_stderr(StringIO()) as said:
        try:
            return parser.parse_args()
        except SystemExit as error:
            if not error.code:
                raise
    reason = said.getvalue().strip().rpartition("error: ")[2]
    raise SynthgenError(
        f"The command line can't be read: {reason}.\n"
        "Settings are key=value, without dashes; --help lists them."
    )


def search_path(config_path: str | None, config_dir_: str | None) -> ConfigSearchPath:
    """Where configs are looked for: ours, or ``config_path`` in their place, then ``config_dir_``;
    ``hydra.searchpath`` comes later, from Hydra itself."""
    if config_path is None:
        main = str(config_dir())
    else:
        main = config_path if config_path.startswith("pkg://") else os.path.abspath(config_path)
    found = create_config_search_path(main)
    if config_dir_ is not None:
        added = os.path.abspath(config_dir_)
        if not os.path.isdir(added):
            raise SynthgenError(f"There is no folder {added}.\nGive --config-dir a folder.")
        before = SearchPathQuery(provider="schema")
        found.prepend(provider="command-line", path=f"{FILE}{added}", anchor=before)
    return found


def dispatch(
    hydra: Hydra, parser: Any, args: Any, config_name: str, task: Callable[[DictConfig], Any]
) -> None:
    """One of the things that Hydra's command line can do."""
    if args.help:
        hydra.app_help(config_name=config_name, args_parser=parser, args=args)
        return
    if args.resolve and args.cfg is None:
        raise ValueError("--resolve goes with --cfg or --help")
    if sum(map(bool, (args.run, args.multirun, args.cfg, args.info))) > 1:
        raise ValueError("only one of --run, --multirun, --cfg and --info")
    if args.hydra_help:
        hydra.hydra_help(config_name=config_name, args_parser=parser, args=args)
    elif args.cfg is not None:
        hydra.show_cfg(config_name, args.overrides, args.cfg, args.package, args.resolve)
    elif args.info is not None:
        hydra.show_info(args.info, config_name=config_name, overrides=args.overrides)
    elif args.multirun or MODE in args.overrides:
        from synthgen.cli.sweep.multirun import multirun  # with pydantic: not for every command

        multirun(hydra, config_name, [*args.overrides, MODE], task)
    else:
        _run_app(
            run=True,
            multirun=False,
            mode=None,
            hydra=hydra,
            config_name=config_name,
            task_function=task,
            overrides=args.overrides,
        )


@functools.cache
def own_places() -> frozenset[str]:
    """Where synthgen's and Hydra's own configs lie, and those of Hydra's installed plugins."""
    places = create_config_search_path(str(config_dir())).get_path()
    return frozenset(address(str(one.path)) for one in places) | {"structured://"}


def address(place: str) -> str:
    return place if "://" in place else f"{FILE}{place}"


class GuardedRepository(ConfigRepository):
    """Config files of all places; those from elsewhere are looked at as they are read."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        require_inside(config_path)
        file = config_path if config_path.endswith(".yaml") else f"{config_path}.yaml"
        source = self._find_object_source(config_path, ObjectType.CONFIG)
        place = "" if source is None else source.full_path()
        if place.startswith(FILE) and place not in own_places():
            require_no_link_out(Path(place.removeprefix(FILE)), file)
            require_modest(Path(place.removeprefix(FILE)) / file)
        result = super().load_config(config_path)
        if result is not None and not result.is_schema_source and result.path not in own_places():
            look_at(result, file)
        return result


def look_at(result: ConfigResult, config_path: str) -> None:
    """Raises SynthgenError for a file from elsewhere that is more than settings."""
    folder = Path(result.path.removeprefix(FILE))
    if result.path.startswith(FILE) and is_copy_of_ours(folder, config_path):
        return
    require_plain_config(
        f"{result.path.removeprefix(FILE)}/{config_path}",
        config_path,
        package=result.header.get("package"),
        content=OmegaConf.to_container(result.config, resolve=False),
        defaults=[list(vars(one).values()) for one in result.defaults_list or ()],
    )


class GuardedLoader(ConfigLoaderImpl):
    """Composes configs, and hands out none whose ``hydra`` node a file from elsewhere changed.

    ``root`` is the config of the verb among ours.
    """

    def __init__(self, config_search_path: ConfigSearchPath, root: str) -> None:
        super().__init__(config_search_path)
        self.repository = GuardedRepository(config_search_path)
        self.root = root
        self.ours: dict[tuple[Any, ...], dict[str, object]] = {}  # composed once: each takes 0.1 s

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        composed = super().load_configuration(
            config_name, overrides, run_mode, from_shell, validate_sweep_overrides
        )
        hydra: Any = OmegaConf.to_container(composed.hydra, resolve=False)
        places = [f"{one['schema']}://{one['path']}" for one in hydra["runtime"]["config_sources"]]
        if not own_places().issuperset(places):
            # Its settings are those of our verbs, or its defaults where none of these is composed.
            ours = [self._own(name, hydra, run_mode) for name in (self.root, None)]
            require_same_hydra(hydra, overrides, ours)
        return composed

    def _own(self, name: str | None, hydra: Any, run_mode: RunMode) -> dict[str, object]:
        """The ``hydra`` node that our own files and the command line give."""
        given = [one for one in hydra["overrides"]["hydra"] if not adds_a_place(one)]
        key = (name, *given, run_mode)
        if key not in self.ours:
            loader = ConfigLoaderImpl(create_config_search_path(str(config_dir())))
            config = loader.load_configuration(name, given, run_mode)
            plain: Any = OmegaConf.to_container(config.hydra, resolve=False)
            self.ours[key] = dict(plain)
        return self.ours[key]


def adds_a_place(override: str) -> bool:
    return override.lstrip("+~").startswith("hydra.searchpath=")
