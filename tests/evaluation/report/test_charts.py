"""Charts: what is drawn where, in the page's colours, and the same bytes each time."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from synthgen.evaluation.report import canvas
from synthgen.evaluation.report.canvas import STYLES, TONES, fitted, round_numbers, swatch
from synthgen.evaluation.report.charts import (
    Cloud,
    Curve,
    Difference,
    Forest,
    Mark,
    Point,
    Reference,
    Scatter,
    dot_plot,
    drawn,
    line_chart,
    thin,
    write_figure,
)
from synthgen.pages import SHARED


class Drawing:
    """The shapes of a chart's SVG: its words with their places, and its paths by colour."""

    def __init__(self, chart) -> None:
        self.svg = drawn(chart)[0].svg
        self.root = ElementTree.fromstring(self.svg)
        self.words = {
            e.text: (float(e.get("x")), float(e.get("y"))) for e in self.root.iter("text")
        }
        self.paths = [(e.get("style"), e.get("d")) for e in self.root.iter("path")]

    def dots(self, tone: str) -> list[tuple[float, float]]:
        """Where dots of a colour lie."""
        return [
            (float(x), float(y))
            for style, d in self.paths
            if f"stroke:{tone}" in style
            for x, y in re.findall(r"M([\d.-]+) ([\d.-]+)h0", d)
        ]

    def lines(self, tone: str) -> list[list[tuple[float, float]]]:
        """Lines and areas of a colour: their corners."""
        return [
            [tuple(map(float, pair)) for pair in re.findall(r"([\d.-]+) ([\d.-]+)", d)]
            for style, d in self.paths
            if tone in style and "h0" not in d
        ]


REAL, OURS, WRONG, SOFT = (f"var(--{n})" for n in ("real", "synthetic", "wrong", "soft"))
MARKS = [
    Mark("a", 1.0, 0.5, 1.5, "1.0"),
    Mark("b", None, None, None, "too few"),
    Mark("c", 2.0, None, None, "2.0", "model"),
]


def test_a_larger_value_lies_further_right_and_missing_ones_nowhere():
    shown = Drawing(dot_plot("t", "n", MARKS))
    ((first, upper),), ((second, lower),) = shown.dots(REAL), shown.dots(OURS)
    ((left, _), (right, _)) = next(line for line in shown.lines(REAL))
    assert left < first < right < second
    assert first - left == pytest.approx(right - first, abs=0.2)
    assert second - first == pytest.approx(2 * (right - first), abs=0.2)
    places = [shown.words[word][1] for word in ("a", "b", "c")]
    assert places == [upper + 4, (upper + lower) / 2 + 4, lower + 4]  # each beside its dot
    assert "too few" in shown.words
    assert dot_plot("t", "n", [MARKS[1]]) is None


def test_distances_that_span_powers_of_ten_get_a_logarithmic_axis():
    marks = [Mark(str(v), v, v * 0.9, v * 1.1, str(v)) for v in (1.0, 10.0, 1000.0)]
    shown = Drawing(dot_plot("t", "n", marks, axis="by_span"))
    x = [place for place, _ in shown.dots(REAL)]
    assert x[2] - x[1] == pytest.approx(2 * (x[1] - x[0]), abs=0.3)
    assert shown.words["100"][0] - shown.words["1"][0] == pytest.approx(2 * (x[1] - x[0]), abs=0.3)
    assert not dot_plot("t", "n", marks).logarithmic


def difference(value, low, high, label="a", **more):
    return Difference(label, value, low, high, f"{value:+g}", "▼ harmed", "harmed", **more)


def forest(*rows, minimum=0.5, layout="wide"):
    return Forest(title="t", rows=rows, minimum=minimum, layout=layout)


def test_positions_in_the_forest():
    shown = Drawing(forest(difference(1, 0, 2), difference(-1, -2, 0)))
    (first, _), (second, _) = shown.dots(WRONG)
    one, other = shown.lines(WRONG)
    zero = shown.words["0"][0]
    assert other[0][0] < second < other[1][0] == zero == one[0][0] < first < one[1][0]
    (band,) = shown.lines("var(--band)")
    edges = [x for x, _ in band]
    assert max(edges) - zero == pytest.approx(zero - min(edges), abs=0.2)
    assert first - zero == pytest.approx(2 * (max(edges) - zero), abs=0.3)
    assert "too small to matter" in shown.words
    assert "too small to matter" not in Drawing(forest(difference(1, 0, 2), minimum=None)).words


