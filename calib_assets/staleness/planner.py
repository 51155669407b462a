"""The planner: which (asset, cell) is stale, why, and what it will cost; before anything runs."""

from dataclasses import dataclass

from calib_assets.staleness.graph import Cell, Work, cell_name
from calib_assets.staleness.identity import Context, fingerprint, identity


@dataclass(frozen=True)
class Stale:
    """One (asset, cell) whose expected fingerprint is not the recorded one.

    Attributes:
        reasons: In words, most specific first; never empty.
        blocked: It waits for a stale upstream, and may turn out fresh when that yields identical content.
        restorable: A whole result with the expected fingerprint is in the store: no work, only a switch.
        work: Expected model work, or None where no model is needed.
        recorded_run: Run that made the recorded result (salt for run keys), or "".
    """

    key: str
    cell: Cell
    reasons: tuple[str, ...]
    fingerprint: str
    blocked: bool = False
    restorable: bool = False
    work: Work | None = None
    recorded_run: str = ""

    @property
    def name(self) -> str:
        """``asset[model|task]``, or the bare asset name."""
        return f"{self.key}[{cell_name(self.cell)}]" if self.cell else self.key


def plan(context: Context, verify: bool = False) -> list[Stale]:
    """Every stale (asset, cell) of the study, upstream first.

    Args:
        verify: Read every stored file and compare its checksum, not only its size.

    A cell is stale when it has no result, when its inputs differ from those of the result in use, when a file of that
    result is missing or has another size, or when something upstream is stale (then it is ``blocked``).

    Returns:
        Empty when everything is up to date.
    """
    stale: dict[tuple[str, Cell], Stale] = {}
    for key in context.graph.nodes:
        for cell in context.graph.cells(key, context.study):
            found = _check(context, key, cell, stale, verify)
            if found is not None:
                stale[key, cell] = found
    return list(stale.values())


def _check(context: Context, key: str, cell: Cell, stale: dict, verify: bool) -> Stale | None:
    waits = [stale[pair] for pair in context.graph.upstream(key, cell, context.study) if pair in stale]
    manifest = context.store.current(key, cell)
    inputs = identity(context, key, cell)
    expected = fingerprint(key, cell, inputs)
    if manifest is None:
        reasons = ["missing"]
    elif manifest.fingerprint != expected:
        reasons = differences(manifest.inputs, inputs)
    elif (damage := context.store.damage(manifest, full=verify)) is not None:
        reasons = [damage]
    elif waits:
        reasons = []
    else:
        return None
    reasons += [f"waits for {item.name}" for item in waits[:3]]
    if len(waits) > 3:
        reasons.append(f"and for {len(waits) - 3} more")
    restorable = not waits and context.store.complete(key, cell, expected) is not None
    node = context.graph.nodes[key]
    work = node.work(context, cell) if node.work is not None and not restorable else None
    run = manifest.run_id if manifest is not None else ""
    return Stale(key, cell, tuple(reasons), expected, bool(waits), restorable, work, run)


def differences(old: dict, new: dict) -> list[str]:
    """In words, what differs between two ``inputs``: spec fields old → new, code, libraries, upstream data.

    Examples:
        >>> differences({"slices": {"grid_spec": {"": {"t": [1]}}}}, {"slices": {"grid_spec": {"": {"t": [2]}}}})
        ['grid_spec.t: [1] → [2]']
    """
    found = []
    for spec in _keys(old, new, "slices"):
        before, after = old.get("slices", {}).get(spec, {}), new.get("slices", {}).get(spec, {})
        for cell in _union(before, after):
            found += _field_changes(spec, before.get(cell), after.get(cell), cell if len(after) > 1 else "")
    code_before, code_after = old.get("code", {}), new.get("code", {})
    changed = [name for name in _union(code_before, code_after) if code_before.get(name) != code_after.get(name)]
    if changed:
        found.append(f"code changed: {', '.join(changed[:3])}" + (f" and {len(changed) - 3} more" * (len(changed) > 3)))
    for name in _keys(old, new, "libraries"):
        before, after = old.get("libraries", {}).get(name), new.get("libraries", {}).get(name)
        if before != after:
            found.append(f"library {name} {before} → {after}")
    for dep in _keys(old, new, "upstream"):
        before, after = old.get("upstream", {}).get(dep, {}), new.get("upstream", {}).get(dep, {})
        cells = [cell for cell in _union(before, after) if before.get(cell) != after.get(cell)]
        if cells:
            shown = ", ".join(cell for cell in cells[:3] if cell)
            found.append(f"upstream {dep} changed" + (f" ({shown})" if shown else ""))
    return found or ["inputs changed"]


def _field_changes(spec: str, before: dict | None, after: dict | None, cell: str) -> list[str]:
    place = f"{spec}[{cell}]" if cell else spec
    if before is None or after is None:
        return [f"{place} {'added' if before is None else 'removed'}"]
    return [
        f"{place}.{name}: {_short(before.get(name))} → {_short(after.get(name))}"
        for name in _union(before, after)
        if before.get(name) != after.get(name)
    ]


def _keys(old: dict, new: dict, part: str) -> list[str]:
    return _union(old.get(part, {}), new.get(part, {}))


def _union(one: dict, other: dict) -> list[str]:
    return sorted(set(one) | set(other))


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
