"""What several tests of inversions share."""

import pytest

from tests.invert import problems


@pytest.fixture(scope="package")
def known():
    """Inverse, posterior mean and covariance of its codes."""
    return problems.known()
