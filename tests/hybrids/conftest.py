"""The digits that hybrids are tried on, and a builder of each hybrid."""

import pytest
from small_hybrids import BUILDERS

from synthgen.data import Digits, prepare


@pytest.fixture(scope="session")
def splits():
    return prepare(Digits())


@pytest.fixture(params=BUILDERS, ids=lambda build: build.__name__.removeprefix("build_"))
def build(request):
    return request.param
