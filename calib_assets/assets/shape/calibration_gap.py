"""How much of the lost diversity is order, and how much is shape."""

from calib_assets.metrics import calibration_gap as split
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.study.slices import rules_in_use


def calibration_gap(run: Run) -> Result:
    """Order gap and shape gap at each validity floor (METHODS §2)."""
    table = split(run.table("decoding_sweep"), run.slice("floors_spec")["validity_floors"])
    numbers = {}
    for row in table.iter_rows(named=True):
        numbers |= {f"{name} at Val >= {row['floor']}": row[name] for name in ("order_gap", "shape_gap", "best_rule")}
    return Result(tables={"calibration_gap": table}, numbers=numbers)


NODE = Node(
    key="calibration_gap",
    axes=("model", "task"),
    deps=("decoding_sweep", "floors_spec"),
    body=calibration_gap,
    group="shape",
    description="Order gap = 1 − Div(cutoff oracle); shape gap = Div(cutoff oracle) − Div(best practical rule), at "
    "each validity floor (Paper A §5.3).",
    dispatches=lambda study, cell: rules_in_use(study),  # which rules are oracles, which keep ranks
)
