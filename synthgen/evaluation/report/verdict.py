"""The top of the page: helped, harmed or no evidence, and what it rests on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from synthgen.evaluation.report.wording import (
    is_number,
    reference_split,
    share_label,
    show_count,
    show_p,
    show_points,
)
from synthgen.evaluation.trial.equivalent import spans_curve, worth_interval

NOT_TESTED = "not tested: run a trial (synthgen evaluate … trial=standard)"
SIGNS = {"helped": "▲", "harmed": "▼", "no evidence": "○"}
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


def badge(word: Any) -> str:
    """``▲ helped``: a sign and a word, never a colour alone."""
    word = str(word or NEUTRAL)
    return f"{SIGNS.get(word, '○')} {word}"


def style_of(word: Any) -> str:
    return {"helped": "helped", "harmed": "harmed"}.get(str(word), "undecided")


def verdict_text(verdict: Any) -> str:
    """Null means that no trial was made; a verdict may be a text or a dict with a sentence."""
    if verdict is None:
        return NOT_TESTED
    if isinstance(verdict, dict):
        return str(verdict.get("sentence") or json.dumps(verdict, ensure_ascii=False))
    return str(verdict)


def headline(report: dict[str, Any]) -> Headline:
    """A report without a trial has the sentence only."""
    verdict = report.get("verdict")
    sentence = verdict_text(verdict)
    if not isinstance(verdict, dict) or (primary := primary_of(verdict)) is None:
        return Headline(sentence)
    word = primary.get("verdict")
    protocol = trial_protocol(report)
    facts = [
        primary_fact(primary, verdict, protocol, labels_of(report)),
        cheap_fact(verdict.get("against_best_cheap"), protocol, labels_of(report)),
        *equivalent_facts(
            verdict.get("real_equivalent"),
            f" by {share_label(str(verdict['endpoint']))}" if verdict.get("endpoint") else "",
        ),
    ]
    settings = (report.get("trial") or {}).get("protocol") or {}
    choices = [str(choice) for choice in settings.get("choices") or []]
    first, _, rest = sentence.partition(". ")
    return Headline(
        f"{first}." if rest else first,
        rest,
        badge(word),
        style_of(word),
        [fact for fact in facts if fact],
        choices,
    )


def primary_of(verdict: dict[str, Any]) -> dict[str, Any] | None:
    arms = verdict.get("arms") or []
    return next((arm for arm in arms if arm.get("primary")), None)


def labels_of(report: dict[str, Any]) -> dict[str, str]:
    """Arms' names -> words, from the trial and from the comparisons."""
    named = {"real_only": "real only", "synthetic_only": "synthetic only"}
    verdict = report.get("verdict")
    for arm in (verdict.get("arms") or []) if isinstance(verdict, dict) else []:
        if arm.get("label"):
            named[str(arm.get("name"))] = str(arm["label"])
    for arm in (report.get("trial") or {}).get("arms") or []:
        named[str(arm.get("name"))] = str(arm.get("label") or arm.get("name"))
    return named


def label_of(name: Any, labels: dict[str, str]) -> str:
    words = labels.get(str(name), str(name)).replace("pca_gaussian", "PCA-Gaussian")
    return words.replace("_", " ")


def trial_protocol(report: dict[str, Any]) -> str:
    """What every number of the trial has in common, in one line."""
    trial = (report.get("trial") or {}).get("protocol") or {}
    judge, seeds = trial.get("judge"), trial.get("seeds")
    name = judge.get("name") if isinstance(judge, dict) else judge
    count = len(seeds) if isinstance(seeds, list) else seeds
    endpoint = trial.get("endpoint")
    parts = [
        share_label(str(endpoint)) if endpoint else "",
        f"judge {name}" if name else "",
        f"{count} paired seeds" if is_number(count) else "",
        f"{trial['steps']:,} steps each" if is_number(trial.get("steps")) else "",
        f"scored once on the real {reference_split(report)} split",
        "95 % intervals over images and seeds",
    ]
    return " · ".join(filter(None, parts))


