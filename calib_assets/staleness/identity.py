"""Identity of one (asset, cell): everything that its numbers depend on, and the fingerprint of that."""

import json
import platform
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version

from calib_assets.staleness.code_version import code_parts
from calib_assets.staleness.failure import Failure, read_failures
from calib_assets.staleness.fingerprint import canonical_json, canonical_object, digest, text_digest
from calib_assets.staleness.graph import Cell, Graph, Node, axis_values, cell_name
from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.store import ArtifactStore
from calib_assets.study import Study

Slicer = Callable[[Study, str, Cell], dict]
Pair = tuple[str, Cell]
FAILED = "failed"  # in place of a data version: no hash looks like this


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


class Snapshot:
    """Slices, results and failures of one deployment at one moment: each is read once, when it is first asked for.

    The rules of identity are here and nowhere else: what a cell's numbers depend on, and which cells a fan-in leaves
    out. A plan has one snapshot for all its cells, a computation one for all that it reads.
    """

    def __init__(self, context: Context):
        self.context, self.graph, self.values = context, context.graph, axis_values(context.study)
        self._slices: dict[Pair, str] = {}
        self._results: dict[Pair, tuple[str, str] | None] = {}
        self._expected: dict[Pair, str] = {}
        self._left_out: dict[Pair, tuple[Failure, ...]] = {}

    @cached_property
    def failures(self) -> dict[Pair, Failure]:
        """Every failure record, of present inputs or not."""
        return read_failures(self.context.store)

    def cells(self, key: str) -> list[Cell]:
        """Every cell of an asset."""
        return self.graph.cells(key, self.context.study, self.values)

    def upstream(self, key: str, cell: Cell) -> Iterator[Pair]:
        """(dep, its cell) for every upstream cell, spec assets included."""
        return self.graph.upstream(key, cell, self.context.study, self.values)

    def manifest(self, key: str, cell: Cell) -> Manifest | None:
        """Manifest of the result in use, read now; what other cells need of it is remembered."""
        found = self.context.store.current(key, cell)
        self._results[key, cell] = None if found is None else (found.fingerprint, found.data_version)
        return found

    def data_version(self, key: str, cell: Cell) -> str | None:
        """Data version of the result in use, or None."""
        found = self._result((key, cell))
        return found[1] if found else None

    def reads(self, key: str, cell: Cell, dep: str) -> list[Cell]:
        """Cells of one dependency whose results a cell reads; a fan-in leaves out what has failed or is missing."""
        cells = [dep_cell for name, dep_cell in self.upstream(key, cell) if name == dep]
        if dep in self.graph.specs or not self.graph.fans_in(key, dep):
            return cells
        return [found for found in cells if self._version(key, dep, found) not in (None, FAILED)]

    @cached_property
    def unreadable(self) -> dict[Pair, Exception]:
        """Slices that cannot be cut, such as that of a model whose file is gone; they hold up only their cells."""
        found = {}
        for spec in self.graph.specs:
            for cell in self.cells(spec):
                try:
                    self._slice_text((spec, cell))
                except Exception as error:
                    found[spec, cell] = error
        return found

    def unread(self, key: str, cell: Cell) -> tuple[Failure, ...]:
        """Slices that a cell reads and that cannot be cut, as failures."""
        if not self.unreadable:
            return ()
        errors = {pair: self.unreadable[pair] for pair in self.upstream(key, cell) if pair in self.unreadable}
        return tuple(Failure(*pair, "", type(error).__name__, str(error)) for pair, error in errors.items())

    def left_out(self, key: str, cell: Cell) -> tuple[Failure, ...]:
        """Failures for which fan-ins leave a cell out: its own, or those of what it needs on shared axes.

        A failure counts while its cell would be computed from the same inputs again. A slice that cannot be cut is one.
        """
        if not self.failures and not self.unreadable:
            return ()
        if (key, cell) not in self._left_out:
            above = dict.fromkeys(self.unread(key, cell))
            for dep, dep_cell in self.upstream(key, cell):
                if dep in self.graph.nodes and not self.graph.fans_in(key, dep):
                    above |= dict.fromkeys(self.left_out(dep, dep_cell))
            own = None if above else self.failure(key, cell)
            self._left_out[key, cell] = tuple(above) or ((own,) if own else ())
        return self._left_out[key, cell]

    def failure(self, key: str, cell: Cell) -> Failure | None:
        """The failure of a cell on its present inputs, unless there is a whole result of these."""
        found = self.failures.get((key, cell))
        if found is None or found.fingerprint != self.expected(key, cell):
            return None
        return None if self.context.store.complete(key, cell, found.fingerprint) else found

    def failures_above(self, key: str, cell: Cell) -> list[Failure]:
        """Failures for which cells are left out of what an asset reads."""
        found = {
            failure: None
            for dep, dep_cell in self.upstream(key, cell)
            if dep in self.graph.nodes
            for failure in self.left_out(dep, dep_cell)
        }
        return list(found)

    def expected(self, key: str, cell: Cell) -> str:
        """Fingerprint of a cell's present inputs: ``fingerprint(key, cell, inputs)``, from texts that are at hand."""
        if (key, cell) not in self._expected:
            slices, upstream = self._dependencies(key, cell)
            text = {name: canonical_json(part) for name, part in self._failed(key, cell).items()}
            text["code"] = _code_text_of(self.graph.nodes[key], self._dispatched(key, cell))
            text["libraries"] = canonical_json(self.libraries(key))
            text["upstream"] = canonical_json(upstream)
            text["slices"] = canonical_object(
                {
                    spec: canonical_object({cell_name(pair[1]): self._slice_text(pair) for pair in pairs})
                    for spec, pairs in slices.items()
                }
            )
            head = canonical_json([key, list(cell)])[:-1]
            self._expected[key, cell] = text_digest(f"{head},{canonical_object(text)}]")
        return self._expected[key, cell]

    def inputs(self, key: str, cell: Cell) -> dict:
        """The ``inputs`` of a manifest, as they are now.

        An upstream cell without a result has version None, and one that a fan-in leaves out after a failure
        ``"failed"``, so a result without it is stale as soon as it is there.
        """
        slices, upstream = self._dependencies(key, cell)
        return {
            "code": self.code(key, cell),
            "libraries": self.libraries(key),
            "upstream": upstream,
            "slices": {
                spec: {cell_name(pair[1]): json.loads(self._slice_text(pair)) for pair in pairs}
                for spec, pairs in slices.items()
            },
            **self._failed(key, cell),
        }

    def _dependencies(self, key: str, cell: Cell) -> tuple[dict[str, list[Pair]], dict[str, dict[str, str | None]]]:
        slices: dict[str, list[Pair]] = {}
        upstream: dict[str, dict[str, str | None]] = {}
        for dep, dep_cell in self.upstream(key, cell):
            if dep in self.graph.specs:
                slices.setdefault(dep, []).append((dep, dep_cell))
            else:
                upstream.setdefault(dep, {})[cell_name(dep_cell)] = self._version(key, dep, dep_cell)
        return slices, upstream

    def _version(self, key: str, dep: str, dep_cell: Cell) -> str | None:
        if self.graph.fans_in(key, dep) and self.left_out(dep, dep_cell):
            return FAILED
        return self.data_version(dep, dep_cell)

    def _result(self, pair: Pair) -> tuple[str, str] | None:
        if pair not in self._results:
            self.manifest(*pair)
        return self._results[pair]

    def _failed(self, key: str, cell: Cell) -> dict[str, dict[str, str]]:
        """What only the assets that name failures depend on, and only while there are any."""
        if not self.graph.nodes[key].names_failures:
            return {}
        found = {failure.name: f"{failure.kind}: {failure.error}" for failure in self.failures_above(key, cell)}
        return {"failed": found} if found else {}

    def _slice_text(self, pair: Pair) -> str:
        if pair not in self._slices:
            self._slices[pair] = canonical_json(self.context.slicer(self.context.study, *pair))
        return self._slices[pair]

    def slice_version(self, spec: str, cell: Cell) -> str:
        """Data version of a spec asset: the hash of its slice."""
        return text_digest(self._slice_text((spec, cell)))

    def code(self, key: str, cell: Cell) -> dict[str, str]:
        """Code parts that a cell reaches: qualified name -> hash."""
        return _code_of(self.graph.nodes[key], self._dispatched(key, cell))

    def libraries(self, key: str) -> dict[str, str]:
        """Versions of the libraries that change its numbers."""
        return {name: library_version(name) for name in self.graph.nodes[key].libraries}

    def _dispatched(self, key: str, cell: Cell) -> tuple[object, ...]:
        node = self.graph.nodes[key]
        return () if node.dispatches is None else tuple(node.dispatches(self.context.study, cell))


