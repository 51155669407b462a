"""The page: data as inert JSON blocks, the scripts beside it; it asks nobody for anything."""

import base64
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from calib_assets.explorer.rules import rule_cards

PAGE = "explorer.html"
LARGEST_PAGE = 25_000_000
"""Characters of data that one page holds; studies with more have a file for each model beside it."""
SCRIPT_NAMES = ("beside.js", "engine.js", "dom.js", "charts.js", "exact.js", "sweeps.js", "main.js")
# Read when the module is loaded: constants are part of the code version, so an edited script makes the page stale.
_STATIC = files("calib_assets.explorer") / "static"
SCRIPTS = [(_STATIC / name).read_text(encoding="utf-8") for name in SCRIPT_NAMES]
BESIDE = SCRIPTS[0]
"""The script that pages of a study share: links from one to the other."""
STYLE = (_STATIC / "style.css").read_text(encoding="utf-8")
SHELL = (_STATIC / "page.html").read_text(encoding="utf-8")


def script_json(data: object) -> str:
    r"""JSON that can stand inside a script element, whatever texts it holds.

    Everything beyond ASCII is escaped, and so is ``<``, without which no tag and no comment begins.

    >>> script_json({"text": "</script>\u2028"})
    '{"text":"\\u003c/script>\\u2028"}'

    Raises:
        ValueError: If a number is NaN or infinite, which JSON does not have.
    """
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def explorer_files(
    title: str,
    tasks: Mapping[tuple[str, str], str],
    sweeps: Mapping[tuple[str, str], str],
    left_out: Sequence[tuple[str, str]] = (),
    largest: int = LARGEST_PAGE,
    report: str = "",
) -> dict[str, str]:
    """The explorer as files: the page, and beside it the data of each model where one page would be too large.

    Args:
        title: Of the study.
        tasks: (model, task) -> :func:`script_json` of its ``task_data``.
        sweeps: (model, sweep) -> :func:`script_json` of its ``sweep_data``.
        left_out: (what, why) of everything that failed or is not computed yet; ``why`` is empty in the latter case.
        largest: Characters of data up to which the page holds them itself.
        report: File of the report that lies beside the page, to which it then links.

    Returns:
        File name -> text; ``explorer.html`` is the page. Equal arguments give equal texts.
    """
    parts = [("task", cell, text) for cell, text in tasks.items()] + [
        ("sweep", cell, text) for cell, text in sweeps.items()
    ]
    cells = [
        {"id": f"{kind}-{number}", "kind": kind, "model": model, "name": name, "text": text}
        for number, (kind, (model, name), text) in enumerate(parts)
    ]
    if sum(len(cell["text"]) for cell in cells) <= largest:
        return {PAGE: _page(title, cells, left_out, report)}
    files: dict[str, str] = {}
    for cell in cells:
        # A script, since a page that was opened from a file may not fetch.
        file = cell["file"] = f"explorer-{cell['model']}.js"
        files.setdefault(file, "window.ExplorerData = window.ExplorerData || {};\n")
        files[file] += f"window.ExplorerData[{script_json(cell['id'])}] = {cell['text']};\n"
    return {PAGE: _page(title, cells, left_out, report), **files}


def explorer_page(
    title: str,
    tasks: Mapping[tuple[str, str], str],
    sweeps: Mapping[tuple[str, str], str],
    left_out: Sequence[tuple[str, str]] = (),
) -> str:
    """The explorer as one page, however large; arguments as for :func:`explorer_files`."""
    return explorer_files(title, tasks, sweeps, left_out, largest=sys.maxsize)[PAGE]


def _page(title: str, cells: Sequence[dict], left_out: Sequence[tuple[str, str]], report: str) -> str:
    named = [{key: value for key, value in cell.items() if key != "text"} for cell in cells]
    hashes = [f"'sha256-{_hash(script)}'" for script in SCRIPTS]
    own = ["'self'", "file:"]  # what lies in the page's folder, opened from a file or from a server
    beside = own if any("file" in cell for cell in cells) else []
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(SHELL).render(
        title=title,
        style=Markup(STYLE),
        scripts=[Markup(script) for script in SCRIPTS],
        sources=" ".join(hashes + beside),
        frames=" ".join(own) if report else "'none'",
        index=Markup(script_json({"cells": named, "rules": rule_cards(), "report": report})),
        cells=[(cell["id"], Markup(cell["text"])) for cell in cells if "file" not in cell],
        failed=[item for item in left_out if item[1]],
        uncomputed=[item for item in left_out if not item[1]],
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