def primary_fact(
    arm: dict[str, Any], verdict: dict[str, Any], protocol: str, labels: dict[str, str]
) -> Fact:
    value, interval = show_points(arm.get("difference"), arm.get("ci_low"), arm.get("ci_high"))
    endpoint = share_label(str(verdict.get("endpoint") or "score"))
    name = label_of(arm.get("name"), labels)
    lines = [
        f"{interval} (95 % interval)" if interval else "",
        f"p = {show_p(arm.get('p'))}".replace("= <", "<"),
        f"{capital(name)} against {label_of(arm.get('against'), labels)}",
    ]
    if isinstance(others := arm.get("others"), dict):
        change, around = show_points(others["difference"], others["ci_low"], others["ci_high"])
        lines.append(f"The other classes {change} ({around}), −{100 * others['margin']:g} allowed")
    if isinstance(control := arm.get("control"), dict):
        change, around = show_points(control["difference"], control["ci_low"], control["ci_high"])
        lines.append(f"Against copies of real images {change} ({around}); both must be above 0")
    least, found = verdict.get("minimum_difference"), arm.get("smallest_detectable")
    if is_number(least):
        unit = "point" if least == 0.01 else "points"
        lines.append(f"Declared to matter: {100 * least:g} {unit} or more")
    if verdict.get("ceiling"):
        lines.append("Real only leaves no room for a gain that this trial would find")
    elif is_number(found):
        size = f"{unsigned(found)} points" if found <= 1 else "no difference"
        lines.append(f"This trial finds {size} in 8 of 10 cases")
    tip = f"The primary contrast, declared before the trial · {protocol} · t-interval"
    return Fact(
        f"Difference in {endpoint}, points",
        value,
        "\n".join(filter(None, lines)),
        tip,
        badge(arm.get("verdict")),
        style_of(arm.get("verdict")),
    )


def cheap_fact(cheap: Any, protocol: str, labels: dict[str, str]) -> Fact | None:
    if not isinstance(cheap, dict):
        return None
    value, interval = show_points(
        cheap.get("difference"), cheap.get("ci_low"), cheap.get("ci_high")
    )
    # The arm is compared with the alternative, so the words are about that and not about real only.
    words = {"helped": "better", "harmed": "worse"}.get(str(cheap.get("verdict")), NEUTRAL)
    lines = [f"{interval} (95 % interval)" if interval else "",
             f"Against {label_of(cheap.get('name'), labels)}"]  # fmt: skip
    if is_number(cheap.get("p_adjusted")):
        lines.append(f"Holm-adjusted p = {show_p(cheap['p_adjusted'])}".replace("= <", "<"))
    return Fact(
        "Against the best cheap alternative, points",
        value,
        "\n".join(filter(None, lines)),
        f"The cheap arm that was best on the holdout; secondary · {protocol}",
        f"{SIGNS.get(str(cheap.get('verdict')), '○')} {words}",
        style_of(cheap.get("verdict")),
    )


def equivalent_facts(found: Any, by: str = "") -> list[Fact]:
    """What the images are worth, counted in real ones."""
    if not isinstance(found, dict):
        return []
    facts = []
    replaces, adds = found.get("replaces"), found.get("adds")
    if isinstance(replaces, dict):
        facts.append(replaces_fact(replaces, by))
    if isinstance(adds, dict):
        value, interval = show_count(adds.get("images"), adds.get("ci_low"), adds.get("ci_high"))
        extrapolated = "\nExtrapolated beyond the data" if adds.get("extrapolated") else ""
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
    elif found.get("reason") and replaces:
        facts.append(Fact("Added, worth another", "not to be said", str(found["reason"]), ""))
    elif found.get("reason"):
        facts.append(Fact("Worth in real images", "not measured", str(found["reason"]), ""))
    return facts


def replaces_fact(replaces: dict[str, Any], by: str) -> Fact:
    """Where synthetic only meets the learning curve. A bound never stands without its interval."""
    value = f"{show_count(replaces.get('images'))[0]} real images"
    bound = str(replaces.get("bound") or "")  # "at most": beyond an end of the curve
    value = f"{bound} {value}" if bound else value
    ends = all(is_number(replaces.get(key)) for key in ("ci_low", "ci_high"))
    interval = f"{worth_interval(replaces)} (95 % interval)" if ends else ""
    under = [interval, f"Synthetic only{by}, read off the learning curve"]
    if ends and spans_curve(replaces):
        value = "not to be said"
        under[0] = f"{interval}: the whole learning curve"
    return Fact(
        "Alone as good as",
        value,
        "\n".join(filter(None, under)),
        "Where synthetic only meets the learning curve of real images, interpolated; never "
        "more than there are · 95 % interval by simulation",
    )


def unsigned(value: float) -> str:
    points = 100 * abs(value)
    return f"{points:.{2 if points < 1 else 1}f}"


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
