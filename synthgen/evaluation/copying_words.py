"""What a person should make of what was found about copies."""

from __future__ import annotations

from typing import Any

from synthgen.evaluation.tails import CHANCE, FALSE_ALARMS, FEWEST

SUSPICIOUS = 0.05  # chance below which near copies are worth a look


def sentence(found: dict[str, Any], flags: dict[str, bool], extractor: str, reference: str) -> str:
    """The verdict first, then the counts, then what would have been noticed."""
    counted = " ".join(part for part in (counts(found), power_text(found)) if part)
    halves = halves_text(found, reference)
    if flags["exact copies"]:
        return f"Training images were copied: {exact_text(found)}. {counted}{halves}"
    if flags["near copies"]:
        return f"Training images were copied, by the space {extractor}. {counted}{halves}"
    if flags.get("nearer to train"):
        close = f"The set keeps too close to training images in the space {extractor}."
        return f"{close}{halves} {counted}"
    also = f" {exact_text(found)}, as real images do." if found["exact_copies"] else ""
    if found["n_reference"] < FEWEST:
        return (
            f"Only {found['n_reference']} held-back images: too few to say anything about near "
            f"copies in the space {extractor} (at least {FEWEST} are needed).{also}{halves}"
        )
    if found["p"] < SUSPICIOUS:
        return (
            f"No proof of copying in the space {extractor}, but look at the nearest pairs: honest "
            f"sets come as near in {100 * found['p']:.1g} % of cases (a set is flagged below "
            f"{100 * FALSE_ALARMS:g} %).{also} {counted}{halves}"
        )
    if also:
        return f"No sign of near copies in the space {extractor}.{also} {counted}{halves}"
    return f"No sign of copying in the space {extractor}. {counted}{halves}"


def exact_text(found: dict[str, Any]) -> str:
    """``25 of 5,000 synthetic images equal one of 25 training images``"""
    twins = found.get("twins")
    if not twins:
        return f"{found['exact_copies']:,} synthetic images equal a training image in this space"
    images = (
        "training image" if twins["sources"] == 1 else f"of {twins['sources']:,} training images"
    )
    equal = "equals" if twins["copies"] == 1 else "equal"
    return (
        f"{twins['copies']:,} of {twins['images']:,} synthetic images {equal} one {images}"
        " pixel for pixel"
    )


def counts(found: dict[str, Any]) -> str:
    """How many near copies there are beside exact ones, and how many would be by chance."""
    others = found["searched"] - found["searched_exact"]
    if found["n_reference"] < FEWEST or not others:
        return ""
    allowed = max(1, round(CHANCE * found["n_reference"]))
    expected = others * allowed / (found["n_reference"] + 1)
    which, chance = f"{others:,}", f"; p = {found['p']:.2g}"
    if found["searched_exact"]:  # which that p value counts too
        which, chance = f"{others:,} other", ""
    return (
        f"Of {which} synthetic images {found['near_copies']:,} are suspiciously near "
        f"to one of {found['searched_train']:,} training images (about {expected:.2g} of as many "
        f"real images would be{chance}), {found['unmistakable']:,} of them nearer than chance "
        "explains for any."
    )


def power_text(found: dict[str, Any]) -> str:
    """The fewest copies that this check would have noticed, by what was done to them."""
    power = found.get("power") or {}
    if not power:
        return ""
    basis = f"With {found['n_reference']:,} held-back images"
    kinds = [
        f"{kind} {shown(least['0.8'])} / {shown(least['0.95'])}"
        for kind, least in power.items()
        if least["0.8"] is not None
    ]
    blind = [kind for kind, least in power.items() if least["0.8"] is None]
    if not kinds:
        return f"{basis} no number of near copies would have been noticed here."
    missed = f"; {' and '.join(blind)}: none however many" if blind else ""
    return (
        f"{basis} so many copies would have been noticed with a probability of 80 / 95 %, by what "
        f"was done to them: {', '.join(kinds)}{missed}."
    )


def shown(count: int | None) -> str:
    return "–" if count is None else f"{count:,}"


def halves_text(found: dict[str, Any], reference: str) -> str:
    share = found.get("share_nearer_train")
    if not share:
        return ""
    return (
        f" {100 * share['value']:.0f} % ({100 * share['ci_low']:.0f}–{100 * share['ci_high']:.0f}) "
        f"are nearer to a training image than to any of equally many held-back ones, where images "
        "that owe nothing to single training images are at 50 %"
        f"{usual_text(found['share_nearer_train_real'], reference)}."
    )


def usual_text(usual: dict[str, Any], reference: str) -> str:
    """With few held-back images the real ones are not at 50 % either."""
    if usual["value"] is None:
        return ""
    return (
        f" on average, and these real {reference} images at {100 * usual['value']:.0f} % "
        f"({100 * usual['ci_low']:.0f}–{100 * usual['ci_high']:.0f})"
    )
