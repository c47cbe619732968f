"""The page in a real browser: nothing broken, nothing fetched, readable, and it prints."""

from __future__ import annotations

import itertools
import json
import re
import shutil

import pytest
import torch
from sklearn.datasets import load_digits
from trials import typed, with_trial

from synthgen.evaluation.compare import compare
from synthgen.evaluation.figures import copy_figure, embedding_map, spectra, typical_grid
from synthgen.evaluation.report import write_page
from synthgen.evaluation.schema import CopiedPair
from synthgen.types import LabelledImages

pytestmark = pytest.mark.browser

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PAPER = 688  # CSS pixels between the margins of A4, as style.css has them
READABLE, LARGE_READABLE = 4.5, 3.0  # WCAG 2.2, contrast (minimum)

# Every text of the page with its colour and the opaque colour behind it.
CONTRASTS = r"""
() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const colour = rgba(getComputedStyle(n).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || !parent.checkVisibility() || parent.closest("desc, title")) continue;
    const style = getComputedStyle(parent);
    const drawn = parent.closest("svg") ? style.fill : style.color;
    const front = rgba(drawn);
    if (front[3] === 0) continue;  // zeros of a confusion matrix are not shown
    const a = luminance(front), b = luminance(behind(parent));
    const size = parseFloat(style.fontSize), bold = parseInt(style.fontWeight) >= 700;
    found.push({ text: text.slice(0, 40), large: size >= 24 || (bold && size >= 18.7),
                 ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) });
  }
  return found;
}
"""


def portraits(folder, space):
    """The figures of images, from real digits and a blurred copy of others."""
    digits = load_digits()
    images = torch.from_numpy(digits.images).mul(15.9).to(torch.uint8)[:, None]
    labels = torch.from_numpy(digits.target).long()
    classes = tuple(str(i) for i in range(10))
    blurred = torch.nn.functional.avg_pool2d(images[900:].float(), 3, 1, 1).to(torch.uint8)
    real = LabelledImages(images[:900], labels[:900], classes)
    fake = LabelledImages(blurred, labels[900:], classes)
    features, other = real.images.flatten(1).float(), fake.images.flatten(1).float()
    pairs = [CopiedPair(synthetic=i, train=i + 5, distance=0.1 * i, ratio=0.0) for i in range(7)]
    made = [
        typical_grid(fake, other, features, real.labels, folder, extractor=space),
        embedding_map(features, real.labels, other, fake.labels, classes, folder, extractor=space),
        spectra(real.images, fake.images, folder),
        copy_figure(
            pairs, fake.images, real.images, folder, extractor=space, file="figures/copies.png"
        ),
    ]
    return [figure.to_json() for figure in made if figure]


@pytest.fixture(scope="module")
def browser():
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.fail("no Chromium on the PATH. Install one: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser, tmp_path, make_report):
    """``opened(scheme, width)`` -> the page of a whole report, with what it asked for and
    complained about."""
    contexts = []

    def open_page(scheme="light", width=1280, **moved):
        space = "classifier-1a2b3c4d"
        report = make_report(tmp_path, tuple(str(i) for i in range(10)), space=space)
        report = with_trial(report, space, **moved)
        report["figures"] += portraits(tmp_path, space)
        path = write_page(typed(report), tmp_path)
        contexts.append(
            browser.new_context(
                offline=True, color_scheme=scheme, viewport={"width": width, "height": 900}
            )
        )
        page = contexts[-1].new_page()
        page.requests, page.complaints = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda message: page.complaints.append(message.text))
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


def test_nothing_is_broken_and_nothing_is_fetched(opened):
    page = opened()
    page.wait_for_load_state("networkidle")
    widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert len(widths) == 7
    assert min(widths) > 0
    fetched = [url for url in page.requests if not url.startswith("data:")]
    assert fetched == [page.url]
    assert page.complaints == []


def test_a_broken_picture_would_be_noticed(opened):
    page = opened()
    page.evaluate("document.body.append(Object.assign(new Image(), {src: 'figures/none.png'}))")
    page.wait_for_timeout(200)
    assert 0 in page.evaluate("[...document.images].map(image => image.naturalWidth)")
    assert page.complaints  # and the policy of the page speaks up


def test_every_part_folds_and_unfolds_by_mouse_and_by_keyboard(opened):
    page = opened()
    folds = page.locator("details")
    assert folds.count() > 8
    for index in range(folds.count()):
        fold = folds.nth(index)
        fold.evaluate("f => { while (f = f.parentElement.closest('details')) f.open = true }")
        summary, inner = fold.locator("> summary"), fold.locator("> :not(summary)").first
        assert not inner.is_visible()
        summary.click()
        assert inner.is_visible()
        summary.press("Enter")
        assert not inner.is_visible()


def test_the_links_lead_to_their_sections(opened):
    page = opened()
    anchors = page.locator("nav a")
    assert anchors.count() > 10
    for index in range(anchors.count()):
        anchors.nth(index).click()
        target = page.url.split("#")[1]
        assert page.locator(f"#{target}").evaluate(
            "node => node.getBoundingClientRect().top < innerHeight"
        )


