"""Top-H by the authors' bound, under a name of its own so that grids can sweep it."""

from dataclasses import dataclass
from typing import Literal

from .top_h import TopH


@dataclass(frozen=True)
class TopHAuthors(TopH):
    """``TopH(alpha, variant="authors")``; see :class:`~calib_assets.decoding.rules.top_h.TopH`."""

    variant: Literal["transformers", "authors"] = "authors"

    name = "top_h_authors"
    label = "top-H (authors)"
    in_default_grid = False
