"""``manifest.jsonl``: one line per image, saying what it is, how to draw it again, and its hash."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.errors import SynthgenError
from synthgen.paths import parse_json

if TYPE_CHECKING:  # reading needs no torch
    from synthgen.synthesis.draw import Drawn
    from synthgen.synthesis.formats import Encoded
    from synthgen.synthesis.order import Order

MANIFEST = "manifest.jsonl"


def manifest_lines(order: Order, drawn: Drawn, encoded: Encoded) -> list[str]:
    """The lines of a shard's rows, in row order.

    Built by hand, for a generator may be faster than a JSON encoder: paths and hashes hold nothing
    that JSON would escape (``require_safe_names``), the rest is encoded once per class and source.
    """
    middles = _Middles(order)
    in_shards, extra = order.format.in_shards, _extras(order, drawn)
    part = drawn.part
    return [
        f'{{"file": "{path}", {f""""index": {index}, """ if in_shards else ""}'
        f'{middles[source, label, seed]}"sha256": "{digest}"{extra[index] if extra else ""}}}\n'
        for index, (path, digest, source, label, seed) in enumerate(
            zip(
                encoded.paths,
                encoded.digests,
                part.sources.tolist(),
                part.labels.tolist(),
                drawn.seeds.tolist(),
                strict=True,
            )
        )
    ]


class _Middles:
    """label, class, seed, sampler, origin and source of a line."""

    def __init__(self, order: Order) -> None:
        from synthgen.synthesis.sources import SYNTHETIC

        self.order, self.drawn = order, SYNTHETIC
        self.known: dict[tuple[int, int], tuple[str, str]] = {}

    def __getitem__(self, key: tuple[int, int, int]) -> str:
        source, label, seed = key
        if (source, label) not in self.known:
            self.known[source, label] = self._around_seed(source, label)
        before, after = self.known[source, label]
        synthetic = self.order.sources[source].origin == self.drawn
        return f"{before}{seed if synthetic else 'null'}{after}"

    def _around_seed(self, source: int, label: int) -> tuple[str, str]:
        origin = self.order.sources[source]
        first = {"label": label, "class": self.order.image.classes[label], "seed": 0}
        last: dict[str, Any] = {
            "sampler": origin.sha256,
            "origin": origin.origin,
            "source": origin.target,
        }
        if origin.attributes:
            last["attributes"] = dict(origin.attributes)
        return _encode(first)[1:-2], f", {_encode(last)[1:-1]}, "


def _extras(order: Order, drawn: Drawn) -> list[str]:
    """Attempts and scores of curated rows; empty where nothing is curated."""
    if not order.curated:
        return []
    columns = {name: scores.tolist() for name, scores in drawn.scores.items()}
    return [
        f', "attempt": {attempt}, "scores": '
        + _encode({name: plain_score(column[index]) for name, column in columns.items()})
        for index, attempt in enumerate(drawn.attempts.tolist())
    ]


def plain_score(value: float) -> float | None:
    """Six significant digits; None for what JSON has no number for."""
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _encode(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """All rows of a set, or a sentence about what is missing or damaged."""
    path = Path(folder) / MANIFEST
    try:
        with path.open("rb") as file:
            return list(parse_lines(file, str(path)))
    except FileNotFoundError:
        raise SynthgenError(f"{path} does not exist.\nGive the folder of a set.") from None


def parse_lines(lines: Iterable[bytes], place: str) -> Iterator[dict[str, Any]]:
    """The rows, one at a time; raises SynthgenError at the first damaged one."""
    keys = {"file", "label", "seed", "sha256"}
    for number, line in enumerate(lines, start=1):
        try:
            entry = parse_json(line)
        except ValueError as error:
            raise SynthgenError(f"{place} is damaged: {error}.") from None
        if not isinstance(entry, dict) or not keys <= entry.keys():
            raise SynthgenError(f"{place} is damaged: line {number} lacks some of {sorted(keys)}.")
        yield entry


def with_scores(line: bytes, scores: dict[str, float]) -> bytes:
    """A curated row's line with further scores."""
    entry = json.loads(line)
    plain = {name: plain_score(score) for name, score in scores.items()}
    entry["scores"] = {**entry["scores"], **plain}
    return (_encode(entry) + "\n").encode()
