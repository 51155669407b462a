"""Validity and diversity of one decoding configuration (Paper A, section 3)."""

from dataclasses import dataclass

import numpy as np

from ..decoding import RULES, LogitRows, PrefixTrie, TruncationRule
from ..decoding.rules import check_temperature
from ..decoding.sweep import evaluate


@dataclass(frozen=True)
class ValidityDiversity:
    """Exact values of one configuration.

    Attributes:
        validity: Val = sum of p(y|x) over V, in [0, 1].
        diversity: Div = exp(H) / |V| with H the entropy of p restricted to V and renormalised; None where no
            valid sequence can be sampled.
        sequence_precision: Prec_seq, the share of valid sequences when every step samples uniformly from the
            retained set; None if the trie has open nodes.
        sequence_recall: Rec_seq, the share of V whose every token is retained; None if the trie has open
            nodes.
        log_validity: ln Val, -inf where no valid sequence can be sampled.

    >>> from calib_assets.decoding import TopK
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> found = validity_diversity(trie, np.log([[0.4, 0.2, 0.4]]), TopK(2), temperature=1.0)  # keeps tokens 0 and 2
    >>> round(found.validity, 9), found.diversity, found.sequence_precision, found.sequence_recall
    (0.5, 0.5, 0.5, 0.5)
    """

    validity: float
    diversity: float | None
    sequence_precision: float | None
    sequence_recall: float | None
    log_validity: float


def validity_diversity(
    trie: PrefixTrie, logits: LogitRows, rule: TruncationRule, temperature: float
) -> ValidityDiversity:
    """Exact validity and diversity of one rule at one temperature.

    The same engine as :func:`calib_assets.decoding.sweep`, for a single configuration.

    Args:
        trie: The valid set.
        logits: One row of raw logits for each internal node, in the order of ``trie.internal``;
            `calib_assets.decoding.logit_matrix` makes them of a mapping from contexts to logits.
        rule: The rule with its parameter.
        temperature: Positive.

    Returns:
        Val, Div and what goes with them; see :class:`ValidityDiversity`.

    Raises:
        ValueError: If the temperature is not positive and finite, or the logits do not match the trie.
        TypeError: If the trie is none, or the rule is a name or a class instead of a rule with its parameter.

    >>> from calib_assets.decoding import MinP
    >>> trie = PrefixTrie.from_sequences([[0], [1]])
    >>> result = validity_diversity(trie, np.log([[0.4, 0.4, 0.2]]), MinP(0.5), temperature=1.0)
    >>> round(result.validity, 9), result.sequence_recall
    (0.8, 1.0)
    """
    _check(trie, rule)
    values, _ = evaluate(trie, logits, np.array([check_temperature(temperature)]), [[rule]])
    log_validity = float(values.log_validity[0])
    return ValidityDiversity(
        validity=min(float(np.exp(log_validity)), 1.0),
        diversity=_number(min(np.exp(values.entropy[0]) / trie.n_answers, 1.0)),
        sequence_precision=_number(values.sequence_precision[0]),
        sequence_recall=_number(values.sequence_recall[0]),
        log_validity=log_validity,
    )


def _check(trie, rule) -> None:
    if not isinstance(trie, PrefixTrie):
        raise TypeError(f"trie is a {type(trie).__name__}; build one with PrefixTrie.from_sequences(token_ids)")
    if not isinstance(rule, TruncationRule):
        raise TypeError(
            f"rule is {rule!r}; give a rule with its parameter, such as TopP(0.9): the rules are "
            f"{', '.join(sorted(cls.__name__ for cls in RULES.values()))}"
        )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
