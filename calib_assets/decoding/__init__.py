"""Decoding rules and their exact evaluation on the trie of a valid set.

Belongs here: pure functions of logits and token ids (truncation rules, the prefix trie, the sweep engine).
Does not belong here: Dagster, models, tokenizers, files.
Concepts: Paper A (arXiv:2605.11128), sections 3 to 5, appendix E.
"""

from . import rules
from .grid import DecodingGrid
from .own_logits import contexts, logit_matrix
from .rules import *  # noqa: F403 - every rule class, also one whose file was added later
from .rules import RULES, TruncationRule
from .selections import LogitRows
from .sweep import SweepResult, answer_log_probabilities, sequence_log_probabilities, sweep
from .trie import PrefixTrie

__all__ = [
    "RULES",
    "DecodingGrid",
    "LogitRows",
    "PrefixTrie",
    "SweepResult",
    "TruncationRule",
    "answer_log_probabilities",
    "contexts",
    "logit_matrix",
    "sequence_log_probabilities",
    "sweep",
    *rules.__all__,
]
