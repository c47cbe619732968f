import copy
import json

import pytest
from scipy.stats import beta

from synthgen.errors import SynthgenError
from synthgen.evaluation.review import score, score_files
from synthgen.evaluation.review.review import ANSWERS_FORMAT, KEY_FORMAT, share


def key_of(n=20):
    origins = ["real", "synthetic"] * (n // 2)
    items = [
        {"item": i, "origin": origin, "class": "ab"[i % 4 // 2], "sha256": f"{i:064}"}
        for i, origin in enumerate(origins, start=1)
    ]
    return {"format": KEY_FORMAT, "review": "f" * 16, "items": items}


def answers_of(key, said, verdict=lambda item: "right"):
    rows = [
        {"item": item["item"], "origin": said(item), "label": verdict(item), "seconds": 2.0}
        for item in key["items"]
    ]
    return {"format": ANSWERS_FORMAT, "review": key["review"], "reviewer": "Ada", "answers": rows}


def test_an_expert_who_knows_everything():
    key = key_of()
    found = score(answers_of(key, lambda item: item["origin"]), key)
    assert found["told_apart"]["value"] == 1
    assert found["told_apart"]["p"] < 0.001
    assert found["synthetic_taken_for_real"]["value"] == 0
    assert found["synthetic_taken_for_real"]["ci_high"] == pytest.approx(1 - 0.025**0.1)
    assert found["sentences"][0].startswith("The expert can tell real from synthetic images")
    assert "20 of 20 images (100 %" in found["sentences"][0]
    assert found["median_seconds"] == 2
    assert found["reviewer"] == "Ada"


def test_a_habit_of_saying_real_is_no_skill():
    """With uneven numbers the share of right answers is far from half, and still says nothing."""
    key = key_of(20)
    key["items"] = key["items"][:10] + [item for item in key["items"][10:] if item["item"] % 2]
    found = score(answers_of(key, lambda item: "real"), key)
    assert found["told_apart"]["value"] == pytest.approx(10 / 15)
    assert found["told_apart"]["p"] == 1
    assert found["synthetic_taken_for_real"]["value"] == 1
    assert "no evidence" in found["sentences"][0]


def test_an_expert_who_has_it_the_wrong_way_round():
    key = key_of()
    other = {"real": "synthetic", "synthetic": "real"}
    found = score(answers_of(key, lambda item: other[item["origin"]]), key)
    assert "the wrong way round" in found["sentences"][0]
    assert found["real_taken_for_synthetic"]["value"] == 1


def test_label_errors_are_counted_by_origin_and_class():
    key = key_of()
    wrong = {2, 4, 6, 1}
    given = answers_of(key, lambda item: "real", lambda item: "wrong" if item["item"] in wrong else "right")  # fmt: skip # noqa: E501
    found = score(given, key)
    assert found["labels_called_wrong"]["synthetic"]["value"] == pytest.approx(0.3)
    assert found["labels_called_wrong"]["real"]["value"] == pytest.approx(0.1)
    by_class = {name: row["labels_called_wrong"]["n"] for name, row in found["by_class"].items()}
    assert sum(by_class.values()) == 10
    assert "wrong of 3 of 10 synthetic images (30 %" in found["sentences"][2]


def test_what_was_not_answered_is_left_out_and_said():
    key = key_of()
    given = answers_of(key, lambda item: item["origin"] if item["item"] > 5 else None)
    given["answers"] = given["answers"][:-1]
    found = score(given, key)
    assert found["judged"] == 14
    assert found["told_apart"]["n"] == 14
    assert found["sentences"][-1].startswith("6 of 20 images were not judged")
    nothing = score(answers_of(key, lambda item: None, lambda item: None), key)
    assert nothing["told_apart"]["value"] is None
    assert nothing["sentences"] == ["The expert judged no image, so there is nothing to say."]
    json.dumps([found, nothing], allow_nan=False)


def test_the_interval_is_clopper_and_pearsons():
    found = share(7, 20)
    assert found["ci_low"] == pytest.approx(beta.ppf(0.025, 7, 14))
    assert found["ci_high"] == pytest.approx(beta.ppf(0.975, 8, 13))


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
        (["answers", 0, "item"], [1], "not in the key"),
        (["answers", 0], "text", "not in the key"),
        (["answers", 0, "origin"], "maybe", "item 1 says 'maybe'"),
        (["answers", 0, "label"], 3, "item 1 says"),
        (["format"], "other", "is not a synthgen-review-answers/1"),
        (["answers"], None, "is not a synthgen-review-answers/1"),
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


def test_a_damaged_key_is_refused():
    key = key_of()
    with pytest.raises(SynthgenError, match="key is damaged"):
        score(answers_of(key, lambda item: "real"), change(key, ["items", 0, "origin"], "fake"))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1, 10**400, "2", None])
def test_a_time_that_can_not_be_counts_as_none(seconds):
    key = key_of()
    answers = answers_of(key, lambda item: "real")
    for row in answers["answers"]:
        row["seconds"] = seconds
    assert score(answers, key)["median_seconds"] == 0


@pytest.mark.parametrize("item", [None, [1], "1"])
def test_a_key_without_numbers(item):
    key = key_of()
    answers = answers_of(key, lambda item: "real")
    key["items"][0]["item"] = item
    with pytest.raises(SynthgenError, match="an item has no number"):
        score(answers, key)
