"""The top of the page: helped, harmed or no evidence, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from synthgen.evaluation.report.formatting import (
    reference_split,
    share_label,
    show_count,
    show_p,
    show_points,
)
from synthgen.evaluation.report.schema import Report
from synthgen.evaluation.trial.narrative import capital, worth_interval
from synthgen.evaluation.trial.schema import (
    Comparison,
    RealEquivalent,
    Replaces,
    TrialVerdict,
    Verdict,
)

NOT_TESTED = "not tested: run a trial (synthgen evaluate … trial=standard)"
SIGNS: dict[Verdict, str] = {"helped": "▲", "harmed": "▼", "no evidence": "○"}
NEUTRAL = "no evidence"


@dataclass(frozen=True)
class Fact:
    """One of the few numbers that carry the verdict."""

    label: str
    value: str
    under: str
    tip: str
    badge: str = ""  # a verdict in words, with its sign
    style: str = ""


@dataclass(frozen=True)
class Headline:
    sentence: str  # the first of the verdict's; the others are in ``rest``
    rest: str = ""
    badge: str = ""
    style: str = ""
    facts: Sequence[Fact] = ()
    choices: Sequence[str] = ()


def badge(word: Verdict) -> str:
    """``▲ helped``: a sign and a word, never a colour alone."""
    return f"{SIGNS[word]} {word}"


def style_of(word: Verdict) -> str:
    return "undecided" if word == NEUTRAL else word


def verdict_text(verdict: TrialVerdict | None) -> str:
    """None means that no trial was made."""
    return NOT_TESTED if verdict is None else verdict.sentence


def headline(report: Report) -> Headline:
    """A report without a trial has the sentence only."""
    verdict, trial = report.verdict, report.trial
    sentence = verdict_text(verdict)
    if verdict is None or trial is None or (primary := verdict.primary) is None:
        return Headline(sentence)
    protocol, labels = trial_protocol(report), labels_of(report)
    facts = [
        primary_fact(primary, verdict, protocol, labels),
        cheap_fact(verdict.against_best_cheap, protocol, labels),
        *equivalent_facts(verdict.real_equivalent, f" by {share_label(verdict.endpoint)}"),
    ]
    first, _, rest = sentence.partition(". ")
    return Headline(
        f"{first}." if rest else first,
        rest,
        badge(primary.verdict),
        style_of(primary.verdict),
        [fact for fact in facts if fact],
        trial.protocol.choices,
    )


def labels_of(report: Report) -> dict[str, str]:
    """Arms' names -> words, from the trial and from the comparisons."""
    named = {"real_only": "real only", "synthetic_only": "synthetic only"}
    compared = report.verdict.arms if report.verdict else []
    named |= {arm.name: arm.label for arm in compared if arm.label}
    return named | {arm.name: arm.label for arm in (report.trial.arms if report.trial else [])}


def label_of(name: str, labels: dict[str, str]) -> str:
    return labels.get(name, name).replace("pca_gaussian", "PCA-Gaussian").replace("_", " ")


def trial_protocol(report: Report) -> str:
    """What every number of the trial has in common, in one line."""
    if report.trial is None:
        return ""
    trial = report.trial.protocol
    classifier = trial.judge.name if trial.judge else None
    parts = [
        share_label(trial.endpoint),
        f"judge {classifier}" if classifier else "",
        f"{len(trial.seeds)} paired seeds",
        f"{trial.steps:,} steps each",
        f"scored once on the real {reference_split(report)} split",
        "95 % intervals over images and seeds",
    ]
    return " · ".join(filter(None, parts))


