"""The ``synthgen`` command: find the verb, hand the rest to its Hydra application, or show its
help."""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping, Sequence
from pathlib import Path

import synthgen
from synthgen.cli.coerce import suggestion
from synthgen.cli.home import settle_without_home
from synthgen.errors import LOST, UNREAD, printable
from synthgen.io import config_dir

# A verb's help page, read from its yaml files alone: Hydra composes the whole config for that, and
# looks for the options of a group once per group, which takes a second.

FOR_AGENTS = "sweep"  # files for `wandb sweep`, no group of options
NOT_FOR_READERS = {"- door", "- _self_"}
PAGE = """\
Settings are key=value; groups are group=option.

== Groups ==
{groups}

== Settings ==
{settings}

--cfg job --resolve shows what a command would use, with the settings of the chosen options;
-m runs a sweep (seed=0,1,2), --config-dir FOLDER adds configs of your own."""


def page(verb: str) -> str:
    """The groups with their options, and the verb's own settings with their comments."""
    folder = config_dir()
    root = folder / f"{verb.replace(' ', '_')}.yaml"
    groups = [f"{group}: {', '.join(names)}" for group, names in options(folder).items()]
    return PAGE.format(groups="\n".join(groups), settings=settings(root))


def options(folder: Path) -> dict[str, list[str]]:
    """group -> the names of its options, both sorted."""
    found: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.yaml")):
        group = path.parent.relative_to(folder).as_posix()
        if group not in (".", FOR_AGENTS):
            found.setdefault(group, []).append(path.stem)
    return dict(sorted(found.items()))


def settings(root: Path) -> str:
    lines = root.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if line.strip() not in NOT_FOR_READERS)


VERBS = {
    "train": "fit a model on real images",
    "synthesize": "draw a labelled set from a trained model",
    "verify": "find every missing, changed or extra file of a set: synthgen verify DIR",
    "look": "make pictures of what a model draws: sheets, ways, walks, variations",
    "evaluate": "say what a synthetic set is worth, as a report",
    "compare": "put reports side by side: synthgen compare DIR DIR …",
    "review": "let an expert, blinded, judge real and synthetic images",
    "run": "train, synthesize and evaluate in one go",
    "data check": "list what is wrong with a folder or file of images",
    "models": "list everything that there is, with papers and costs: synthgen models [GROUP]",
}
EXAMPLES = """\
Examples:
  synthgen run experiment=digits_gan out=runs/first
  synthgen train data=image_folder data.root=PHOTOS model=vae max_time=10
  synthgen synthesize sampler=RUN plan=balanced plan.per_class=500 out=SET
  synthgen evaluate data=image_folder data.root=PHOTOS synthetic=SET out=REPORT

synthgen VERB --help lists a verb's settings, --cfg job --resolve shows what it would use."""

HELP = {"-h", "--help"}
SPINS = 3000  # 10,000 was a third slower beside another process, and no faster alone


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments`` (default: this process's); returns the exit code, 141 as
    of other programs if nobody reads on, as in ``synthgen models | head``."""
    try:
        code = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more
        return UNREAD
    if code == LOST:
        sys.stderr.flush()
        os._exit(code)  # torch's threads would wait for those that are gone
    return code


def run(arguments: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    wait_briefly(os.environ)
    start_quickly(os.environ)
    if not arguments or arguments[0] in {*HELP, "help"}:
        print(usage())
        return 0
    if arguments[0] in {"-V", "--version"}:
        print(f"synthgen {synthgen.__version__}")
        return 0
    if (line := settle_without_home(os.environ)) is not None:
        print(printable(line), file=sys.stderr)
    words = 2 if arguments[:2] == ["data", "check"] else 1
    verb, rest = " ".join(arguments[:words]), arguments[words:]
    if verb not in VERBS:
        near = suggestion(" ".join(arguments[:2]), VERBS) or suggestion(verb, VERBS)
        print(printable(f"There is no verb '{verb}'.{near}"), file=sys.stderr)
        print(f"The verbs are {', '.join(VERBS)}.", file=sys.stderr)
        return 2

    if len(rest) == 1 and rest[0] in HELP:
        print(page(verb))
        return 0

    from synthgen.cli.application import run_application
    from synthgen.cli.launch import hold_lifeline
    from synthgen.cli.overrides import folder_as_override, folders_as_override, group_as_override

    hold_lifeline()
    positional = {
        "compare": folders_as_override,
        "verify": folder_as_override,
        "models": group_as_override,
    }
    return run_application(verb, positional.get(verb, list)(rest))


def wait_briefly(environment: MutableMapping[str, str]) -> None:
    """Let CPU threads that wait for others sleep after ``SPINS`` turns of a loop, not 300,000.

    GNU's OpenMP library, which torch uses on Linux, otherwise keeps cores busy with waiting: two
    trainings side by side on two cores ran at 132 and 135 images/s each; with this, at 213 and 225.
    On an idle machine no difference was found. The library reads it once, when torch is loaded.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", str(SPINS))


def start_quickly(environment: MutableMapping[str, str]) -> None:
    """No plugins for pydantic: looking for some reads what every installed package says of itself,
    which takes 0.04 of the 0.1 CPU seconds that ``verify`` spends on pydantic."""
    environment.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def usage() -> str:
    width = max(map(len, VERBS))
    lines = [f"  {verb:<{width}}  {summary}" for verb, summary in VERBS.items()]
    return "\n".join(
        [
            f"{synthgen.__doc__}",
            "",
            "Usage: synthgen VERB [key=value …]",
            "",
            *lines,
            "",
            EXAMPLES,
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
