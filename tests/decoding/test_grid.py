"""Which grids are accepted."""

import math

import pytest

from calib_assets.decoding import RULES, DecodingGrid


def test_default_holds_every_rule_with_its_own_grid():
    grid = DecodingGrid.default((0.5, 1.0))
    assert dict(grid.rules) == {
        name: rule.default_grid for name, rule in RULES.items() if rule.in_default_grid
    }
    assert set(RULES) - set(grid.rules) == {"top_h_authors", "top_k_exact", "top_p_canopy"}
    assert grid.n_configurations == 2 * sum(map(len, grid.rules.values()))
    assert [[type(rule).name for rule in group] for group in grid.groups()] == [
        [name] * len(values) for name, values in grid.rules.items()
    ]


@pytest.mark.parametrize("temperature", [0, -0.5, math.nan, math.inf, None])
def test_refuses_temperatures_that_are_no_distribution(temperature):
    with pytest.raises(ValueError, match="temperature 0 is greedy, not a distribution"):
        DecodingGrid(temperatures=(1.0, temperature), rules={"unrestricted": (None,)})


@pytest.mark.parametrize(
    ("temperatures", "rules", "message"),
    [
        ((), {"unrestricted": (None,)}, "temperatures is empty"),
        ((1.0,), {}, "rules is empty"),
        ((1.0, 1), {"unrestricted": (None,)}, "temperatures: 1.0 is listed twice"),
        ((1.0,), {"top_q": (0.5,)}, "unknown decoding rule 'top_q'; the rules are .*top_p"),
        ((1.0,), {"top_p": ()}, "top_p: no parameter values"),
        ((1.0,), {"top_p": (0.5, 0.5)}, "top_p: 0.5 is listed twice"),
        ((1.0,), {"top_p": (0.5, 1.2)}, "top_p: p is 1.2; give a probability"),
        ((1.0,), {"top_k": (0,)}, "top_k: k is 0; give a positive integer"),
        ((1.0,), {"oracle_cutoff": (3,)}, "oracle_cutoff has no parameter, got 3"),
    ],
)
def test_refuses_and_says_what_to_write(temperatures, rules, message):
    with pytest.raises(ValueError, match=message):
        DecodingGrid(temperatures=temperatures, rules=rules)


def test_is_frozen_down_to_the_values():
    grid = DecodingGrid(temperatures=[1], rules={"top_p": [0.5]})
    assert grid.temperatures == (1.0,) and grid.rules["top_p"] == (0.5,)
    with pytest.raises(TypeError):
        grid.rules["top_p"] = (0.9,)
