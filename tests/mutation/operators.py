"""Mutants of a module: its syntax tree with one small mistake, of the kinds that people make in formulas.

Comparisons (boundary and negation), arithmetic, signs, constants, boolean connectives, swapped arguments and branches,
functions taken for their twins (min for max, any for all), guards and updates left out. What is left alone cannot make
a wrong number: docstrings, annotations, decorators and the text of errors.
"""

import ast
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

BOUNDARY = {ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt}
NEGATION = {
    ast.Lt: ast.GtE, ast.GtE: ast.Lt, ast.Gt: ast.LtE, ast.LtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}
ARITHMETIC = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Pow: ast.Mult, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.MatMult: ast.Mult,
}
PAIRS = (
    ("min", "max", "minimum maximum"),
    ("min", "max", "min max"),
    ("any", "all", "any all"),
    ("floor", "ceil", "floor ceil"),
    ("argmin", "argmax", "argmin argmax"),
    ("log1p", "log", "log1p log"),
    ("expm1", "exp", "expm1 exp"),
    ("cummin", "cummax", "cum_min cum_max"),
)
TWINS = {a: b for *_, text in PAIRS for a, b in (text.split(), text.split()[::-1])}


@dataclass(frozen=True)
class Mutant:
    """One mistake in one place.

    Attributes:
        lines: First and last line whose execution reaches the mistake.
        change: The source of the expression or statement, and what it became.
        tree: Makes the module's mutated syntax tree.
    """

    key: str
    operator: str
    lines: tuple[int, int]
    change: tuple[str, str]
    tree: Callable[[], ast.Module]


def _variants(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every mistake at this node: the operator's name, and the node that takes the place."""
    new = copy.deepcopy(node)
    match node:
        case ast.Compare(ops=[first]):
            for name, table in (("boundary", BOUNDARY), ("negation", NEGATION)):
                if type(first) in table:
                    yield name, ast.Compare(new.left, [table[type(first)]()], new.comparators)
        case ast.BinOp(op=op) if type(op) in ARITHMETIC and not isinstance(node.left, ast.Constant | ast.JoinedStr):
            yield "arithmetic", ast.BinOp(new.left, ARITHMETIC[type(op)](), new.right)
        case ast.BinOp(op=op, left=ast.Constant(value=int() | float())) if type(op) in ARITHMETIC:
            yield "arithmetic", ast.BinOp(new.left, ARITHMETIC[type(op)](), new.right)
        case ast.AugAssign(op=op) if type(op) in ARITHMETIC:
            yield "arithmetic", ast.AugAssign(new.target, ARITHMETIC[type(op)](), new.value)
            yield "left out", ast.Pass()
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert()):
            yield "sign", new.operand
        case ast.BoolOp(op=op):
            yield "connective", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), new.values)
        case ast.Constant(value=bool()):
            yield "constant", ast.Constant(not node.value)
        case ast.Constant(value=int()):
            yield "constant", ast.Constant(node.value + 1)
            if node.value:
                yield "constant", ast.Constant(node.value - 1)
        case ast.Constant(value=float()):
            yield "constant", ast.Constant(node.value * 1.25 if node.value else 1.0)
        case ast.IfExp():
            yield "branches", ast.IfExp(new.test, new.orelse, new.body)
        case ast.Raise():
            yield "left out", ast.Pass()
        case ast.Expr(value=ast.Call()):
            yield "left out", ast.Pass()
        case ast.Call(func=ast.Name(id=name)) if name in TWINS:
            new.func.id = TWINS[name]
            yield "twin", new
        case ast.Call(func=ast.Attribute(attr=name)) if name in TWINS:
            new.func.attr = TWINS[name]
            yield "twin", new
    if isinstance(node, ast.Call) and len(node.args) > 1 and ast.dump(node.args[0]) != ast.dump(node.args[1]):
        if not any(isinstance(arg, ast.Starred) for arg in node.args[:2]):
            swapped = copy.deepcopy(node)
            swapped.args[:2] = swapped.args[1::-1]
            yield "arguments", swapped


def _places(tree: ast.Module) -> Iterator[tuple[ast.AST, str, int | None, ast.stmt]]:
    """Every node that may be mutated: its parent, the field and index that hold it, and its statement."""

    def walk(parent: ast.AST, statement: ast.stmt | None) -> Iterator:
        for field, value in ast.iter_fields(parent):
            if field in ("decorator_list", "annotation", "returns", "type_comment", "format_spec"):
                continue
            for index, node in enumerate(value) if isinstance(value, list) else [(None, value)]:
                if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr):
                    continue
                within = node if isinstance(node, ast.stmt) else statement
                if within is not None:
                    yield parent, field, index, within
                if not isinstance(node, ast.Raise):
                    yield from walk(node, within)

    return walk(tree, None)


def mutants(source: str, name: str) -> list[Mutant]:
    """All mutants of a module, in the order of the source.

    >>> [m.change for m in mutants("def f(a, b):\\n    return a < 2", "m")]
    [('a < 2', 'a <= 2'), ('a < 2', 'a >= 2'), ('2', '3'), ('2', '1')]
    """
    tree = ast.parse(source)
    found = []
    for parent, field, index, statement in list(_places(tree)):
        holder = getattr(parent, field)
        node = holder if index is None else holder[index]
        for number, (operator, new) in enumerate(_variants(node)):
            ast.copy_location(new, node)
            ast.fix_missing_locations(new)
            before = ast.unparse(node)

            def mutated(new=new, node=node, holder=holder, parent=parent, field=field, index=index) -> ast.Module:
                def put(value: ast.AST) -> None:
                    if index is None:
                        setattr(parent, field, value)
                    else:
                        holder[index] = value

                put(new)
                copied = copy.deepcopy(tree)
                put(node)
                return copied

            last = node.end_lineno if not hasattr(statement, "body") or node is not statement else node.lineno
            key = f"{name}:{node.lineno}:{node.col_offset}:{operator}:{number}"
            found.append(Mutant(key, operator, (statement.lineno, last), (before, ast.unparse(new)), mutated))
    return found
