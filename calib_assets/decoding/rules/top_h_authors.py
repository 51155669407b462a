"""Top-H by the authors' bound, under a name of its own so that grids can sweep it."""

from dataclasses import dataclass
from typing import Literal

from .top_h import TopH


@dataclass(frozen=True)
class TopHAuthors(TopH):
    """``TopH(alpha, variant="authors")``; see :class:`~calib_assets.decoding.rules.top_h.TopH`.

    >>> import numpy as np
    >>> logits = np.log([0.4, 0.3, 0.2, 0.1])  # entropy 1.28; of the first two, renormalised, 0.683; of three, 1.061
    >>> TopHAuthors(0.5).retained(logits, 1.0).sum(), TopHAuthors(0.6).retained(logits, 1.0).sum()
    (np.int64(1), np.int64(2))
    """

    variant: Literal["transformers", "authors"] = "authors"

    name = "top_h_authors"
    label = "top-H (authors)"
    in_default_grid = False
