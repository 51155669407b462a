"""The program in an answer: rules by name, and when two programs are one. Text only; nothing here runs code."""

import re
from typing import Literal

Extraction = Literal["first_fence", "last_fence", "whole"]
_FENCE = "```"
_LONG_BREAK = re.compile(r"\n[ \t]*\n[ \t]*\n")  # ends a program that reads its input, where the problem names no stop


def extracted(answer: str, rule: Extraction) -> str | None:
    """The program in a chat model's answer; None where there is none.

    A line with three backticks opens a block and the next such line closes it. ``first_fence`` takes the first whole
    block, ``last_fence`` the last, ``whole`` the answer as it is. A block that is not closed is no program: nobody
    knows where it would have ended.

    >>> extracted("Here:\\n```python\\nprint(1)\\n```\\nIt prints 1.", "first_fence")
    'print(1)'
    >>> extracted("```python\\nprint(1)", "first_fence") is None
    True
    """
    if rule == "whole":
        return answer if answer.strip() else None
    lines = answer.split("\n")
    fences = [index for index, line in enumerate(lines) if _FENCE in line]
    blocks = list(zip(fences[::2], fences[1::2]))
    if not blocks:
        return None
    start, end = blocks[0] if rule == "first_fence" else blocks[-1]
    text = "\n".join(lines[start + 1 : end])
    return text if text.strip() else None


def has_program(answer: str) -> bool:
    """Whether an answer that goes on can no longer change what ``first_fence`` takes of it.

    >>> has_program("```\\nx\\n``"), has_program("```\\nx\\n```")
    (False, True)
    """
    lines = answer.split("\n")
    return sum(_FENCE in line for line in lines) >= 2


def continued(start: str, continuation: str, calls: bool, stop: str = "") -> str:
    """The program that a base model wrote behind ``start``.

    Args:
        start: Python that it continued; the program begins with it.
        continuation: What it wrote.
        calls: The program is a function that is called: it ends before the first line that is not indented.
        stop: Text before which it ends; empty: a program that reads its input ends before two blank lines.

    >>> continued("def f(x):\\n", "    return x\\nprint(f(1))\\n", True)
    'def f(x):\\n    return x'
    """
    return (start + continuation[: end_of(continuation, calls, stop)]).rstrip()


def end_of(continuation: str, calls: bool, stop: str = "") -> int:
    """Where a continued program ends, in characters; the length of the text where it has not ended.

    >>> end_of("    return x\\nprint", True), end_of("    return x\\n", True)
    (13, 13)
    """
    ends = [len(continuation)]
    if stop and (place := continuation.find(stop)) >= 0:
        ends.append(place)
    if calls:
        for match in re.finditer(r"\n(?=[^\s])", continuation):
            ends.append(match.end())
            break
    elif not stop and (match := _LONG_BREAK.search(continuation)):
        ends.append(match.start())
    return min(ends)


def is_over(continuation: str, calls: bool, stop: str = "") -> bool:
    """Whether a continued program has ended: more text would not change it.

    >>> is_over("    return x\\n", True), is_over("    return x\\nprint", True)
    (False, True)
    """
    end = end_of(continuation, calls, stop)
    return end < len(continuation)


def normal_form(program: str) -> str:
    """What makes two programs one: their text, less white space at the ends of lines and blank lines around it.

    >>> normal_form("\\nx = 1  \\n\\n") == normal_form("x = 1")
    True
    """
    return "\n".join(line.rstrip() for line in program.strip("\n").split("\n")).rstrip()
