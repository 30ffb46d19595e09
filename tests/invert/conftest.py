"""A problem with a known posterior, for tests of inversions."""

import pytest

from tests.invert import problems


@pytest.fixture(scope="package")
def known():
    """Inverse, posterior mean and covariance of its codes."""
    return problems.known()
