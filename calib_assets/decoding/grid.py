"""Which configurations a sweep evaluates: temperatures times rules times their parameters."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from .rules import RULES, TruncationRule, check_temperature


@dataclass(frozen=True)
class DecodingGrid:
    """A decoding grid. Every rule is swept over every temperature, one filter at a time (METHODS section 5).

    Attributes:
        temperatures: Positive, distinct.
        rules: Parameter values of each rule by its name in :data:`~calib_assets.decoding.RULES`; ``(None,)``
            for a rule without a parameter.

    Raises:
        ValueError: If a temperature is not positive and finite or occurs twice, a rule is unknown, has no
            values, or a value is outside its range or occurs twice.

    >>> grid = DecodingGrid(temperatures=(0.5, 1.0), rules={"top_p": (0.9, 0.95), "unrestricted": (None,)})
    >>> grid.n_configurations
    6
    """

    temperatures: Sequence[float]
    rules: Mapping[str, Sequence[float | int | None]]

    def __post_init__(self) -> None:
        temperatures = tuple(check_temperature(temperature) for temperature in self.temperatures)
        if not temperatures:
            raise ValueError("temperatures is empty; name at least one, such as 1.0")
        if not self.rules:
            raise ValueError(f"rules is empty; name at least one of {', '.join(RULES)}")
        _refuse_repeats("temperatures", temperatures)
        for name, values in self.rules.items():
            if name not in RULES:
                raise ValueError(f"unknown decoding rule {name!r}; the rules are {', '.join(sorted(RULES))}")
            if not values:
                raise ValueError(f"{name}: no parameter values; list some, or leave the rule out")
            _refuse_repeats(name, values)
            for value in values:
                _make(RULES[name], value)
        frozen = MappingProxyType({name: tuple(values) for name, values in self.rules.items()})
        object.__setattr__(self, "temperatures", temperatures)
        object.__setattr__(self, "rules", frozen)

    @classmethod
    def default(cls, temperatures: Sequence[float]) -> Self:
        """Every registered rule (oracles too) with its own ``default_grid``."""
        grids = {name: rule.default_grid for name, rule in RULES.items() if rule.in_default_grid}
        return cls(temperatures=temperatures, rules=grids)

    @property
    def n_configurations(self) -> int:
        """Number of (rule, parameter, temperature) combinations."""
        return len(self.temperatures) * sum(len(values) for values in self.rules.values())

    def groups(self) -> Iterator[list[TruncationRule]]:
        """The settings of each rule, as instances, rule by rule."""
        for name, values in self.rules.items():
            yield [_make(RULES[name], value) for value in values]


def _make(rule: type[TruncationRule], value: float | int | None) -> TruncationRule:
    if rule.parameter is None:
        if value is not None:
            raise ValueError(f"{rule.name} has no parameter, got {value!r}; write (None,)")
        return rule()
    return rule(**{rule.parameter: value})


def _refuse_repeats(name: str, values: Sequence) -> None:
    repeated = [value for i, value in enumerate(values) if value in values[:i]]
    if repeated:
        raise ValueError(f"{name}: {repeated[0]!r} is listed twice; list every value once")
