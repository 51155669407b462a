"""Code versions on a real package written to disk, edited, and loaded anew."""

import functools
import importlib
import inspect
import re
import sys
import textwrap
import types

import polars as pl
import pytest

from calib_assets.assets import GRAPH
from calib_assets.decoding import RULES
from calib_assets.metrics import self_bleu
from calib_assets.staleness import code_version as module
from calib_assets.staleness.code_version import code_parts, code_version
from calib_assets.study import rows
from calib_assets.study.rows import partition_key
from resources.embedders import HashedNgrams, SentenceEncoder
from resources.judges import LlmJudge, LocalJudge, VerifierJudge
from resources.language_models import MarkovModel, TransformersModel, VllmModel
from resources.speakers import ApiSpeaker, LocalSpeaker
from resources.speakers.question_form import QuestionForm

HELPERS = '''
    """Helpers."""
    import functools
    import numpy as np

    BINS = 4
    TABLE = np.array([1.0, 2.0])
    KNOWN = {"a": (1, 2)}

    class Registry(dict):
        """Dynamic dispatch: not followed."""

    def unused(x):
        return x

    RULES = Registry(first=unused)

    def square(x):
        """Square."""
        return x * x * BINS

    @functools.cache
    def cached(x):
        return x + 1

    class Grid:
        """A grid."""
        width = 3
        def area(self):
            return square(self.width) + TABLE.sum() + KNOWN["a"][0] + len(RULES)
'''
ASSETS = '''
    """Assets."""
    from toy import helpers
    from toy.helpers import Grid, cached

    def frontier(run):
        """Uses a module attribute."""
        # a comment
        return helpers.square(run)

    def area(grid: Grid):
        return grid.area()

    def memo(run):
        return cached(run)

    def alone(run):
        return run

    def lazy(run):
        from toy.late import scaled
        return scaled(run)
'''
LATE = '''
    """Loaded when it is needed."""
    from toy.later import FACTOR

    def scaled(x):
        """Scaled."""
        return x * FACTOR
'''
LATER = "FACTOR = 2\n"


@pytest.fixture
def versions(tmp_path, monkeypatch):
    """Write the toy package with replacements applied, import it, and give each function's code version."""
    package = tmp_path / "toy"
    package.mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(module, "PROJECT", ("toy",))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(*replacements):
        (package / "__init__.py").write_text("")
        for name, source in (("helpers", HELPERS), ("assets", ASSETS), ("late", LATE), ("later", LATER)):
            text = textwrap.dedent(source)
            for old, new in replacements:
                text = text.replace(old, new)
            (package / f"{name}.py").write_text(text)
        for name in [name for name in sys.modules if name.split(".")[0] == "toy"]:
            del sys.modules[name]
        importlib.invalidate_caches()
        __import__("linecache").clearcache()
        module._module_parts.cache_clear()  # a process never sees its own files change; this test does
        assets = importlib.import_module("toy.assets")
        return {name: code_version(getattr(assets, name)) for name in ("frontier", "area", "memo", "alone", "lazy")}

    yield load
    for name in [name for name in sys.modules if name.split(".")[0] == "toy"]:
        del sys.modules[name]


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


def test_comments_docstrings_and_formatting_change_nothing(versions):
    before = versions()
    after = versions(
        ('"""Uses a module attribute."""', '"""Reworded."""'),
        ("# a comment", "# another"),
        ('"""Square."""', ""),
        ('"""Scaled."""', ""),
        ('"""Loaded when it is needed."""', '"""Loaded late."""'),
        ("x * x * BINS", "( x*x  * BINS )"),
    )
    assert changed(before, after) == set()


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("BINS = 4", "BINS = 5"), {"frontier", "area"}),
        (("x * x * BINS", "x * BINS"), {"frontier", "area"}),
        (("width = 3", "width = 4"), {"area"}),
        (("[1.0, 2.0]", "[1.0, 3.0]"), {"area"}),
        (('{"a": (1, 2)}', '{"a": (1, 3)}'), {"area"}),
        (("return x + 1", "return x + 2"), {"memo"}),
        (("return x * FACTOR", "return x * FACTOR + 1"), {"lazy"}),
        (("FACTOR = 2", "FACTOR = 3"), {"lazy"}),
        (("    return run\n", "    return run, 1\n"), {"alone"}),
        (("def unused(x):\n    return x", "def unused(x):\n    return -x"), set()),
    ],
)
def test_an_edit_touches_exactly_its_users(versions, edit, expected):
    before = versions()
    after = versions(edit)
    assert changed(before, after) == expected


