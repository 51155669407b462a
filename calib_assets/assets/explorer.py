"""One self-contained HTML page on which the study's conditionals, tries and sweep trees are walked."""

from calib_assets.decoding import RULES
from calib_assets.explorer import explorer_files
from calib_assets.staleness.graph import Node, cell_name
from calib_assets.staleness.run import Result, Run

PARTS = {"shape_explorer": "task.json", "order_explorer": "sweep.json"}
LONGEST_ERROR = 500


def explorer(run: Run) -> Result:
    """The page with every part that there is; it names those that there are not."""
    parts = {
        asset: {cell: run.read(asset, cell, file).decode() for cell in run.upstream_cells(asset)}
        for asset, file in PARTS.items()
    }
    left_out = [(failure.name, f"{failure.kind}: {failure.error}"[:LONGEST_ERROR]) for failure in run.failures]
    left_out += [(f"{dep}[{cell_name(cell)}]", "") for dep, cell in run.uncomputed if dep in PARTS]
    files = explorer_files(run.slice("title_spec")["title"], *parts.values(), left_out=left_out, report="report.html")
    return Result(
        files={name: text.encode() for name, text in files.items()},
        numbers={
            "models and tasks": len(parts["shape_explorer"]),
            "models and sweeps": len(parts["order_explorer"]),
            "failed": sum(bool(why) for _, why in left_out),
            "not computed yet": sum(not why for _, why in left_out),
            "files": len(files),
            "bytes": sum(map(len, files.values())),
        },
    )


NODE = Node(
    key="explorer",
    axes=(),
    deps=(*PARTS, "title_spec"),
    body=explorer,
    group="report",
    dispatches=lambda study, cell: RULES.values(),
    names_failures=True,
    description="The study as a page to explore: ranked tokens, every decoding rule at any temperature with its exact "
    "Val and Div, sweep trees with their completions.",
)
