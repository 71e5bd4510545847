"""What every test shares: a cache of its own, away from the user's."""

import os

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """One cache folder for the session, so that a task is prepared once."""
    before = os.environ.get("XLMGEN_CACHE")
    os.environ["XLMGEN_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XLMGEN_CACHE"]
    else:
        os.environ["XLMGEN_CACHE"] = before
