import base64
import dataclasses
import itertools
import json
import re
from collections import Counter

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation.review import choose_questions, write_review
from synthgen.evaluation.review.review import Question, render
from synthgen.types import LabelledImages


def test_every_class_has_as_many_real_as_synthetic_images(questions, digits, drawn):
    assert len(questions) == 40
    assert set(Counter((one.label, one.origin) for one in questions).values()) == {2}
    for one in questions:
        source = digits.test if one.origin == "real" else drawn
        of_class = source.of_class(source.classes.index(one.label)).images
        assert (of_class == one.image).flatten(1).all(1).any()
    assert len({one.sha256 for one in questions}) == 40


def test_the_order_is_drawn_from_the_seed_and_mixed(questions, digits, drawn):
    again = choose_questions(digits.test, drawn, n=40, seed=0)
    assert [one.sha256 for one in again] == [one.sha256 for one in questions]
    other = choose_questions(digits.test, drawn, n=40, seed=1)
    assert [one.sha256 for one in other] != [one.sha256 for one in questions]
    origins = [one.origin for one in questions]
    assert 8 < sum(a != b for a, b in itertools.pairwise(origins)) < 32
    assert [one.label for one in questions] != sorted(one.label for one in questions)


def test_the_order_does_not_depend_on_which_set_is_the_real_one(digits, drawn):
    """Whoever knows the recipe and the seed can't tell the origins from the places."""
    few = drawn.subset(torch.arange(0, 300, 8)), digits.test.subset(torch.arange(0, 300, 8))
    everything = {
        order: [
            one.sha256 for one in choose_questions(*pair, n=400, seed=3)
        ] for order, pair in {"a": few, "b": few[::-1]}.items()
    }  # fmt: skip
    common = set(everything["a"]) & set(everything["b"])
    assert len(common) > 20
    a, b = ([one for one in everything[key] if one in common] for key in "ab")
    assert a == b


def test_a_class_without_synthetic_images_is_not_asked_about(digits, drawn):
    found = choose_questions(digits.test, drawn.subset(drawn.labels != 4), n=40, seed=0)
    assert "4" not in {one.label for one in found}
    assert len(found) == 40


def test_small_sets_give_what_they_have(digits, drawn):
    found = choose_questions(digits.test, drawn.subset([0, 1, 30, 31]), n=60, seed=0)
    assert Counter(one.origin for one in found) == {"real": 4, "synthetic": 4}


def test_what_can_not_be_asked_is_refused(digits, drawn):
    with pytest.raises(SynthgenError, match="too few for a review"):
        choose_questions(digits.test, drawn, n=3, seed=0)
    larger = LabelledImages(drawn.images.repeat(1, 1, 2, 2), drawn.labels, drawn.classes)
    with pytest.raises(SynthgenError, match="differ in size or channels"):
        choose_questions(digits.test, larger, n=40, seed=0)
    with pytest.raises(SynthgenError, match="Too few images of classes"):
        choose_questions(digits.test, drawn.subset([0]), n=40, seed=0)


def test_the_page_holds_the_images_and_no_origin(questions, digits, drawn, as_set, tmp_path):
    write_review(questions, tmp_path, digits, as_set(drawn), 0)
    page, key = (
        (tmp_path / "review.html").read_text(),
        json.loads((tmp_path / "key.json").read_text()),
    )
    assert [item["origin"] for item in key["items"]] == [one.origin for one in questions]
    content = json.loads(re.search(r'id="content">(.*?)</script>', page, re.DOTALL)[1])
    assert set(content) == {"review", "format", "items"}
    assert content["review"] == key["review"]
    assert [set(item) for item in content["items"]] == [{"image", "class"}] * 40
    other = {"real": "synthetic", "synthetic": "real"}
    swapped = [dataclasses.replace(one, origin=other[one.origin]) for one in questions]
    assert render(swapped) == page  # so nothing of the origins can be in it
    for item in key["items"]:
        assert item["sha256"] not in page


def test_pictures_hold_pixels_and_no_metadata(questions):
    content = json.loads(re.search(r'id="content">(.*?)</script>', render(questions), re.DOTALL)[1])
    for item in content["items"]:
        png = base64.b64decode(item["image"].removeprefix("data:image/png;base64,"))
        chunks, at = [], 8
        while at < len(png):
            chunks.append(png[at + 4 : at + 8])
            at += 12 + int.from_bytes(png[at : at + 4], "big")
        assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}


def test_class_names_are_text(questions):
    one = questions[0]
    evil = Question(one.image, "</script><script>alert(1)</script>", one.origin, one.sha256)
    page = render([evil, *questions[1:]])
    assert "<script>alert" not in page
    assert page.count("</script>") == 2


def test_the_page_reaches_for_nothing(questions):
    page = render(questions)
    assert "default-src 'none'" in page
    assert not re.search(r"""(src|href)=["']?https?:|@import|url\(|fetch\(|XMLHttp""", page)
