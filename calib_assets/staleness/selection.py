"""What of a plan is to be done: everything, one study, one model, or only the report."""

from collections.abc import Iterable
from dataclasses import dataclass

from calib_assets.staleness.graph import Graph, Node, Work
from calib_assets.staleness.identity import Pair
from calib_assets.staleness.planner import Stale
from calib_assets.study import Study

REPORT = "report"
NAMED_AXES = ("model", "speaker")  # a model as something with logits, and as somebody who answers


class SelectionError(ValueError):
    """A model or a study that there is not; names those there are."""


@dataclass(frozen=True)
class Selection:
    """Which cells are wanted; what they need upstream goes with them.

    Attributes:
        model: Cells of this model (None: of all).
        part: Assets of this group, such as "shape" (None: of all).
        comparisons: Also the assets of the whole study that follow, up to the report.
        report_only: Only what needs no model, and comparisons and report from the results there are, whatever is stale.
    """

    model: str | None = None
    part: str | None = None
    comparisons: bool = True
    report_only: bool = False

    def check(self, graph: Graph, study: Study) -> None:
        """Refuse names that do not exist.

        Raises:
            SelectionError: Naming what there is.
        """
        models = list(dict.fromkeys([*(row.name for row in study.models), *(row.name for row in study.speakers)]))
        if self.model is not None and self.model not in models:
            raise SelectionError(f"model {self.model!r} is not in this study; its models are {', '.join(models)}")
        if self.part is not None and self.part not in parts(graph):
            raise SelectionError(f"there is no study part {self.part!r}; parts are {', '.join(parts(graph))}")

    def includes(self, graph: Graph, pair: Pair, needed: set[str] | None = None) -> bool:
        """Whether a cell is wanted, stale or not (``needed``: :meth:`needed` of the graph, where it is at hand)."""
        key, cell = pair
        needed = self.needed(graph) if needed is None else needed
        if not cell:
            follows = self.comparisons and (self.part is None or graph.nodes[key].group in (self.part, REPORT))
            return follows or key in needed
        named = [value for axis, value in zip(graph.axes(key), cell, strict=True) if axis in NAMED_AXES]
        if self.report_only or (self.model is not None and named and named != [self.model]):
            return False
        return key in needed

    def needed(self, graph: Graph) -> set[str]:
        """Assets of the selection and all that they read, without regard to cells."""
        wanted = {
            node.key
            for node in graph.nodes.values()
            if node.axes
            and (self.part is None or self.part in groups_of(node, graph))
            and (self.model is None or set(NAMED_AXES).intersection(node.axes))
        }
        return graph.ancestors(wanted)

    def of(self, stale: Iterable[Stale], graph: Graph) -> list[Stale]:
        """The entries of a plan that are wanted, in their order."""
        if self.report_only:
            return _cheap(stale, graph)
        if self == Selection():
            return list(stale)
        needed = self.needed(graph)
        return [item for item in stale if self.includes(graph, (item.key, item.cell), needed)]


def parts(graph: Graph) -> list[str]:
    """Names of the studies that a graph holds: its groups, without the report."""
    return list(dict.fromkeys(node.group for node in graph.nodes.values() if node.group != REPORT))


def groups_of(node: Node, graph: Graph) -> set[str]:
    """Studies that an asset belongs to: its group; for the sections of the report, those that they show."""
    if node.group != REPORT:
        return {node.group}
    return {graph.nodes[dep].group for dep in node.deps if dep in graph.nodes}


def _cheap(stale: Iterable[Stale], graph: Graph) -> list[Stale]:
    """What needs neither a model nor anything that waits for one; and every asset of the whole study."""
    found: dict[Pair, Stale] = {}
    for item in stale:
        node = graph.nodes[item.key]
        needs_model = (node.work is not None or node.pool is not None) and not item.restorable
        if not item.cell or (
            (not needs_model or item.work == Work(0, 0)) and all(pair in found for pair in item.waits)
        ):
            found[item.key, item.cell] = item
    return list(found.values())
