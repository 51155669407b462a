"""The page: data as inert JSON blocks, the scripts beside it, one file that asks nobody for anything."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.resources import files

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from calib_assets.explorer.rules import rule_cards

SCRIPT_NAMES = ("engine.js", "dom.js", "charts.js", "exact.js", "sweeps.js", "main.js")
# Read when the module is loaded: constants are part of the code version, so an edited script makes the page stale.
_STATIC = files("calib_assets.explorer") / "static"
SCRIPTS = [(_STATIC / name).read_text(encoding="utf-8") for name in SCRIPT_NAMES]
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


def explorer_page(
    title: str,
    tasks: Mapping[tuple[str, str], str],
    sweeps: Mapping[tuple[str, str], str],
    left_out: Sequence[tuple[str, str]] = (),
) -> str:
    """The explorer as HTML text; equal arguments give equal text.

    Args:
        title: Of the study.
        tasks: (model, task) -> :func:`script_json` of its ``task_data``.
        sweeps: (model, sweep) -> :func:`script_json` of its ``sweep_data``.
        left_out: (what, why) of everything that failed or is not computed yet; ``why`` is empty in the latter case.
    """
    cells = [(f"{kind}-{number}", kind, *cell, text) for kind, parts in (("task", tasks), ("sweep", sweeps))
             for number, (cell, text) in enumerate(parts.items())]  # fmt: skip
    index = {
        "cells": [{"id": id_, "kind": kind, "model": model, "name": name} for id_, kind, model, name, _ in cells],
        "rules": rule_cards(),
    }
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(SHELL).render(
        title=title,
        style=Markup(STYLE),
        scripts=[Markup(script) for script in SCRIPTS],
        hashes=" ".join(f"'sha256-{_hash(script)}'" for script in SCRIPTS),
        index=Markup(script_json(index)),
        cells=[(id_, Markup(text)) for id_, *_, text in cells],
        failed=[item for item in left_out if item[1]],
        uncomputed=[item for item in left_out if not item[1]],
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
