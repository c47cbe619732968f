"""A report that may leave the house: the numbers, without what points back to single real images
or to this machine's folders."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

FILE = "report.public.json"
# Keys under which configs and reports keep paths, relative ones too.
PATHS = frozenset(
    {
        "answers", "cache", "folder", "folders", "image", "key", "out", "path", "resume", "root",
        "sampler", "start", "synthetic", "weights",
    }
)  # fmt: skip
# The folders of an absolute path that stands in a sentence.
FOLDERS = re.compile(r"""(?<![\w.:/\\-])(?:~[\w-]*|[A-Za-z]:)?[\\/](?:[^\s'"`,;:()\\/]+[\\/])+""")


def public_report(report: dict[str, Any]) -> dict[str, Any]:
    """``report`` without positions and distances of single training images, without pictures, and
    with the last part of each path only.

    Notes about the split go too: they name files. What stays tells how well the set did, on how
    much data, by which protocol.
    """
    public = {name: value for name, value in report.items() if name != "figures"}
    if "neighbours" in public:
        public["neighbours"] = [without(block, "rows", "figure") for block in public["neighbours"]]
    if isinstance(public.get("copying"), dict):
        public["copying"] = {
            space: without(found, "pairs") for space, found in public["copying"].items()
        }
    public["protocol"] = without(public.get("protocol") or {}, "split_notes")
    return {**shortened(public), "public": True}


def without(table: Any, *names: str) -> Any:
    if not isinstance(table, dict):
        return table
    return {name: value for name, value in table.items() if name not in names}


def shortened(value: Any, *, named: bool = False) -> Any:
    """Paths become their last part: absolute ones wherever they stand, relative ones under a key of
    ``PATHS`` (``named``: below one). Names of folders tell whose data they are."""
    if isinstance(value, dict):
        return {
            name: shortened(item, named=named or str(name) in PATHS) for name, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [shortened(item, named=named) for item in value]
    if not isinstance(value, str):
        return value
    if named or is_absolute(value):
        return PurePath(value.replace("\\", "/")).name
    return FOLDERS.sub("", value)


def is_absolute(text: str) -> bool:
    """``/a/b``, ``~/a`` or ``C:\\a``; a sentence that only contains a path is not one."""
    return "\n" not in text and (text.startswith(("/", "~")) or text[1:3] in (":\\", ":/"))
