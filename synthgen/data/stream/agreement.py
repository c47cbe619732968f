"""Whether all shards of a stream speak of the same things: each is read by itself, and what one
takes for the class or the patient must be what the others do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from synthgen.data.tabular.labels import classes_of
from synthgen.data.tabular.table import Rows
from synthgen.errors import SynthgenError


@dataclass(frozen=True)
class Told:
    """What the keys of a part were taken for.

    Attributes:
        label: what names the class; several for one-hot keys, "" where nothing was read.
        group: what keeps images in one split; "" for nothing.
        texts: text of a label -> the class that it stands for here, None for none; empty where the
            classes aren't such texts.
        counts: text of a label -> how many images have it.
    """

    label: str = ""
    group: str = ""
    texts: dict[str, str | None] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)


def told_of(rows: Rows) -> Told:
    label, group = rows.label, rows.group
    shown = label.columns[0] if label.texts else ",".join(label.columns)
    texts = dict(zip(label.texts, label.cells, strict=True)) if label.texts else {}
    grouped = group.columns[0] if group.cells else ""
    return Told(shown, grouped, texts, dict(Counter(label.texts)))


@dataclass
class Agreement:
    """What the parts that were added tell together.

    Args:
        place: of all of them, for messages.
        missing: see :class:`synthgen.data.tabular.table.TableSource`.
    """

    place: str
    missing: list[str] | None = None
    _label: tuple[str, Told] | None = None
    _group: tuple[str, Told] | None = None
    _texts: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, told: Told) -> None:
        """Raises SynthgenError for a part that takes another key, or a label for another class."""
        if told.label:
            other, first = self._label = self._label or (name, told)
            if (first.label, not first.texts) != (told.label, not told.texts):
                self._differ(other, first.label, name, told.label)
        if told.group:
            other, first = self._group = self._group or (name, told)
            if first.group != told.group:
                raise SynthgenError(
                    f"{other} groups its images by {first.group}, {name} by {told.group}.\n"
                    f"Say what must stay in one split, data.group={first.group} or {told.group}, "
                    "if all shards have it, or data.group=null."
                )
        for text, meant in told.texts.items():
            before, where = self._texts.setdefault(text, (meant, name))
            if before != meant:
                self._read_otherwise(text, {where: before, name: meant})
        self._counts.update(told.counts)

    def _differ(self, one: str, key: str, other: str, its: str) -> None:
        if key == its:
            raise SynthgenError(
                f"{its} holds 0 and 1 in one of {one} and {other}, and other values in the other.\n"
                "Write the shards alike."
            )
        raise SynthgenError(
            f"{one} has its classes in {key}, {other} in {its}.\nSay which, data.label=KEY, if all "
            "shards have it, or write them alike."
        )

    def _read_otherwise(self, text: str, meant: dict[str, str | None]) -> None:
        where = " and ".join(meant)
        if None in meant.values():
            raise SynthgenError(
                f"The label {text!r} may be a class or stand for none ({where} tell two things).\n"
                f"""Say which: 'data.missing_label=["{text}"]' leaves such images out, """
                "data.missing_label=[] makes a class of it."
            )
        raise SynthgenError(
            f"The label {text!r} is one class or another ({where}).\nWrite the labels alike."
        )

    def require(self) -> None:
        """Raises SynthgenError where the labels of all parts together mean something else than
        each by itself, or most images have none."""
        if self._label is None or not self._texts:
            return
        together = classes_of(self.place, self._label[1].label, list(self._texts), self.missing)
        for text, (meant, where) in self._texts.items():
            if together[text] != meant:
                self._read_otherwise(text, {where: meant, "all together": together[text]})
        if 2 * self._unlabelled >= sum(self._counts.values()):
            raise SynthgenError(
                f"{self._unlabelled:,} of {sum(self._counts.values()):,} images of {self.place} "
                f"have no label in {self._label[1].label}.\nComplete or remove them, or see "
                "data.missing_label."
            )

    @property
    def _unlabelled(self) -> int:
        return sum(self._counts[text] for text, (meant, _) in self._texts.items() if meant is None)

    @property
    def group(self) -> str:
        """The key of what stays together, or ""."""
        return self._group[1].group if self._group else ""

    def notes(self) -> list[str]:
        if self._label is None or not self._unlabelled:
            return []
        said = ", ".join(
            f"{text}: {self._counts[text]:,}"
            for text, (meant, _) in self._texts.items()
            if meant is None and text
        )
        hint = f" ({said}; data.missing_label=[] makes classes of those)" if said else ""
        key = self._label[1].label
        return [f"Left out {self._unlabelled:,} images without a label in {key}{hint}."]
