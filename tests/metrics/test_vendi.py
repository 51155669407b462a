"""Vendi score against eigenvalues of the full matrix of cosines, and sets whose score is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import eig
from scipy.spatial.distance import cdist

from calib_assets.metrics import vendi_score

shapes = st.tuples(st.integers(1, 9), st.integers(1, 6))
matrices = shapes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.integers(-4, 4).map(lambda i: i / 2)))


def nonzero(rows):
    rows = rows.copy()
    rows[~rows.any(axis=1), 0] = 1
    return rows


def score_of_cosines(rows):
    """From the n x n matrix, by the general eigenvalue routine."""
    values = eig((1 - cdist(rows, rows, "cosine")) / len(rows))[0].real
    values = values[values > 1e-14]
    return np.exp(-(values * np.log(values)).sum())


@given(matrices.map(nonzero))
def test_equals_the_entropy_of_the_eigenvalues(rows):
    found = vendi_score(rows)
    assert found == pytest.approx(score_of_cosines(rows), rel=1e-9)
    assert 1 <= found <= min(rows.shape)


@given(matrices.map(nonzero), st.integers(0, 10**6))
def test_lengths_order_rotation_and_copies_do_not_matter(rows, number):
    rng = np.random.default_rng(number)
    rotation = np.linalg.qr(rng.normal(size=(rows.shape[1],) * 2))[0]
    changed = rng.permutation(rows) @ rotation * rng.uniform(0.1, 9, size=(len(rows), 1))
    assert vendi_score(changed) == pytest.approx(vendi_score(rows), rel=1e-9)
    assert vendi_score(np.repeat(rows, 3, axis=0)) == pytest.approx(vendi_score(rows), rel=1e-9)


def test_known_scores():
    assert vendi_score(np.eye(5)) == pytest.approx(5)
    assert vendi_score(np.full((7, 3), 0.1, dtype=np.float32)) == pytest.approx(1, abs=1e-12)
    assert vendi_score(np.ones((1, 4))) == 1
    # Shares 3/4 and 1/4 of two texts at right angles.
    expected = (4 / 3) ** 0.75 * 4**0.25
    assert vendi_score(np.array([[1.0, 0], [2, 0], [3, 0], [0, 1]])) == pytest.approx(expected)
    # Opposite vectors are one direction: the score tells -1 from 1 no more than the kernel's square does.
    assert vendi_score(np.array([[1.0, 0], [-1, 0]])) == pytest.approx(1)
    # Two vectors with cosine c: eigenvalues (1 +- c) / 2.
    shares = np.array([1.6, 0.4]) / 2
    assert vendi_score(np.array([[1, 0], [0.6, 0.8]])) == pytest.approx(np.exp(-(shares @ np.log(shares))))


def test_no_texts_and_wrong_input():
    assert vendi_score(np.empty((0, 3))) is None
    with pytest.raises(ValueError, match="row 1 is zero"):
        vendi_score(np.array([[1.0, 0], [0, 0]]))
    with pytest.raises(ValueError, match="NaN or infinity, first in row 0"):
        vendi_score(np.array([[np.nan, 1.0]]))
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        vendi_score(np.ones(3))
