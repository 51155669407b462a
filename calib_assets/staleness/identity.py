"""Identity of one (asset, cell): everything that its numbers depend on, and the fingerprint of that."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from calib_assets.staleness.code_version import code_parts
from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import Cell, Graph, Node, cell_name
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import Study

Slicer = Callable[[Study, str, Cell], dict]


@dataclass(frozen=True)
class Context:
    """What planner and execution share: the graph, the study, the store and how a spec slice is cut.

    Attributes:
        slicer: study, spec asset, cell -> slice (plain data; it includes the digest of a model's weights).
        tools: Services that bodies use (``language_models``); making one is cheap.
    """

    graph: Graph
    study: Study
    store: ArtifactStore
    slicer: Slicer
    tools: dict[str, object] = field(default_factory=dict)


def spec_version(context: Context, spec: str, cell: Cell) -> str:
    """Data version of a spec asset: the hash of its slice."""
    return digest(context.slicer(context.study, spec, cell))


def identity(context: Context, key: str, cell: Cell) -> dict:
    """The ``inputs`` of a manifest, as they are now.

    An upstream asset without a result counts as version None, so the fingerprint then matches nothing stored.
    """
    node = context.graph.nodes[key]
    upstream: dict[str, dict[str, str | None]] = {}
    slices: dict[str, dict[str, dict]] = {}
    for dep, dep_cell in context.graph.upstream(key, cell, context.study):
        if dep in context.graph.specs:
            slices.setdefault(dep, {})[cell_name(dep_cell)] = context.slicer(context.study, dep, dep_cell)
        else:
            manifest = context.store.current(dep, dep_cell)
            upstream.setdefault(dep, {})[cell_name(dep_cell)] = manifest.data_version if manifest else None
    code = node_code(node) if node.version is None else {"version": node.version}
    if node.dispatches is not None:
        code = {**code, **_parts(tuple(node.dispatches(context.study, cell)))}
    return {
        "code": code,
        "libraries": {name: library_version(name) for name in node.libraries},
        "upstream": upstream,
        "slices": slices,
    }


def fingerprint(key: str, cell: Cell, inputs: dict) -> str:
    """Hash of an asset's name, cell and inputs."""
    return digest([key, list(cell), inputs])


def node_code(node: Node) -> dict[str, str]:
    """Code parts of an asset's body."""
    return _parts((node.body,))


@cache
def _parts(roots: tuple[object, ...]) -> dict[str, str]:
    return code_parts(*roots)


@cache
def library_version(name: str) -> str:
    """Version of an installed distribution, or "absent"."""
    try:
        return version(name).split("+")[0]  # 2.13.0+cpu and 2.13.0+cu130 are one version on two devices
    except PackageNotFoundError:
        return "absent"
