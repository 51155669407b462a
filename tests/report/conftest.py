"""A small study for the report: two models, two tasks, one partition missing, hostile names among them."""

import hashlib
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest

from calib_assets.report import Provenance

HOSTILE = '<script>alert("x")</script> & "quotes" \'y\''


def _synthetic() -> SimpleNamespace:
    """The synthetic tables of the figure tests, loaded from their file: both folders draw one study."""
    path = Path(__file__).parents[1] / "figures" / "conftest.py"
    spec = importlib.util.spec_from_file_location("synthetic_tables", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def manifest(asset: str, partition: str) -> Provenance:
    def digest(kind: str) -> str:
        return hashlib.sha256(f"{kind}{asset}{partition}".encode()).hexdigest()

    return Provenance(
        asset,
        partition,
        digest("fingerprint"),
        digest("data"),
        digest("code"),
        "run-1",
        "2026-10-04T01:20:33Z",
        {"numpy": "2.4.6", "polars": "2.1.0"},
    )


@pytest.fixture(scope="session")
def study() -> SimpleNamespace:
    """``tables`` and ``provenance`` by (model, task), as :func:`shape_report` takes them."""
    every = _synthetic().all_tables()
    hostile = {
        name: frame.with_columns(
            **{column: pl.lit(HOSTILE) for column in ("prefix", "text") if column in frame.columns}
        )
        for name, frame in every.items()
    }
    partial = {name: None if name == "logit_fits" else frame for name, frame in every.items()}
    tables = {
        ("small", "digits"): every,
        ("small", HOSTILE): hostile,
        ("other", "digits"): partial,
        ("other", HOSTILE): {},
    }
    provenance = {
        key: {name: manifest(name, "|".join(key)) for name, frame in found.items() if frame is not None}
        for key, found in tables.items()
    }
    return SimpleNamespace(tables=tables, provenance=provenance, hostile=HOSTILE, manifest=manifest)
