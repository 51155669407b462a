"""The explorer's part of one model and sweep: made once, kept, and put into the page when it changes."""

from calib_assets.explorer import script_json, sweep_data
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run

TABLES = ("sweep_tree", "completions", "judge_labels", "token_validity", "prefixes")


def order_explorer(run: Run) -> Result:
    """Trees, labels and completions of one model and sweep, as the page reads them."""
    part = sweep_data(*(run.table(name) for name in TABLES))
    text = script_json(part)
    return Result(files={"sweep.json": text.encode()}, numbers={"trees": len(part["repetitions"]), "bytes": len(text)})


NODE = Node(
    key="order_explorer",
    axes=("model", "sweep"),
    deps=TABLES,
    body=order_explorer,
    group="report",
    description="One model and sweep for the explorer: its trees with every candidate, what judges say of them, and "
    "the completions (Paper A, §4.1).",
)