@pytest.mark.parametrize("layout", ["wide", "stacked"])
def test_one_arm_far_away_does_not_squeeze_the_others(layout):
    near = [difference(1, 0, 2), difference(0.5, -1, 2), difference(-1, -2, 0)]
    shown = Drawing(forest(*near, difference(-60, -62, -58), minimum=None, layout=layout))
    assert len(shown.dots(WRONG)) == 3  # a dot of the fourth would lie
    lines = shown.lines(WRONG)
    assert len(lines) == 3 + 2  # two arrowheads say where the fourth is
    axis = min(x for line in lines for x, _ in line)
    assert axis >= (304 if layout == "wide" else 6) + canvas.MARGIN
    assert shown.words["0"][0] - axis > 100


def test_the_primary_row_is_a_diamond_in_bold():
    shown = Drawing(forest(difference(1, 0, 2, primary=True, label="first"), difference(1, 0, 2)))
    assert len(shown.dots(WRONG)) == 1
    assert "font-weight:700" in shown.svg[: shown.svg.index(">first<")].rpartition("<text")[2]


def test_curves_with_bands_levels_and_a_ring():
    points = [Point(100, 1, 0.5, 1.5), Point(1000, 2, chosen=True), Point(10000, None)]
    level = Reference("level", "other", 3, 2.5, 3.5)
    chart = line_chart("t", "x", [Curve("a", "model", points)], references=[level],
                       x_axis="logarithmic", ticks_at_points=True)  # fmt: skip
    shown = Drawing(chart)
    (x1, y1), (x2, y2) = shown.dots(OURS)
    assert x1 < x2
    assert y1 > y2
    assert [shown.words[tick][0] for tick in ("100", "1000")] == [x1, x2]
    heights = sorted(y for line in shown.lines(REAL) for _, y in line)
    assert heights[0] < heights[len(heights) // 2] < heights[-1] < y2  # the level, above
    ring = next(d for style, d in shown.paths if "currentColor" in style)
    assert ring.startswith(f"M{x2:g} ")
    assert line_chart("t", "x", [Curve("a", "model", [])]) is None
    assert chart.description == "a goes from 1.00 at 100 to 2.00 at 1000; level 3"


def test_values_that_are_no_numbers_are_left_out_of_curves():
    points = [Point(1, 2.0), Point(2, None), Point(3, float("nan")), Point(None, 1), Point(4, 5.0)]
    assert len(Drawing(line_chart("t", "x", [Curve("l", "model", points)])).dots(OURS)) == 2
    assert line_chart("t", "x", [Curve("l", "model", [Point(1, None)])]) is None


def test_an_even_axis_spaces_its_values_in_order():
    points = [Point(x, 1) for x in (0.25, 4, 1)]
    chart = line_chart("t", "x", [Curve("l", "model", points)], x_axis="even")
    x = [place for place, _ in Drawing(chart).dots(OURS)]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)


def test_long_curves_are_thinned_and_keep_their_ends():
    points = [Point(i, i * i) for i in range(10_000)]
    assert len(thin(points)) == 300
    assert (thin(points)[0], thin(points)[-1]) == (points[0], points[-1])


