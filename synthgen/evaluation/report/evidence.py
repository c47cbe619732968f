"""Copying and statistical tests, as small tables with plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from synthgen.evaluation.report.embed import Figure, embed
from synthgen.evaluation.report.slices import counted, share_cell
from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.report.wording import NOT_TESTED, is_number, plain, show, show_p

COPIES = "copies"  # kind of the figure that shows pairs


@dataclass(frozen=True)
class CopyBlock:
    """Copying as one space sees it."""

    extractor: str
    flagged: bool
    badge: str
    sentence: str
    table: Table
    figure: Figure | None
    pairs: Table | None


@dataclass(frozen=True)
class StatisticsView:
    sentences: list[str]
    correction: str
    tables: list[Table]
    small: list[Table]  # of one column


def copy_blocks(report: dict[str, Any], folder: Path) -> list[CopyBlock]:
    found = report.get("copying")
    if not isinstance(found, dict):
        return []
    figures = {
        str(figure.get("extractor")): figure
        for figure in report.get("figures") or []
        if figure.get("kind") == COPIES
    }
    blocks = []
    for extractor, one in found.items():
        if not isinstance(one, dict):
            continue
        figure = figures.get(str(extractor))
        flagged = bool(one.get("flagged"))
        blocks.append(
            CopyBlock(
                str(extractor),
                flagged,
                "▲ flagged" if flagged else "○ not flagged",
                str(one.get("sentence") or ""),
                copy_table(str(extractor), one),
                embed(figure, folder) if figure else None,
                pair_table(one.get("pairs") or []),
            )
        )
    return blocks


def copy_table(extractor: str, found: dict[str, Any]) -> Table:
    """Each number beside what real images that nobody trained on get."""
    space = f"distances in the space {extractor}"
    nearer = f"Nearest training image nearer than nearest held-back one, equally many · {space}"
    auth = f"AuthPct: farther from its nearest training image than that is from the next · {space}"
    searched, trained = found.get("searched"), found.get("searched_train")
    range_of = f"{searched:,} synthetic" if is_number(searched) else "all synthetic"
    among = f"among {trained:,} training images" if is_number(trained) else "training images"
    rows = []
    if isinstance(found.get("share_nearer_train"), dict):
        rows.append(
            Row(
                "Nearer to a training image",
                "than to a held-back one; real images show what is usual here, 50 % on average",
                [
                    share_cell(found["share_nearer_train"], f"{nearer} · {range_of} images"),
                    share_cell(found.get("share_nearer_train_real"), f"{nearer} · real images"),
                ],
            )
        )
    rows += [
        Row(
            "Exact copies",
            "",
            [Cell(count_text(found.get("exact_copies")), tip=f"{space}, {among}"), None],
        ),
        Row(
            "Near copies",
            f"distance below {plain(found.get('threshold'))} of that to the next 20"
            if is_number(found.get("threshold"))
            else "",
            [Cell(count_text(found.get("near_copies")), tip=f"{space}, {among}"), None],
        ),
    ]
    if is_number(found.get("unmistakable")):
        rows.append(
            Row(
                "Nearer than chance explains",
                "each by itself, for so many images",
                [Cell(count_text(found["unmistakable"]), tip=f"{space}, {among}"), None],
            )
        )
    if is_number(found.get("p")):
        rows.append(
            Row(
                "p of so many copies",
                "if real images had been drawn",
                [Cell(show_p(found["p"]), tip=f"{space}, {among}"), None],
            )
        )
    if isinstance(found.get("auth_pct"), dict):
        rows.append(
            Row(
                "Authentic",
                "AuthPct, in per cent",
                [
                    plain_cell(found.get("auth_pct"), auth),
                    plain_cell(found.get("auth_pct_real"), auth),
                ],
            )
        )
    rows += power_rows(found)
    columns = [
        Column("Synthetic", counted(searched), "synthetic", f"{range_of} images, {among}"),
        Column("Real", "held out", "real", "Real images that nothing was trained on, equally many"),
    ]
    return Table(f"Copying, as seen by {extractor}", columns, rows)


def power_rows(found: dict[str, Any]) -> list[Row]:
    """How many copies this check would have noticed, by what was done to them."""
    power = found.get("power")
    held, rows = found.get("n_reference"), []
    for kind, least in power.items() if isinstance(power, dict) else ():
        wanted = [least.get(level) for level in ("0.8", "0.95")]
        text = " / ".join(count_text(n) for n in wanted) if is_number(wanted[0]) else "none"
        tip = f"Measured on copies of training images, with {count_text(held)} held-back images"
        about = "copies noticed with a probability of 80 / 95 %"
        rows.append(Row(f"Power: {kind}", about, [Cell(text, tip=tip), Cell("–", tip=tip)]))
    return rows


def plain_cell(found: Any, tip: str) -> Cell | None:
    if not isinstance(found, dict):
        return None
    return Cell(*show({"name": "", **found}), tip=tip)


def count_text(value: Any) -> str:
    return f"{value:,}" if is_number(value) else "–"


def pair_table(pairs: Sequence[dict[str, Any]]) -> Table | None:
    rows = [
        Row(
            f"Pair {number}",
            "",
            [
                Cell(count_text(p.get("synthetic"))),
                Cell(count_text(p.get("train"))),
                Cell(plain(p.get("distance"))),
                Cell(plain(p["ratio"]) if is_number(p.get("ratio")) else "–"),
            ],
        )
        for number, p in enumerate(pairs, 1)
    ]
    columns = [
        Column("Synthetic image", "position", "synthetic"),
        Column("Training image", "position", "train"),
        Column("Distance", "", "distance"),
        Column("Ratio", "to the usual distance there", "ratio"),
    ]
    return Table("The nearest pairs", columns, rows) if rows else None


def statistics_view(report: dict[str, Any]) -> StatisticsView | None:
    found = report.get("statistics")
    if not isinstance(found, dict):
        return None
    correction = str(found.get("correction") or "Adjusted for many tests (Holm)")
    tables = []
    if found.get("image"):
        tables.append(shift_table("Statistics of the images", found["image"], correction))
    spaces = found.get("features")
    for space, shifts in spaces.items() if isinstance(spaces, dict) else ():
        if shifts:
            title = f"Main components of the space {space}"
            tables.append(shift_table(title, shifts, correction))
    small = [t for t in (label_table(found.get("labels")), two_sample_table(found)) if t]
    said = found.get("sentence") or []
    sentences = [said] if isinstance(said, str) else [str(one) for one in said]
    return StatisticsView(sentences, correction.rstrip("."), tables, small)


def shift_table(title: str, shifts: Sequence[dict[str, Any]], correction: str) -> Table:
    columns = [
        Column("Real", "mean", "real_mean"),
        Column("Synthetic", "mean", "fake_mean"),
        Column("Effect", "in standard deviations", "effect", "(synthetic − real) / pooled SD"),
        Column("KS", "0 same … 1 apart", "ks", "Kolmogorov–Smirnov's D"),
        Column("Wasserstein", "in its own unit", "wasserstein", "1-Wasserstein distance"),
        Column("Adjusted p", "KS test, Holm", "p_adjusted", correction),
    ]
    rows = []
    for one in shifts:
        share = one.get("variance_share")
        note = f"{100 * share:.1f} % of the variance" if is_number(share) else ""
        name, effect = str(one.get("statistic")), one.get("effect")
        differs = is_number(one.get("p_adjusted")) and one["p_adjusted"] < 0.05
        values: list[Cell | None] = [
            Cell(plain(one.get("real_mean")), tip=f"Mean {name} of the real images"),
            Cell(plain(one.get("fake_mean")), tip=f"Mean {name} of the synthetic images"),
            Cell(
                f"{effect:+.2f}".replace("-", "−") if is_number(effect) else "nothing varies",
                tip="(synthetic − real) / pooled standard deviation",
            ),
            Cell(
                f"{one['ks']:.3f}" if is_number(one.get("ks")) else "–",
                tip="Kolmogorov–Smirnov's D",
            ),
            Cell(plain(one.get("wasserstein")), tip="1-Wasserstein distance"),
            Cell(
                tested_p(one.get("p_adjusted")) + (" differs" if differs else ""),
                tip=f"p = {show_p(one.get('p'))} before adjusting · {correction}",
            ),
        ]
        rows.append(Row(name.replace("_", " "), note, values))
    return Table(title, columns, rows)


def tested_p(p: Any) -> str:
    return show_p(p) if is_number(p) else NOT_TESTED


def label_table(labels: Any) -> Table | None:
    if not isinstance(labels, dict):
        return None
    counts = f"{counted(labels.get('n_real'))} real, {counted(labels.get('n_fake'))} synthetic"
    tip = f"Class frequencies · {counts}"
    missing = ", ".join(str(name) for name in labels.get("missing") or [])
    chi2, p = labels.get("chi2"), labels.get("p")
    rows = [
        Row(
            "Total variation",
            "0 same … 1 no class in common",
            [Cell(plain(labels.get("total_variation")), tip=tip)],
        ),
        Row("Chi-squared", "", [Cell(plain(chi2) if is_number(chi2) else NOT_TESTED, tip=tip)]),
        Row("p", "same proportions", [Cell(tested_p(p), tip=tip)]),
    ]
    if missing:
        rows.append(Row("Classes without synthetic images", "", [Cell(missing, style="text")]))
    return Table("Labels", [Column("Value", "", "value", tip)], rows)


def two_sample_table(found: dict[str, Any]) -> Table | None:
    test = found.get("two_sample")
    if not isinstance(test, dict):
        return None
    space, n = test.get("space"), test.get("n")
    tip = "A classifier learns to tell real from synthetic, cross-validated"
    tip += f" · {n:,} images" if is_number(n) else ""
    tip += f" · on {space}" if space else ""
    rows = [
        Row(
            "Told apart",
            "50 % is chance",
            [share_cell({**test, "value": test.get("accuracy")}, tip)],
        ),
        Row("p", "permutation test", [Cell(tested_p(test.get("p")), tip=tip)]),
    ]
    return Table(
        "Classifier two-sample test", [Column("Value", "95 % interval", "value", tip)], rows
    )
