"""A trial on the page: the verdict in words, each arm in its place, gaps where keys are missing."""

from __future__ import annotations

import contextlib
import copy
import math
import re

import pytest
from trials import CHEAP, CHOSEN, comparison, trial, typed, verdict, with_trial

from synthgen.errors import SynthgenError
from synthgen.evaluation.report import write_page
from synthgen.evaluation.report.blocks import tiles
from synthgen.evaluation.report.evidence import copy_blocks, statistics_view
from synthgen.evaluation.report.formatting import show_count, show_p, show_points
from synthgen.evaluation.report.slices import tail_table
from synthgen.evaluation.report.tables import Cell, Column, Row, Table, in_parts
from synthgen.evaluation.report.trial import arms_table, comparison_table, key_arms, trial_view
from synthgen.evaluation.report.verdict import headline, labels_of, primary_fact
from synthgen.evaluation.trial.schema import Tail, Trial, TrialVerdict

SPACE = "classifier-1a2b3c4d"
NEW_KEYS = ("verdict", "trial", "copying", "statistics", "fairness")


@pytest.fixture
def report(tmp_path, make_report):
    """``report(moved)`` -> a whole report with a trial."""
    return lambda moved=0.0: with_trial(make_report(tmp_path), SPACE, moved=moved)


@pytest.mark.parametrize(
    ("moved", "badge", "style"),
    [
        (0.0, "▲ helped", "helped"),
        (-1.7, "○ no evidence", "undecided"),
        (-4.0, "▼ harmed", "harmed"),
    ],
)
def test_the_verdict_is_a_word_and_a_sign(report, moved, badge, style):
    top = headline(typed(report(moved)))
    assert (top.badge, top.style) == (badge, style)
    assert top.facts[0].badge == badge
    assert top.sentence.startswith({"helped": "The", "harmed": "The"}.get(style, "No evidence"))


def test_the_facts_of_the_verdict(report):
    difference, cheap, alone, added = headline(typed(report())).facts
    assert difference.value == "+1.7"
    assert "+1.1 to +2.3 (95 % interval)" in difference.under
    assert "0.5 points or more" in difference.under
    assert "5 paired seeds" in difference.tip
    assert "judge small_cnn" in difference.tip
    assert cheap.value == "+0.60"
    assert cheap.badge == "○ no evidence"  # Holm's p decides, not the interval
    assert "real + classic augmentation (medium)" in cheap.under
    assert alone.value == "812 real images"
    assert added.value == "1,480 real images"
    assert "Extrapolated" in added.under


def test_a_gain_that_real_images_cannot_measure_has_its_reason(report):
    one = report()
    one["verdict"]["real_equivalent"] |= {"adds": None, "reason": "The curve is flat."}
    assert headline(typed(one)).facts[-1].under == "The curve is flat."


def test_beyond_the_learning_curve_there_is_a_bound_with_its_interval(report):
    one = report()
    one["verdict"]["real_equivalent"]["replaces"] |= {
        "images": 79, "bound": "at most", "ci_low": 79, "ci_high": 700, "fewest": 79, "most": 2000
    }  # fmt: skip
    alone = headline(typed(one)).facts[2]
    assert alone.value == "at most 79 real images"
    assert "79 or fewer to 700 (95 % interval)" in alone.under
    one["verdict"]["real_equivalent"]["replaces"] |= {"ci_high": 2000}
    alone = headline(typed(one)).facts[2]
    assert alone.value == "not to be said"
    assert "79 or fewer to 2,000 or more (95 % interval): the whole learning curve" in alone.under


def test_a_trial_without_a_learning_curve_says_so(report):
    one = report()
    reason = "This trial has no learning curve."
    one["verdict"]["real_equivalent"] = {"replaces": None, "adds": None, "reason": reason}
    facts = headline(typed(one)).facts
    assert len(facts) == 3
    assert (facts[2].value, facts[2].under) == ("not measured", reason)


def test_better_than_the_cheap_arm_is_not_called_helped(report):
    one = report()
    one["verdict"]["against_best_cheap"] = comparison(CHOSEN, CHEAP, 0.03, 0.004)
    assert headline(typed(one)).facts[1].badge == "▲ better"


