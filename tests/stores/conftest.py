"""What the tests of stores share."""

import pytest

from tests.support import store_worker


@pytest.fixture(autouse=True)
def fixed_date(monkeypatch):
    """All stores begin at the same time, so that their bytes can be compared."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", store_worker.EPOCH)


@pytest.fixture(scope="session")
def processes():
    """Makes processes that have the libraries loaded, and nothing of this process."""
    return store_worker.ready_processes()
