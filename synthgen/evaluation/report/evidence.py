"""Copying and statistical tests, as small tables with plain sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from synthgen.evaluation.report.answers import near
from synthgen.evaluation.report.blocks import Figure, embed
from synthgen.evaluation.report.formatting import NOT_TESTED, plain, show, show_p
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.report.slices import counted, share_cell
from synthgen.evaluation.report.tables import Cell, Column, Row, Table
from synthgen.evaluation.schema import (
    CopiedPair,
    Copying,
    Interval,
    LabelTest,
    Statistics,
    StatisticTest,
    TwoSample,
)

COPIES = "copies"  # kind of the figure that shows pairs


@dataclass(frozen=True)
class CopyBlock:
    """Copying as one space sees it."""

    extractor: str
    flagged: bool
    badge: str
    short: str  # the sentence's beginning and the count
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


def copy_blocks(report: Report, folder: Path) -> list[CopyBlock]:
    figures = {figure.extractor: figure for figure in report.figures if figure.kind == COPIES}
    return [
        CopyBlock(
            extractor,
            found.flagged,
            "▲ flagged" if found.flagged else "○ not flagged",
            f"{near(found)[:1].upper()}{near(found)[1:]}.",
            found.sentence,
            copy_table(extractor, found),
            embed(figures[extractor], folder) if extractor in figures else None,
            pair_table(found.pairs),
        )
        for extractor, found in report.copying.items()
    ]


def copy_table(extractor: str, found: Copying) -> Table:
    """Each number beside what real images that nobody trained on get."""
    space = f"distances in the space {extractor}"
    nearer = f"Nearest training image nearer than nearest held-back one, equally many · {space}"
    auth = f"AuthPct: farther from its nearest training image than that is from the next · {space}"
    range_of = f"{found.searched:,} synthetic images"
    among = f"among {found.searched_train:,} training images"
    tip = f"{space}, {among}"

    def counted_row(label: str, note: str, text: str) -> Row:
        return Row(label, note, [Cell(text, tip=tip), None])

    rows = []
    if found.share_nearer_train is not None:
        usual = "than to a held-back one; real images show what is usual here, 50 % on average"
        own = share_cell(found.share_nearer_train, f"{nearer} · {range_of}")
        real = share_cell(found.share_nearer_train_real, f"{nearer} · real images")
        rows.append(Row("Nearer to a training image", usual, [own, real]))
    near = f"distance below {plain(found.threshold)} of that to the next 20"
    rows += [
        counted_row("Exact copies", "", f"{found.exact_copies:,}"),
        counted_row("Near copies", near, f"{found.near_copies:,}"),
    ]
    if found.unmistakable is not None:
        note = "each by itself, for so many images"
        rows.append(counted_row("Nearer than chance explains", note, f"{found.unmistakable:,}"))
    note = "if real images had been drawn"
    rows.append(counted_row("p of so many copies", note, show_p(found.p)))
    if found.auth_pct is not None:
        cells = [plain_cell(found.auth_pct, auth), plain_cell(found.auth_pct_real, auth)]
        rows.append(Row("Authentic", "AuthPct, in per cent", cells))
    columns = [
        Column("Synthetic", counted(found.searched), "synthetic", f"{range_of}, {among}"),
        Column("Real", "held out", "real", "Real images that nothing was trained on, equally many"),
    ]
    return Table(f"Copying, as seen by {extractor}", columns, [*rows, *power_rows(found)])


def power_rows(found: Copying) -> list[Row]:
    """How many copies this check would have noticed, by what was done to them."""
    tip = f"Measured on copies of training images, with {found.n_reference:,} held-back images"
    about, rows = "copies noticed with a probability of 80 / 95 %", []
    for kind, least in (found.power or {}).items():
        sure = "–" if least.nearly_always is None else f"{least.nearly_always:,}"
        text = "none" if least.mostly is None else f"{least.mostly:,} / {sure}"
        rows.append(Row(f"Power: {kind}", about, [Cell(text, tip=tip), Cell("–", tip=tip)]))
    return rows


def plain_cell(found: Interval | None, tip: str) -> Cell | None:
    return None if found is None else Cell(*show(found), tip=tip)


def pair_table(pairs: Sequence[CopiedPair]) -> Table | None:
    rows = [
        Row(
            f"Pair {number}",
            "",
            [
                Cell(f"{pair.synthetic:,}"),
                Cell(f"{pair.train:,}"),
                Cell(plain(pair.distance)),
                Cell(plain(pair.ratio)),
            ],
        )
        for number, pair in enumerate(pairs, 1)
    ]
    columns = [
        Column("Synthetic image", "position", "synthetic"),
        Column("Training image", "position", "train"),
        Column("Distance", "", "distance"),
        Column("Ratio", "to the usual distance there", "ratio"),
    ]
    return Table("The nearest pairs", columns, rows) if rows else None


def statistics_view(found: Statistics | None) -> StatisticsView | None:
    if found is None:
        return None
    correction = found.correction or "Adjusted for many tests (Holm)"
    named = [("Statistics of the images", found.image)]
    named += [
        (f"Main components of the space {space}", own) for space, own in found.features.items()
    ]
    tables = [shift_table(title, own, correction) for title, own in named if own]
    small = [t for t in (label_table(found.labels), two_sample_table(found.two_sample)) if t]
    return StatisticsView(found.sentence, correction.rstrip("."), tables, small)


def shift_table(title: str, shifts: Sequence[StatisticTest], correction: str) -> Table:
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
        share = one.variance_share
        note = "" if share is None else f"{100 * share:.1f} % of the variance"
        differs = " differs" if one.p_adjusted < 0.05 else ""
        values: list[Cell | None] = [
            Cell(plain(one.real_mean), tip=f"Mean {one.statistic} of the real images"),
            Cell(plain(one.fake_mean), tip=f"Mean {one.statistic} of the synthetic images"),
            Cell(
                "nothing varies" if one.effect is None else f"{one.effect:+.2f}".replace("-", "−"),
                tip="(synthetic − real) / pooled standard deviation",
            ),
            Cell(f"{one.ks:.3f}", tip="Kolmogorov–Smirnov's D"),
            Cell(plain(one.wasserstein), tip="1-Wasserstein distance"),
            Cell(
                show_p(one.p_adjusted) + differs,
                tip=f"p = {show_p(one.p)} before adjusting · {correction}",
            ),
        ]
        rows.append(Row(one.statistic.replace("_", " "), note, values))
    return Table(title, columns, rows)


def label_table(labels: LabelTest | None) -> Table | None:
    if labels is None:
        return None
    counts = f"{counted(labels.n_real)} real, {counted(labels.n_fake)} synthetic"
    tip = f"Class frequencies · {counts}"
    chi2 = NOT_TESTED if labels.chi2 is None else plain(labels.chi2)
    rows = [
        Row(
            "Total variation",
            "0 same … 1 no class in common",
            [Cell(plain(labels.total_variation), tip=tip)],
        ),
        Row("Chi-squared", "", [Cell(chi2, tip=tip)]),
        Row("p", "same proportions", [Cell(show_p(labels.p), tip=tip)]),
    ]
    if labels.missing:
        missing = Cell(", ".join(labels.missing), style="text")
        rows.append(Row("Classes without synthetic images", "", [missing]))
    return Table("Labels", [Column("Value", "", "value", tip)], rows)


def two_sample_table(test: TwoSample | None) -> Table | None:
    if test is None:
        return None
    tip = (
        "A classifier learns to tell real from synthetic, cross-validated · "
        f"{test.n:,} images · on {test.space}"
    )
    accuracy = Interval(value=test.accuracy, ci_low=test.ci_low, ci_high=test.ci_high)
    rows = [
        Row("Told apart", "50 % is chance", [share_cell(accuracy, tip)]),
        Row("p", "permutation test", [Cell(show_p(test.p), tip=tip)]),
    ]
    return Table(
        "Classifier two-sample test", [Column("Value", "95 % interval", "value", tip)], rows
    )