def primary_fact(
    arm: Comparison, verdict: TrialVerdict, protocol: str, labels: dict[str, str]
) -> Fact:
    value, interval = show_points(arm.difference, arm.ci_low, arm.ci_high)
    lines = [
        f"{interval} (95 % interval)",
        f"p = {show_p(arm.p)}".replace("= <", "<"),
        f"{capital(label_of(arm.name, labels))} against {label_of(arm.against, labels)}",
    ]
    if (others := arm.others) is not None:
        change, around = show_points(others.difference, others.ci_low, others.ci_high)
        lines.append(f"The other classes {change} ({around}), −{100 * others.margin:g} allowed")
    if (copies := arm.control) is not None:
        change, around = show_points(copies.difference, copies.ci_low, copies.ci_high)
        lines.append(f"Against copies of real images {change} ({around}); both must be above 0")
    least = verdict.minimum_difference
    unit = "point" if least == 0.01 else "points"
    lines.append(f"Declared to matter: {100 * least:g} {unit} or more")
    lines.append(findable_line(arm, verdict))
    tip = f"The primary contrast, declared before the trial · {protocol} · t-interval"
    return Fact(
        f"Difference in {share_label(verdict.endpoint)}, points",
        value,
        "\n".join(lines),
        tip,
        badge(arm.verdict),
        style_of(arm.verdict),
    )


def findable_line(arm: Comparison, verdict: TrialVerdict) -> str:
    if verdict.ceiling:
        return "Real only leaves no room for a gain that this trial would find"
    found = arm.smallest_detectable
    size = f"{unsigned(found)} points" if found <= 1 else "no difference"
    return f"This trial finds {size} in 8 of 10 cases"


def cheap_fact(cheap: Comparison | None, protocol: str, labels: dict[str, str]) -> Fact | None:
    if cheap is None:
        return None
    value, interval = show_points(cheap.difference, cheap.ci_low, cheap.ci_high)
    # The arm is compared with the alternative, so the words are about that and not about real only.
    words = {"helped": "better", "harmed": "worse"}.get(cheap.verdict, NEUTRAL)
    lines = [
        f"{interval} (95 % interval)",
        f"Against {label_of(cheap.name, labels)}",
        f"Holm-adjusted p = {show_p(cheap.p_adjusted)}".replace("= <", "<"),
    ]
    return Fact(
        "Against the best cheap alternative, points",
        value,
        "\n".join(lines),
        f"The cheap arm that was best on the holdout; secondary · {protocol}",
        f"{SIGNS[cheap.verdict]} {words}",
        style_of(cheap.verdict),
    )


def equivalent_facts(found: RealEquivalent | None, by: str = "") -> list[Fact]:
    """What the images are worth, counted in real ones."""
    if found is None:
        return []
    facts = [replaces_fact(found.replaces, by)] if found.replaces else []
    if (adds := found.adds) is not None:
        value, interval = show_count(adds.images, adds.ci_low, adds.ci_high)
        extrapolated = "\nExtrapolated beyond the data" if adds.extrapolated else ""
        facts.append(
            Fact(
                "Added, worth another",
                f"{value} real images",
                f"{interval} (95 % interval){extrapolated}",
                "Real images that would have to be added to score as real + synthetic does: the "
                "power laws above a floor that fit the learning curve, extrapolated · 95 % "
                "interval by simulation, over the floors too",
            )
        )
    elif found.reason and found.replaces:
        facts.append(Fact("Added, worth another", "not to be said", found.reason, ""))
    elif found.reason:
        facts.append(Fact("Worth in real images", "not measured", found.reason, ""))
    return facts


def replaces_fact(replaces: Replaces, by: str) -> Fact:
    """Where synthetic only meets the learning curve. A bound never stands without its interval."""
    value = f"{show_count(replaces.images)[0]} real images"
    value = f"{replaces.bound} {value}" if replaces.bound else value  # beyond an end of the curve
    interval = f"{worth_interval(replaces)} (95 % interval)"
    under = [interval, f"Synthetic only{by}, read off the learning curve"]
    if replaces.spans_curve:
        value = "not to be said"
        under[0] = f"{interval}: the whole learning curve"
    return Fact(
        "Alone as good as",
        value,
        "\n".join(under),
        "Where synthetic only meets the learning curve of real images, interpolated; never "
        "more than there are · 95 % interval by simulation",
    )


def unsigned(value: float) -> str:
    points = 100 * abs(value)
    return f"{points:.{2 if points < 1 else 1}f}"
