"""Code versions: a hash of an asset's code and of all project code that it reaches.

The hash covers the syntax tree, without comments, docstrings and formatting, of a function and, transitively, of every
project function, class and constant that it names: rewording a docstring changes nothing, editing a helper's constant
changes exactly its users. Names are followed through the syntax tree (annotations count as uses, so a parameter typed
``PrefixTrie`` reaches that class). A module that is imported inside a function counts as a whole. What this cannot see
is dynamic dispatch: an asset declares such code itself (``dispatches``), and library upgrades by naming the libraries
(``libraries``).
"""

import ast
import dataclasses
import functools
import hashlib
import importlib.util
import inspect
import re
import textwrap
import types
from pathlib import Path

import numpy as np
import polars as pl

from calib_assets.staleness.content import table_digest

PROJECT = ("calib_assets", "resources", "jobs")
# Plumbing: it moves results, finds files and decides when to compute, but never what; else any edit here would stale
# everything. (What a model's files hold is identity by their checksums, wherever they are found.)
PLUMBING = (
    "calib_assets.staleness",
    "calib_assets.figures.encode",
    "resources.artifacts.atomic",
    "resources.artifacts.leases",
    "resources.artifacts.objects",
    "resources.language_models.loading",
    "resources.language_models.sources",
    "resources.language_models.terms",
    "resources.language_models.vllm_options",
    "resources.sandbox.channel",
    "resources.sandbox.probe",
    "resources.sandbox.remedies",
    "resources.sandbox.sandbox",
)

# What dear model work depends on and versions once did not see, as it was when they began to: as long as it is this, it
# is no part of a version, so that no logits, rollouts or programs became stale by it.
AS_BEFORE = {
    "calib_assets.metrics.program_text.end_of:_LONG_BREAK": "157cdb5ef69f",
    "calib_assets.study.rows.partition_key:KEY": "39c502c55bbf",
    "resources.language_models.spec.ModelSource:_COMMIT": "9d34d9f50ac6",
    "resources.services.language_models.settings_of": "0d9078ce3bdf",
    "resources.services.speakers.api_settings": "8f4b9eabcdf7",
}

_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def code_version(*roots: object) -> str:
    """16 hexadecimal digits that change when, and only when, the reachable code changes.

    Args:
        roots: Functions or classes.

    Returns:
        Hash over :func:`code_parts`.
    """
    parts = code_parts(*roots)
    text = "\n".join(f"{name}={parts[name]}" for name in sorted(parts))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def code_parts(*roots: object) -> dict[str, str]:
    """Qualified name -> short hash, for every function, class and constant that ``roots`` reach.

    The planner compares two of these to say *which* function changed.

    Raises:
        TypeError: If a root has no readable source.
    """
    parts: dict[str, str] = {}
    pending = [inspect.unwrap(root) if callable(root) else root for root in roots]
    seen: set[int] = set()
    while pending:
        item = pending.pop()
        if id(item) not in seen:
            seen.add(id(item))
            own, reached = _expanded(item)
            parts |= own
            pending += reached
    return parts


@functools.cache
def _expanded(item: object) -> tuple[dict[str, str], tuple[object, ...]]:
    """Parts of one function or class, and the project code that it names (assets share most of what they reach)."""
    tree, reached = _tree(item), []
    parts = {_name(item): _short_hash(ast.unparse(_stripped(tree)))}
    if AS_BEFORE.items() >= parts.items():
        return {}, ()
    for module in _imports_inside(tree):
        parts |= _module_parts(module)
    for name, value in _reached(item, tree):
        value = inspect.unwrap(value) if callable(value) else value  # lru_cache and the like
        if isinstance(value, types.FunctionType | type):
            if _in_project(value):
                reached.append(value)
        else:
            constant, place = _constant(value, reached), f"{_name(item)}:{name}"
            if constant is not None and AS_BEFORE.get(place) != _short_hash(constant):
                parts[place] = _short_hash(constant)
    return parts, tuple(reached)


