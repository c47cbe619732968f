"""Class names: their order, and which of them can be folders on every system."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from unicodedata import category

from synthgen.errors import SynthgenError

MAX_NAME_BYTES = 200  # file systems stop at 255, and archives put things in front
SET_FILES = frozenset(
    {"manifest.jsonl", "dataset.json", "readme.md", "contact_sheet.html", "contact_sheet.png"}
)  # the last one is of older sets
DEVICE_NAMES = {"con", "prn", "aux", "nul"} | {f"{n}{i}" for n in ("com", "lpt") for i in range(10)}


def label_names(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels, in numeric order if they are all whole numbers, else alphabetical."""
    distinct = sorted(set(labels))
    if all(label.isascii() and label.isdigit() for label in distinct):
        distinct.sort(key=lambda label: (int(label), label))
    return tuple(distinct)


def require_safe_names(classes: tuple[str, ...]) -> None:
    """Refuse, before anything is trained, class names that no set could use as folder names."""
    for name in classes:
        problem = folder_problem(name)
        if problem is not None:
            raise SynthgenError(
                f"The class name {name[:60]!r} can't be the name of a folder: {problem}.\n"
                "Rename the class in the data."
            )
    folded = Counter(name.casefold() for name in classes)
    for name in classes:
        if folded[name.casefold()] > 1:
            raise SynthgenError(
                f"The class {name!r} exists twice, perhaps with other capitals; on many systems "
                "both would be one folder.\nRename or merge them."
            )


def folder_problem(name: str) -> str | None:
    """Why ``name`` can't be a folder of a set on every system, or None."""
    problems = {
        "it is empty": not name.strip(),
        "it begins with a dot": name.startswith("."),
        "it ends with a dot or a space": name.endswith((".", " ")),
        'it contains one of / \\ : * ? " < > |': any(mark in name for mark in '/\\:*?"<>|'),
        "it contains a control character": any(category(mark) in ("Cc", "Cs") for mark in name),
        f"it is longer than {MAX_NAME_BYTES} bytes": len(name.encode(errors="replace"))
        > MAX_NAME_BYTES,
        "Windows reserves it": name.split(".")[0].strip().lower() in DEVICE_NAMES,
        "the set has a file of that name": name.lower() in SET_FILES,
    }
    return next((problem for problem, found in problems.items() if found), None)
