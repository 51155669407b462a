"""Every file of every result is in a format whose reader runs nothing of what it reads."""

import json

import polars as pl
import pytest
from safetensors import safe_open


def check_table(path):
    pl.read_parquet(path)


def check_tensors(path):
    with safe_open(path, "numpy") as opened:
        assert len(list(opened.keys())) > 0


def check_page(path):
    text = path.read_text(encoding="utf-8").lstrip()
    assert text.startswith(("<!DOCTYPE html", "<svg", "<?xml", "{", "[", "//", "/*"))


READERS = {
    ".parquet": check_table, ".safetensors": check_tensors, ".json": lambda path: json.loads(path.read_text()),
    ".svg": check_page, ".html": check_page, ".js": check_page, ".txt": lambda path: path.read_text(),
    ".png": lambda path: path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" or pytest.fail(f"{path} is no PNG"),
    ".jsonl": lambda path: [json.loads(line) for line in path.read_text().splitlines()],
    ".csv": lambda path: path.read_text(encoding="utf-8"),
}


def test_every_file_of_every_result_opens_in_a_format_that_runs_nothing(finished):
    view, kinds = finished[0].view(), set()
    for key in view.graph.nodes:
        for cell in view.graph.cells(key, view.study):
            manifest = view.store.current(key, cell)
            folder = view.store.files(manifest)
            for name in manifest.files:
                kind = (folder / name).suffix
                assert kind in READERS, f"{key}: {name} has a format that nobody judged"
                READERS[kind](folder / name)
                kinds.add(kind)
    assert {".parquet", ".safetensors", ".html", ".json"} <= kinds
