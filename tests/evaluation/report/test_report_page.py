"""The page: complete, honest about what is missing, and safe with names from strangers."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from trials import typed, verdict

from synthgen.evaluation.report import blocks, write_page
from synthgen.evaluation.report.blocks import tiles
from synthgen.evaluation.report.slices import fairness_tables
from synthgen.evaluation.report.tables import (
    class_table,
    control_table,
    reference_tables,
    transfer_table,
)
from synthgen.evaluation.schema import Fairness, Result
from synthgen.images import encode_png
from synthgen.masking import MASK, flatten, masked

VOID = {"meta", "img", "br", "line", "circle", "polyline", "input"}


class Outline(HTMLParser):
    """Tags with attributes, visible text, and whether every element is closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.text, self.stack, self.damage = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.damage.append(tag)

    def handle_data(self, data):
        if self.stack and self.stack[-1] != "style":
            self.text.append(data)


@pytest.fixture
def page(tmp_path, make_report, quick_charts):
    """``page(classes)`` -> (html, outline)."""

    def write(*arguments, **changes):
        report = {**make_report(tmp_path, *arguments), **changes}
        html = write_page(typed(report), tmp_path).read_text(encoding="utf-8")
        return html, Outline(html)

    return write


def test_the_hash_beside_the_sampler_is_the_samplers(make_report, tmp_path):
    report = make_report(tmp_path)
    drawn = {"sampler": {"sha256": "5a" * 32}, "provenance": {"model": "DecoderSampler"}}
    report["provenance"]["synthetic"]["dataset"] = drawn
    assert "drawn by DecoderSampler (SHA-256 5a5a5a5a5a5a…)" in blocks.tested_sentence(
        typed(report)
    )


def test_everything_is_there_and_in_order(page):
    html, outline = page()
    text = " ".join(outline.text)
    for wanted in (
        "not tested: run a trial",
        "names 95.8 % of the real test images",
        "Real + synthetic",
        "95.84 %",
        "95.63 to 96.05",
        "10,000 real images tested, 50,000 synthetic",
        "10,000 real images against 50,000",
        "mean over 3 seeds",
        "not tested n = 3 real, 5,000 synthetic",
        "Floor: real against real",
        "PCA-Gaussian",
        "↓ lower is better",
        "not Inception",
        "95 % intervals from 1,000 bootstrap draws",
    ):
        assert wanted in text, wanted
    assert not outline.damage
    assert not outline.stack
    assert html.count("data:image/png;base64,") == 3  # each picture once


def test_a_report_for_choosing_names_its_split_everywhere(page, make_report, tmp_path):
    protocol = make_report(tmp_path)["protocol"]
    own = {"reference_split": "holdout", "held_back_split": "held-back training"}
    _, outline = page(protocol={**protocol, **own}, sentences=[])
    text = " ".join(outline.text)
    assert "Transfer to real holdout images" in text
    assert "the reference is the real holdout split" in text
    assert "true classes of the real holdout images" in text
    assert "small_cnn, real holdout images" in text
    assert "Accuracy on held-back training images while the judges train" in text
    assert "test images" not in text


def test_the_page_needs_no_network_and_runs_no_script(page):
    html, outline = page()
    tags = [tag for tag, _ in outline.tags]
    assert "script" not in tags
    assert "link" not in tags
    assert not re.search(r"https?://", html)
    assert all(a["src"].startswith("data:") for tag, a in outline.tags if tag == "img")
    assert any("default-src 'none'" in (a.get("content") or "") for _, a in outline.tags)


def test_names_from_strangers_stay_text(page):
    evil = '"><script>alert(1)</script>'
    html, outline = page((evil, "{{ 7*7 }}", "plain"))
    assert "<script" not in html
    assert evil in "".join(outline.text)
    assert "{{ 7*7 }}" in html
    assert not outline.damage