def spec_version(context: Context, spec: str, cell: Cell) -> str:
    """Data version of a spec asset: the hash of its slice."""
    return Snapshot(context).slice_version(spec, cell)


def identity(context: Context, key: str, cell: Cell) -> dict:
    """The ``inputs`` of a manifest, as they are now (see :meth:`Snapshot.inputs`)."""
    return Snapshot(context).inputs(key, cell)


def fingerprint(key: str, cell: Cell, inputs: dict) -> str:
    """Hash of an asset's name, cell and inputs."""
    return digest([key, list(cell), inputs])


@cache
def _code_of(node: Node, dispatched: tuple[object, ...]) -> dict[str, str]:
    code = _parts((node.body,)) if node.version is None else {"version": node.version}
    return {**code, **_parts(dispatched)} if node.dispatches is not None else code


@cache
def _code_text_of(node: Node, dispatched: tuple[object, ...]) -> str:
    return canonical_json(_code_of(node, dispatched))


@cache
def _parts(roots: tuple[object, ...]) -> dict[str, str]:
    return code_parts(*roots)


@cache
def library_version(name: str) -> str:
    """Version of an installed distribution, or "absent"; ``python`` is the language that programs run in."""
    if name == "python":
        return ".".join(platform.python_version_tuple()[:2])
    try:
        return version(name).split("+")[0]  # 2.13.0+cpu and 2.13.0+cu130 are one version on two devices
    except PackageNotFoundError:
        return "absent"