def _imports_inside(tree: ast.AST) -> list[str]:
    """Project modules that code imports where it runs, not at the top of its file (torch loads late that way)."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.append(node.module)
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if _is_project(name)]


@functools.cache
def _module_parts(name: str) -> dict[str, str]:
    """Hash of a whole module and of the project modules that it imports, read as text.

    Importing it would load what was to be loaded late, so single functions are not told apart here.
    """
    parts, pending, seen = {}, [name], set()
    while pending:
        module = pending.pop()
        spec = None if module in seen else importlib.util.find_spec(module)
        seen.add(module)
        if spec is not None and spec.origin is not None and spec.origin.endswith(".py"):
            tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
            pending += _imports_inside(tree)
            parts[f"{module} (module)"] = _short_hash(ast.unparse(_stripped(tree)))
    return parts


def _tree(item: object) -> ast.AST:
    try:
        source = inspect.getsource(item)
    except (OSError, TypeError) as error:
        raise TypeError(f"{item!r} has no readable source, so its code version is unknown") from error
    return ast.parse(textwrap.dedent(source)).body[0]


def _stripped(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module) and node.body:
            first = node.body[0]
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def _reached(item: object, tree: ast.AST):
    """(dotted name, object) for every global, closure variable and module attribute that the code names."""
    space = _namespace(item)
    for node in ast.walk(tree):
        chain = _chain(node)
        if not chain or chain[0] not in space:
            continue
        value, used = space[chain[0]], 1
        while used < len(chain) and isinstance(value, types.ModuleType) and hasattr(value, chain[used]):
            value, used = getattr(value, chain[used]), used + 1
        if not isinstance(value, types.ModuleType):
            yield ".".join(chain[:used]), value


def _chain(node: ast.AST) -> list[str]:
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return [node.id, *reversed(names)] if isinstance(node, ast.Name) else []


def _namespace(item: object) -> dict[str, object]:
    if isinstance(item, type):
        return vars(inspect.getmodule(item))
    names = dict(item.__globals__)
    for name, cell in zip(item.__code__.co_freevars, item.__closure__ or (), strict=True):
        try:
            names[name] = cell.cell_contents
        except ValueError:  # a closure variable that is not bound yet
            continue
    return names


def _in_project(item: object) -> bool:
    return _is_project(getattr(item, "__module__", None) or "")


def _is_project(module: str) -> bool:
    if any(module == name or module.startswith(name + ".") for name in PLUMBING):
        return False
    return module.split(".")[0] in PROJECT


def _constant(value: object, pending: list) -> str | None:
    """Text of plain data, or None; project code inside containers and behind instances is queued.

    Containers are matched by exact type: a subclass of dict is a registry, which is dynamic dispatch (module
    docstring), so that adding a rule to ``RULES`` does not touch the assets that do not use it.
    """
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, np.ndarray):
        return f"array({value.dtype}, {value.shape}, {hashlib.sha256(value.tobytes()).hexdigest()})"
    if type(value) in (list, tuple):
        return f"({', '.join(_constant(part, pending) or '' for part in value)})"
    if type(value) in (set, frozenset):
        return f"{{{', '.join(sorted(_constant(part, pending) or '' for part in value))}}}"
    if type(value) in (dict, types.MappingProxyType):
        return _constant(list(value.items()), pending)
    if isinstance(value, re.Pattern):
        return f"pattern({value.pattern!r}, {value.flags})"
    if isinstance(value, pl.DataFrame):
        return f"table({table_digest(value)})"
    if isinstance(value, functools.partial):
        called = _constant(value.func, pending) or getattr(value.func, "__qualname__", "")
        return f"{called}{_constant([value.args, value.keywords], pending)}"
    if isinstance(value, types.FunctionType | type):
        if _in_project(value):
            pending.append(inspect.unwrap(value))
        return f"{value.__module__}.{value.__qualname__}"
    if _in_project(type(value)) and not isinstance(value, dict):
        pending.append(type(value))
        if dataclasses.is_dataclass(value):
            fields = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
            return _constant(fields, pending)
    return None


def _name(item: object) -> str:
    return f"{item.__module__}.{item.__qualname__}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
