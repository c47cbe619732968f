"""What charts are drawn on: matplotlib in the page's units, with its colours and fonts.

One figure gives the SVG of the page, whose colours are the page's CSS variables and whose words
stay text, and the PDF for papers, on white and with its fonts inside. pyplot is not used, settings
of matplotlib hold while a chart is drawn only, and equal charts have equal bytes.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap
from typing import TYPE_CHECKING, Any, TypeVar

from synthgen.errors import printable
from synthgen.io import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

Value = TypeVar("Value")
Look = dict[str, Any]  # how matplotlib is to draw something
# The page's CSS variables, and the colours of its light form that stand for them until the SVG is
# written; so each has one of its own.
TONES = {
    "ink": "#1e2227", "soft": "#59626d", "rule": "#ddd8cf", "paper": "#ffffff", "band": "#e6dfcd",
    "real": "#58626d", "synthetic": "#1c628f", "both": "#9a5310", "cheap": "#5d4a94",
    "own": "#2f6b3c", "wrong": "#a83e27", "good": "#1f6b43",
    "c0": "#3566a8", "c1": "#b5542a", "c2": "#2f7d4f", "c3": "#8a4fa0", "c4": "#9a7410",
    "c5": "#a83e5e", "c6": "#1f7f8c", "c7": "#6b6f2a", "c8": "#7a5a48", "c9": "#5b5f6b",
}  # fmt: skip
VARIABLES = {colour: f"var(--{name})" for name, colour in TONES.items()}
VARIABLES[TONES["ink"]] = "currentColor"
SETTINGS: dict[str, Any] = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib; the page has its own
    "text.parse_math": False,  # a dollar in a name is a dollar
    "svg.fonttype": "none",
    "svg.hashsalt": "synthgen",
    "pdf.fonttype": 42,  # TrueType: what journals accept
    "path.simplify": False,
    "lines.scale_dashes": False,
}
MARGIN = 16  # units around a chart that stands alone
WIDE = 600  # units, beyond which a chart is too small to read on a telephone
ROW = 17  # units of a line of its heading or legend
LETTER = 0.53  # mean width of a letter, as a share of the font's size
PDF_LETTERS = 0.88  # DejaVu Sans is that much wider than the fonts of screens
HEADING, LEGEND = "heading", "legend"  # ids of artists, until the SVG is written
HALO = "halo"  # words that stand on lines or points
ILLEGAL = re.compile("[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # in XML 1.0
SIDES = {"start": "left", "middle": "center", "end": "right"}

# Colour and dashes of the page's styles: lines differ in both.
STYLES: dict[str, tuple[str, tuple[float, ...]]] = {
    "arm-real_only": ("real", (5, 4)),
    "arm-synthetic_only": ("synthetic", ()),
    "arm-real_and_synthetic": ("both", (2.5, 2)),
    "arm-cheap": ("cheap", (8, 3, 1.5, 3)),
    "arm-own": ("own", (10, 3)),
    "arm-quiet": ("soft", (2, 3)),
    "model": ("synthetic", ()),
    "other": ("real", ()),
    "helped": ("good", ()),
    "harmed": ("wrong", ()),
    "undecided": ("soft", ()),
    **{f"run-{n}": (f"c{n}", dashes) for n, dashes in enumerate(
        [(), (5, 4), (2, 3), (8, 3, 1.5, 3), (10, 3), (2.5, 2), (8, 2, 2, 2, 2, 2), (1, 2)]
    )},
}  # fmt: skip


@contextmanager
def settings() -> Iterator[None]:
    """matplotlib's settings for charts, whatever the user's own; gone afterwards. Sheets are made
    and written under them."""
    import matplotlib

    own: Any = {k: v for k, v in matplotlib.rcParamsDefault.items() if "backend" not in k}
    own |= SETTINGS
    with matplotlib.rc_context(own), warnings.catch_warnings():
        # Names in scripts that DejaVu lacks are drawn by the reader's fonts.
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        yield


class Sheet:
    """A figure of ``width`` × ``height`` units, of which one is a CSS pixel at full size; y points
    down from the chart's upper edge. Above it lie the heading (``title`` and ``note``) and the
    ``legend`` (words and style of each line) of a chart that stands alone: the page has its own.
    """

    def __init__(
        self, width: float, height: float, title: str = "", note: str = "",
        legend: Sequence[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        from matplotlib.figure import Figure
        from matplotlib.transforms import Affine2D

        heading = [(line, 14, "ink", "bold") for line in wrap(title, int(width / 7.6))]
        heading += [(line, 11, "soft", "normal") for line in wrap(note, int(width / 5.6))]
        self.width, self.height, self.title = width, height, title
        self.key = ROW * len(legend) + (8 if legend else 0)  # height of the legend
        self.above = self.key + ROW * len(heading) + (8 if heading else 0)
        size = (width + 2 * MARGIN) / 72, (height + self.above + 2 * MARGIN) / 72
        self.figure: Figure = Figure(figsize=size, dpi=72, frameon=False)
        self.units = Affine2D().scale(1, -1).translate(MARGIN, height + MARGIN)
        for index, (line, letters, tone, weight) in enumerate(heading):
            y = ROW * index + 8 - self.above
            self.text(0, y, line, letters, tone, weight=weight, gid=HEADING)
        for index, (label, style) in enumerate(legend):
            y = ROW * index + 4 - self.key
            self.line([0, 26], [y, y], **stroke(style), gid=LEGEND)
            self.text(34, y + 4, label, gid=LEGEND)

    def axes(
        self, left: float, top: float, right: float, bottom: float, x: tuple[float, float],
        y: tuple[float, float], **scales: str,
    ) -> Axes:  # fmt: skip
        """Axes with limits ``x`` and ``y`` in a box of the sheet, and nothing else yet."""
        width, height = self.figure.get_size_inches() * 72
        low = self.height + MARGIN - bottom
        box = (left + MARGIN) / width, low / height, (right - left) / width, (bottom - top) / height
        bare: Look = {**scales, "xlim": x, "ylim": y, "xticks": [], "yticks": []}
        axes = self.figure.add_axes(box, frameon=False, **bare)
        axes.minorticks_off()
        axes.tick_params(length=0, pad=6, labelsize=11, labelcolor=TONES["soft"])
        return axes

    def at(self, axes: Axes, x: float, y: float) -> tuple[float, float]:
        """Where a point of ``axes`` lies, in units."""
        found = self.units.inverted().transform(axes.transData.transform((x, y)))
        return float(found[0]), float(found[1])

    def text(
        self, x: float, y: float, words: str, size: float = 12, tone: str = "ink", *,
        anchor: str = "start", weight: str = "normal", gid: str | None = None,
    ) -> None:  # fmt: skip
        """``y`` is the baseline's."""
        self.figure.text(x, y, clean(words), transform=self.units, size=size, color=TONES[tone],
                         ha=SIDES[anchor], va="baseline", weight=weight, gid=gid)  # fmt: skip

    def line(self, xs: Sequence[float], ys: Sequence[float], **look: Any) -> None:
        from matplotlib.lines import Line2D

        self.figure.add_artist(Line2D(xs, ys, transform=self.units, **look))

    def shape(self, corners: Sequence[tuple[float, float]], tone: str) -> None:
        from matplotlib.patches import Polygon

        look: Look = {"facecolor": TONES[tone], "linewidth": 0}
        self.figure.add_artist(Polygon(corners, transform=self.units, **look))

    def ring(self, x: float, y: float, radius: float) -> None:
        from matplotlib.patches import Circle

        look: Look = {"fill": False, "edgecolor": TONES["ink"], "linewidth": 1.6}
        self.figure.add_artist(Circle((x, y), radius, transform=self.units, **look))

    def show(self, *parts: str) -> None:
        """Of heading and legend only ``parts``."""
        for artist in self.figure.get_children():
            if artist.get_gid() in (HEADING, LEGEND):
                artist.set_visible(artist.get_gid() in parts)