def test_accessible_names(page):
    _, outline = page()
    assert all(a.get("alt") for tag, a in outline.tags if tag == "img")
    drawings = [a for tag, a in outline.tags if tag == "svg" and "aria-hidden" not in a]
    assert drawings
    assert all(a.get("role") == "img" and a.get("aria-label") for a in drawings)
    assert all(a.get("scope") in {"row", "col"} for tag, a in outline.tags if tag == "th")
    assert outline.tags[0] == ("html", {"lang": "en"})


def test_the_extractor_stands_beside_every_fidelity_metric(tmp_path, make_report):
    report = typed(make_report(tmp_path))
    per_class = class_table(report.results)
    tables = [*reference_tables(report.results, report.references), per_class]
    columns = [c for t in tables for c in t.columns if c.name.startswith("fidelity/")]
    assert len(columns) == 7
    assert all("classifier-1a2b3c4d" in column.note for column in columns)


def test_the_worst_class_is_found_in_the_right_direction(tmp_path, make_report):
    report = make_report(tmp_path, ("a", "b", "c", "d"))
    for result in report["results"]:
        if result["scope"] == {"class": "b"}:
            result["value"] = 1.0  # the best recall, and the smallest distance
        if result["scope"] == {"class": "c"}:
            result["value"] = 0.5 if result["higher_is_better"] else 99.0
    assert marked(class_table(typed(report).results)) == {"c"}


def test_three_images_of_a_class_never_make_it_the_worst():
    def recall(name, value, count):
        return measured(name, value, 0.1, name="transfer/synthetic_only/recall", n_real=count)

    found = [recall("a", 0.0, 3), recall("b", 0.5, 30), recall("c", 0.9, 30)]
    assert marked(class_table(found)) == {"b"}
    assert marked(class_table([recall("b", 1.0, 30), recall("c", 1.0, 30)])) == set()


def marked(table):
    return {row.label for row in table.rows if any(cell and cell.strong for cell in row.cells)}


def measured(of_class, mean, half, **more):
    whole = {
        "name": "fidelity/recall", "extractor": "e", "classifier": None, "value": mean,
        "scope": {"class": of_class}, "ci_low": mean - half, "ci_high": mean + half,
        "n_real": 50, "n_fake": 50, "higher_is_better": True, "seconds": 0.1,
    }  # fmt: skip
    return Result.from_json(whole | more)


def test_the_lowest_of_classes_that_are_alike_is_not_marked_as_the_worst():
    random, called = np.random.default_rng(0), 0
    for _ in range(200):
        drawn = 0.7 + 0.03 * random.standard_normal(20)
        found = [measured(str(k), v, 1.96 * 0.03) for k, v in enumerate(drawn)]
        called += len(marked(class_table(found)))
    assert called <= 12  # of 200; 5 in the long run
    drawn[7] = 0.5
    found = [measured(str(k), v, 1.96 * 0.03) for k, v in enumerate(drawn)]
    assert marked(class_table(found)) == {"7"}


def test_an_empty_cell_says_that_nothing_was_tested_and_on_how_many_images():
    few = measured("a", 0.5, 0.1, **NO_SHARE, n_real=4)
    table = class_table([few, measured("b", 0.5, 0.1)])
    empty, full = (row.cells[0] for row in table.rows)
    assert (empty.text, empty.interval) == ("not tested", "n = 4 real, 50 synthetic")
    assert "too few images to say" in empty.tip
    assert full.text != empty.text
    row = {
        "name": "rare", "n": 4, "before": NO_SHARE, "after": NO_SHARE, "difference": NO_SHARE,
        "coverage": {**NO_SHARE, "n": 2},
    }  # fmt: skip
    found = {"sentences": [], "by_class": [row], "by_group": [], "worst_class": None}
    (shown,) = fairness_tables(Fairness.from_json(found), "protocol")
    cells = [(cell.text, cell.interval) for cell in shown.rows[0].cells]
    assert cells == [("not tested", "n = 4")] * 3 + [("not tested", "n = 2")]


NO_SHARE = {"value": None, "ci_low": None, "ci_high": None}


