"""Judges: who says whether a text is valid, or two texts mean the same, and where what they say is kept.

Belongs here: judges (an LLM behind an endpoint, a program that knows the answers, a local language model), rubrics,
the parser of replies, the store of verdicts. Does not belong here: which items a study judges, what is made of scores.
"""

from resources.endpoints.claims import Budget, Claim
from resources.endpoints.errors import BudgetReached, EndpointError, ReplyStoreError, ServerError, SettingsError
from resources.endpoints.retries import RetryPolicy
from resources.endpoints.store import Ledger, Reply
from resources.judges.base import Judge
from resources.judges.errors import TooManyMissing
from resources.judges.injection import count_suspicions, suspicions
from resources.judges.items import Item, Pair
from resources.judges.llm_judge import LlmJudge
from resources.judges.local_judge import LocalJudge
from resources.judges.parsing import Scores, Unparsable, parse_reply
from resources.judges.rubrics import RUBRICS, PairRubric, ResponseRubric, Rubric, check_rubric
from resources.judges.settings import LlmJudgeSettings
from resources.judges.store import VerdictStore
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
    "Ledger",
    "LlmJudge",
    "LlmJudgeSettings",
    "LocalJudge",
    "Pair",
    "PairRubric",
    "PairVerdict",
    "Reply",
    "ReplyStoreError",
    "ResponseRubric",
    "RetryPolicy",
    "Rubric",
    "Scores",
    "ServerError",
    "SettingsError",
    "TooManyMissing",
    "Unparsable",
    "Verdict",
    "VerdictStore",
    "VerifierJudge",
    "check_missing",
    "check_rubric",
    "count_suspicions",
    "is_similar",
    "is_valid",
    "parse_reply",
    "suspicions",
]
