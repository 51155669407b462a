"""Model formulas in R's notation, read into terms in R's order.

The grammar, all of it: ``response ~ term + term``; ``a * b`` for ``a + b + a:b``; ``a:b`` for an interaction;
``ns(x, df)`` for a natural spline, ``scale(x)`` for z-scores; ``(1 | g)`` for a random intercept; ``1`` for the
intercept, which is always there. Terms are ordered by the number of their variables, then by where they appear;
variables within a term by where they first appear. Coefficients then carry the names that R gives them.

An own reader, not a formula library: none of those on PyPI has R's ``ns`` basis, knows ``(1 | g)``, and gives R's
names; this one is 100 lines and takes microseconds.
"""

import itertools
import re
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(r"\s*(?:(?P<name>[^\W\d]\w*(?:\.\w+)*)|(?P<number>\d+(?:\.\d+)?)|(?P<sign>[~+*:()|,=-]))")
GRAMMAR = "the grammar is: response ~ a + b * c + a:b + ns(x, 4) + scale(x) + (1 | group)"
TRANSFORMS = ("ns", "scale")


@dataclass(frozen=True)
class Variable:
    """A column as it enters terms: itself, its spline basis, or its z-scores.

    Attributes:
        label: As R writes it, for instance ``ns(x, 4)``; prefix of the coefficients' names.
        column: The column it is made of.
        transform: None, "ns" or "scale".
        df: Columns of the spline basis.
    """

    label: str
    column: str
    transform: str | None = None
    df: int | None = None


@dataclass(frozen=True)
class Formula:
    """What a formula says.

    Attributes:
        response: Column left of ``~``, or None.
        terms: One tuple of variables per term, in R's order; the intercept, always there, is the empty tuple.
        groups: Columns with a random intercept, in the order of the formula.
    """

    response: str | None
    terms: tuple[tuple[Variable, ...], ...]
    groups: tuple[str, ...] = ()

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All distinct variables, in the order of the terms."""
        return tuple(dict.fromkeys(variable for term in self.terms for variable in term))


@lru_cache(maxsize=64)
def parse_formula(text: str) -> Formula:
    """Read a formula.

    Args:
        text: With or without a left side; see the module's docstring for the grammar.

    Returns:
        The response (None without a left side), the terms in R's order, and the grouping columns.

    Raises:
        ValueError: If the text is not in the grammar; the message shows the place.

    >>> formula = parse_formula("y ~ a * b + (1 | g)")
    >>> [":".join(variable.label for variable in term) for term in formula.terms]
    ['', 'a', 'b', 'a:b']
    >>> formula.groups
    ('g',)
    """
    return _Reader(text).formula()


class _Reader:
    def __init__(self, text: str):
        self.text, self.tokens, self.place = text, [], 0
        position = 0
        while position < len(text.rstrip()):
            match = _TOKEN.match(text, position)
            if match is None:
                raise self._error(f"{text[position:].strip()[0]!r} has no meaning here", position)
            self.tokens.append((match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            position = match.end()
        self.variables: dict[str, Variable] = {}
        self.groups: list[str] = []

    def formula(self) -> Formula:
        if sum(token[1] == "~" for token in self.tokens) > 1:
            raise self._error("there is more than one '~'", 0)
        response = None
        if len(self.tokens) > 1 and self.tokens[1][1] == "~":
            response = self._expect("name", "the response, a column's name")
        if self._peek() == "~":
            self.place += 1
        terms = self._sum()
        if self.place < len(self.tokens):
            raise self._error(f"{self._peek()!r} is not expected here; parentheses hold only (1 | group)")
        appearance = {label: i for i, label in enumerate(self.variables)}
        ordered = sorted({tuple(sorted(term, key=appearance.get)): None for term in terms}, key=len)
        return Formula(
            response,
            ((), *(tuple(self.variables[label] for label in term) for term in ordered if term)),
            tuple(dict.fromkeys(self.groups)),
        )

    def _sum(self):
        terms = self._product()
        while self._peek() == "+":
            self.place += 1
            terms += self._product()
        return terms

    def _product(self):
        """a * b * c: every non-empty subset of the factors, as interactions; a dict keeps the order of appearance."""
        factors = [self._interaction()]
        while self._peek() == "*":
            self.place += 1
            factors.append(self._interaction())
        subsets = itertools.chain.from_iterable(
            itertools.combinations(factors, size) for size in range(1, len(factors) + 1)
        )
        terms = [frozenset().union(*subset) for subset in subsets]
        if len(factors) > 1 and not all(factors):
            raise self._error("only variables can be multiplied with '*'", 0)
        return list(dict.fromkeys(terms))

    def _interaction(self) -> frozenset:
        labels = self._atom()
        while self._peek() == ":":
            self.place += 1
            other = self._atom()
            if not labels or not other:
                raise self._error("only variables can be joined with ':'", 0)
            labels |= other
        return labels

    def _atom(self) -> frozenset:
        if self._peek() == "(":
            return self._random_intercept()
        if self._peek() == "1":
            self.place += 1
            return frozenset()
        if self._peek() in ("0", "-"):
            raise self._error("a model without an intercept is not offered")
        name = self._expect("name", "a column's name, ns(x, df), scale(x) or (1 | group)")
        if self._peek() != "(":
            return self._variable(Variable(name, name))
        if name not in TRANSFORMS:
            raise self._error(f"there is no function {name!r}; {' and '.join(TRANSFORMS)} can be used", self._at(-1))
        self.place += 1
        column = self._expect("name", "a column's name")
        variable = Variable(f"{name}({column})", column, name)
        if name == "ns":
            self._expect_sign(",")
            named = self._peek() == "df"
            if named:
                self.place += 1
                self._expect_sign("=")
            df = self._expect("number", "the number of columns, as in ns(x, 4)")
            if "." in df or int(df) < 1:
                raise self._error(f"df is {df}; give a whole number of at least 1", self._at(-1))
            variable = Variable(f"ns({column}, {'df = ' if named else ''}{int(df)})", column, name, int(df))
        self._expect_sign(")")
        return self._variable(variable)

    def _random_intercept(self) -> frozenset:
        self._expect_sign("(")
        if self._peek() != "1":
            raise self._error("parentheses hold only a random intercept, (1 | group)")
        self.place += 1
        self._expect_sign("|")
        self.groups.append(self._expect("name", "the grouping column"))
        self._expect_sign(")")
        return frozenset()

    def _variable(self, variable: Variable) -> frozenset:
        self.variables.setdefault(variable.label, variable)
        return frozenset([variable.label])

    def _peek(self) -> str | None:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else None

    def _at(self, offset: int = 0) -> int:
        place = self.place + offset
        return self.tokens[place][2] if place < len(self.tokens) else len(self.text)

    def _expect(self, kind: str, what: str) -> str:
        if self.place >= len(self.tokens) or self.tokens[self.place][0] != kind:
            raise self._error(f"here {what} is expected")
        self.place += 1
        return self.tokens[self.place - 1][1]

    def _expect_sign(self, sign: str) -> None:
        if self._peek() != sign:
            raise self._error(f"here {sign!r} is expected")
        self.place += 1

    def _error(self, problem: str, position: int | None = None) -> ValueError:
        position = self._at() if position is None else position
        return ValueError(f"formula {self.text!r}, at character {position + 1}: {problem}; {GRAMMAR}")
