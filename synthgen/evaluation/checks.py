"""What must hold before any long work, and what must be said about where a set came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import torch

from synthgen.data.assign import SPLITS
from synthgen.data.splits import Splits
from synthgen.dataset.origin import Provenance, TrainingData
from synthgen.dataset.schema import Dataset
from synthgen.dataset.source import SyntheticSet
from synthgen.errors import SynthgenError
from synthgen.evaluation.classifiers import Classifier
from synthgen.evaluation.classifiers.trainer import NetworkClassifier
from synthgen.evaluation.copy_tests import find_twins
from synthgen.evaluation.fairness import listed
from synthgen.evaluation.features import Extractor
from synthgen.evaluation.review import require_enough
from synthgen.evaluation.schema import Copying
from synthgen.evaluation.trial import Trial
from synthgen.evaluation.trial.endpoints import declared_endpoint, endpoint_score, tail_labels
from synthgen.images import image_hashes
from synthgen.metrics import Metric


def require_comparable(splits: Splits, synthetic: SyntheticSet) -> None:
    """Refuse a set that is empty, has other classes or another image shape than the real data."""
    found, wanted = synthetic.images, splits.test
    if not len(found):
        raise SynthgenError(f"{synthetic.path} holds no images.\nSynthesize some first.")
    if found.classes != wanted.classes:
        raise SynthgenError(
            f"{synthetic.path} has the classes {listed(found.classes, 8)}, the real data has "
            f"{listed(wanted.classes, 8)}.\nUse the real data's class names."
        )
    if found.image.shape != wanted.image.shape:
        raise SynthgenError(
            f"{synthetic.path} holds images of {shape(found.image.shape)}, the real ones have "
            f"{shape(wanted.image.shape)}.\nSet data.size, or convert the set first."
        )


def require_unseen_test(splits: Splits, synthetic: SyntheticSet) -> None:
    """Refuse if a generator could have been trained on the reference: its split must be ours. Of a
    set that was appended to, every part's."""
    who = f"The generator of {synthetic.path}"
    require_trained_on(splits, generator_facts(synthetic).data, who)
    for digest in part_digests(synthetic):
        require_trained_on(splits, TrainingData(digest=digest, name="of a part"), who)


def require_trained_on(splits: Splits, data: TrainingData | None, who: str) -> None:
    """Refuse a generator (``who``) whose training ``data``, as far as it says, are of another
    split than ``splits``."""
    if data is None or data.digest is None or data.digest == splits.digest:
        return
    raise SynthgenError(
        f"{who} was trained on another split ({data.name or 'other data'}, {data.digest[:8]}) than "
        f"this one ({splits.name}, {splits.digest[:8]}): it may have seen these {splits.reference} "
        "images.\n"
        "Evaluate with the data=… options of its training (source, size, shares and split_seed)."
    )


def part_digests(synthetic: SyntheticSet) -> list[str | None]:
    """The split that the generator of each part of a set was trained on, None where unknown."""
    about = synthetic.described
    return [part.data_digest for part in about.parts] if isinstance(about, Dataset) else []


def generator_facts(synthetic: SyntheticSet) -> Provenance:
    """What ``dataset.json`` copied from the sampler; empty if unknown."""
    about = synthetic.described
    return about.provenance if isinstance(about, Dataset) else Provenance()


def exact_copies(splits: Splits, synthetic: SyntheticSet) -> dict[str, int]:
    """How many synthetic images equal, pixel for pixel, a real one of each split that is known."""
    known = set(splits.assignment.values())  # without the test split while choosing
    copies = {split: 0 for split in SPLITS if split in known}
    for image in image_hashes(synthetic.images.images):
        split = splits.assignment.get(image)
        if split in copies:
            copies[split] += 1
    return copies


def leak_sentences(
    splits: Splits, synthetic: SyntheticSet, copying: Mapping[str, Copying]
) -> list[str]:
    """Said if the set holds images that it is tested on; ``copying`` by space."""
    reference, total = splits.reference, len(synthetic.images)
    twins = find_twins(synthetic.images, [splits.test], [splits.train, splits.holdout])
    near = {name: found.of_reference for name, found in copying.items()}
    flagged = {name: one.near_copies for name, one in near.items() if one and one.flagged}
    if twins.counts.flagged:
        how = f"{twins.counts.copies:,} of {total:,} synthetic images equal one pixel for pixel"
    elif flagged:
        name = max(flagged, key=lambda one: flagged[one])
        how = f"{flagged[name]:,} synthetic images are near copies of one, by the space {name}"
    else:
        return []
    return [
        f"The set holds {reference} images: {how}. What was trained on it was tested on what it "
        "had seen, so neither a verdict of help nor the fidelity below holds; make the set without "
        f"the {reference} images."
    ]


