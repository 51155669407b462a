"""What the model could have said next: candidates by rank below each context, to the sweep's depth."""

import polars as pl

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES, model_code
from calib_assets.assets.order.speaking import speaking
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from resources.language_models.sweeping import SweepTree, expand_tree


def sweep_tree(run: Run) -> Result:
    """Nodes and skipped branches of every repetition (METHODS §3.2); each repetition is kept as soon as it is done."""
    spec, starts = run.slice("tree_spec"), run.table("prefixes")
    say = Progress(f"{run.model} {run.sweep}: trees", run.log)
    parts = []
    for done, start in enumerate(starts.iter_rows(named=True), start=1):
        parts.append(run.part(f"tree-{start['seed']}", lambda start=start: _grow(run, start, spec)))
        say(done, starts.height)
    return _result(*(pl.concat([part[name] for part in parts]) for name in ("nodes", "levels")))


def _grow(run: Run, start: dict, spec: dict) -> dict[str, pl.DataFrame]:
    with speaking(run, start) as speaker:
        tree: SweepTree = expand_tree(
            speaker.model,
            speaker.context_ids,
            depth=spec["depth"],
            stride=spec["stride"],
            max_rank=spec["max_rank"],
            branches=spec["branches"] or [None] * spec["depth"],
            seed=(spec["seed"] << 32) + start["seed"],
            ended=speaker.stopped,
        )
    seed = pl.lit(start["seed"], pl.Int64).alias("seed")
    return {"nodes": tree.nodes.select(seed, pl.all()), "levels": tree.levels.select(seed, pl.all())}


def _result(nodes: pl.DataFrame, levels: pl.DataFrame) -> Result:
    return Result(
        tables={"sweep_tree": nodes, "sweep_levels": levels},
        numbers={
            "repetitions": nodes["seed"].n_unique(),
            "leaves": int(nodes["is_leaf"].sum()),
            "branches skipped": int(levels["skipped"].sum()),
        },
    )


def expected_work(context: Context, cell: Cell) -> Work:
    """Logits at every node that gets children."""
    row = context.study.sweep(cell[1])
    return Work(row.seeds * row.expanded, 0)


NODE = Node(
    key="sweep_tree",
    axes=("model", "sweep"),
    deps=("model_spec", "tree_spec", "prefixes"),
    body=sweep_tree,
    group="order",
    description="Candidate tokens by rank at every context of a sweep, with rank and log-probability; skipped branches "
    "are counted (Paper A §4.1, Figure 2).",
    dispatches=model_code,
    libraries=GENERATION_LIBRARIES,
    work=expected_work,
    pool="gpu",
)
