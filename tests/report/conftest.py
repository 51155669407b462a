"""A small study for the report: two models, two tasks, one partition missing, hostile names among them."""

import hashlib
from collections import Counter
from html.parser import HTMLParser
from types import SimpleNamespace

import canopy_tables
import order_tables
import polars as pl
import pytest
import shape_tables

from calib_assets.report import Provenance

HOSTILE = '<script>alert("x")</script> & "quotes" \'y\''


def manifest(asset: str, partition: str) -> Provenance:
    def digest(kind: str) -> str:
        return hashlib.sha256(f"{kind}{asset}{partition}".encode()).hexdigest()

    return Provenance(
        asset,
        partition,
        digest("fingerprint"),
        digest("data"),
        digest("code"),
        {"numpy": "2.4.6", "polars": "2.1.0"},
    )


@pytest.fixture(scope="session")
def study() -> SimpleNamespace:
    """``tables`` and ``provenance`` by (model, task), as :func:`shape_report` takes them."""
    every = shape_tables.all_tables()
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


@pytest.fixture(scope="session")
def order_study() -> SimpleNamespace:
    """Three cells (a complete one, one of one seed and judge, one full of hostile text) and the study's tables."""
    every = order_tables.all_tables()
    overall = {name: every.pop(name) for name in ("model_scaling", "annotator_agreement")}
    attack = HOSTILE + "\x00\u202e"
    lone = order_tables.cell(1, 0.1, ("strict",))
    optional = ("decoding_points", "best_decoding", "robustness_frontiers", "robustness_summaries", "greedy_robustness")
    lone = {name: frame for name, frame in lone.items() if name not in optional}
    columns = {"prompt", "prefix", "completion", "response", "reason"}
    hostile = {
        name: frame.with_columns(pl.lit(attack).alias(column) for column in columns & set(frame.columns)).with_columns(
            pl.col(column) + attack for column in {"judge", "judge_a", "judge_b", "text"} & set(frame.columns)
        )
        for name, frame in every.items()
    }
    cells = {("small", "stories"): every, ("small", "one seed"): lone, (attack, attack): hostile}
    return SimpleNamespace(
        cells=cells,
        overall=overall,
        provenance={key: {name: manifest(name, "|".join(key)) for name in found} for key, found in cells.items()},
        overall_provenance={name: manifest(name, "all") for name in overall},
    )


@pytest.fixture(scope="session")
def canopy_study() -> SimpleNamespace:
    """Cells of two pairs on two tasks, a cell full of hostile text, and the study's tables, with manifests."""
    cells = canopy_tables.cells()
    overall = canopy_tables.overall(cells)
    attack = HOSTILE + "\x00\u202e"
    columns = {"reason", "prompt_id"}
    cells[attack, attack] = {
        name: frame.with_columns(pl.lit(attack).alias(column) for column in columns & set(frame.columns))
        for name, frame in cells["llama-base", "math"].items()
    }
    return SimpleNamespace(
        cells=cells,
        overall=overall,
        provenance={key: {name: manifest(name, "|".join(key)) for name in found} for key, found in cells.items()},
        overall_provenance={name: manifest(name, "all") for name in overall},
        attack=attack,
        tables=canopy_tables,
    )


class _Reader(HTMLParser):
    """Elements, table rows and text of a page; refuses end tags that do not match."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open, self.elements, self.rows, self.text = [], [], [], Counter()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        assert len({name for name, _ in attrs}) == len(attrs), f"<{tag}> repeats an attribute"
        self.elements.append((tag, dict(attrs)))
        self.rows += [[]] if tag == "tr" else []
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.open += [] if tag in ("meta", "img", "br", "hr", "link", "input") else [tag]

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text[data.strip()] += 1
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data.strip()


@pytest.fixture(scope="session")
def read():
    """Parse a page: ``elements``, ``rows`` and ``text``."""
    return _Reader
