"""Whether an output is the expected one; decided outside of the sandbox, on text that came out of it."""

import json
from decimal import Decimal, InvalidOperation
from typing import Any

LONGEST_NUMBER = 4000  # digits; the interpreter refuses longer ones, in time that grows with their square


def same_output(found: str, expected: str) -> bool:
    """Whether a printed text is the expected one, as contest sites compare.

    Outer blank lines and white space at the ends of lines do not count; two lines of numbers are equal if their numbers
    are, exactly (``1.50`` and ``1.5``, but not ``0.3`` and ``0.30000000000000004``).

    >>> same_output("1 2.0  \\n\\n", "1 2"), same_output("yes", "Yes"), same_output("1\\n2", "1 2")
    (True, False, False)
    """
    lines, wanted = ([line.strip() for line in text.strip().split("\n")] for text in (found, expected))
    return len(lines) == len(wanted) and all(_same_line(*pair) for pair in zip(lines, wanted, strict=True))


def _same_line(found: str, expected: str) -> bool:
    if found == expected:
        return True
    numbers, wanted = _numbers(found), _numbers(expected)
    return numbers is not None and wanted is not None and numbers == wanted


def _numbers(line: str) -> list[Decimal] | None:
    try:
        return [Decimal(word) for word in line.split()]
    except InvalidOperation:
        return None


def same_value(found: str, expected: Any) -> bool:
    """Whether the JSON text of a returned value equals the expected JSON value, as Python compares the two.

    Tuples come out as lists; ``1``, ``1.0`` and ``true`` are equal, as they are in Python.

    Raises:
        ValueError: If the text is no JSON.

    >>> same_value("[1, 2.0]", [1, 2]), same_value("1", "1")
    (True, False)
    """
    try:
        return bool(json.loads(found) == expected)
    except RecursionError:
        raise ValueError("nested too deeply") from None
