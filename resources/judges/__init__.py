"""Judges: who says whether a text is valid, or two texts mean the same, and where what they say is kept.

Belongs here: judges (an LLM behind an endpoint, a program that knows the answers, a local language model), rubrics,
the parser of replies, the store of verdicts. Does not belong here: which items a study judges, what is made of scores.
"""

from resources.judges.base import Judge
from resources.judges.claims import Budget, Claim
from resources.judges.errors import (
    BudgetReached,
    EndpointError,
    JudgeError,
    SettingsError,
    TooManyMissing,
    VerdictStoreError,
)
from resources.judges.injection import count_suspicions, suspicions
from resources.judges.items import Item, Pair
from resources.judges.llm_judge import LlmJudge
from resources.judges.local_judge import LocalJudge
from resources.judges.parsing import Scores, Unparsable, parse_reply
from resources.judges.retries import RetryPolicy
from resources.judges.rubrics import RUBRICS, PairRubric, ResponseRubric, Rubric, check_rubric
from resources.judges.settings import LlmJudgeSettings
from resources.judges.store import Ledger, Reply, VerdictStore
from resources.judges.verdicts import FINAL, PairVerdict, Verdict, check_missing, is_similar, is_valid
from resources.judges.verifier import VerifierJudge

__all__ = [
    "FINAL",
    "RUBRICS",
    "Budget",
    "BudgetReached",
    "Claim",
    "EndpointError",
    "Item",
    "Judge",
    "JudgeError",
    "Ledger",
    "LlmJudge",
    "LlmJudgeSettings",
    "LocalJudge",
    "Pair",
    "PairRubric",
    "PairVerdict",
    "Reply",
    "ResponseRubric",
    "RetryPolicy",
    "Rubric",
    "Scores",
    "SettingsError",
    "TooManyMissing",
    "Unparsable",
    "Verdict",
    "VerdictStore",
    "VerdictStoreError",
    "VerifierJudge",
    "check_missing",
    "check_rubric",
    "count_suspicions",
    "is_similar",
    "is_valid",
    "parse_reply",
    "suspicions",
]
