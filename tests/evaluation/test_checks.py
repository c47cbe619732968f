import dataclasses

import pytest
import torch

from synthgen.errors import SynthgenError
from synthgen.evaluation import checks
from synthgen.evaluation.schema import CopiesOfReference, Copying
from synthgen.types import LabelledImages, positions_by_class


def test_other_shapes_classes_and_empty_sets_are_refused(digits, drawn, as_set):
    larger = LabelledImages(drawn.images.repeat(1, 1, 2, 2), drawn.labels, drawn.classes)
    with pytest.raises(SynthgenError, match=r"16 × 16 pixels in grey.*8 × 8"):
        checks.require_comparable(digits, as_set(larger))
    colour = LabelledImages(drawn.images.expand(-1, 3, -1, -1), drawn.labels, drawn.classes)
    with pytest.raises(SynthgenError, match="colour"):
        checks.require_comparable(digits, as_set(colour))
    renamed = LabelledImages(drawn.images, drawn.labels, tuple("abcdefghij"))
    with pytest.raises(SynthgenError, match="classes a, b, c"):
        checks.require_comparable(digits, as_set(renamed))
    with pytest.raises(SynthgenError, match="no images"):
        checks.require_comparable(digits, as_set(drawn.subset([])))
    checks.require_comparable(digits, as_set(drawn))


def test_a_generator_trained_on_another_split_is_refused(digits, drawn, as_set):
    def described(digest):
        data = {"name": "digits", "digest": digest}
        return as_set(drawn, {"provenance": {"data": data}})

    checks.require_unseen_test(digits, described(digits.digest))
    checks.require_unseen_test(digits, as_set(drawn))
    with pytest.raises(SynthgenError, match=r"may have seen these test images.*\n.*split_seed"):
        checks.require_unseen_test(digits, described("f" * 64))


@pytest.mark.parametrize(
    ("start", "later", "known"),
    [
        (None, [], True),
        ({"images_known": True}, [], True),
        ({"images_known": False}, [], False),
        ({"sampler_sha256": "a" * 64}, [], False),
        (None, [{}], False),
        (None, ["same"], True),
    ],
)
def test_a_report_says_what_nobody_knows_of_a_generator(digits, drawn, as_set, start, later, known):
    data = {"name": "digits", "digest": digits.digest}
    parts = [{}, *({"data_digest": digits.digest} if part == "same" else part for part in later)]
    described = {"provenance": {"data": data, "training": {"start": start}}, "parts": parts}
    copies = {"train": 0, "holdout": 0, "test": 0}
    synthetic = as_set(drawn, described)
    checks.require_unseen_test(digits, synthetic)
    said = " ".join(checks.provenance_sentences(digits, synthetic, copies))
    assert ("may have seen the test images" in said) == (not known)


def test_a_part_from_another_split_is_refused(digits, drawn, as_set):
    data = {"name": "digits", "digest": digits.digest}
    described = {"provenance": {"data": data}, "parts": [{}, {"data_digest": "f" * 64}]}
    with pytest.raises(SynthgenError, match=r"another split \(of a part, ffffffff\)"):
        checks.require_unseen_test(digits, as_set(drawn, described))


def test_copies_are_counted_by_split(digits, drawn, as_set):
    planted = LabelledImages(
        torch.cat([drawn.images, digits.train.images[:3], digits.test.images[:2]]),
        torch.cat([drawn.labels, digits.train.labels[:3], digits.test.labels[:2]]),
        drawn.classes,
    )
    copies = checks.exact_copies(digits, as_set(planted))
    assert copies == {"train": 3, "holdout": 0, "test": 2}
    said = " ".join(checks.provenance_sentences(digits, as_set(planted), copies))
    assert "3 of 305 synthetic images are exact copies of real train images" in said
    assert "origin is unknown" in said


def test_subsets_keep_the_classes_proportions_in_any_order():
    interleaved = torch.arange(1000) % 10
    chosen = positions_by_class(interleaved, 100)
    assert torch.bincount(interleaved[chosen]).tolist() == [10] * 10
    assert torch.equal(chosen, chosen.sort().values)
    assert torch.equal(positions_by_class(interleaved, 5000), torch.arange(1000))


def test_dropped_images_and_conversions_are_said_without_file_names(digits, drawn, as_set):
    copies = {"train": 0, "holdout": 0, "test": 0}
    dropped = dataclasses.replace(digits, dropped=12, notes=("12 images …: secret/a.png.",))
    grey = dataclasses.replace(as_set(drawn), notes=("The synthetic images are grey; …",))
    said = checks.provenance_sentences(dropped, grey, copies)
    assert said[0].startswith("12 real images were left out of training (or holdout) because")
    assert said[1] == "The synthetic images are grey; …"
    assert "secret" not in " ".join(said)
    quiet = checks.provenance_sentences(digits, as_set(drawn), copies)
    assert quiet == said[2:]


def test_a_set_of_test_images_is_said_to_be_one(digits, drawn, as_set):
    assert checks.leak_sentences(digits, as_set(drawn), {}) == []
    mixed = LabelledImages(
        torch.cat([drawn.images, digits.test.images[:1]]),
        torch.cat([drawn.labels, digits.test.labels[:1]]),
        drawn.classes,
    )
    (said,) = checks.leak_sentences(digits, as_set(mixed), {})
    assert f"The set holds test images: 1 of {len(mixed):,} synthetic images equal" in said
    none = Copying(
        sentence="", flagged=False, threshold=0.4, exact_copies=0, near_copies=0, p=1.0,
        searched=300, searched_train=1000, n_reference=300,
    )  # fmt: skip
    tested = CopiesOfReference(near_copies=7, p=1e-9, flagged=True)
    near = none.model_copy(update={"of_reference": tested})
    (said,) = checks.leak_sentences(digits, as_set(drawn), {"pixels": near, "aligned": none})
    assert "7 synthetic images are near copies of one, by the space pixels" in said
