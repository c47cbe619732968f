"""The finished rows of one data set as a markdown table, with all that is needed to read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

CONTROLS = ("shuffled_labels", "noise")  # what teaches nothing, by chance more or less of it
BASELINE = "pca_gaussian"
TRAINED = ("gan", "vae", "hybrid")
METRICS = (
    ("frechet_distance", "Fréchet distance ↓"),
    ("kid", "KID × 1000 ↓"),
    ("coverage", "coverage ↑"),
    ("accuracy", "synthetic-only accuracy ↑"),
)
WORSE = "▽"
DISTURBED = 1.5  # load average per core beyond which a row's speed is not to be believed


def markdown(records: Sequence[dict[str, Any]]) -> str:
    """``records`` are the rows' JSON, in the order of the table."""
    by_name = {record["row"]: record for record in records}
    head = ["row", "kind", "training images/s", "parameters", "drawing images/s"]
    titles = [*head, *(title for _, title in METRICS), "seconds", "remark"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    lines += [f"| {' | '.join(cells(record, by_name))} |" for record in records]
    return "\n".join([*lines, "", *notes(records)])


def cells(record: dict[str, Any], others: dict[str, dict[str, Any]]) -> list[str]:
    first = [record["row"], record["kind"]]
    if "error" in record:
        blank = ["–"] * (3 + len(METRICS))
        return [*first, *blank, number(record["seconds"]), f"failed: {one_line(record['error'])}"]
    training, drawing = record["training"], record["drawing"]
    return [
        *first,
        number(training.get("images_per_second")),
        count(training.get("parameters")),
        number(drawing.get("images_per_second")),
        *(metric(record, name, others.get(BASELINE)) for name, _ in METRICS),
        number(record["seconds"]),
        "; ".join(remarks(record, others)),
    ]


def metric(record: dict[str, Any], name: str, baseline: dict[str, Any] | None) -> str:
    found = record["results"][name]
    if found["value"] is None:
        return "–"
    factor, form = {"accuracy": (100, ".1f"), "kid": (1000, ".3g")}.get(name, (1, ".3g"))
    value, low, high = (
        None if found[key] is None else format(factor * found[key], form)
        for key in ("value", "ci_low", "ci_high")
    )
    interval = "" if low is None else f" ({low} to {high})"
    marked = record["kind"] in TRAINED and baseline is not None and worse(record, baseline, name)
    return f"{value}{interval}{f' {WORSE}' if marked else ''}"


def remarks(record: dict[str, Any], others: dict[str, dict[str, Any]]) -> list[str]:
    found = []
    nothing = any(reaches(record, others[name]) for name in CONTROLS if name in others)
    baseline = others.get(BASELINE)
    if record["kind"] in TRAINED:
        if nothing:
            found.append("not trained at this budget")
        elif baseline is not None and worse(record, baseline, "accuracy"):
            found.append("teaches less than PCA-Gaussian")
    elif nothing and record["kind"] not in ("control", "reference"):
        found.append("no better than shuffled labels")
    load, cores = record["machine"]["load_average"][0], record["machine"]["cores"] or 1
    if load > DISTURBED * cores:
        found.append(f"load {load:g} at its start")
    return found


def reaches(record: dict[str, Any], control: dict[str, Any]) -> bool:
    """Whether the accuracy's interval reaches down into the control's: nothing was learned."""
    if "error" in control:
        return False
    return bool(bounds(record, "accuracy")[0] <= bounds(control, "accuracy")[1])


def worse(record: dict[str, Any], other: dict[str, Any], name: str) -> bool:
    """Whether the two intervals are apart, on the wrong side."""
    if "error" in other:
        return False
    low, high = bounds(record, name)
    other_low, other_high = bounds(other, name)
    higher_is_better = record["results"][name]["higher_is_better"]
    return bool(high < other_low if higher_is_better else low > other_high)


def bounds(record: dict[str, Any], name: str) -> tuple[float, float]:
    """The interval; of a value without one, the value itself."""
    found = record["results"][name]
    value = found["value"]
    low, high = (value if found[key] is None else found[key] for key in ("ci_low", "ci_high"))
    return low, high


def notes(records: Sequence[dict[str, Any]]) -> list[str]:
    done = [record for record in records if "error" not in record]
    if not done:
        return []
    # The row real has as many images as there are; all others have the same number.
    one = next((record for record in done if record["kind"] != "reference"), done[0])
    extractor, classifier, results = one["extractor"], one["judge"], one["results"]
    machines = {(r["machine"]["cpu"], r["machine"]["threads"]) for r in done}
    revisions = {r["machine"]["revision"] or r["machine"]["synthgen"] for r in done}
    minutes = ", ".join(f"{value:g}" for value in sorted({r["minutes"] for r in done}))
    names = ", ".join(sorted({r["extractor"]["name"] for r in done}))
    controls = [r["row"] for r in done if r["row"] in CONTROLS]
    untrained = (
        f"Not trained: the accuracy's interval reaches down into that of {' or '.join(controls)}. "
        if controls
        else "No control is done, so that nothing is marked as not trained. "
    )
    return [
        f"{one['data']}, at most {minutes} minutes of training each, seed 0. In brackets 95 % "
        "intervals over images, not over trainings. "
        f"Fréchet distance, KID and coverage (k = 5): {results['kid']['n_fake']:,} of "
        f"{one['images']:,} synthetic against {results['kid']['n_real']:,} real test images in the "
        f"space {names}, a classifier of {extractor['steps']} steps on the real training images; "
        "not comparable with Inception FID. "
        f"Accuracy: {classifier['name']}, {classifier['steps']} steps of "
        f"{classifier['batch_size']}, one training "
        f"on the {one['images']:,} synthetic images alone, on {results['accuracy']['n_real']:,} "
        "real test images. Row real: as many real training images. "
        f"{untrained}{WORSE} worse than PCA-Gaussian, intervals apart. Seconds: training, drawing "
        "and measuring.",
        "",
        "Measured on "
        + "; ".join(f"{cpu}, {threads} threads" for cpu, threads in sorted(machines))
        + f" at revision {', '.join(sorted(revisions))}.",
    ]


def speeds(found: Sequence[dict[str, Any]]) -> str:
    """Networks of published size: what benchmark_training.py found of each, without training."""
    titles = ("published size", "image", "training images/s", "drawing images/s", "parameters",
              "multiply-adds to draw", "peak memory", "batch", "remark")  # fmt: skip
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for one in found:
        load, cores = one["machine"]["load_average"][0], one["machine"]["cores"] or 1
        busy = f"load {load:g} at its end" if load > DISTURBED * cores else ""
        cells = ["–"] * 6
        if not one["note"]:
            cells = [
                number(one["images_per_second"]),
                number(one["draws_per_second"]),
                count(one["parameters"]),
                count(one["multiply_adds"]),
                f"{one['memory_mib']:,} MiB",
                str(one["batch_size"]),
            ]
        remark = one_line(one["note"] or busy)
        lines.append(f"| {' | '.join([one['name'], one['image'], *cells, remark])} |")
    machines = sorted({(one["machine"]["cpu"], one["machine"]["threads"]) for one in found})
    on = "; ".join(f"{cpu}, {threads} threads" for cpu, threads in machines)
    return "\n".join([*lines, "", f"Whole training steps on random images, on {on}."])


def number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def count(value: int | None) -> str:
    if not value:
        return "–"
    for unit, letter in ((1e9, "G"), (1e6, "M")):
        if value >= unit:
            return f"{value / unit:.3g} {letter}"
    return f"{value / 1e3:.3g} k"


def one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")[:160]
