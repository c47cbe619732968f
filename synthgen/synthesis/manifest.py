"""``manifest.jsonl``: one line per image, saying what it is, how to draw it again, and its hash."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthgen.dataset import DESCRIPTION, MANIFEST
from synthgen.dataset.schema import ADVICE, Dataset, ManifestRow, described, require_dataset
from synthgen.errors import SynthgenError
from synthgen.io import lines_of, require_plain_file
from synthgen.schema import read_bytes

if TYPE_CHECKING:  # reading needs no torch
    from synthgen.dataset.formats import Encoded
    from synthgen.synthesis.draw import Drawn
    from synthgen.synthesis.request import SynthesisRequest


def manifest_lines(request: SynthesisRequest, drawn: Drawn, encoded: Encoded) -> list[str]:
    """The lines of a shard's rows, in row order.

    Built by hand, for a generator may be faster than a JSON encoder: paths and hashes hold nothing
    that JSON would escape (``require_safe_names``), the rest is encoded once per class and source.
    """
    middles = _Middles(request)
    in_shards, extra = request.format.in_shards, _extras(request, drawn)
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

    def __init__(self, request: SynthesisRequest) -> None:
        from synthgen.dataset.schema import SYNTHETIC

        self.request, self.drawn = request, SYNTHETIC
        self.known: dict[tuple[int, int], tuple[str, str]] = {}

    def __getitem__(self, key: tuple[int, int, int]) -> str:
        source, label, seed = key
        if (source, label) not in self.known:
            self.known[source, label] = self._around_seed(source, label)
        before, after = self.known[source, label]
        synthetic = self.request.sources[source].origin == self.drawn
        return f"{before}{seed if synthetic else 'null'}{after}"

    def _around_seed(self, source: int, label: int) -> tuple[str, str]:
        origin = self.request.sources[source]
        first = {"label": label, "class": self.request.image.classes[label], "seed": 0}
        last: dict[str, object] = {
            "sampler": origin.sha256,
            "origin": origin.origin,
            "source": origin.target,
        }
        if origin.attributes:
            last["attributes"] = dict(origin.attributes)
        return _encode(first)[1:-2], f", {_encode(last)[1:-1]}, "


def _extras(request: SynthesisRequest, drawn: Drawn) -> list[str]:
    """Attempts and scores of curated rows; empty where nothing is curated."""
    if not request.curated:
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


def read_dataset(folder: str | Path) -> Dataset:
    """``dataset.json`` of a set. Raises SynthgenError if it is missing, damaged or public only."""
    path = Path(folder) / DESCRIPTION
    return require_dataset(described(read_bytes(path, Dataset.LARGEST), str(path)), str(folder))


def read_manifest(folder: str | Path) -> list[ManifestRow]:
    """All rows of a set, or a sentence about what is missing or damaged."""
    path = Path(folder) / MANIFEST
    require_plain_file(path)
    try:
        with path.open("rb") as file:
            return list(ManifestRow.read_lines(lines_of(file), str(path), ADVICE))
    except FileNotFoundError:
        raise SynthgenError(f"{path} does not exist.\nGive the folder of a set.") from None


def with_scores(line: bytes, scores: dict[str, float]) -> bytes:
    """A curated row's line with further scores."""
    entry = json.loads(line)
    plain = {name: plain_score(score) for name, score in scores.items()}
    entry["scores"] = {**entry["scores"], **plain}
    return (_encode(entry) + "\n").encode()