def test_the_forest_has_the_primary_arm_on_top_and_one_endpoint(report):
    wide, narrow = trial_view(typed(report())).forests
    assert wide.rows[0].label == "Real + 2 × synthetic"
    assert [row.primary for row in wide.rows] == [True] + [False] * 12
    assert narrow.rows == wide.rows  # neither the cheap contrast nor accuracy
    assert (wide.layout, narrow.layout) == ("wide", "stacked")
    assert wide.minimum == 0.5
    first = wide.rows[0]
    assert (first.value, first.low, first.high) == pytest.approx((1.7, 1.1, 2.3))
    assert (first.text, first.verdict) == ("+1.7 (+1.1 to +2.3)", "▲ helped")


def test_the_tables_hold_every_comparison_and_every_arm(report):
    view = trial_view(typed(report()))
    assert len(view.comparisons.rows) == 15
    first, *others = view.comparisons.rows
    assert [cell.text for cell in first.cells] == ["+1.7", "< 0.001", "primary", "0.84", "▲ helped"]
    assert "primary" not in {row.cells[2].text for row in others}
    assert all(cell.tip for row in view.comparisons.rows for cell in row.cells[:4])
    chosen = [row for row in view.arms.rows if "chosen" in row.note]
    assert [(row.label, row.cells[0].text) for row in chosen] == [
        ("Real + 2 × synthetic", "2,000 + 4,000")
    ]
    assert len(view.mcnemar.rows) == 15  # three arms beside real only, five seeds each


def test_curves(report):
    view = trial_view(typed(report()))
    chosen = [[p.x for p in curve.points if p.chosen] for curve in view.ratio.curves]
    assert chosen == [[2], []]
    assert [level.label for level in view.ratio.references] == ["real only"]
    assert [level.label for level in view.learning.references] == ["synthetic only"]
    assert next(curve.label for curve in view.convergence.curves) == "Real only"
    fitted = report()
    once = {name: points[-1:] for name, points in fitted["trial"]["convergence"].items()}
    fitted["trial"]["convergence"] = once  # a classifier that is fitted in one go has no curve
    assert trial_view(typed(fitted)).convergence is None
    assert [chart.title for chart in view.scenarios] == ["Fog", "Occlusion", "Blur", "Rotation"]
    assert len(view.scenario_tables[0].rows) == 14
    assert view.agreement.rows[0].cells[0].text == "95.3 %"


def test_a_classifier_of_the_users_own_stands_beside_the_arms(report):
    one = report()
    own = [s for s in one["trial"]["scenarios"] if s["arm"] == "real_only"]
    one["trial"]["scenarios"] += [{**s, "arm": "my_network"} for s in own]
    found = typed(one)
    key = key_arms(found.trial, found.verdict, labels_of(found))
    assert key["my_network"] == ("My network", "arm-own")
    assert len(trial_view(typed(one)).scenarios[0].curves) == 5


def test_copying_says_what_it_found(report, tmp_path):
    fine, bad = (copy_blocks(typed(report(moved)), tmp_path)[0] for moved in (0.0, -4.0))
    assert (fine.badge, bad.badge) == ("○ not flagged", "▲ flagged")
    assert [cell.text for cell in bad.table.rows[0].cells] == ["71.0 %", "49.8 %"]
    assert bad.table.rows[1].cells[0].text == "12"
    power = {row.label: row.cells[0].text for row in bad.table.rows if "Power" in row.label}
    assert power == {"Power: noise": "3 / 5", "Power: mirror": "none"}
    assert len(bad.pairs.rows) == 6
    assert copy_blocks(typed({**report(), "copying": {}}), tmp_path) == []


