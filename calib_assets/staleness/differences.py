"""In words, what differs between the inputs of a result and those it would have now."""

LONGEST = 60  # characters of a value, before what differs inside it is said instead
MOST = 3  # names in one list


def differences(old: dict, new: dict) -> list[str]:
    """Spec fields old → new, code, libraries, upstream data; never empty.

    Args:
        old, new: ``inputs`` of a manifest (see :class:`~calib_assets.staleness.manifest.Manifest`).

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
        found.append(f"code changed: {_listed(changed)}")
    for name in _keys(old, new, "libraries"):
        before, after = old.get("libraries", {}).get(name), new.get("libraries", {}).get(name)
        if before != after:
            found.append(f"library {name} {before} → {after}")
    found += _upstream_changes(old.get("upstream", {}), new.get("upstream", {}))
    if old.get("failed") != new.get("failed"):
        found.append("which cells failed changed")
    return found or ["inputs changed"]


def _field_changes(spec: str, before: dict | None, after: dict | None, cell: str) -> list[str]:
    place = f"{spec}[{cell}]" if cell else spec
    if before is None or after is None:
        return [f"{place} {'added' if before is None else 'removed'}"]
    return [
        change
        for name in _union(before, after)
        if before.get(name) != after.get(name)
        for change in value_changes(f"{place}.{name}", before.get(name), after.get(name))
    ]


def value_changes(place: str, before: object, after: object) -> list[str]:
    """``place: before → after``, or what differs inside where both are too long to be shown.

    Examples:
        >>> value_changes("grid", [0.5, 1.0], [0.5, 2.0])
        ['grid: [0.5, 1.0] → [0.5, 2.0]']
        >>> numbers = list(range(30))
        >>> value_changes("grid", numbers, [*numbers[1:], 30])
        ['grid: adds 30; drops 0']
        >>> rows = [{"name": "a", "licence": "x" * 60}, {"name": "b", "size": 1}]
        >>> value_changes("models", rows, [rows[0], {"name": "b", "size": 2}, {"name": "c"}])
        ['models: adds c', 'models.b.size: 1 → 2']
    """
    if isinstance(before, dict) and isinstance(after, dict) and before and after:
        return _mapping_changes(place, before, after)
    if len(repr(before)) > LONGEST or len(repr(after)) > LONGEST:
        if isinstance(before, list) and isinstance(after, list):
            return _list_changes(place, before, after)
    return [f"{place}: {_short(before)} → {_short(after)}"]


def _list_changes(place: str, before: list, after: list) -> list[str]:
    if _have_names(before) and _have_names(after):
        return _mapping_changes(place, {row["name"]: row for row in before}, {row["name"]: row for row in after})
    said = _adds_and_drops([x for x in after if x not in before], [x for x in before if x not in after])
    return [f"{place}: {said or 'another order'}"]


def _have_names(rows: list) -> bool:
    names = [row.get("name") if isinstance(row, dict) else None for row in rows]
    return None not in names and len(set(names)) == len(names)


def _mapping_changes(place: str, before: dict, after: dict) -> list[str]:
    said = _adds_and_drops([x for x in after if x not in before], [x for x in before if x not in after])
    found = [f"{place}: {said}"] if said else []
    for name in before:
        if name in after and before[name] != after[name]:
            found += value_changes(f"{place}.{name}", before[name], after[name])
    return found or [f"{place}: another order"]


def _adds_and_drops(new: list, gone: list) -> str:
    said = {"adds": new, "drops": gone}
    return "; ".join(f"{verb} {_listed([_short(x) for x in items])}" for verb, items in said.items() if items)


def _upstream_changes(old: dict, new: dict) -> list[str]:
    grown, shrunk, changed = [], [], []
    for dep in _union(old, new):
        before, after = old.get(dep, {}), new.get(dep, {})
        grown += [dep] if set(after) - set(before) else []
        shrunk += [dep] if set(before) - set(after) else []
        cells = [cell for cell in after if cell in before and before[cell] != after[cell]]
        if cells:
            named = [cell for cell in cells if cell]
            changed.append(f"upstream {dep} changed" + (f" ({_listed(named)})" if named else ""))
    found = [f"new cells of {_listed(grown)}"] if grown else []
    return found + ([f"fewer cells of {_listed(shrunk)}"] if shrunk else []) + changed


def _listed(names: list[str]) -> str:
    return ", ".join(names[:MOST]) + (f" and {len(names) - MOST} more" if len(names) > MOST else "")


def _keys(old: dict, new: dict, part: str) -> list[str]:
    return _union(old.get(part, {}), new.get(part, {}))


def _union(one: dict, other: dict) -> list[str]:
    return sorted(set(one) | set(other))


def _short(value: object) -> str:
    text = value if isinstance(value, str) and value.isprintable() and " " not in value else repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