def provenance_sentences(
    splits: Splits, synthetic: SyntheticSet, copies: dict[str, int]
) -> list[str]:
    """Where the set came from, as far as we know, and whether it holds real images."""
    sentences = [*split_sentences(splits), *synthetic.notes]
    total = len(synthetic.images)
    if generator_facts(synthetic).exposes_real:
        sentences.append(
            "The generator gives out copies or transforms of single real images: the set is as "
            "confidential as they are."
        )
    if synthetic.described is None:
        sentences.append(
            "This set's origin is unknown, so nobody can say whether its generator saw the "
            f"{splits.reference} images; all {total:,} images were checked for exact copies only."
        )
    elif not _knows_its_images(synthetic):
        sentences.append(
            "The set does not say which images its generator was trained on, so it may have seen "
            f"the {splits.reference} images."
        )
    for split, count in copies.items():
        if count:
            are = "is an exact copy" if count == 1 else "are exact copies"
            sentences.append(
                f"{count:,} of {total:,} synthetic images {are} of real {split} images."
            )
    if not any(copies.values()):
        sentences.append(f"None of the {total:,} synthetic images is an exact copy of a real one.")
    return sentences


def _knows_its_images(synthetic: SyntheticSet) -> bool:
    """Whether the set says what each of its generators, and what it started from, has seen."""
    made = generator_facts(synthetic)
    start = None if made.training is None else made.training.start
    started_well = start is None or start.images_known
    later = part_digests(synthetic)[1:]
    return made.split_digest is not None and started_well and None not in later


def split_sentences(splits: Splits) -> list[str]:
    """What a reader should know about the real images, without the names of files."""
    if not splits.dropped:
        return []
    return [
        f"{splits.dropped:,} real images were left out of training (or holdout) because the same "
        "image (or group) is in the official test or holdout set."
    ]


def class_sentences(splits: Splits, synthetic: SyntheticSet) -> list[str]:
    """Classes that the set lacks."""
    counts = synthetic.images.counts
    missing = [name for name, count in zip(splits.test.classes, counts, strict=True) if not count]
    if not missing:
        return []
    return [
        f"The synthetic set has no image of {listed(missing, 8)}: a classifier trained on it can't "
        "learn these classes, and they have no fidelity by class."
    ]


def shape(channels_height_width: tuple[int, int, int]) -> str:
    channels, height, width = channels_height_width
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} bands")
    return f"{width} × {height} pixels in {colours}"


def require_options(
    extractors: Sequence[Extractor], metrics: Sequence[Metric], seeds: int, seed: int
) -> None:
    """Options that make no sense are refused before they cost minutes."""
    if seeds < 1:
        raise SynthgenError(f"seeds must be at least 1, got {seeds}.\nUse 3 for an interval.")
    if seed < 0:
        raise SynthgenError(f"seed must not be negative, got {seed}.")
    if not extractors:
        raise SynthgenError("No extractor was given.\nUse extractor=classifier.")
    if not metrics:
        raise SynthgenError("No metric was given.\nUse metric=standard.")
    for metric in metrics:
        if unsaid := [one for one in Metric.__annotations__ if not hasattr(metric, one)]:
            raise SynthgenError(
                f"The metric {type(metric).__name__} has no {' and no '.join(unsaid)}.\n"
                "Write it into the class, as those of synthgen.metrics do."
            )
    counts = Counter(metric.name for metric in metrics)
    for name, count in counts.items():
        if count > 1:
            raise SynthgenError(
                f"{count} metrics are called {name}, and a report can't tell them apart.\n"
                "Give each its own name."
            )


# What a report needs and the real images alone can tell: asked before a generator is trained for
# hours, because after that a wrong setting of the evaluation has cost them.


def require_measurable(
    splits: Splits,
    *,
    extractors: Sequence[Extractor],
    metrics: Sequence[Metric],
    classifier: Classifier,
    trial: Trial | None,
    seeds: int,
    seed: int,
    review: int | None,
) -> None:
    """Raises what :func:`synthgen.evaluation.evaluate` would raise about its settings and these
    splits, for a set that fits them."""
    require_options(extractors, metrics, seeds, seed)
    if review is not None:
        require_enough(review)
    if isinstance(classifier, NetworkClassifier):
        with torch.device("meta"):  # no weights, but every check of its constructor
            classifier.network(splits.train.image)
    if trial is not None:
        declared = declared_endpoint(trial.endpoint, splits.train)
        endpoint_score(declared, tail_labels(splits.train, trial.tail))
