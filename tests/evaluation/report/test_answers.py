"""The first screen: four questions, each answered in one short line with its number."""

import copy

import pytest
from trials import typed, with_trial

from synthgen.evaluation.report.answers import MOST_WORDS, answers

SPACE = "classifier-1a2b3c4d"


@pytest.fixture
def report(tmp_path, make_report):
    def make(moved=0.0):
        found = make_report(tmp_path)
        found["provenance"]["exact_copies"] = {"train": 0, "test": 0}
        found["provenance"]["data"]["counts"]["test"] = {"0": 6000, "1": 4000}
        return with_trial(found, SPACE, moved=moved)

    return make


def texts(report):
    return {one.question.split()[1]: one for one in answers(typed(report))}


def test_four_answers_with_their_numbers(report):
    found = [one.text for one in answers(typed(report()))]
    assert found == [
        "Yes: +1.7 points (+1.1 to +2.3) in macro F1 on 10,000 real test images.",
        "A classifier taught by it names 95.84 % (95.63 to 96.05) of real images; by real ones "
        "99.21 %.",
        "Fréchet distance 12.4 (11.8 to 13.0) in the built-in classifier's space; at 50,000 images "
        "13.0, real against real 1.0.",
        "No sign: 1 of 5,000 images lie suspiciously near a training image (0.0 to 0.1 %).",
    ]


@pytest.mark.parametrize("moved", [0.0, -1.7, -4.0])
def test_no_answer_is_longer_than_twenty_words(report, moved):
    whole = report(moved)
    without_trial = {**whole, "verdict": None, "trial": None, "copying": {}}
    few = copy.deepcopy(whole)
    for one in few["results"]:
        one |= {"value": None, "ci_low": None, "ci_high": None}
    leaking = copy.deepcopy(whole)
    leaking["provenance"]["exact_copies"]["test"] = 3
    for one in (whole, without_trial, few, leaking, {**few, "results": []}):
        for answer in answers(typed(one)):
            assert len(answer.text.split()) <= MOST_WORDS, answer.text
            assert answer.text.endswith(".")


def test_a_set_that_fills_up_the_other_classes_says_which_it_leaves_out(report):
    one = report()
    one["results"] = [each for each in one["results"] if "synthetic_only" not in each["name"]]
    one["provenance"]["synthetic"]["counts"] = {"0": 50, "1": 0}
    assert texts(one)["good"].text == "Not tested: the set has no image of 1."


def test_the_signs_follow_the_verdict(report):
    found = [answers(typed(report(moved)))[0] for moved in (0.0, -1.7, -4.0)]
    assert [one.sign for one in found] == ["▲", "○", "▼"]
    assert [one.text.split(":")[0] for one in found] == ["Yes", "No evidence", "No, it harmed"]


def test_without_a_trial_the_command_that_tests_it_is_named(report):
    first = answers(typed({**report(), "verdict": None, "trial": None}))[0]
    assert (first.text, first.command) == (
        "Not tested: no trial was made.",
        "synthgen evaluate … trial=standard",
    )


def test_what_copies_do_too_is_told_by_the_copies(report):
    one = report()
    primary = one["verdict"]["arms"][0]
    primary["verdict"] = "no evidence"
    primary["control"] = {
        "label": "real + 2 × copies", "difference": 0.001, "ci_low": -0.004, "ci_high": 0.006,
        "beaten": False, "p": 0.6,
    }  # fmt: skip
    said = answers(typed(one))[0].text
    assert said.startswith("Not shown: +0.1 points (−0.4 to +0.6) over copies of real images")


def test_copies_and_leaks_are_said_first(report):
    one = report(-4.0)
    assert texts(one)["anything"].text.startswith("Yes: 238 of 5,000 images lie suspiciously near")
    one["provenance"]["exact_copies"]["train"] = 12
    total = sum(one["provenance"]["synthetic"]["counts"].values())
    assert f"Yes: 12 of {total:,} images equal a training image" in texts(one)["anything"].text
    one["provenance"]["exact_copies"]["test"] = 3
    found = texts(one)["anything"]
    assert found.text == "Test images are in the set, 3 of them: no score here can be trusted."
    assert found.style == "harmed"