def test_with_many_classes_the_commonest_mistakes_stand_for_the_matrix(page):
    names = [f"c{k:03}" for k in range(150)]
    cells = [[k, k, 5] for k in range(150)] + [[3, 4, 7], [9, 2, 1]]
    html, outline = page(confusion={"real_only": {"classes": names, "cells": cells}})
    text = " ".join(" ".join(outline.text).split())
    assert "Real only: the 2 commonest of 2 mistakes" in text
    assert "c003 taken for c004 of 12 7" in text
    assert text.index("c003 taken for c004") < text.index("c009 taken for c002")
    assert "Confusion matrix" not in html


def test_the_frechet_tile_compares_equal_numbers(tmp_path, make_report):
    report = make_report(tmp_path)
    for one in report["references"]:
        if one["reference"] == "floor":
            one["n_fake"] = 31
    tile = next(one for one in tiles(typed(report)) if one.label == "Fréchet distance")
    assert "real against real with 31 images: " in tile.under
    assert "this set with as many: " in tile.under


def test_controls_stand_beside_this_set_and_all_real_images(tmp_path, make_report):
    report = typed(make_report(tmp_path))
    table = control_table(report.results, report.references)
    assert [(row.label.split(",")[0], row.cells[0].text) for row in table.rows] == [
        ("All real training images", "99.21 %"),
        ("This set", "95.84 %"),
        ("Real", "99.0 %"),
        ("PCA-Gaussian", "87.0 %"),
        ("Noise", "11.0 %"),
    ]
    assert control_table(report.results, []) is None


def test_an_arm_that_was_not_measured_leaves_a_gap(tmp_path, make_report):
    report = typed(make_report(tmp_path))
    gone = "transfer/real_only/macro_f1"
    table = transfer_table([r for r in report.results if r.name != gone])
    assert [row.label for row in table.rows] == ["Real only", "Synthetic only", "Real + synthetic"]
    assert table.rows[0].cells[2] is None
    assert table.rows[1].cells[2].text == "95.64 %"


def test_thirty_classes_and_null_everywhere(page):
    names = tuple(f"class number {i}" for i in range(30))
    _, outline = page(names)
    assert not outline.damage
    empty = {"verdict": None, "curves": {"transfer": {}, "training": None}, "confusion": {}}
    html, outline = page(names, results=[], references=[], neighbours=[], figures=[], **empty)
    assert not outline.damage
    assert "NaN" not in html
    assert "None" not in "".join(outline.text)


def test_pictures_outside_the_folder_are_never_read(page, tmp_path):
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(encode_png(torch.zeros(1, 4, 4, dtype=torch.uint8)))
    figures = [
        {"file": f"../{outside.name}", "kind": "class_grid", "class": None, "caption": "stolen"},
        {"file": "figures/none.png", "kind": "class_grid", "class": None, "caption": "gone"},
    ]
    html, _ = page(figures=figures, neighbours=[])
    assert "data:image" not in html
    assert html.count("The picture is missing") == 2


def test_a_verdict_is_shown_when_there_is_one(page):
    _, outline = page(verdict={**verdict(), "sentence": "It helped."})
    assert "It helped." in outline.text
    assert "not tested: run a trial" not in " ".join(outline.text)


def test_secrets_are_masked(page):
    html, _ = page()
    assert "hunter2" not in html
    assert MASK in html


@pytest.mark.parametrize(
    "key", ["api_key", "apiKey", "WANDB_API_KEY", "key", "auth-token", "password", "client_secret"]
)
def test_secret_looking_keys(key):
    assert masked({"a": {key: "s3cret"}}) == {"a": {key: MASK}}


def test_harmless_keys_stay_and_addresses_lose_their_user():
    settings = {"monkey": 1, "keyboard": "x", "url": "https://me:pw@host/x", "token": None}
    assert masked(settings) == {**settings, "url": f"https://{MASK}@host/x"}


def test_flatten():
    assert flatten({"a": {"b": 1, "c": []}, "d": {}}) == {"a.b": 1, "a.c": [], "d": {}}
