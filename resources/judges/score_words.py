"""How the scores of a rubric are written in plain text, as patterns made from the scores' own names."""

import re
from dataclasses import dataclass
from functools import cache

_SPELLINGS = {"semantic": "semantics?", "similar": "similar(?:ity)?"}  # a label that judges also write in another way
_EDGE = r"[\s*_\"']*"  # markup and quotation marks around a label and a number
_START = r"[\s*_#>\-•\"']*"
_NUMBER = r"(?P<value>[+-]?\d+(?:\.\d+)?)"


@dataclass(frozen=True)
class ScoreWords:
    """Patterns for some scores; the groups are ``label`` and ``value``.

    Attributes:
        names: The scores, in the order in which they are to be written.
        line: A line that holds nothing but a score, as a whole ("**Overall**: 85/100").
        named: The beginning of a line that should hold a score.
        stated: A score anywhere in a text.
        loose: All scores, one closely after the other; its groups are the names. A single score is common in
            ordinary texts ("similarly, 100 people"), so it must be stated to count.
        claimed: The beginning of a score, for finding texts that speak to the judge.
    """

    names: tuple[str, ...]
    line: re.Pattern
    named: re.Pattern
    stated: re.Pattern
    loose: re.Pattern
    claimed: re.Pattern

    def name(self, label: str) -> str:
        """The score that a label means.

        >>> score_words(("grammar", "semantic", "overall")).name("Semantics")
        'semantic'
        """
        return next(name for name in self.names if label.lower().startswith(name))


@cache
def score_words(names: tuple[str, ...]) -> ScoreWords:
    """The patterns of these scores.

    >>> score_words(("similar",)).line.fullmatch("- **Similarity score:** 85/100")["value"]
    '85'
    >>> score_words(("similar",)).loose.search("Similarly, 100 people") is None
    True
    """
    spelled = "|".join(_SPELLINGS.get(name, re.escape(name)) for name in names)
    label = rf"(?P<label>{spelled})(?:\s+(?:score|validity))?"
    stated = r"[\s*_\"'\\]*[:=][\s*_\"'\\]*"
    if len(names) == 1:
        loose = rf"(?:{spelled})(?:\s+(?:score|validity))?{stated}{_NUMBER.replace('value', names[0])}"
    else:
        loose = r"\W+".join(rf"{name}\w*\W+(?P<{name}>\d{{1,3}})" for name in names)
    patterns = {
        "line": rf"{_START}{label}{_EDGE}[:=]{_EDGE}{_NUMBER}(?:\s*/\s*100|\s+out of 100)?[\s*_\"'.]*",
        "named": rf"{_START}{label}{_EDGE}[:=]",
        "stated": rf"{label}{stated}{_NUMBER}",
        "loose": loose,
        "claimed": rf"[\"']?\b(?:{spelled})(?:[ _]score)?\b[\"']?[*\s]*[:=][*\s]*[\"']?-?\d",
    }
    return ScoreWords(names, **{kind: re.compile(text, re.IGNORECASE) for kind, text in patterns.items()})