def test_the_long_account_of_copying_stands_once_and_folded(report, tmp_path, quick_charts):
    one = report()
    one["provenance"]["exact_copies"] = {"train": 0, "test": 0}
    long = [f"No sign of copying in the space {name}. And much more." for name in one["copying"]]
    for found, sentence in zip(one["copying"].values(), long, strict=True):
        found["sentence"] = sentence
    one["sentences"] += [*long, one["verdict"]["sentence"]]
    html = write_page(typed(one), tmp_path).read_text()
    top, _, main = html.partition("<main>")
    for sentence in long:
        assert html.count(sentence) == 1
        assert f"what would have been noticed</summary><p>{sentence}" in main
    assert "images lie suspiciously near a training image" in top
    assert re.search(r"<p>[\d,]+ of [\d,]+ images lie suspiciously near", main)
    assert 'data-tip="No sign of copying in the space' in top


def test_one_measure_names_the_worst_class(report, tmp_path, quick_charts):
    """Recall with the synthetic images, as in the table of fairness; no distance does."""
    one = report()
    far = {"value": 99.0, "ci_low": 98.9, "ci_high": 99.1}
    for found in one["results"]:
        if found["scope"] == {"class": "1"} and found["name"] == "fidelity/frechet_distance":
            found |= far
    one["fairness"]["worst_class"] |= {"clear": True, "others": 0.97}
    tile = next(tile for tile in tiles(typed(one)) if tile.label == "Worst class")
    assert (tile.value, tile.under) == (
        "0",
        "91.0 % (89.0 to 93.0) recognised with the synthetic images, 97 % of the others'",
    )
    html = write_page(typed(one), tmp_path).read_text()
    assert "worst is" not in html
    one["fairness"]["worst_class"]["clear"] = False
    assert "Worst class" not in {tile.label for tile in tiles(typed(one))}


def test_statistics_mark_in_words_what_differs(report):
    view = statistics_view(typed(report()).statistics)
    last = {row.label: row.cells[-1].text for row in view.tables[0].rows}
    assert last["brightness"] == "1.000"
    assert last["sharpness"] == "< 0.001 differs"
    assert [table.title for table in view.small] == ["Labels", "Classifier two-sample test"]


def test_fairness_marks_the_worst_class_and_has_groups(report):
    view = trial_view(typed(report()))
    classes, groups = view.fairness
    assert [row.cells[1].strong for row in classes.rows] == [True, False, False]
    assert [row.label for row in groups.rows] == ["scanner A", "scanner B"]
    assert groups.rows[0].cells[2].text == "+1.0"
    assert view.fairness_sentences == ["The worst class is 0."]


def test_every_chart_is_also_a_pdf(report, tmp_path):
    html = write_page(typed(report()), tmp_path).read_text(encoding="utf-8")
    named = re.findall(r'class="file">(charts/[^<]+\.pdf)<', html)
    written = {f"charts/{path.name}" for path in (tmp_path / "charts").iterdir()}
    assert set(named) == written
    assert len(named) == len(written)
    wanted = ("trial_arms", "trial_ratio", "trial_learning", "trial_convergence", "scenario_fog")
    assert {f"charts/{name}.pdf" for name in wanted} <= written
    assert all(path.read_bytes().startswith(b"%PDF") for path in (tmp_path / "charts").iterdir())
    assert "the charts, as PDFs for papers, in charts/" in html
    first = {path.name: path.read_bytes() for path in (tmp_path / "charts").iterdir()}
    assert write_page(typed(report()), tmp_path).read_text(encoding="utf-8") == html
    assert {path.name: path.read_bytes() for path in (tmp_path / "charts").iterdir()} == first


def test_a_page_without_charts_has_no_folder_for_them(report, tmp_path):
    none = {"curves": {"transfer": {}, "training": None}, "trial": None}
    without_any = {**report(), "results": [], "references": [], **none}
    html = write_page(typed(without_any), tmp_path).read_text(encoding="utf-8")
    assert "charts/" not in html
    assert not (tmp_path / "charts").exists()


