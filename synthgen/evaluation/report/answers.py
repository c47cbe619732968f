"""What a person opens a report for, each in one short line: did it help, how good is it, how close,
was anything copied? Everything else on the page explains these."""

from __future__ import annotations

from dataclasses import dataclass

from synthgen.evaluation.report.formatting import reference_split, share_label, show, show_points
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.report.tables import overall, protocol_of
from synthgen.evaluation.report.verdict import SIGNS, style_of, trial_protocol
from synthgen.evaluation.schema import Copying, Result
from synthgen.evaluation.trial.schema import Comparison, Copies, OtherClasses
from synthgen.stats import clopper_pearson

MOST_WORDS = 20  # of a line
TEST_IT = "synthgen evaluate … trial=standard"


@dataclass(frozen=True)
class Answer:
    """``text`` has at most :data:`MOST_WORDS` words; ``sign`` and ``style`` show its direction, and
    ``tip`` says how the number was come by. ``command`` is what would answer an open question."""

    question: str
    text: str
    sign: str = ""
    style: str = ""
    tip: str = ""
    command: str = ""


def answers(report: Report) -> list[Answer]:
    return [helped(report), good(report), close(report), copied(report)]


def helped(report: Report) -> Answer:
    question = "Did it help?"
    primary = report.verdict.primary if report.verdict else None
    if report.verdict is None or primary is None:
        return Answer(question, "Not tested: no trial was made.", "○", "undecided", "", TEST_IT)
    endpoint, sign = share_label(report.verdict.endpoint), SIGNS[primary.verdict]
    gain = points(primary)
    split = reference_split(report)
    tested = sum(report.provenance.data.counts.get(split, {}).values())
    where = f"in {endpoint} on {tested:,} real {split} images"
    if primary.verdict == "no evidence" and primary.control and primary.ci_low > 0:
        gain = points(primary.control)
        text = f"Not shown: {gain} over copies of real images, {where}."
    elif primary.verdict == "no evidence" and primary.others and primary.others.ci_high < 0:
        text = f"The decision was moved: rare classes {gain}, the others {points(primary.others)}."
    else:
        words = {"helped": "Yes", "harmed": "No, it harmed", "no evidence": "No evidence"}
        text = f"{words[primary.verdict]}: {gain} {where}."
    return Answer(question, text, sign, style_of(primary.verdict), trial_protocol(report))


def points(found: Comparison | Copies | OtherClasses) -> str:
    """``+3.1 points (+1.2 to +5.0)``."""
    return "{} points ({})".format(*show_points(found.difference, found.ci_low, found.ci_high))


def good(report: Report) -> Answer:
    question = "How good is it alone?"
    found = {arm: accuracy(report, arm) for arm in ("real_only", "synthetic_only")}
    real, alone = found["real_only"], found["synthetic_only"]
    if alone is None or alone.value is None:
        lacking = classes_without_images(report)
        others = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
        why = f"the set has no image of {lacking[0]}{others}" if lacking else "too few images"
        return Answer(question, f"Not tested: {why}.", "○", "undecided")
    beside = f"; by real ones {show(real, real.name)[0]}" if real and real.value else ""
    text = f"A classifier taught by it names {shown(alone)} of real images{beside}."
    return Answer(question, text, tip=protocol_of(alone))


def classes_without_images(report: Report) -> list[str]:
    """Those of the real images that the set leaves out, as a plan that fills up others does."""
    made = report.provenance.synthetic.counts
    real = report.provenance.data.counts.get(reference_split(report), {})
    return [name for name in real if not made.get(name)]


def accuracy(report: Report, arm: str) -> Result | None:
    return next(iter(overall(report.results, f"transfer/{arm}/accuracy")), None)


def shown(result: Result) -> str:
    """``95.4 % (95.0 to 95.8)``."""
    value, interval = show(result, result.name)
    return f"{value} ({interval})" if interval else value


def close(report: Report) -> Answer:
    question = "How close is it to real images?"
    distances = overall(report.results, "fidelity/frechet_distance")
    if not distances:
        return Answer(question, "Not tested: no extractor was given.", "○", "undecided")
    found = distances[0]
    if found.value is None:
        sizes = f"{found.n_real:,} real, {found.n_fake:,} synthetic"
        return Answer(question, f"Too few images to say: {sizes}.", "○", "undecided")
    built_in = str(found.extractor).startswith("classifier-")
    space = "the built-in classifier's space" if built_in else found.extractor
    text = f"Fréchet distance {shown(found)} in {space}{at_equal_sizes(report, found)}."
    return Answer(question, text, tip=protocol_of(found))


def at_equal_sizes(report: Report, found: Result) -> str:
    """``; at 281 images 8.4, real against real 0.99``: distances fall with the number of images."""
    beside = {
        one.reference: one
        for one in report.references
        if (one.name, one.extractor) == (found.name, found.extractor) and one.value is not None
    }
    floor, same = beside.get("floor"), beside.get("model_at_floor_n")
    if floor is None or same is None:
        return ""
    return f"; at {floor.n_fake:,} images {show(same)[0]}, real against real {show(floor)[0]}"


def copied(report: Report) -> Answer:
    question = "Was anything copied?"
    tested = report.provenance.exact_copies.get(reference_split(report), 0)
    if tested:
        text = f"Test images are in the set, {tested:,} of them: no score here can be trusted."
        return Answer(question, text, "▲", "harmed")
    flagged = [found for found in report.copying.values() if found.flagged]
    exact = report.provenance.exact_copies.get("train", 0)
    total = sum(report.provenance.synthetic.counts.values())
    if exact and flagged:
        text = f"Yes: {exact:,} of {total:,} images equal a training image {share(exact, total)}."
        return Answer(question, text, "▲", "harmed", first(flagged[0]))
    if flagged:
        return Answer(question, f"Yes: {near(flagged[0])}.", "▲", "harmed", first(flagged[0]))
    if not report.copying:
        return Answer(question, "Not tested: no extractor was given.", "○", "undecided")
    found = max(report.copying.values(), key=lambda one: one.near_copies)
    text = f"No sign: {near(found)}."
    return Answer(question, text, "○", "undecided", first(found))


def first(found: Copying) -> str:
    """The verdict of the space; its whole account stands in the section on copying."""
    return f"{found.sentence.partition('. ')[0].rstrip('.')}."


def near(found: Copying) -> str:
    count, total = found.near_copies, found.searched
    near_one = f"{count:,} of {total:,} images lie suspiciously near a training image"
    return f"{near_one} {share(count, total)}"


def share(count: int, total: int) -> str:
    """``(0.0 to 0.2 %)``: Clopper and Pearson's interval."""
    found = clopper_pearson(count, total)
    if found.low is None or found.high is None:
        return ""
    return f"({100 * found.low:.1f} to {100 * found.high:.1f} %)"