def test_ticks_are_round_and_inside():
    assert round_numbers(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert round_numbers(95.1, 99.3, 4) == [96, 97, 98, 99]
    assert round_numbers(3, 3, 5) == [3]
    assert len(round_numbers(-0.0006, 0.0016, 4)) == 5
    assert round_numbers(-0.0006, 0.0016, 4, room=170) == [0, 0.001]


def scatter(classes=("0", "1")):
    points = np.random.default_rng(0).normal(size=(40, 2))
    labels = np.arange(40) % 2
    clouds = (Cloud("real", points, labels), Cloud("synthetic", points[:20], labels[:20]))
    return Scatter(title="map", clouds=clouds, classes=classes)


def test_each_cloud_stands_before_the_points_of_the_other():
    shown = Drawing(scatter())
    assert [len(shown.dots(f"var(--{tone})")) for tone in ("c0", "c1", "rule")] == [30, 30, 60]
    assert shown.svg.count('class="halo"') == 4  # two names in each panel
    assert {"real", "synthetic", "40 images", "20 images"} <= set(shown.words)


EVERY = {
    "dots": dot_plot("t", "n", MARKS),
    "forest": forest(difference(1, 0, 2, primary=True), difference(-60, -62, -58)),
    "lines": line_chart(
        "t", "x", [Curve(s, s, [Point(1, 2, 1, 3), Point(2, 3)]) for s in STYLES],
        references=(Reference("r", "other", 3, 2, 4),),
    ),
    "scatter": scatter(),
}  # fmt: skip


@pytest.mark.parametrize("kind", EVERY)
def test_equal_charts_are_equal_bytes_whatever_the_users_settings(kind, tmp_path):
    chart, before = EVERY[kind], dict(matplotlib.rcParams)
    first = written(chart, tmp_path / "a")
    users = {"text.usetex": True, "font.size": 30, "axes.grid": True, "path.sketch": (1, 2, 3)}
    with matplotlib.rc_context(users):
        second = written(chart, tmp_path / "b")
    assert first == second
    assert dict(matplotlib.rcParams) == before


def written(chart, folder):
    folder.mkdir()
    write_figure(chart, folder, "x.svg")
    pdf = (folder / "charts/x.pdf").read_bytes()
    return drawn(chart)[0].svg, (folder / "x.svg").read_bytes(), pdf


@pytest.mark.parametrize("kind", EVERY)
def test_nothing_but_shapes_and_words_in_the_pages_colours(kind):
    svg = Drawing(EVERY[kind]).svg
    assert not re.search(r"#[0-9a-f]{3}|\bid=|url\(|href|https?:|<style|font-family|<g\b", svg)
    assert 'role="img"' in svg
    colours = (SHARED / "colours.css").read_text()
    for name in re.findall(r"var\((--\w+)\)", svg):
        assert colours.count(f"{name}: #") == 3, name  # light, dark, and paper


def test_each_tone_has_a_colour_of_its_own_that_is_the_pages_light_one():
    assert len(set(TONES.values())) == len(TONES)
    light = (SHARED / "colours.css").read_text().split("@media")[0]
    own = {"real": "#59626d", "paper": "#fcfbf9"}  # the first is soft's too
    for name, colour in {**TONES, **own}.items():
        assert f"--{name}: {colour};" in light, name
    assert {tone for tone, _ in STYLES.values()} <= set(TONES)


def test_lines_differ_in_dashes_too():
    arms = [style for style in STYLES if style.startswith("arm-")]
    assert len({STYLES[style] for style in arms}) == len({STYLES[s][1] for s in arms}) == len(arms)
    assert len({swatch(style) for style in arms}) == len(arms)
    assert 'aria-hidden="true"' in swatch("model")


EVIL = '"><script>alert(1)</script> <!-- & #1c628f id="x"'


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (EVIL, EVIL),
        ("$x_1$ and $", "$x_1$ and $"),
        (r"$\frac{1}{2}$", r"$\frac{1}{2}$"),  # no formula, nor
        (r"$\nothing$", r"$\nothing$"),  # an error about one
        ("two\nlines\tand a tab", "two lines and a tab"),
        ("\x1b[31m\ufffe\ud800", "\\x1b[31m\ufffd\\ud800"),
        ("猫 🐈", "猫 🐈"),  # letters that matplotlib's font lacks are no warning
    ],
)
def test_names_from_strangers_stay_text(name, shown):
    chart = line_chart(name, name, [Curve(name, "model", [Point(1, 2)])], references=(
        Reference(name, "other", 3),))  # fmt: skip
    drawing = Drawing(chart)
    assert list(drawing.words).count(shown) == 1
    assert [e.text for e in drawing.root.iter("text")].count(shown) == 2
    assert drawing.root.get("aria-label").startswith(f"{shown}. {shown} goes from")
    assert drawing.root.find(".//script") is None


def test_a_label_that_does_not_fit_is_cut():
    long = "a" * 80
    shown = Drawing(dot_plot("t", "n", [Mark(long, 1, None, None, "1")]))
    cut = next(word for word in shown.words if word.startswith("aaa"))
    assert cut.endswith("…")
    assert len(cut) < 22
    assert fitted("short", 100) == "short"


def test_a_figure_of_its_own_has_its_colours_its_legend_and_its_words(tmp_path):
    curves = [Curve(EVIL, "model", [Point(1, 2)]), Curve("猫", "other", [Point(1, 3)])]
    write_figure(line_chart("t & u", "x", curves, note="n"), tmp_path, "x.svg")
    root = ElementTree.parse(tmp_path / "x.svg").getroot()
    spaces = "{http://www.w3.org/2000/svg}"
    assert root.find(f"{spaces}title").text == "t & u"
    assert EVIL in root.find(f"{spaces}desc").text
    words = [e.text for e in root.iter(f"{spaces}text")]
    assert {EVIL, "猫"} <= set(words)  # the legend
    assert not {"t & u", "n"} & set(words)  # are the page's
    assert "prefers-color-scheme: dark" in root.find(f"{spaces}style").text
    pdf = (tmp_path / "charts/x.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/CIDFontType2" in pdf  # TrueType inside, as journals ask
    assert b"/Type3" not in pdf
    assert b"/CreationDate" not in pdf


def test_matplotlib_comes_when_a_chart_is_drawn_and_pyplot_never():
    code = (
        "import sys; from synthgen.evaluation.report import charts; "
        "assert 'matplotlib' not in sys.modules; "
        "charts.drawn(charts.dot_plot('t', 'n', [charts.Mark('a', 1, 0, 2, '1')])); "
        "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
