from synthgen.evaluation.metrics.intervals import Estimate
from synthgen.evaluation.result import make_result
from synthgen.evaluation.sentences import closeness_sentence, fidelity_sentences


def test_being_nearer_to_train_than_to_test_alone_accuses_nobody():
    """A space that was learned from the training images sees them specially, so a smaller distance
    to them proves nothing; copying is judged where real images calibrate it."""
    estimate = Estimate(2.0, 1.9, 2.1)
    model = make_result(
        "fidelity/frechet_distance", estimate, extractor="e", n_real=90, n_fake=90, seconds=0.0
    )
    train = make_result(
        "fidelity/frechet_distance",
        Estimate(1.0, 0.9, 1.1),
        extractor="e",
        n_real=90,
        n_fake=90,
        seconds=0.0,
    )
    references = [{**train.to_json(), "reference": "train", "note": ""}]
    text = " ".join(fidelity_sentences([model], references, "e", "test"))
    assert "2" in text
    assert "cop" not in text


def test_closeness_does_not_accuse_either():
    neighbours = {"share_closer_than_median_real": 0.9, "searched": 100}
    assert "as often as copies" in closeness_sentence(neighbours, "test")
