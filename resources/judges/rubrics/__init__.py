"""What a judge is told: one rubric a file, each a row of :data:`RUBRICS`. Text only; nothing here calls a model.

A rubric's version is the hash of all its text and is part of a judge's identity: editing a word judges anew. A rubric
is of one response, or of a pair of responses to one prompt.
"""

from resources.endpoints.errors import SettingsError
from resources.judges.items import Of
from resources.judges.rubrics.base import Rubric
from resources.judges.rubrics.layouts import PairRubric, ResponseRubric
from resources.judges.rubrics.similarity_v1 import SIMILARITY_V1
from resources.judges.rubrics.validity_v1 import VALIDITY_V1

__all__ = ["RUBRICS", "PairRubric", "ResponseRubric", "Rubric", "check_rubric"]

RUBRICS = {rubric.name: rubric for rubric in (VALIDITY_V1, SIMILARITY_V1)}
_WORDS = {"response": "one response", "pair": "a pair of responses"}


def check_rubric(judge: str, rubric: Rubric, of: Of) -> None:
    """Whether a judge with this rubric can be asked this.

    Args:
        judge: Name, for the message.
        of: What it is asked to judge.

    Raises:
        SettingsError: Naming the rubrics that can be used instead.

    >>> check_rubric("gpt", RUBRICS["validity-v1"], "pair")
    Traceback (most recent call last):
    resources.endpoints.errors.SettingsError: judge 'gpt', field rubric: 'validity-v1' is for judging one response, \
and the judge is asked about a pair of responses; remedy: use similarity-v1, or give this work to a judge that has it
    """
    if rubric.of != of:
        others = " or ".join(name for name, other in RUBRICS.items() if other.of == of)
        found = f"{rubric.name!r} is for judging {_WORDS[rubric.of]}, and the judge is asked about {_WORDS[of]}"
        raise SettingsError(
            f"judge {judge!r}, field rubric", found, f"use {others}, or give this work to a judge that has it"
        )
