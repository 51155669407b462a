"""How an asset appears in Dagster's UI before anything is computed: kinds, owners, tags, description, code.

All of it follows from the node and from the registry of tables, so a new asset needs nothing here.
"""

import inspect
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from calib_assets.assets.tables import HELD, TABLES
from calib_assets.staleness.graph import Node

OWNERS_VARIABLE, DEFAULT_OWNERS = "CALIB_OWNERS", "team:evaluation"
# Distribution whose version is part of an asset's identity -> the kind that the UI has a picture of.
KINDS_OF_LIBRARIES = {"torch": "pytorch", "transformers": "huggingface", "sentence-transformers": "huggingface"}
DEFINED_IN = ("calib_assets.metrics", "calib_assets.decoding", "calib_assets.stats", "calib_assets.figures")
WORK_TAG, PAPER_TAG = "calib/work", "calib/paper"


def owners() -> list[str]:
    """Who is asked about the assets: ``CALIB_OWNERS``, a comma-separated list, or one team for all.

    Raises:
        ValueError: If an entry is neither ``team:<name>`` nor an e-mail address.
    """
    found = [owner.strip() for owner in os.environ.get(OWNERS_VARIABLE, DEFAULT_OWNERS).split(",") if owner.strip()]
    for owner in found:
        if not (owner.startswith("team:") and owner != "team:") and "@" not in owner.strip("@"):
            raise ValueError(
                f"{OWNERS_VARIABLE} names {owner!r}; give teams as team:<name> and people by e-mail, "
                "separated by commas"
            )
    return found


def kinds(node: Node) -> set[str]:
    """What a node's result is made with and of."""
    found = {KINDS_OF_LIBRARIES[name] for name in node.libraries if name in KINDS_OF_LIBRARIES}
    found |= {"polars"} if HELD.get(node.key) else set()
    found |= {"matplotlib"} if node.preview is not None or node.key.endswith("_section") else set()
    found |= {"openai"} if node.pool == "judge" else set()
    return found | ({"html"} if node.key == "report" or node.key.endswith("explorer") else set())


def tags(node: Node) -> dict[str, str]:
    """``calib/work`` (what it needs to run: model, judge, encoder or cpu) and ``calib/paper`` (A, B), for searches."""
    if node.pool == "judge":
        work = "judge"
    elif node.work is not None:
        work = "model"
    else:
        work = "encoder" if "sentence-transformers" in node.libraries else "cpu"
    paper = {PAPER_TAG: letter for letter in "AB" if f"Paper {letter}" in node.description}  # noqa: B035
    return {WORK_TAG: work, **paper}


def description(node: Node) -> str:
    """The node's own words, then each of its tables."""
    held = [f"- `{name}`: {TABLES[name].about}" for name in HELD.get(node.key, ()) if name in TABLES]
    tables = ["Tables:\n\n" + "\n".join(held)] if held else []
    return "\n\n".join([node.description, *tables, "Symbols and equations: `docs/papers.md`."])


def definition_metadata(node: Node) -> dict[str, object]:
    """Where the code is: the asset's body, and the definitions that it calls."""
    references = [reference(node.body, node.key), *(reference(code, name) for name, code in definitions(node))]
    return {"dagster/code_references": dg.CodeReferencesMetadataValue(code_references=references)}


def definitions(node: Node) -> Iterator[tuple[str, object]]:
    """(name, code) of the functions of the pure rooms that a body, or a helper in its module, calls: the formulas."""
    pending, seen = [node.body], set()
    while pending:
        body = pending.pop(0)
        for name in body.__code__.co_names:
            code = inspect.unwrap(body.__globals__[name]) if callable(body.__globals__.get(name)) else None
            if not inspect.isfunction(code) or code in seen:
                continue
            seen.add(code)
            if code.__module__ == node.body.__module__:
                pending.append(code)
            elif code.__module__.startswith(DEFINED_IN):
                yield f"{code.__module__.removeprefix('calib_assets.')}.{code.__qualname__}", code


def reference(code: object, label: str) -> dg.LocalFileCodeReference:
    """File and line of a function or class."""
    path, line = inspect.getsourcefile(code), inspect.getsourcelines(code)[1]
    return dg.LocalFileCodeReference(file_path=str(Path(path).resolve()), line_number=max(line, 1), label=label)
