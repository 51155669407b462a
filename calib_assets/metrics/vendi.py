"""Vendi score: how many clearly different texts a set is worth (METHODS §4)."""

import numpy as np
from jaxtyping import Float

from calib_assets.metrics.embedding_diversity import _unit_rows


def vendi_score(embeddings: Float[np.ndarray, "texts dim"]) -> float | None:
    r"""Vendi score :math:`\exp(-\sum_i \lambda_i \ln \lambda_i)`, an effective number of different texts.

    :math:`\lambda_i` are the eigenvalues of :math:`K/n`, K the cosines of all pairs of n texts; they sum to 1.
    The nonzero ones are also those of the covariance of the unit vectors, which is smaller where there are
    more texts than dimensions. The package *vendi-score* gives the same for its q = 1.

    Args:
        embeddings: One row per text, of any length but zero (cosines do not depend on it).

    Returns:
        A number from 1 (all alike) to min(n, dim) (all at right angles, as far as there is room); None
        without texts.

    Raises:
        ValueError: If the array is no matrix, holds NaN or infinity, or a row is zero.

    References:
        Friedman and Dieng (2022), *The Vendi Score*, arXiv:2210.02410, Definition 3.1.

    >>> round(vendi_score(np.array([[1.0, 0.0], [0.0, 2.0], [0.0, 1.0], [4.0, 0.0]])), 12)  # two texts, twice
    2.0
    """
    embeddings = np.asarray(embeddings)
    if embeddings.ndim != 2:
        raise ValueError(f"embeddings has shape {embeddings.shape}; give a matrix, one row per text")
    n, dim = embeddings.shape
    if n == 0:
        return None
    unit = _unit_rows(embeddings, 0)
    eigenvalues = np.linalg.eigvalsh((unit @ unit.T if n <= dim else unit.T @ unit) / n)
    eigenvalues = eigenvalues[eigenvalues > 0]  # 0 ln 0 = 0; rounding makes some slightly negative
    score = float(np.exp(-(eigenvalues @ np.log(eigenvalues))))
    return min(max(score, 1.0), float(min(n, dim)))
