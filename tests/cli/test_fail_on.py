import pytest

from synthgen.cli.jobs.evaluate import require_verdict
from synthgen.errors import CheckFailedError
from synthgen.evaluation.trial.schema import TrialVerdict


def verdict(word):
    arm = {
        "name": "real_and_synthetic_1", "against": "real_only", "difference": 0.1, "ci_low": 0.0,
        "ci_high": 0.2, "p": 0.1, "p_adjusted": 0.1, "smallest_detectable": 0.2,
    }  # fmt: skip
    arms = [{**arm, "verdict": "harmed"}, {**arm, "primary": True, "verdict": word}]
    whole = {"endpoint": "macro_f1", "minimum_difference": 0.01, "sentence": "Said."}
    return TrialVerdict.from_json({**whole, "against_best_cheap": None, "arms": arms})


@pytest.mark.parametrize(
    ("word", "fail_on", "fails"),
    [
        ("helped", "harmed", False),
        ("no evidence", "harmed", False),
        ("harmed", "harmed", True),
        ("helped", "no evidence", False),
        ("no evidence", "no evidence", True),
        ("harmed", "no evidence", True),
    ],
)
def test_only_the_primary_verdict_or_a_worse_one_fails(tmp_path, word, fail_on, fails):
    if not fails:
        require_verdict(verdict(word), fail_on, tmp_path)
        return
    with pytest.raises(CheckFailedError, match=word) as failure:
        require_verdict(verdict(word), fail_on, tmp_path)
    assert failure.value.exit_code == 3
    assert str(tmp_path) in str(failure.value)
