from synthgen.evaluation.metrics.intervals import Estimate
from synthgen.evaluation.result import make_result
from synthgen.evaluation.sentences import copying_sentence


def said(train_high):
    estimate = Estimate(2.0, 1.5, 2.5)
    model = make_result("fidelity/frechet_distance", estimate, n_real=9, n_fake=9, seconds=0.0)
    return copying_sentence(model, {"train": {"value": 1.0, "ci_high": train_high}}, "test")


def test_copying_is_hinted_at_only_beyond_both_intervals():
    assert "a hint that training images were copied" in said(1.4)[0]
    assert said(1.6) == []
    assert said(None) == []