def test_a_number_tells_its_protocol_to_the_mouse_and_to_the_keyboard(opened):
    page = opened()
    shown = "node => getComputedStyle(node, '::after').content"
    page.locator("details.verdict > summary").click()
    number = page.locator(".facts .tip").first
    assert number.evaluate(shown) == "none"
    number.focus()
    assert "5 paired seeds" in number.evaluate(shown)
    page.keyboard.press("Tab")
    assert number.evaluate(shown) == "none"
    cell = page.locator("td[data-tip]").first
    cell.hover()
    assert "Satterthwaite" in cell.evaluate(shown)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(opened, scheme):
    page = opened(scheme, moved=-4.0)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    texts = page.evaluate(CONTRASTS)
    assert len(texts) > 800
    weak = [t for t in texts if t["ratio"] < (LARGE_READABLE if t["large"] else READABLE)]
    assert not weak, weak[:5]


@pytest.mark.parametrize("width", [400, 768, 1280])
def test_the_page_never_scrolls_sideways(opened, width):
    page = opened(width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator(".forest.wide").is_visible() == (width > 736)
    assert page.locator(".forest.stacked").is_visible() == (width <= 736)


def test_each_table_tells_its_protocol_to_the_keyboard_too(opened):
    silent = opened().evaluate(
        "[...document.querySelectorAll('table')].filter(t => t.querySelector('td[data-tip]') &&"
        " !t.querySelector('th [tabindex]')).map(t => t.caption?.innerText)"
    )
    assert silent == []


def test_headings_are_in_order(opened):
    levels = opened().evaluate(
        "[...document.querySelectorAll('h1,h2,h3,h4')].map(node => +node.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_it_prints_without_cutting_anything_off(opened, tmp_path):
    page = opened(width=PAPER)
    pdf = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b(?!s)", pdf)) > 3
    page.emulate_media(media="print")
    wide = page.evaluate(
        """width => [...document.querySelectorAll('table, svg, img')]
        .filter(node => node.getBoundingClientRect().right > width + 1)
        .map(node => node.outerHTML.slice(0, 90))""",
        PAPER,
    )
    assert wide == []
    folded = "[...document.querySelectorAll('details:not(.screen) table')]"
    assert page.evaluate(f"{folded}.every(t => t.checkVisibility())")  # paper can't be clicked
    assert not page.locator("details.screen").first.is_visible()
    assert page.get_by_text("stay folded: report.json has them").is_visible()


@pytest.fixture
def compared(browser, tmp_path, make_report):
    """``compared(count, width, scheme)`` -> the page of as many reports."""
    contexts = []

    def open_page(count=8, width=1300, scheme="light"):
        folders = []
        for number in range(count):
            folders.append(tmp_path / f"a_run_with_a_long_name_{number}")
            report = make_report(folders[-1] / "report", tuple("0123456789"))
            report["provenance"]["config"]["model"] = {"lr": number, "path": "x" * 90}
            (folders[-1] / "report" / "report.json").write_text(json.dumps(report))
        out = tmp_path / f"out_{count}_{width}_{scheme}"
        compare(folders, out)
        contexts.append(
            browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
        )
        page = contexts[-1].new_page()
        page.goto((out / "comparison.html").as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("width", [400, 1300])
def test_eight_reports_scroll_in_their_own_box(compared, width):
    page = compared(8, width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    table = page.locator(".scroll").first
    assert table.evaluate("box => box.scrollWidth > box.clientWidth") or width > 400
    label = table.locator("tbody th").first
    before = label.bounding_box()["x"]
    table.evaluate("box => { box.scrollLeft = 300 }")
    assert label.bounding_box()["x"] == before  # the lines keep their names


def test_the_answers_of_a_comparison_stand_on_the_first_screen(compared):
    page = compared(3)
    answers = page.locator(".answers div")
    assert answers.count() == 4
    assert answers.last.bounding_box()["y"] + answers.last.bounding_box()["height"] < 600
    assert all(not page.locator("details table").nth(i).is_visible() for i in range(2))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_a_comparison_has_enough_contrast(compared, scheme):
    page = compared(3, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    texts = page.evaluate(CONTRASTS)
    assert len(texts) > 300
    weak = [t for t in texts if t["ratio"] < (LARGE_READABLE if t["large"] else READABLE)]
    assert not weak, weak[:5]


def test_a_comparison_of_eight_prints_without_cutting_anything_off(compared):
    page = compared(8, PAPER)
    page.emulate_media(media="print")
    wide = page.evaluate(
        """width => [...document.querySelectorAll('table, svg, img')]
        .filter(node => node.checkVisibility() && node.getBoundingClientRect().right > width + 1)
        .map(node => node.outerHTML.slice(0, 90))""",
        PAPER,
    )
    assert wide == []