def test_what_was_measured_on_the_holdout_is_not_called_test(report, tmp_path, quick_charts):
    chosen = report()
    chosen["protocol"] = {**(chosen.get("protocol") or {}), "reference_split": "holdout"}
    view = trial_view(typed(chosen))
    tested, choosing = view.ratio.curves
    assert tested.label == "holdout, with 95 % interval"
    assert choosing.label == "held-back training images, where the ratio was chosen"
    assert view.arms.columns[1].note == "holdout, 95 % interval"
    assert "holdout images" in view.tail.columns[0].tip
    assert "test images" not in str(view.scenario_tables)
    assert "holdout images" in str(view.scenario_tables)
    page = write_page(typed(chosen), tmp_path).read_text(encoding="utf-8")
    assert "real holdout images that were corrupted" in page


def cut_out(value, place):
    *rest, last = place
    for part in rest:
        value = value[part]
    del value[last]


def places_of(value, place=()):
    """Paths of all keys; of a list only its first member's."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield (*place, key)
            yield from places_of(item, (*place, key))
    elif isinstance(value, list) and value:
        yield from places_of(value[0], (*place, 0))


def test_a_report_that_lacks_a_key_is_refused_by_its_name_or_shown(report, tmp_path, quick_charts):
    """Whatever is missing: one sentence that names it, or a page."""
    whole, refused, left_out = report(), 0, {}
    arms = {arm["name"] for arm in whole["trial"]["arms"]}
    for key in NEW_KEYS:
        for place in places_of(whole[key], (key,)):
            one = copy.deepcopy(whole)
            cut_out(one, place)
            with contextlib.suppress(SynthgenError):
                left_out[place[-1]] = typed(one)
                continue
            refused += 1
    assert refused > 100
    words = {key for key in left_out if re.fullmatch(r"[a-z_]+", str(key))} - arms
    assert {"gan_test", "power", "worst_group"} < words
    for key in sorted(words):
        page = write_page(left_out[key], tmp_path).read_text(encoding="utf-8")
        text = re.sub(r"<style>.*?</style>", "", page, flags=re.DOTALL)
        assert ">None<" not in text, key
        assert not re.search(r"\bnan\b", text), key


def test_names_of_strangers_in_a_trial_stay_text(report, tmp_path, quick_charts):
    one, evil = report(), '"><script>alert(1)</script>'
    one["trial"] = trial((evil, "b"))
    one["trial"]["arms"][0]["label"] = one["verdict"]["arms"][0]["label"] = evil
    one["statistics"]["sentence"] = [evil]
    html = write_page(typed(one), tmp_path).read_text(encoding="utf-8")
    assert "<script" not in html
    assert html.count("alert(1)&lt;/script") > 2  # in the forest too


@pytest.mark.parametrize(
    ("triple", "text"),
    [
        ((0.017, 0.011, 0.023), ("+1.7", "+1.1 to +2.3")),
        ((0.006, 0.0002, 0.0118), ("+0.60", "+0.02 to +1.18")),  # not "+0.0 to"
        ((-0.0004, -0.009, 0.008), ("−0.04", "−0.90 to +0.80")),
        ((-0.001, -0.004, 0.002), ("−0.1", "−0.4 to +0.2")),
        ((0.2211, 0.0449, 0.397), ("+22.1", "+4.5 to +39.7")),  # tenths, as in the sentences
        ((None, None, None), ("too few images to say", "")),
    ],
)
def test_differences(triple, text):
    assert show_points(*triple) == text


def test_small_words():
    assert show_count(1240, 980, 1610) == ("1,240", "980 to 1,610")
    assert [show_p(p) for p in (0.0004, 0.031, None)] == ["< 0.001", "0.031", "not tested"]


def test_wide_tables_are_cut_into_parts_of_the_same_rows():
    columns = [Column(str(i), "", str(i)) for i in range(8)]
    table = Table("t", columns, [Row("r", "", [Cell(str(i)) for i in range(8)])])
    parts = in_parts(table, 6)
    assert [len(part.columns) for part in parts] == [4, 4]
    assert [cell.text for part in parts for cell in part.rows[0].cells] == list("01234567")
    assert in_parts(None) == []


def test_classes_of_a_handful_of_images_are_never_the_worst(report):
    one = report()
    first, second, *others = one["trial"]["arms"][0]["recall"]
    one["trial"]["test_images"] = {first: 3, second: 200} | dict.fromkeys(others, 200)
    for arm in one["trial"]["arms"]:
        arm["recall"] = {first: 0.1, second: 0.5} | dict.fromkeys(others, 0.9)
    rows = {row.label: row for row in trial_view(typed(one)).recall.rows}
    assert rows[first].note == "3 images, too few to say"
    assert not any(cell.strong for cell in rows[first].cells)
    assert all(cell.strong for cell in rows[second].cells)
    for arm in one["trial"]["arms"]:
        arm["recall"] = dict.fromkeys(arm["recall"], 1.0)
    assert not any(cell.strong for row in trial_view(typed(one)).recall.rows for cell in row.cells)


def test_no_room_for_a_gain_is_said_beside_the_number(report):
    one = report()
    one["verdict"]["ceiling"] = "Real only is already perfect."
    under = headline(typed(one)).facts[0].under
    assert "leaves no room" in under
    assert "in 8 of 10 cases" not in under


def test_recall_of_the_rare_classes_stands_beside_that_of_the_others():
    share = {"value": 0.8, "ci_low": 0.7, "ci_high": 0.9}
    paid = {"value": 0.6, "ci_low": 0.5, "ci_high": 0.7}
    tail = {"classes": ["rare"], "n": 50, "recall": {"a": share, "b": share}}
    whole = Tail.from_json({**tail, "n_others": 450, "others": {"a": paid}})
    table = tail_table(whole, {}, "test")
    assert [column.note for column in table.columns] == [
        "50 test images of rare",
        "450 test images",
    ]
    assert table.rows[0].cells[1].text == "60 %"
    assert table.rows[1].cells[1] is None  # the page says: not tested


def test_the_pair_shows_both_numbers_where_the_verdict_stands():
    both = verdict()
    primary = both["arms"][0]
    primary["others"] = {
        "difference": -0.07, "ci_low": -0.1, "ci_high": -0.04, "margin": 0.02, "kept": False,
        "p": 1.0,
    }  # fmt: skip
    primary["control"] = {
        "label": "real + 2 × copies of real images", "difference": 0.004, "ci_low": -0.01,
        "ci_high": 0.018, "beaten": False, "p": 0.5,
    }  # fmt: skip
    both["endpoint"] = "tail_recall"
    found = TrialVerdict.from_json(both)
    fact = primary_fact(found.primary, found, "protocol", {})
    assert "The other classes −7.0 (−10.0 to −4.0), −2 allowed" in fact.under
    assert "Against copies of real images +0.4 (−1.0 to +1.8); both must be above 0" in fact.under
    table = comparison_table(found, {}, "protocol")
    assert "against copies of real images +0.4 points (−1.0 to +1.8)" in table.rows[0].note
    assert "other classes −7.0 points (−10.0 to −4.0), at most −2 allowed" in table.rows[0].note
    assert "other classes" not in table.rows[1].note


def test_empty_cells_say_so_and_arms_say_on_how_many_images():
    one = trial()
    arm = next(arm for arm in one["arms"] if arm["name"] == CHOSEN)
    arm |= {"n": 250, "chosen_steps": []}
    one["arms"] = [arm]
    table = arms_table(Trial.from_json(one), {}, "macro F1", "protocol")
    assert table.rows[0].note == "chosen ratio\nn = 250 test images"
    cells = [cell and cell.text for cell in table.rows[0].cells]
    assert cells[:3] == ["2,000 + 4,000", "95.9 %", None]
    assert cells[-1] == "not tested"


DAMAGES = [None, "three", -8, 1e308, math.nan, [], {}, [[[[]]]], True, "a\x1b[31mb"]


def test_a_damaged_report_is_a_sentence_or_read(report):
    """Any value in any place: a sentence, or a report that is sound all the same."""
    whole, refused = report(), 0
    for place in places_of(whole):
        for damage in DAMAGES:
            one = copy.deepcopy(whole)
            inner = one
            for part in place[:-1]:
                inner = inner[part]
            inner[place[-1]] = damage
            with contextlib.suppress(SynthgenError):
                typed(one)
                continue
            refused += 1
    assert refused > 1000
