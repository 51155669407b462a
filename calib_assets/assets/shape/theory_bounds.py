"""The paper's bounds beside what was measured."""

from calib_assets.assets.shape.reading import open_cache
from calib_assets.figures import shape_bound
from calib_assets.figures.encode import thumbnail
from calib_assets.metrics import theory_e3, theory_f4
from calib_assets.metrics.theory import E3_SCHEMA, F4_SCHEMA
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.study.slices import rules_in_use


def theory_bounds(run: Run) -> Result:
    """Theorem E.3 with certified hardness, and Theorem F.4 with its corollaries, at every measured point.

    A trie with unexplored tokenizations has unknown branching, so its tables are empty.
    """
    cache, points = open_cache(run), run.table("decoding_sweep")
    if cache.trie.is_open.any():
        return Result(
            tables={
                "theory_e3": points.head(0).match_to_schema(
                    E3_SCHEMA, extra_columns="ignore", missing_columns="insert"
                ),
                "theory_f4": points.head(0).match_to_schema(
                    F4_SCHEMA, extra_columns="ignore", missing_columns="insert"
                ),
            }
        )
    order = theory_e3(cache.trie, cache, points)
    shape = theory_f4(cache.trie, points, cache.vocab_size)
    return Result(
        tables={"theory_e3": order, "theory_f4": shape},
        numbers={
            "branching length": shape["branching_length"][0],
            "assumption 5.1 holds": bool(shape["assumption_holds"][0]),
            "temperatures above bound F.4": int((shape["diversity"] > shape["bound_f4"] + 1e-9).sum()),
        },
    )


NODE = Node(
    key="theory_bounds",
    axes=("model", "task"),
    deps=("exact_logit_cache", "decoding_sweep"),
    body=theory_bounds,
    group="shape",
    description="Bounds of Theorems E.3 and F.4 (and F.5, F.6) beside the measured values (Paper A, App. E and F).",
    preview=lambda result: thumbnail(shape_bound(result.tables["theory_f4"])),
    dispatches=lambda study, cell: rules_in_use(study),  # which rules are oracles, which keep ranks
)
