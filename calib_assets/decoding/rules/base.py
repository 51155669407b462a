"""What a truncation rule is, and the registry that finds every rule of this package.

To add a rule, put one file with one frozen dataclass beside the others: subclass :class:`TruncationRule`,
set the class attributes, and say which ranks are retained in :meth:`TruncationRule.intervals` (or override
:meth:`TruncationRule.select` for sets that are no interval of the ranking). The default grid, the sweep, the
figures and the invariant tests read :data:`RULES`.
"""

import math
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from ..conditional import Conditional
from ..tempered import Tempered


class Registry(dict[str, type["TruncationRule"]]):
    """Rules by name. A type of its own, since code that looks a rule up does not depend on every rule there is.

    Code versions follow plain dicts to the classes in them and stop at this one: an asset names the rules it uses.
    """


RULES = Registry()
"""Every truncation rule by name, filled as the classes are defined."""


@dataclass(frozen=True)
class Selection:
    """Retained sets of one conditional for a batch of temperatures and parameters.

    Attributes:
        size: Number of retained tokens.
        log_mass: Log-probability (nats) of the retained set under the tempered conditional, -inf if empty.
        keeps: Whether each tracked token is retained.

    >>> from calib_assets.decoding import TopK
    >>> view = Tempered(Conditional(np.log([0.2, 0.5, 0.3]), np.array([0, 1])), np.array([1.0]))  # tracks tokens 0, 1
    >>> found = TopK.select(view, [TopK(1), TopK(2)])
    >>> found.size.tolist(), np.exp(found.log_mass).round(9).tolist(), found.keeps.tolist()
    ([[1, 2]], [[0.5, 0.8]], [[[False, True], [False, True]]])
    """

    size: Int[np.ndarray, "temperatures parameters"]
    log_mass: Float[np.ndarray, "temperatures parameters"]
    keeps: Bool[np.ndarray, "temperatures parameters tracked"]


def check_temperature(temperature: float) -> float:
    """Check a temperature.

    Args:
        temperature: Positive and finite.

    Returns:
        The temperature as a float.

    Raises:
        ValueError: Unless it is positive and finite.

    >>> check_temperature(1)
    1.0
    >>> check_temperature(0)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: temperature 0 is not in (0, inf): temperature 0 is greedy, not a distribution; use TopK(1) ...
    """
    if not (isinstance(temperature, int | float | np.number) and 0 < temperature < math.inf):
        raise ValueError(
            f"temperature {temperature!r} is not in (0, inf): temperature 0 is greedy, not a distribution; "
            "use TopK(1) at any positive temperature for greedy decoding"
        )
    return float(temperature)


class TruncationRule(ABC):
    """Which tokens stay before renormalisation. Temperature first, then the cutoff, then renormalise.

    Subclasses are frozen dataclasses whose instances are one setting of the rule.

    >>> from calib_assets.decoding import RULES, TopK
    >>> TopK(2).retained(np.log([0.2, 0.5, 0.3]), temperature=1.0).tolist()
    [False, True, True]
    >>> TopK.name, TopK.parameter, RULES["top_k"] is TopK, TopK.uses_valid_set
    ('top_k', 'k', True, False)
    """

    name: ClassVar[str]
    """Name in study files and tables, snake_case."""
    label: ClassVar[str]
    """Name in figures."""
    parameter: ClassVar[str | None] = None
    """Field that a grid sweeps, or None for a rule without one."""
    default_grid: ClassVar[tuple] = (None,)
    """Values of the parameter in the default grid."""
    in_default_grid: ClassVar[bool] = True
    """Whether :meth:`DecodingGrid.default` includes the rule; any grid may name it."""
    grows: ClassVar[bool | None] = None
    """True if a larger parameter retains a superset, False if a subset, None without a parameter."""
    is_rank_rule: ClassVar[bool] = True
    """Whether the retained set is a prefix of the ranking (the cutoff strategies of Paper A)."""
    uses_valid_set: ClassVar[bool] = False
    """Whether the rule knows G: an oracle, not a practical decoding method."""
    ties: ClassVar[Literal["lower", "higher"]] = "lower"
    """Token ids that come first among equal logits, where a set boundary falls inside them."""

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            return  # an intermediate class
        if cls.name in RULES:
            raise ValueError(f"the decoding rule {cls.name!r} is defined twice; rename {cls.__qualname__}")
        RULES[cls.name] = cls

    @classmethod
    def intervals(cls, view: Tempered, rules: Sequence[Self]) -> tuple[np.ndarray, np.ndarray]:
        """Retained ranks ``start .. stop - 1`` (from 0), each broadcastable to ``[temperatures, rules]``."""
        raise NotImplementedError(f"{cls.__name__} defines neither intervals nor select")

    @classmethod
    def select(cls, view: Tempered, rules: Sequence[Self]) -> Selection:
        """Retained sets of several settings of the rule at every temperature of ``view``."""
        shape = (view.temperatures.size, len(rules))
        start, stop = (np.broadcast_to(np.asarray(bound), shape) for bound in cls.intervals(view, rules))
        conditional = view.conditional
        ranks = conditional.ranks_lower_first if cls.ties == "lower" else conditional.ranks_higher_first
        keeps = ranks < stop[:, :, None]
        if start.any():
            keeps &= ranks >= start[:, :, None]
        with np.errstate(divide="ignore"):  # an oracle without valid tokens retains nothing
            log_mass = np.log(view.mass_between(start, stop))
        return Selection(stop - start, log_mass, keeps)

    def retained(
        self,
        logits: Float[np.ndarray, "vocab"],
        temperature: float,
        is_valid: Bool[np.ndarray, "vocab"] | None = None,
    ) -> Bool[np.ndarray, "vocab"]:
        """Tokens that the rule keeps for one conditional.

        Args:
            logits: Raw logits, before the temperature. -inf marks tokens outside the support (never
                retained).
            temperature: Positive.
            is_valid: G as a mask; needed by oracles, ignored by the other rules.

        Returns:
            True where the token is retained.

        Raises:
            ValueError: If the temperature is not positive and finite, the logits hold NaN or +inf, or an
                oracle gets no ``is_valid``.
        """
        temperature = check_temperature(temperature)
        logits = np.asarray(logits)
        if self.uses_valid_set and is_valid is None:
            raise ValueError(f"{self.name} is an oracle: pass is_valid, the mask of valid tokens")
        if is_valid is not None and np.shape(is_valid) != logits.shape:
            raise ValueError(
                f"is_valid has shape {np.shape(is_valid)}, logits {logits.shape}; they must agree"
            )
        conditional = Conditional(logits, np.arange(logits.size), is_valid)
        return self.select(Tempered(conditional, np.array([temperature])), [self]).keeps[0, 0]

    def _require(self, condition: bool, allowed: str) -> None:
        """Refuse a parameter outside its range, naming the rule, the value and the range."""
        if not condition:
            value = getattr(self, self.parameter)
            raise ValueError(f"{self.name}: {self.parameter} is {value!r}; give {allowed}")

    def _require_number(self, allowed: str) -> float:
        """Return the parameter if it is a number other than NaN."""
        value = getattr(self, self.parameter)
        is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_)
        self._require(is_number and value == value, allowed)
        return value
