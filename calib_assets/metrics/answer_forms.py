"""When two answers in words are one answer (METHODS §5, validity of strings)."""

from typing import Literal

Matching = Literal["strict", "lenient"]
MATCHINGS: tuple[Matching, ...] = ("strict", "lenient")


def lenient_form(text: str) -> str:
    """A text without case, outer white space and one full stop at its end.

    >>> lenient_form(" Oslo. ") == lenient_form("oslo") != lenient_form("Oslo, Norway")
    True
    """
    return text.strip().removesuffix(".").rstrip().casefold()


def answer_form(text: str, matching: Matching) -> str:
    """What of an answer is compared: without outer white space as it stands, or leniently.

    >>> answer_form(" Oslo.\\n", "strict"), answer_form(" Oslo.\\n", "lenient")
    ('Oslo.', 'oslo')
    """
    return text.strip() if matching == "strict" else lenient_form(text)
