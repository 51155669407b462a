"""Polygamma functions against mpmath's, and against what defines them."""

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.stats.polygamma import polygammas

POINTS = [1e-6, 3e-4, 0.02, 0.5, 1.0, 1.4616, 3.7, 8.0, 25.0, 1e3, 1e6, 1e12]


@pytest.mark.parametrize("derivative", range(4))
def test_agrees_with_mpmath(derivative):
    found = polygammas(np.array(POINTS), 3)[derivative]
    expected = np.array([float(mpmath.psi(derivative, mpmath.mpf(x))) for x in POINTS])
    np.testing.assert_allclose(found, expected, rtol=5e-15, atol=5e-15 if derivative == 0 else 0)


@given(st.lists(st.floats(1e-5, 1e8), min_size=1, max_size=6))
def test_recurrence(points):
    x = np.array(points)
    here, above = polygammas(x, 3), polygammas(x + 1, 3)
    for derivative, factorial in enumerate((1, 1, 2, 6)):
        step = (-1) ** derivative * factorial / x ** (derivative + 1)
        scale = np.abs(here[derivative]) + np.abs(step)
        assert (np.abs(above[derivative] - here[derivative] - step) <= 1e-13 * scale + 1e-14).all()


def test_first_order_is_the_same_and_stops():
    x = np.array(POINTS)
    low, high = polygammas(x, 1), polygammas(x, 3)
    assert len(low) == 2
    np.testing.assert_array_equal(low, high[:2])
    with pytest.raises(ValueError, match="order is 2"):
        polygammas(x, 2)
