"""Every public name is listed, described and shown at work; the list on paper is that of the code."""

import ast
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import calib_assets
from calib_assets import decoding, figures, metrics, results, stats
from calib_assets.reference import ROOMS, STABLE, api, public_names, summary

PACKAGES = {"decoding": decoding, "metrics": metrics, "stats": stats, "figures": figures, "results": results}
NAMES = [(room, name) for room in PACKAGES for name in public_names(room)]
PURE = [(room, name) for room, name in NAMES if room in ("decoding", "metrics", "stats")]


def of(room, name):
    return getattr(PACKAGES[room], name)


def is_code(item) -> bool:
    return inspect.isclass(item) or inspect.isroutine(item) or hasattr(item, "__wrapped__")


def test_page_is_current():
    page = Path(calib_assets.__file__).parents[1] / "docs" / "api.md"
    assert page.read_text() == api(), "run: python -m calib_assets.reference > docs/api.md"


def test_stable_names_are_public_and_every_room_is_listed():
    assert set(ROOMS) == set(STABLE) == set(PACKAGES)
    assert {room: set(names) - set(public_names(room)) for room, names in STABLE.items()} == dict.fromkeys(ROOMS, set())


@pytest.mark.parametrize(("room", "name"), NAMES)
def test_is_described_by_one_sentence_or_two(room, name):
    assert 5 < len(summary(room, name)) < 200


@pytest.mark.parametrize(("room", "name"), [pair for pair in PURE if is_code(of(*pair))])
def test_has_an_example_with_a_result(room, name):
    lines = [line.strip() for line in (inspect.getdoc(of(room, name)) or "").splitlines()]
    shown = [after for line, after in zip(lines, [*lines[1:], ""]) if line.startswith((">>>", "..."))]
    assert any(line and not line.startswith((">>>", "...")) for line in shown)


@pytest.mark.parametrize(
    ("room", "name"), [pair for pair in PURE if is_code(of(*pair)) and not inspect.isclass(of(*pair))]
)
def test_docstring_covers_arguments_result_and_errors(room, name):
    function = inspect.unwrap(of(room, name))
    text = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        assert f"    {parameter}:" in text, f"{parameter} is not described"
    assert "Returns:" in text
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    assert "Raises:" in text or not any(isinstance(node, ast.Raise) for node in ast.walk(tree))


def test_every_name_is_in_the_reference_and_nothing_in_it_leads_nowhere(tmp_path):
    root = Path(calib_assets.__file__).parents[1]
    command = [sys.executable, "-W", "error", root / "docs" / "build.py", tmp_path]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    for room in PACKAGES:
        page = (tmp_path / "reference" / "calib_assets" / f"{room}.html").read_text()
        assert [name for name in public_names(room) if f'id="{name}"' not in page] == []
    assert (tmp_path / "index.html").exists() and (tmp_path / "quickstart.html").exists()
