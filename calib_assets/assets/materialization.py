"""What a materialization shows in Dagster's UI: figure, numbers, first rows, columns, cost, and where it came from."""

import base64
import math
from collections.abc import Iterator
from urllib.parse import quote

import dagster as dg
import polars as pl

from calib_assets.assets.tables import HELD, about_column
from calib_assets.staleness.graph import Cell, Graph, cell_name
from calib_assets.staleness.identity import Context
from calib_assets.staleness.manifest import Manifest
from calib_assets.staleness.run import PREVIEW, Outcome
from calib_assets.staleness.store import part_name

FIRST_ROWS, LONGEST_TEXT = 5, 160
INLINE = 1000  # the UI shows Markdown of fewer characters in place, and a longer one behind a click


def metadata_of(outcome: Outcome, view: Context) -> dict[str, object]:
    """Metadata of one result, computed now or found."""
    manifest = outcome.manifest
    shown = [file for name in HELD.get(manifest.asset, ()) for file in (f"{name}.parquet", part_name(name, 0))]
    folder = view.store.files(manifest, [PREVIEW, *shown])
    entries: dict[str, object] = {}
    if PREVIEW in manifest.files:
        encoded = base64.b64encode((folder / PREVIEW).read_bytes()).decode()
        entries["figure"] = dg.MetadataValue.md(f"![{manifest.asset}](data:image/png;base64,{encoded})")
    entries |= {name: value for name, value in manifest.numbers.items() if value is not None}
    entries |= _tables(manifest, folder)
    entries["made from"] = dg.MetadataValue.md(_made_from(manifest))
    samples = [f"- {link(asset, cell)} {_shown(cell_name(cell))}" for asset, cell in samples_behind(manifest, view)]
    if samples:
        entries["samples behind it"] = dg.MetadataValue.md("\n".join(samples))
    schemas = _other_schemas(manifest, folder)
    return entries | {
        "cache": outcome.status,
        "fingerprint": manifest.fingerprint,
        "produced at": manifest.produced_at,
        "produced by run": dg.MetadataValue.dagster_run(manifest.run_id) if manifest.run_id else "outside Dagster",
        "seconds": manifest.seconds,
        **_expected(outcome, view),
        "bytes": sum(entry["bytes"] for entry in manifest.files.values()),
        "folder": dg.MetadataValue.path(view.store.address(manifest)),
        **schemas,
    }


def link(asset: str, cell: Cell = ()) -> str:
    """Markdown link to an asset's page, or to that of one of its partitions."""
    query = f"?view=partitions&partition={quote(cell_name(cell), safe='')}" if cell else ""
    return f"[{asset}](/assets/{asset}{query})"


def column_schema(table: str, frame: pl.DataFrame) -> dg.TableSchema:
    """Columns of a table with their types, and their meaning from the registry."""
    columns = [
        dg.TableColumn(name, type=str(dtype).lower(), description=about_column(table, name))
        for name, dtype in frame.schema.items()
    ]
    return dg.TableSchema(columns=columns)


def _tables(manifest: Manifest, folder) -> dict[str, object]:
    """Columns and first rows of the table that the asset is about."""
    for name, frame in _heads(manifest, folder):
        schema = column_schema(name, frame)
        entries: dict[str, object] = {"dagster/column_schema": schema}
        if (rows := manifest.numbers.get(f"{name} rows")) is not None:
            entries["dagster/row_count"] = rows
        if frame.height:
            records = [dg.TableRecord({key: _cell(value) for key, value in row.items()}) for row in frame.to_dicts()]
            entries[f"first rows of {name}"] = dg.MetadataValue.table(records, schema=schema)
        return entries
    return {}


def _other_schemas(manifest: Manifest, folder) -> dict[str, object]:
    """Columns of every other table."""
    others = list(_heads(manifest, folder))[1:]
    return {f"columns of {name}": dg.MetadataValue.table_schema(column_schema(name, frame)) for name, frame in others}


def _heads(manifest: Manifest, folder) -> Iterator[tuple[str, pl.DataFrame]]:
    """(name, first rows) of each table, the main one first."""
    for name in HELD.get(manifest.asset, ()):
        for file in (f"{name}.parquet", part_name(name, 0)):
            if file in manifest.files:
                with (folder / file).open("rb") as opened:
                    yield name, pl.read_parquet(opened, n_rows=FIRST_ROWS)


def _cell(value: object) -> str | float | int | bool | None:
    """A value as a table of the UI may hold it. Texts of models stay text there: no markup is read."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON, which the UI reads, has no infinities
    if isinstance(value, bool | int | float | None):
        return value
    text = str(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _made_from(manifest: Manifest) -> str:
    """Upstream results and slices of the study with the versions that went in, each a link to its page."""
    rows = ["| made from | partition | data version |", "|---|---|---|"]
    slices = [(spec, cell, "study file") for spec, cells in manifest.inputs["slices"].items() for cell in cells]
    upstream = [(dep, cell, f"`{v}`") for dep, them in manifest.inputs["upstream"].items() for cell, v in them.items()]
    inputs = upstream + slices
    for number, (name, cell, version) in enumerate(inputs):
        row = f"| {link(name, tuple(cell.split('|')) if cell else ())} | {_shown(cell)} | {version} |"
        if sum(map(len, rows)) + len(row) + len(rows) > INLINE - 50:
            rows.append(f"| and {len(inputs) - number} more | | |")
            break
        rows.append(row)
    return "\n".join(rows)


def _shown(cell: str) -> str:
    return cell.replace("|", " · ")


def samples_behind(manifest: Manifest, view: Context) -> list[tuple[str, Cell]]:
    """What models and judges said, and what came from outside, behind a result, however far upstream.

    Returns:
        (asset, cell), upstream first; the cell is empty for a fan-in over more than this result's own axes. Assets of
        which the study has no cell are not there.
    """
    graph, found = view.graph, []
    own = dict(zip(graph.axes(manifest.asset), manifest.cell, strict=True))
    for key in ancestors(graph, manifest.asset):
        node = graph.nodes[key]
        is_source = node.work is not None or not any(dep in graph.nodes for dep in node.deps)
        if is_source and set(node.axes) <= set(own):
            found.append((key, tuple(own[axis] for axis in node.axes)))
        elif is_source and graph.cells(key, view.study):
            found.append((key, ()))
    return found


def ancestors(graph: Graph, key: str) -> list[str]:
    """Assets upstream of one, however far, upstream first."""
    found, pending = set(), [key]
    while pending:
        for dep in graph.nodes[pending.pop()].deps:
            if dep in graph.nodes and dep not in found:
                found.add(dep)
                pending.append(dep)
    return [name for name in graph.nodes if name in found]


def _expected(outcome: Outcome, view: Context) -> dict[str, object]:
    """What the plan had expected of a result that was computed now."""
    node = view.graph.nodes[outcome.manifest.asset]
    if outcome.status != "computed" or node.work is None:
        return {}
    work = node.work(view, outcome.manifest.cell)
    known = {"forward tokens": work.forward_tokens, "judge calls": work.judge_calls, "API calls": work.api_calls}
    return {f"{name}, at most": value for name, value in known.items() if value}
