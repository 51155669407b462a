"""Texts of models and files where people see them: no invisible character acts on a page or a terminal."""

import unicodedata


def readable(text: str) -> str:
    r"""Text without invisible characters, such as NUL, the escape that steers a terminal, or one that turns direction.

    They are written as code points. Line breaks, tabs, and the joiners that emoji and some scripts need, stay.

    >>> readable("a\x00b\u202e\n"), readable("\x1b[31mred"), readable("caf\xe9")
    ('a\\x00b\\u202e\n', '\\x1b[31mred', 'caf\xe9')
    """
    if text.isprintable():
        return text
    return "".join(c.encode("unicode_escape").decode("ascii") if _is_invisible(c) else c for c in text)


def _is_invisible(character: str) -> bool:
    return character not in "\n\t\u200c\u200d" and unicodedata.category(character).startswith("C")
