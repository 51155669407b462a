"""Several truncation rules one after the other, as model cards suggest them: temperature first, then each rule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Float, Int

from .policy import Policy, Row, Sampled, retained
from .rules import RULES, TruncationRule
from .rules.unrestricted import Unrestricted


@dataclass(frozen=True)
class Filtered(Policy):
    """Each rule sees the distribution that the rules before it left, renormalised; the last one's is sampled.

    The order matters: transformers applies top-k, top-p, min-p; vLLM min-p before both (METHODS §5).

    Attributes:
        rules: In the order of application; empty for temperature alone.
        temperature: Positive; applied before the first rule.

    >>> from calib_assets.decoding import TopK, TopP
    >>> policy = Filtered((TopK(2), TopP(0.6)), 1.0)     # of the two kept, one holds 0.73 of their mass
    >>> policy.choose(np.array([[1.0, 2.0, 0.9, 0.8]]), [Row((0,), ())]).tolist()
    [1]
    """

    rules: tuple[TruncationRule, ...] = ()
    temperature: float = 1.0

    def __post_init__(self):
        for rule in self.rules:
            Sampled(rule, self.temperature)  # refuses what cannot be sampled

    @classmethod
    def of(cls, temperature: float, filters: Sequence[tuple[str, float | int | None]]) -> Self:
        """From names and parameters of registered rules."""
        kinds = [(RULES[name], value) for name, value in filters]
        rules = tuple(kind() if kind.parameter is None else kind(**{kind.parameter: value}) for kind, value in kinds)
        return cls(rules, temperature)

    @property
    def ranks(self) -> int | None:
        """Those of the first rule: what it leaves is all that the others see."""
        return Sampled(self.rules[0], self.temperature).ranks if self.rules else None

    def choose(self, logits: Float[np.ndarray, "rows vocab"], rows: Sequence[Row]) -> Int[np.ndarray, "rows"]:
        last = Sampled(self.rules[-1] if self.rules else Unrestricted(), self.temperature)
        if len(self.rules) > 1:
            logits = np.array(logits, np.float64)
            for values in logits:
                if not np.isfinite(values.max()):
                    break  # the last policy refuses it, and names the row
                for rule in self.rules[:-1]:
                    values[~retained(rule, values, self.temperature)] = -np.inf
        return last.choose(logits, rows)

    def identity(self) -> dict[str, Any]:
        steps = [Sampled(rule, self.temperature).identity() for rule in self.rules]
        rules = [{"rule": step["rule"], **step["parameters"]} for step in steps]
        return {"policy": "filtered", "rules": rules, "temperature": float(self.temperature)}