def test_parts_name_the_function_that_changed(versions):
    versions()
    before = code_parts(sys.modules["toy.assets"].frontier)
    versions(("BINS = 4", "BINS = 5"))
    after = code_parts(sys.modules["toy.assets"].frontier)
    assert {name for name in after if before[name] != after[name]} == {"toy.helpers.square:BINS"}


def test_closure_variables_count():
    def make(limit):
        def body(run):
            return run < limit

        return body

    # A closure over plain data is followed like a global: two bodies with different limits are different code.
    assert code_version(make(1)) != code_version(make(2))
    assert code_version(make(1)) == code_version(make(1))


def test_what_has_no_source_is_refused():
    with pytest.raises(TypeError, match="no readable source"):
        code_version(len)


# -- on the project itself --------------------------------------------------------------------------------------

# Kinds of values that carry no decision of ours: names of types, what libraries define, handles.
WITHOUT_CODE = {
    *("collections.abc._CallableGenericAlias", "types.GenericAlias", "types.UnionType", "typing.TypeVar"),
    *("typing._AnnotatedAlias", "typing._LiteralGenericAlias", "typing._LiteralSpecialForm", "typing._SpecialForm"),
    *("builtins.builtin_function_or_method", "builtins.method", "numpy.ufunc", "polars.functions.col.Col"),
    *("numpy.lib._index_tricks_impl.RClass", "scipy.stats._continuous_distns.beta_gen", "os._Environ"),
    *("_thread.lock", "logging.Logger", "resources.language_models.loading.LoadedModels"),
    "json.decoder.JSONDecoder",  # its hook is a class that the same functions name
    "calib_assets.decoding.rules.base.Registry",  # dispatched: nodes name the rules of the study
}


def _values(roots):
    """(place, value) of everything that is no function or class, in all that project code reaches."""
    pending, seen = [inspect.unwrap(root) for root in roots], set()
    while pending:
        item = pending.pop()
        if item in seen:
            continue
        seen.add(item)
        for name, value in module._reached(item, module._tree(item)):
            value = inspect.unwrap(value) if callable(value) else value
            if isinstance(value, types.FunctionType | type):
                pending += [value] if module._in_project(value) else []
            else:
                yield f"{module._name(item)}:{name}", value


def test_nothing_that_decides_is_invisible_to_code_versions():
    """A new kind of constant is counted, or said here to decide nothing."""
    roots = [node.body for node in GRAPH.nodes.values()]
    roots += [LlmJudge, LocalJudge, VerifierJudge, MarkovModel, TransformersModel, VllmModel, SentenceEncoder]
    roots += [HashedNgrams, ApiSpeaker, LocalSpeaker, QuestionForm, *RULES.values()]
    invisible = {}
    for place, value in _values(roots):
        kind = f"{type(value).__module__}.{type(value).__qualname__}"
        if module._constant(value, []) is None and not kind.startswith("_cython") and kind not in WITHOUT_CODE:
            invisible[place] = kind
    assert invisible == {}


def test_expressions_count_and_those_that_did_not_once_are_none_while_they_are_what_they_were(monkeypatch):
    assert any(name.endswith("words:_WORD") for name in code_parts(self_bleu))
    place = "calib_assets.study.rows.partition_key:KEY"
    assert set(module.AS_BEFORE) >= {place} and place not in code_parts(partition_key)
    monkeypatch.setattr(rows, "KEY", re.compile("other"))
    module._expanded.cache_clear()
    try:
        assert place in code_parts(partition_key)
    finally:
        module._expanded.cache_clear()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (re.compile("a"), re.compile("b")),
        (re.compile("a"), re.compile("a", re.IGNORECASE)),
        (types.MappingProxyType({"a": 1}), types.MappingProxyType({"a": 2})),
        (pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [2]})),
        (functools.partial(max, 1), functools.partial(max, 2)),
        (functools.partial(max, key=1), functools.partial(min, key=1)),
    ],
)
def test_constants_of_every_kind_are_told_apart(one, other):
    texts = [module._constant(value, []) for value in (one, other)]
    assert None not in texts and texts[0] != texts[1]
