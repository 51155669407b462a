r"""How texts are cut into tokens before they are compared by words; each way has a name.

These tokens have nothing to do with a language model's: texts of several models must be comparable.
"""

import re
from collections.abc import Callable

_WORD = re.compile(r"\w+|[^\w\s]")
# The regular expressions of mteval-v13a.pl, as sacrebleu applies them one after another.
_13A_REPLACED = (("<skipped>", ""), ("-\n", ""), ("\n", " "))
_13A_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))
_13A_SPLIT = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)


def words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, and every other visible character on its own.

    Args:
        text: Any text.

    Returns:
        The tokens, in order.

    >>> words("It's 3.5!")
    ['It', "'", 's', '3', '.', '5', '!']
    """
    return _WORD.findall(text)


def tokenize_13a(text: str) -> list[str]:
    """Tokens of mteval-v13a.pl, WMT's standard, as sacrebleu cuts them.

    Args:
        text: Any text.

    Returns:
        The tokens, in order.

    >>> tokenize_13a("It's 3.5, not 4.")
    ["It's", '3.5', ',', 'not', '4', '.']
    """
    line = text.rstrip()
    for old, new in _13A_REPLACED + (_13A_ENTITIES if "&" in line else ()):
        line = line.replace(old, new)
    line = f" {line} "
    for pattern, replacement in _13A_SPLIT:
        line = pattern.sub(replacement, line)
    return line.split()


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {"whitespace": str.split, "word": words, "13a": tokenize_13a}
"""Ways to cut a text into words for Self-BLEU, by name."""
