"""How entropy runs along a rollout, and how long rollouts get."""

from calib_assets.figures import entropy_trajectories as drawn
from calib_assets.figures.encode import thumbnail
from calib_assets.metrics import entropy_trajectory, length_distribution
from calib_assets.staleness.graph import Node
from calib_assets.staleness.run import Result, Run
from calib_assets.stats import Bootstrap


def entropy_trajectories(run: Run) -> Result:
    """Mean step entropy and active rollouts at each position; rollouts of each length (METHODS §4)."""
    trajectory = entropy_trajectory(run.scan("rollouts"), Bootstrap())
    lengths = length_distribution(run.scan("rollouts"))
    return Result(
        tables={"entropy_trajectory": trajectory, "length_distribution": lengths},
        numbers={"longest rollout": int(lengths["length"].max())},
    )


NODE = Node(
    key="entropy_trajectories",
    axes=("model", "rollout"),
    deps=("rollouts",),
    body=entropy_trajectories,
    group="canopy",
    description="Mean step entropy by position with the number of active rollouts, and the distribution of lengths "
    "(Paper B, Figures 2 and 3).",
    preview=lambda result: thumbnail(drawn(result.tables["entropy_trajectory"])),
)
