"""``docs/api.md``: every public name of the library in one list, written from ``__all__`` so that it stays true.

Run ``python -m calib_assets.reference > docs/api.md``; a test compares the two.
"""

import ast
import importlib
import inspect
import pkgutil
import re
from pathlib import Path

ROOMS = {
    "decoding": "Tries of valid sequences, decoding rules, and their exact evaluation from logits.",
    "metrics": "Every measure: order, shape, frontiers, validity and diversity, canopy entropy, agreement, pass@k.",
    "stats": "How sure a number is: cluster bootstrap, beta regression, natural splines, residual diagnostics.",
    "figures": "Tables in, `matplotlib.figure.Figure` out; `svg`, `png` and `thumbnail` encode one.",
    "results": "Finished results of a study as polars frames. The one room here that reads files.",
}
STABLE = {
    "decoding": """PrefixTrie contexts logit_matrix sweep DecodingGrid RULES TruncationRule Unrestricted TopK TopP MinP
        TypicalP Epsilon Eta TopNSigma TopH OracleCutoff ValidityOracle""".split(),
    "metrics": """validity_diversity local_precision_recall labelled_precision_recall precision_recall_frontier
        recall_at_precision frontier_auc order_auroc shape_divergence fit_piecewise_logits self_bleu embedding_diversity
        vendi_score canopy_measures length_entropy_correlation top_entropy""".split(),
    "stats": "fit_beta_mixed natural_spline residual_diagnostics cluster_bootstrap".split(),
    "figures": [],
    "results": ["Results", "UnknownName"],
}
# reStructuredText of docstrings, as Markdown.
_MARKDOWN = (
    (re.compile(r":math:`([^`]+)`"), r"$\1$"),
    (re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`"), r"`\1`"),
    (re.compile(r"``([^`]+)``"), r"`\1`"),
)
INTRODUCTION = """# Public names

Everything that can be imported and relied on, room by room; a first look at the library is
[quickstart.md](quickstart.md), and `make docs` builds the full reference (arguments, shapes, units, errors, examples)
from the docstrings. Rooms that are not listed (`study`, `assets`, `staleness`, `report`, `resources`, `jobs`) are the
graph's machinery.

**Stable** names (●) keep their arguments, what they return and what the numbers mean: if one must change, CHANGELOG.md
says so under its own heading, and the old form goes on working with a warning for one version. The other names are
public and tested in the same way, but they serve the study's tables, and their columns may change with an entry in
CHANGELOG.md. What is not listed here may change without notice. A *definition* that changes (a number comes out
differently) is always an entry in CHANGELOG.md and in [papers.md](papers.md).

Entropies and log-probabilities are in nats; ranks count from 1; a measure that is undefined is None or null, never 0.

This page is written from the code: `python -m calib_assets.reference > docs/api.md`.
"""


def api() -> str:
    """The page as Markdown: one table for each room."""
    return "\n".join([INTRODUCTION, *(_section(room) for room in ROOMS)])


def public_names(room: str) -> list[str]:
    """Public names of a room, in the order of ``__all__``, each once.

    >>> public_names("results")
    ['Results', 'UnknownName']
    """
    return list(dict.fromkeys(importlib.import_module(f"calib_assets.{room}").__all__))


def summary(room: str, name: str) -> str:
    """The first sentence of a name's docstring, on one line.

    >>> summary("decoding", "contexts")
    'Token ids after which the trie branches or goes on: the contexts whose logits are needed, in row order.'
    """
    item = getattr(importlib.import_module(f"calib_assets.{room}"), name)
    is_code = inspect.isclass(item) or inspect.isroutine(item) or hasattr(item, "__wrapped__")
    text = inspect.getdoc(item) if is_code else _constant_text(room, name)
    line = " ".join((text or "").split("\n\n")[0].split())
    for pattern, written in _MARKDOWN:
        line = pattern.sub(written, line)
    return line


def _constant_text(room: str, name: str) -> str:
    """The string that follows a constant where it is assigned."""
    package = importlib.import_module(f"calib_assets.{room}")
    modules = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    for module in [package, *(importlib.import_module(found.name) for found in modules)]:
        body = ast.parse(Path(module.__file__).read_text()).body
        for statement, after in zip(body, body[1:]):
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                    return after.value.value
    raise ValueError(f"calib_assets.{room}.{name} has no description; write a string below its assignment")


def _section(room: str) -> str:
    lines = [f"## calib_assets.{room}", "", ROOMS[room], "", "| | name | what it is |", "|---|---|---|"]
    for name in sorted(public_names(room), key=lambda name: (name not in STABLE[room], name.lower())):
        mark = "●" if name in STABLE[room] else ""
        lines.append(f"| {mark} | `{name}` | {summary(room, name).replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    print(api(), end="")
