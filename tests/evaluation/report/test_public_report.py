import json

import pytest
from evidence_numbers import copying

from synthgen.evaluation.provenance import public_report
from synthgen.evaluation.report.schema import Report

SECRETS = (
    "987654321",
    "patient_7",
    "secret/",
    "/home",
    "~me",
    "C:",
    "neighbours.png",
    "f.png",
    "0.123456789",
)


@pytest.fixture
def report(make_report, tmp_path):
    table = make_report(tmp_path)
    (pair, *_) = copying("e")["e"]["pairs"]
    table["copying"] = copying("e")
    table["copying"]["e"]["pairs"] = [{**pair, "train": 987654321}]
    table["sentences"] = ["See /not/a/path alone, fidelity/kid, 1/2 and https://here.org/a/b too."]
    table["figures"] = [{"file": "figures/neighbours.png", "kind": "neighbours", "caption": ""}]
    near = {"class": "0", "distance": 0.123456789, "median_real_distance": 1.0}
    table["neighbours"][0] |= {"figure": "f.png", "rows": [near]}
    table["protocol"]["split_notes"] = ["dropped: patient_7.png"]
    table["provenance"]["synthetic"]["path"] = "/home/me/secret/set"
    table["provenance"]["config"] = {
        "root": "C:\\data\\x",
        "start": "secret/a",
        "sampler": {"a": "../secret/b"},
        "note": "from '~me/secret/c' and C:\\secret\\d",
        "extractor": "secret-free/name",
    }
    return Report.from_json(table)


def test_nothing_points_back_to_single_images_or_folders(report):
    whole, public = report.to_json(), public_report(report)
    for secret in SECRETS:
        assert secret in json.dumps(whole)
        assert secret not in json.dumps(public)
    assert public["provenance"]["synthetic"]["path"] == "set"
    assert public["provenance"]["config"] == {
        "root": "x",
        "start": "a",
        "sampler": {"a": "b"},
        "note": "from 'c' and d",
        "extractor": "secret-free/name",
    }
    assert public["sentences"] == [
        "See path alone, fidelity/kid, 1/2 and https://here.org/a/b too."
    ]
    assert public["public"] is True
    for part, left in {"copying": ("pairs",), "neighbours": ("rows", "figure")}.items():
        (ours,), (theirs,) = (list_of(one[part]) for one in (whole, public))
        assert ours.keys() - theirs.keys() == set(left)
    assert whole["protocol"].keys() - public["protocol"].keys() == {"split_notes"}
    assert whole.keys() - public.keys() == {"figures"}


def list_of(part):
    return list(part.values()) if isinstance(part, dict) else part


def test_what_is_left_is_a_report(report):
    Report.from_json(public_report(report))
