import json

import pytest

from synthgen.images import encode_png


@pytest.fixture
def folder(tmp_path, drawn):
    """The drawn digits as a folder of class folders."""
    for label, name in enumerate(drawn.classes):
        (tmp_path / "set" / name).mkdir(parents=True)
        for number, image in enumerate(drawn.of_class(label).images[:6]):
            (tmp_path / "set" / name / f"{number}.png").write_bytes(encode_png(image))
    return tmp_path / "set"


def test_from_a_set_to_error_rates(synthgen, folder, tmp_path):
    asked = synthgen("review", f"synthetic={folder}", "images=20", "out=asked")
    assert asked.code == 0, asked.err
    assert asked.last_line == "asked"
    assert "key.json holds the truth" in asked.err
    assert {path.name for path in (tmp_path / "asked").iterdir()} == {"review.html", "key.json"}
    key = json.loads((tmp_path / "asked" / "key.json").read_text())
    rows = [
        {"item": item["item"], "origin": item["origin"], "label": "right", "seconds": 1}
        for item in key["items"]
    ]
    content = {"format": "synthgen-review-answers/1", "review": key["review"], "answers": rows}
    (tmp_path / "saved (1).json").write_text(json.dumps(content))
    told = synthgen("review", "answers=saved (1).json", "key=asked/key.json", "out=told")
    assert told.code == 0, told.err
    assert "The expert can tell real from synthetic images" in told.err
    result = json.loads((tmp_path / "told" / "review.json").read_text())
    assert result["told_apart"]["value"] == 1


@pytest.mark.parametrize(
    "arguments", [(), ("answers=a",), ("key=a",), ("synthetic=a", "answers=b", "key=c")]
)
def test_one_way_or_the_other(synthgen, arguments, tmp_path):
    refused = synthgen("review", *arguments)
    assert refused.code == 2
    assert "Give synthetic=SET (and data=…), or answers=FILE with key=FILE." in refused.err
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten(synthgen, folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("")
    refused = synthgen("review", f"synthetic={folder}", "out=out")
    assert refused.code == 2
    assert "already exists" in refused.err


def test_answers_that_say_nothing_are_refused(synthgen, folder, tmp_path):
    assert synthgen("review", f"synthetic={folder}", "images=20", "out=asked").code == 0
    key = json.loads((tmp_path / "asked" / "key.json").read_text())
    content = {"format": "synthgen-review-answers/1", "review": key["review"], "answers": []}
    (tmp_path / "empty.json").write_text(json.dumps(content))
    refused = synthgen("review", "answers=empty.json", "key=asked/key.json", "out=told")
    assert refused.code == 2
    assert "empty.json judges none of the 20 images" in refused.err
    assert not (tmp_path / "told").exists()
    (tmp_path / "cut.json").write_text(json.dumps(content)[:40])
    refused = synthgen("review", "answers=cut.json", "key=asked/key.json", "out=told")
    assert refused.code == 2
    assert "not valid JSON" in refused.err
    assert refused.err.splitlines()[-1] == "Give answers= the page's file of answers."


def test_an_evaluation_writes_the_experts_page_too(synthgen, folder, tmp_path):
    done = synthgen(
        "evaluate", f"synthetic={folder}", "review=20", "judge.steps=5", "seeds=1",
        "extractor.classifier.steps=5", "logger=csv", "out=report",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "key.json holds the truth" in done.err
    review = tmp_path / "report" / "review"
    assert {path.name for path in review.iterdir()} == {"review.html", "key.json"}
    key = json.loads((review / "key.json").read_text())
    assert len(key["items"]) == 20
    assert key["real"]["split"] == "test"
    refused = synthgen("evaluate", f"synthetic={folder}", "review=2", "logger=csv", "out=other")
    assert refused.code == 2
    assert "2 images are too few for a review." in refused.err
