"""Programs in answers: what each rule takes, and when a program is over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.metrics.program_text import continued, end_of, extracted, has_program, is_over, normal_form

TWO = "Try:\n```python\na = 1\n```\nOr:\n```\nb = 2\n```\nDone."


@pytest.mark.parametrize(
    ("answer", "rule", "program"),
    [
        (TWO, "first_fence", "a = 1"),
        (TWO, "last_fence", "b = 2"),
        (TWO, "whole", TWO),
        ("```python\na = 1", "first_fence", None),
        ("no code", "first_fence", None),
        ("```\n\n```", "first_fence", None),
        (" \n", "whole", None),
        (TWO + "\n```\nopen", "last_fence", "b = 2"),
        ("```python\nx = '`'\n```", "last_fence", "x = '`'"),
    ],
)
def test_rules(answer, rule, program):
    assert extracted(answer, rule) == program


@given(st.lists(st.sampled_from(["```", "```python", "x = 1", "", "text ``", "`"]), max_size=12), st.integers(0, 60))
def test_what_is_over_does_not_change(lines, cut):
    """Once an answer has its program, whatever follows leaves that program as it is."""
    answer = "\n".join(lines)
    begun = answer[:cut]
    if has_program(begun):
        # The closing line may go on; what stands between the fences may not.
        assert extracted(answer, "first_fence") == extracted(begun, "first_fence")


@given(
    st.lists(st.sampled_from(["    return x", "print(x)", "", "  ", "# note", "\tpass"]), max_size=8),
    st.integers(0, 60),
    st.booleans(),
)
def test_a_continued_program_that_is_over_does_not_change(lines, cut, calls):
    text = "\n".join(lines)
    begun = text[:cut]
    if is_over(begun, calls):
        assert continued("start\n", text, calls) == continued("start\n", begun, calls)


def test_where_a_continued_program_ends():
    body = "    y = x\n\n    return y\n"
    assert continued("def f(x):\n", body + "\nprint(f(1))", True) == "def f(x):\n    y = x\n\n    return y"
    assert not is_over(body, True) and is_over(body + "d", True)
    assert continued("", "print(1)\n\n\nprint(2)", False) == "print(1)"
    assert continued("", "print(1)\n\nprint(2)", False) == "print(1)\n\nprint(2)"
    assert continued("", "print(1)\n###\nx\n\n\ny", False, "###") == "print(1)"
    assert end_of("abc", True) == end_of("abc", False) == 3


def test_one_program_in_two_shapes():
    assert normal_form("\n\nx = 1 \ny = 2\n") == normal_form("x = 1\ny = 2") != normal_form("x = 1\n y = 2")
