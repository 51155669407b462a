"""The asset graph as plain data: which (asset, cell) depends on which.

A *cell* is one partition: a tuple of axis values in the order of :data:`AXES`. Partition mapping has one rule, and it
is the one that Dagster infers for the same partitions definitions: shared axes are equal, an axis that only the
upstream has fans in over the whole study. Nothing here imports Dagster, so ``status`` needs no instance.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product

from calib_assets.study import Study

# Of two axes of one asset the alphabetical first stands first, since Dagster sorts them so.
AXES = ("model", "task", "sweep", "rollout", "external", "collapse", "coding", "speaker")
Cell = tuple[str, ...]
Values = dict[str, list[str]]


@dataclass(frozen=True)
class Work:
    """Expected model work of one (asset, cell), for the plan.

    Attributes:
        forward_tokens: Tokens that will pass through the model, at the most.
        disk_bytes: Bytes that will be written, at the most.
        judge_calls: Calls of judges on servers, at the most (verdicts that are known cost none).
        api_calls: Questions to API models, at the most (answers that are known cost none).
    """

    forward_tokens: int
    disk_bytes: int
    judge_calls: int = 0
    api_calls: int = 0

    def __add__(self, other: "Work") -> "Work":
        """Both together."""
        return Work(
            self.forward_tokens + other.forward_tokens,
            self.disk_bytes + other.disk_bytes,
            self.judge_calls + other.judge_calls,
            self.api_calls + other.api_calls,
        )


@dataclass(frozen=True)
class Node:
    """One asset.

    Attributes:
        key: Asset name (a noun).
        axes: Its partition axes, a subset of :data:`AXES` in that order.
        deps: Keys of upstream assets and spec assets.
        body: Function that computes it; its reachable code is the code version.
        dispatches: study, cell -> code reached only at run time, part of the identity.
        libraries: Names of distributions whose version changes numbers.
        work: planner's context, cell -> expected model work, or None for an asset that never touches a model.
        version: Explicit code version that replaces the computed one (the rare case).
        pool: Dagster concurrency pool.
        preview: Result -> PNG bytes of a small figure for the UI; not part of the identity.
        names_failures: It says which cells failed, so their errors are part of its identity.
    """

    key: str
    axes: tuple[str, ...]
    deps: tuple[str, ...]
    body: Callable
    group: str = "default"
    description: str = ""
    dispatches: Callable[[Study, Cell], Iterable[object]] | None = None
    libraries: tuple[str, ...] = ()
    work: Callable[..., Work] | None = None
    version: str | None = None
    pool: str | None = None
    preview: Callable | None = None
    names_failures: bool = False


@dataclass(frozen=True)
class Graph:
    """All assets and spec assets, in an order in which upstream comes first."""

    nodes: dict[str, Node]
    specs: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self):
        seen = set(self.specs)
        for node in self.nodes.values():
            for dep in node.deps:
                if dep not in seen:
                    raise ValueError(f"asset {node.key!r} depends on {dep!r}, which is not an asset defined before it")
            seen.add(node.key)

    def axes(self, key: str) -> tuple[str, ...]:
        """Axes of an asset or of a spec asset."""
        return self.specs[key] if key in self.specs else self.nodes[key].axes

    def cells(self, key: str, study: Study, values: Values | None = None) -> list[Cell]:
        """Every cell of an asset in this study (``values``: its :func:`axis_values`, where they are at hand)."""
        values, axes = values or axis_values(study), self.axes(key)
        # Cells of one model stand together, so that it loads once.
        slowest = sorted(axes, key=lambda axis: axis not in ("model", "speaker"))
        choices = (dict(zip(slowest, choice, strict=True)) for choice in product(*(values[axis] for axis in slowest)))
        return [tuple(choice[axis] for axis in axes) for choice in choices]

    def fans_in(self, key: str, dep: str) -> bool:
        """Whether one cell of an asset reads many cells of an upstream asset: the upstream has an axis of its own."""
        return not set(self.axes(dep)) <= set(self.axes(key))

    def upstream(self, key: str, cell: Cell, study: Study, values: Values | None = None) -> Iterator[tuple[str, Cell]]:
        """(dep, its cell) for every upstream cell, spec assets included, in a fixed order."""
        known = dict(zip(self.axes(key), cell, strict=True))
        values = values or axis_values(study)
        for dep in self.nodes[key].deps:
            choices = [[known[axis]] if axis in known else values[axis] for axis in self.axes(dep)]
            for upstream_cell in product(*choices):
                yield dep, upstream_cell

    def downstream(self, keys: Iterable[str]) -> set[str]:
        """These assets and all that descend from them."""
        found = set(keys)
        for node in self.nodes.values():
            if found.intersection(node.deps):
                found.add(node.key)
        return found

    def ancestors(self, keys: Iterable[str]) -> set[str]:
        """These assets and all assets that they descend from."""
        found = set(keys)
        for node in reversed(self.nodes.values()):
            if node.key in found:
                found.update(dep for dep in node.deps if dep in self.nodes)
        return found


def axis_values(study: Study) -> Values:
    """Values of each axis, in the study's order."""
    rows = {
        "model": study.models,
        "task": study.tasks,
        "sweep": study.sweeps,
        "rollout": study.rollouts,
        "external": study.external,
        "collapse": study.collapse,
        "coding": study.coding,
        "speaker": study.speakers,
    }
    return {axis: [row.name for row in rows[axis]] for axis in AXES}


def cell_name(cell: Cell) -> str:
    """``model|task`` as Dagster writes it; an unpartitioned cell is the empty string."""
    return "|".join(cell)