def stroke(style: str, width: float = 1.8) -> Look:
    tone, dashes = STYLES[style]
    line = (0, dashes) if dashes else "-"
    return {"color": TONES[tone], "linewidth": width, "linestyle": line, "clip_on": False}


def clean(words: str) -> str:
    """One line of text that XML can hold, whatever a name contains."""
    return ILLEGAL.sub("\ufffd", printable(re.sub(r"\s", " ", words)))


def fitted(words: str, width: float, size: float = 12) -> str:
    """``words``, cut where they would be wider than ``width`` units."""
    most = max(int(width / (LETTER * size)), 4)
    return words if len(words) <= most else f"{words[: most - 1].rstrip()}…"


def round_numbers(low: float, high: float, count: int, room: float = math.inf) -> list[float]:
    """About ``count`` round numbers within [low, high]; fewer where they would need more than
    ``room`` units beside each other."""
    from matplotlib.ticker import MaxNLocator

    found = MaxNLocator(count + 1, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    slack = 1e-9 * (high - low)
    kept = [float(x) for x in found if low - slack <= x <= high + slack] or [low]
    needed = sum(11 * LETTER * len(tick_text(x)) + 8 for x in kept)
    return kept if needed <= room or count == 1 else round_numbers(low, high, count - 1, room)


def powers(low: float, high: float, most: int) -> list[float]:
    """At most ``most`` powers of ten within [low, high]."""
    found = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
    return [10.0**power for power in thinned(list(found), most)]


def thinned(values: Sequence[Value], most: int) -> list[Value]:
    """At most ``most`` of them, evenly chosen, the last among them."""
    every = max(-(-len(values) // most), 1)
    return list(values[::-1][::every][::-1])


def tick_text(value: float) -> str:
    """Short: thousands as k and M, no trailing zeros."""
    for limit, unit in ((1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e6 if unit == 'M' else 1e3):g}{unit}"
    return f"{value:.6g}".replace("-", "−")


def span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def padded(low: float, high: float, logarithmic: bool, share: float = 0.06) -> tuple[float, float]:
    if logarithmic:
        grow = (high / low) ** share
        return low / grow, high * grow
    low, high = span([low, high])
    pad = (high - low) * share
    return low - pad, high + pad


def inline_svg(sheet: Sheet, label: str) -> str:
    """The chart as an element of the page, named ``label`` for those who can't see it."""
    box = MARGIN, sheet.above + MARGIN, sheet.width, sheet.height
    named = f'role="img" aria-label="{escape(clean(label))}"' if label else 'aria-hidden="true"'
    return f"<svg {view(box)} {named}>{drawn(sheet)}</svg>"


def svg_file(sheet: Sheet, title: str, description: str, css: str) -> str:
    """The chart with its legend as a file of its own, which needs no other and follows the reader's
    light or dark screen by ``css``."""
    width, height = round(sheet.width + 2 * MARGIN), round(sheet.height + sheet.key + 2 * MARGIN)
    box = 0, sheet.above - sheet.key, width, height
    root = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" role="img"'
    if width > WIDE:
        root += ' class="wide"'  # its words grow where there is little room
    words = f"<title>{escape(clean(title))}</title><desc>{escape(clean(description))}</desc>"
    body = drawn(sheet, LEGEND)
    return f"{root} {view(box)}>{words}<style>{css}</style>{body}</svg>\n"


def view(box: Sequence[float]) -> str:
    return f'viewBox="{" ".join(map(short, box))}" stroke-linejoin="round"'


def drawn(sheet: Sheet, *shown: str) -> str:
    """matplotlib's SVG without its root, metadata, ids and fonts: what is left needs nothing and
    clashes with nothing on a page."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    sheet.show(*shown)
    buffer = io.StringIO()
    FigureCanvasSVG(sheet.figure).print_svg(buffer, metadata={"Date": None})
    whole = buffer.getvalue()
    body = whole[whole.index('<g id="figure_1">') : whole.rindex("</svg>")]
    body = re.sub(rf'<g id="{HALO}">\s*<text', f'<g><text class="{HALO}"', body)
    return re.sub(r"<[^>]*>\s*", themed, body)  # names have no angle brackets left


def themed(tag: re.Match[str]) -> str:
    """One tag in the page's colours and font; groups, which mean nothing, and ids go."""
    found = tag[0].strip()
    if found.startswith(("<g", "</g")):
        return ""
    found = re.sub(r' (?:id|clip-path|transform)="[^"]*"', "", found)
    found = re.sub(r"font-family: [^;\"]*;? ?", "", found)
    found = re.sub(r"font: (?:([1-9]00) )?([\d.]+px)[^;\"]*", older_font, found)
    found = re.sub(r'(?<= d=")[^"]*', path_data, found)
    found = re.sub(r'(?<= [xy]=")[^"]*', lambda number: short(number[0]), found)
    found = re.sub(r"#[0-9a-f]{6}", lambda colour: VARIABLES.get(colour[0], colour[0]), found)
    return found.replace(": ", ":").replace("; ", ";")


def older_font(font: re.Match[str]) -> str:
    """matplotlib 3.8 writes ``font: 600 12px 'DejaVu Sans'``."""
    return f"font-size: {font[2]}" + (f"; font-weight: {font[1]}" if font[1] else "")


def path_data(drawn: re.Match[str]) -> str:
    """A path in tenths of a unit; dots, lines of no length with round ends, in their short form."""
    rounded = re.sub(r"-?[\d.]+(?:e-?\d+)?", lambda number: short(number[0]), drawn[0].strip())
    tight = re.sub(r"\s*([A-Za-z])\s*", r"\1", rounded)
    return re.sub(r"M([^A-Za-z]+)L\1(?=[MLz]|$)", r"M\1h0", tight)


def short(number: float | str) -> str:
    text = f"{float(number):.1f}".removesuffix(".0")
    return "0" if text == "-0" else text


def write_pdfs(sheets: Mapping[Path, Sheet]) -> None:
    """Each sheet as a PDF, with its heading and legend. The fonts are first cut to the letters that
    occur at all: left to matplotlib, chart by chart, that would take most of the time."""
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.text import Text

    texts = [text for sheet in sheets.values() for text in sheet.figure.findobj(Text)]
    with settings(), cut_fonts({c for text in texts for c in text.get_text()}) as fonts:
        for text in texts:
            in_print(text, fonts)
        for path, sheet in sheets.items():
            sheet.show(HEADING, LEGEND)
            buffer = io.BytesIO()
            about = {"Title": clean(sheet.title), "CreationDate": None}
            FigureCanvasPdf(sheet.figure).print_pdf(buffer, metadata=about)
            path.parent.mkdir(exist_ok=True)
            write_bytes(path, buffer.getvalue())


def in_print(text: Text, fonts: Sequence[Path]) -> None:
    """A text of the page as a PDF needs it: its font, its size, and the ground around it."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.patheffects import withStroke

    font, size = fonts[text.get_fontweight() == "bold"], float(text.get_fontsize()) * PDF_LETTERS
    text.set_fontproperties(FontProperties(fname=font, size=size))
    if text.get_gid() == HALO:
        text.set_path_effects([withStroke(linewidth=3, foreground=TONES["paper"])])


@contextmanager
def cut_fonts(letters: set[str]) -> Iterator[list[Path]]:
    """matplotlib's own font, plain and bold, with no more than ``letters``."""
    import matplotlib
    from fontTools import subset

    options = subset.Options(layout_features=[], hinting=False, notdef_outline=True)
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "FFTM"]
    # A file that matplotlib still holds open can't be removed on Windows.
    with TemporaryDirectory(prefix="synthgen-", ignore_cleanup_errors=True) as folder:
        made = []
        for name in ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf"):
            whole = f"{matplotlib.get_data_path()}/fonts/ttf/{name}"
            made.append(Path(folder) / name)
            cutter = subset.Subsetter(options)
            cutter.populate(text="".join(sorted({*letters, " "})))
            with subset.load_font(whole, options) as font:
                cutter.subset(font)
                subset.save_font(font, str(made[-1]), options)
        yield made


@cache
def swatch(style: str) -> str:
    """A piece of a line, for the page's legends."""
    with settings():
        sheet = Sheet(28, 8)
        sheet.line([1, 27], [4, 4], **stroke(style))
        return inline_svg(sheet, "")
