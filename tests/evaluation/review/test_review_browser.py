"""The page in a real browser: an expert goes through it with the keyboard alone."""

import importlib.util
import json
import time
from pathlib import Path

import pytest

from synthgen.evaluation.review import score_files, write_review

specification = importlib.util.spec_from_file_location(
    "review_browser", Path(__file__).with_name("browser.py")
)
module = importlib.util.module_from_spec(specification)
specification.loader.exec_module(module)

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(module.CHROMIUM is None, reason="no Chromium here"),
]


@pytest.fixture
def browser(tmp_path):
    opened = module.Browser(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def page(questions, digits, drawn, as_set, tmp_path):
    write_review(questions, tmp_path, digits, as_set(drawn), 0)
    return tmp_path / "review.html"


def visible(browser):
    shown = "[...document.querySelectorAll('main')].filter(m => m.getClientRects().length)"
    return browser.evaluate(f"{shown}.map(m => m.id).join()")


def test_an_expert_with_a_keyboard(browser, page, questions, tmp_path):
    saved = tmp_path / "saved"
    browser.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(saved))
    browser.open(page)
    assert visible(browser) == "intro"
    browser.press("Enter")
    assert visible(browser) == "question"
    for number, question in enumerate(questions):
        assert browser.evaluate("document.getElementById('progress').textContent") == (
            f"Image {number + 1} of {len(questions)}"
        )
        assert question.label in browser.evaluate("document.getElementById('claim').textContent")
        decoded = "document.getElementById('image').decode().then(() => image.naturalWidth)"
        assert browser.evaluate(decoded) == 8
        browser.press("Enter")  # nothing is answered yet: stays
        browser.press("s" if question.origin == "real" else "r")
        browser.press("s" if question.origin == "synthetic" else "r")  # a change of mind
        browser.press("n" if number % 4 == 0 else "y")
        browser.press("Enter")
    assert visible(browser) == "end"
    browser.press("Enter")  # the focus is on "Save answers"
    deadline = time.monotonic() + 20
    while not (found := list(saved.glob("answers-*.json"))) and time.monotonic() < deadline:
        time.sleep(0.1)
    result = score_files(found[0], tmp_path / "key.json")
    assert result.told_apart.value == 1
    assert result.judged == len(questions)
    wrong = json.loads(found[0].read_text())["answers"]
    assert [one["label"] for one in wrong] == ["wrong", "right", "right", "right"] * 10
    assert browser.errors == []
    assert {address.partition(":")[0] for address in browser.requests} <= {"file", "data", "blob"}


def test_answers_survive_a_reload_and_the_mouse_works_too(browser, page):
    browser.open(page)
    click = "document.querySelector({!r}).click()"
    browser.evaluate(click.format("#start"))
    browser.evaluate(click.format("[data-answer=synthetic]"))
    assert browser.evaluate("document.getElementById('next').disabled") is True
    browser.evaluate(click.format("[data-answer=right]"))
    pressed = "document.querySelectorAll('[aria-pressed=true]').length"
    assert browser.evaluate(pressed) == 2
    browser.evaluate(click.format("#next"))
    assert browser.evaluate(pressed) == 0
    browser.open(page)
    browser.press("Enter")
    assert "Image 2 of" in browser.evaluate("document.getElementById('progress').textContent")
    browser.press("ArrowLeft")
    assert browser.evaluate(pressed) == 2
    assert browser.errors == []
