import pytest

from synthgen.cli.jobs.evaluate import require_verdict
from synthgen.errors import CheckFailedError


def verdict(word):
    return {"arms": [{"primary": False, "verdict": "harmed"}, {"primary": True, "verdict": word}]}


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
