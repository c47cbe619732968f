"""How a folder was read, as a small picture in text: images of each class in each split."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from synthgen.errors import printable

MOST_LINES = 20
WIDEST_NAME = 40
SPLIT_ORDER = ("train", "holdout", "test")


@dataclass(frozen=True)
class Tree:
    """Images of each class in each split.

    Attributes:
        name: of the root folder.
        splits: the official splits that there are, each with the folders that it was read from,
            relative to the root; empty if there are none.
        counts: images of each class in each of ``splits``, or of each class alone.
        left_out: folders that were left out, with the number of images in each.
    """

    name: str
    splits: tuple[tuple[str, tuple[str, ...]], ...]
    counts: tuple[tuple[str, tuple[int, ...]], ...]
    left_out: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        classes: Sequence[str],
        labels: Sequence[int],
        split: Sequence[str | None],
        folders: dict[str | None, tuple[str, ...]],
        left_out: Sequence[tuple[str, int]] = (),
    ) -> "Tree":
        """Count what a listing holds; ``folders`` of each split, none for what isn't folders."""
        found = Counter(zip(labels, split, strict=True))
        official = [one for one in SPLIT_ORDER if one in folders or one in split]
        columns: list[str | None] = [*official] if official else [None]
        counts = tuple(
            (one, tuple(found[label, column] for column in columns))
            for label, one in enumerate(classes)
        )
        splits = tuple((one, folders.get(one, ())) for one in official)
        return cls(name, splits, counts, tuple(left_out))

    def lines(self) -> list[str]:
        """At most 20 lines for classes, then how many more there are."""
        heads = [_head(split, folders) for split, folders in self.splits] or ["images"]
        total = tuple(sum(column) for column in zip(*(row for _, row in self.counts), strict=True))
        rows = [(f"{_short(self.name)}/", tuple(heads))]
        shown = self.counts[: MOST_LINES if len(self.counts) <= MOST_LINES else MOST_LINES - 1]
        rest = self.counts[len(shown) :]
        rows += [(f"├─ {_short(name)}", _figures(row)) for name, row in shown]
        if rest:
            sums = tuple(sum(column) for column in zip(*(row for _, row in rest), strict=True))
            rows.append((f"├─ … and {len(rest):,} more", _figures(sums)))
        several = "class" if len(self.counts) == 1 else "classes"
        rows.append((f"└─ {len(self.counts):,} {several}", _figures(total)))
        first = max(len(name) for name, _ in rows)
        widths = [max(len(row[column]) for _, row in rows) for column in range(len(heads))]
        lines = [
            "  ".join([name.ljust(first), *(c.rjust(w) for c, w in zip(row, widths, strict=True))])
            for name, row in rows
        ]
        lines += [f"left out: {_short(name)}/ ({count:,} images)" for name, count in self.left_out]
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _head(split: str, folders: tuple[str, ...]) -> str:
    """A split, with the folders that it was read from unless they are called as it is."""
    if not folders or folders == (split,):
        return split
    more = f" and {len(folders) - 1:,} more" if len(folders) > 1 else ""
    first = printable(folders[0])
    first = first if len(first) <= WIDEST_NAME else f"…{first[1 - WIDEST_NAME :]}"
    return f"{split} ({first}/{more})"


def _short(name: str) -> str:
    name = printable(name)
    return name if len(name) <= WIDEST_NAME else f"{name[: WIDEST_NAME - 1]}…"


def _figures(counts: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"{count:,}" for count in counts)
