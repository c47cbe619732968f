import copy
import json

import pytest
from scipy.stats import beta

from synthgen.errors import SynthgenError
from synthgen.evaluation.review import score, score_files
from synthgen.evaluation.review.review import (
    NO_ANSWERS,
    Review,
    ReviewAnswers,
    ReviewKey,
    share,
)


def key_of(n=20):
    origins = ["real", "synthetic"] * (n // 2)
    items = [
        {"item": i, "origin": origin, "class": "ab"[i % 4 // 2], "sha256": f"{i:064}"}
        for i, origin in enumerate(origins, start=1)
    ]
    return {"format": ReviewKey.FORM, "review": "f" * 16, "items": items}


def answers_of(key, said, verdict=lambda item: "right"):
    rows = [
        {"item": item["item"], "origin": said(item), "label": verdict(item), "seconds": 2.0}
        for item in key["items"]
    ]
    about = {"format": ReviewAnswers.FORM, "review": key["review"], "reviewer": "Ada"}
    return {**about, "answers": rows}


def scored(answers, key):
    return score(ReviewAnswers.from_json(answers), ReviewKey.from_json(key))


def test_an_expert_who_knows_everything():
    key = key_of()
    found = scored(answers_of(key, lambda item: item["origin"]), key)
    assert found.told_apart.value == 1
    assert found.told_apart.p < 0.001
    assert found.synthetic_taken_for_real.value == 0
    assert found.synthetic_taken_for_real.ci_high == pytest.approx(1 - 0.025**0.1)
    assert found.sentences[0].startswith("The expert can tell real from synthetic images")
    assert "20 of 20 images (100 %" in found.sentences[0]
    assert found.median_seconds == 2
    assert found.reviewer == "Ada"


def test_a_habit_of_saying_real_is_no_skill():
    """With uneven numbers the share of right answers is far from half, and still says nothing."""
    key = key_of(20)
    key["items"] = key["items"][:10] + [item for item in key["items"][10:] if item["item"] % 2]
    found = scored(answers_of(key, lambda item: "real"), key)
    assert found.told_apart.value == pytest.approx(10 / 15)
    assert found.told_apart.p == 1
    assert found.synthetic_taken_for_real.value == 1
    assert "no evidence" in found.sentences[0]


def test_an_expert_who_has_it_the_wrong_way_round():
    key = key_of()
    other = {"real": "synthetic", "synthetic": "real"}
    found = scored(answers_of(key, lambda item: other[item["origin"]]), key)
    assert "the wrong way round" in found.sentences[0]
    assert found.real_taken_for_synthetic.value == 1


def test_label_errors_are_counted_by_origin_and_class():
    key = key_of()
    wrong = {2, 4, 6, 1}
    given = answers_of(key, lambda item: "real", lambda item: "wrong" if item["item"] in wrong else "right")  # fmt: skip # noqa: E501
    found = scored(given, key)
    assert found.labels_called_wrong.synthetic.value == pytest.approx(0.3)
    assert found.labels_called_wrong.real.value == pytest.approx(0.1)
    by_class = {name: row.labels_called_wrong.n for name, row in found.by_class.items()}
    assert sum(by_class.values()) == 10
    assert "wrong of 3 of 10 synthetic images (30 %" in found.sentences[2]


def test_what_was_not_answered_is_left_out_and_said():
    key = key_of()
    given = answers_of(key, lambda item: item["origin"] if item["item"] > 5 else None)
    given["answers"] = given["answers"][:-1]
    found = scored(given, key)
    assert found.judged == 14
    assert found.told_apart.n == 14
    assert found.sentences[-1].startswith("6 of 20 images were not judged")
    nothing = scored(answers_of(key, lambda item: None, lambda item: None), key)
    assert nothing.told_apart.value is None
    assert nothing.sentences == (NO_ANSWERS,)
    assert Review.from_json(found.to_json()) == found
    assert Review.from_json(nothing.to_json()) == nothing


def test_the_interval_is_clopper_and_pearsons():
    found = share(7, 20)
    assert found.ci_low == pytest.approx(beta.ppf(0.025, 7, 14))
    assert found.ci_high == pytest.approx(beta.ppf(0.975, 8, 13))


def change(content, where, value):
    changed = copy.deepcopy(content)
    node = changed
    for step in where[:-1]:
        node = node[step]
    node[where[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (["review"], "0" * 16, "belong to review 0000"),
        (["answers", 0, "item"], 99, "item 99 is not in the key"),
        (["answers", 0, "item"], 2, "item 2 is not in the key, or there twice"),
        (["answers", 0, "item"], [1], "answers.0.item should be a whole number"),
        (["answers", 0], "text", "answers.0 should be a table"),
        (["answers", 0, "origin"], "maybe", "answers.0.origin should be 'real' or 'synthetic'"),
        (["answers", 0, "label"], 3, "answers.0.label should be 'right' or 'wrong'"),
        (["format"], "other", "is not of the form synthgen-review-answers/1"),
        (["format"], "synthgen-review-answers/2", "was written by a newer synthgen"),
        (["answers"], None, "answers should be a list"),
    ],
)
def test_damaged_answers_are_refused_in_two_lines(tmp_path, where, value, said):
    key = key_of()
    given = change(answers_of(key, lambda item: "real"), where, value)
    for name, content in {"key": key, "answers": given}.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(SynthgenError, match=said) as refused:
        score_files(tmp_path / "answers", tmp_path / "key")
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [
        (["items", 0, "origin"], "fake", "items.0.origin should be"),
        (["items", 0, "item"], None, "items.0.item should be a whole number"),
        (["items", 0, "item"], [1], "items.0.item should be a whole number"),
        (["items", 0, "item"], "1", "items.0.item should be a whole number"),
        (["format"], "synthgen-review-key/2", "was written by a newer synthgen"),
    ],
)
def test_a_damaged_key_is_refused_in_two_lines(tmp_path, where, value, said):
    key = key_of()
    given = {"answers": answers_of(key, lambda item: "real"), "key": change(key, where, value)}
    for name, content in given.items():
        (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(SynthgenError, match=said) as refused:
        score_files(tmp_path / "answers", tmp_path / "key")
    assert len(str(refused.value).splitlines()) == 2


@pytest.mark.parametrize("seconds", [-1, 10**400, "2", None])
def test_a_time_that_can_not_be_counts_as_none(seconds):
    key = key_of()
    answers = answers_of(key, lambda item: "real")
    for row in answers["answers"]:
        row["seconds"] = seconds
    assert scored(answers, key).median_seconds == 0
