"""The README's figures, from the results of the first study: `make images` (after `make study`)."""

from pathlib import Path

import polars as pl

from calib_assets.figures import token_distribution, validity_diversity_frontier
from calib_assets.figures.encode import png
from calib_assets.results import Results

MODEL, TASK = "smollm2-135m-instruct", "us-states"
FOLDER = Path(__file__).parent


def main() -> None:
    """Write both pictures beside this file."""
    results = Results("studies/first.yaml")
    here = (pl.col("model") == MODEL) & (pl.col("task") == TASK)
    ranks = results.table("conditional_calibration", "conditional_ranks").filter(here)
    frontier = results.table("validity_diversity_frontier").filter(here)
    (FOLDER / "ranks.png").write_bytes(png(token_distribution(ranks), dpi=110))
    (FOLDER / "frontier.png").write_bytes(png(validity_diversity_frontier(frontier), dpi=110))


if __name__ == "__main__":
    main()
