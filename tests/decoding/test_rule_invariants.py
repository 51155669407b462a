"""Laws that every registered rule obeys; a new rule is tested the day its file is added."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from calib_assets.decoding import RULES, TopH
from calib_assets.decoding.conditional import Conditional
from calib_assets.decoding.tempered import Tempered

NAMES = sorted(RULES)
SWEPT = [name for name in NAMES if RULES[name].parameter is not None]

logit_lists = st.lists(st.floats(-12, 12), min_size=2, max_size=40) | st.lists(
    st.integers(-3, 3).map(float), min_size=2, max_size=40
)
distinct_logits = st.lists(st.integers(-600, 600), min_size=2, max_size=40, unique=True).map(
    lambda values: [value / 37 for value in values]
)
temperatures = st.floats(0.1, 10)


def make(name, parameter):
    rule = RULES[name]
    return rule() if rule.parameter is None else rule(**{rule.parameter: parameter})


def settings_of(name):
    return st.sampled_from(RULES[name].default_grid).map(lambda parameter: make(name, parameter))


def masks(size):
    return st.lists(st.booleans(), min_size=size, max_size=size).filter(any).map(np.array)


@pytest.mark.parametrize("name", NAMES)
def test_declares_what_sweeps_and_figures_read(name):
    rule = RULES[name]
    assert rule.name == name and name == name.lower() and rule.label
    assert rule.__doc__ and dataclasses.is_dataclass(rule)
    assert len(set(rule.default_grid)) == len(rule.default_grid) >= 1
    instance = make(name, rule.default_grid[0])
    if rule.parameter is None:
        assert rule.default_grid == (None,) and rule.grows is None
    else:
        assert rule.grows in (True, False)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(instance, rule.parameter, 1)
    assert instance == make(name, rule.default_grid[0])


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), logits=logit_lists, temperature=temperatures)
def test_agrees_with_the_definition(oracle, name, data, logits, temperature):
    logits = np.array(logits)
    rule = data.draw(settings_of(name))
    is_valid = data.draw(masks(logits.size))
    parameter = None if rule.parameter is None else getattr(rule, rule.parameter)
    kept = set(np.flatnonzero(rule.retained(logits, temperature, is_valid)).tolist())
    expected = oracle.retained_by_definition(
        name, parameter, logits, temperature, np.flatnonzero(is_valid).tolist()
    )
    if kept != expected:  # rounding on the threshold itself, decided by 60-digit arithmetic
        base = {"top_h_authors": "top_h", "top_p_canopy": "top_p"}.get(name, name)
        assert oracle.boundary_margin(base, parameter, logits, temperature) < 1e-12


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), logits=logit_lists, temperature=temperatures)
def test_renormalised_probabilities_sum_to_one(name, data, logits, temperature):
    logits = np.array(logits)
    rule = data.draw(settings_of(name))
    conditional = Conditional(logits, np.arange(logits.size), data.draw(masks(logits.size)))
    view = Tempered(conditional, np.array([temperature]))
    chosen = rule.select(view, [rule])
    keeps = chosen.keeps[0, 0]
    assert chosen.size[0, 0] == keeps.sum() >= 1
    assert math.fsum(np.exp(view.tracked_log_probs[0] - chosen.log_mass[0, 0])[keeps]) == pytest.approx(
        1, abs=1e-12
    )


@pytest.mark.parametrize("name", [name for name in NAMES if RULES[name].is_rank_rule])
@given(data=st.data(), logits=logit_lists, temperature=temperatures)
def test_rank_rules_retain_a_prefix_of_the_ranking(name, data, logits, temperature):
    logits = np.array(logits)
    keeps = data.draw(settings_of(name)).retained(logits, temperature, data.draw(masks(logits.size)))
    assert logits[keeps].max() == logits.max()
    if not keeps.all():
        assert logits[keeps].min() >= logits[~keeps].max()


@pytest.mark.parametrize("name", SWEPT)
@given(data=st.data(), logits=logit_lists, temperature=temperatures)
def test_sets_are_nested_in_the_parameter(name, data, logits, temperature):
    sets = [
        make(name, value).retained(np.array(logits), temperature)
        for value in sorted(RULES[name].default_grid)
    ]
    if not RULES[name].grows:
        sets.reverse()
    for smaller, larger in itertools.pairwise(sets):
        assert (smaller <= larger).all()


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), logits=distinct_logits, temperature=temperatures)
def test_permuting_tokens_permutes_the_set(name, data, logits, temperature):
    logits = np.array(logits)
    rule = data.draw(settings_of(name))
    is_valid = data.draw(masks(logits.size))
    order = np.array(data.draw(st.permutations(range(logits.size))))
    direct = rule.retained(logits, temperature, is_valid)
    np.testing.assert_array_equal(rule.retained(logits[order], temperature, is_valid[order]), direct[order])


@pytest.mark.parametrize("name", NAMES)
@given(
    data=st.data(), logits=st.lists(st.integers(-80, 80), min_size=2, max_size=40), shift=st.integers(-64, 64)
)
def test_adding_a_constant_to_all_logits_changes_nothing(name, data, logits, shift):
    logits = np.array(logits) / 8  # eighths and a temperature of 1/2 keep the shift exact in float64
    rule = data.draw(settings_of(name))
    is_valid = data.draw(masks(logits.size))
    expected = rule.retained(logits, 0.5, is_valid)
    np.testing.assert_array_equal(rule.retained(logits + shift, 0.5, is_valid), expected)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("unrestricted", "top_k", "top_k_exact", "top_n_sigma")]
)
@given(data=st.data(), logits=distinct_logits)
def test_a_low_temperature_keeps_little_but_the_top_token(name, data, logits):
    logits = np.array(logits)
    rule = data.draw(settings_of(name))
    is_valid = np.arange(logits.size) == logits.argmax()
    keeps = rule.retained(logits, 1e-5, is_valid)
    probs = np.exp((logits[keeps] - logits.max()) / 1e-5)
    assert keeps[logits.argmax()] and probs.sum() == 1.0
    if name not in ("typical_p", "top_h", "top_h_authors"):  # these may add tokens of probability 0
        assert keeps.sum() == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_p", 0.9), ("min_p", 0.5), ("typical_p", 0.3), ("epsilon", 0.01), ("eta", 0.01)],
)
@given(logits=st.lists(st.floats(-12, 12), min_size=2, max_size=20))
def test_a_high_temperature_treats_all_tokens_alike(name, value, logits):
    keeps = make(name, value).retained(np.array(logits), 1e9)
    if name == "top_p":
        assert keeps.sum() == math.ceil(0.9 * len(logits) - 1e-6)
    elif name == "typical_p":
        assert keeps.sum() >= math.ceil(0.3 * len(logits) - 1e-6)
    else:
        assert keeps.all()


@pytest.mark.parametrize("name", ["top_k", "top_k_exact", "top_n_sigma"])
@given(data=st.data(), logits=logit_lists, temperature=temperatures)
def test_sets_made_of_raw_logits_do_not_depend_on_temperature(name, data, logits, temperature):
    rule = data.draw(settings_of(name))
    np.testing.assert_array_equal(
        rule.retained(np.array(logits), temperature), rule.retained(np.array(logits), 1.0)
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("top_k", 40),
        ("top_k_exact", 40),
        ("top_p", 1.0),
        ("top_p_canopy", 1.0),
        ("typical_p", 1.0),
        ("min_p", 1e-300),
        ("epsilon", 1e-300),
        ("eta", 1e-30),
        ("top_n_sigma", 1e6),
        ("top_h", 1.0),
        ("top_h_authors", 1.0),
    ],
)  # fmt: skip
@given(logits=distinct_logits | st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=40))
def test_the_widest_setting_is_the_unrestricted_rule(name, value, logits):
    logits = np.array(logits)
    keeps = make(name, value).retained(logits, 1.0)
    if (
        name == "top_h_authors"
    ):  # the entropy of all tokens against itself: rounding may cost ranks that add nothing
        assert np.exp(logits[~keeps] - logits.max()).sum() <= max(1e-9, np.exp(logits.min() - logits.max()))
    else:
        assert keeps.all()


OUT_OF_RANGE = {
    "top_k": (0, -1, 2.5, True, None, math.nan),
    "top_k_exact": (0, -1, 2.5, True, None, math.nan),
    "top_p": (0, -0.1, 1.0001, math.nan, None, "0.9", True),
    "top_p_canopy": (0, -0.1, 1.0001, math.nan, None, "0.9", True),
    "min_p": (0, -0.1, 1.5, math.nan),
    "typical_p": (0, 1.1, math.nan),
    "epsilon": (0, 1, -1e-4, math.nan),
    "eta": (0, 1, -1e-4, math.nan),
    "top_n_sigma": (0, -1, math.inf, math.nan),
    "top_h": (0, 1.5, math.nan),
    "top_h_authors": (0, 1.5, math.nan),
}


@pytest.mark.parametrize("name", SWEPT)
def test_refuses_parameters_outside_the_range_and_names_the_range(name):
    for value in OUT_OF_RANGE[name]:
        with pytest.raises(ValueError, match=f"^{name}: {RULES[name].parameter} is .*give ") as error:
            make(name, value)
        assert repr(value) in str(error.value)


def test_refuses_an_unknown_variant_of_top_h():
    with pytest.raises(ValueError, match="variant is 'paper'; give 'transformers' or 'authors'"):
        TopH(0.5, variant="paper")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("temperature", [0, 0.0, -1.0, math.nan, math.inf, "1"])
def test_refuses_what_is_no_temperature(name, temperature):
    with pytest.raises(ValueError, match="temperature 0 is greedy, not a distribution"):
        make(name, RULES[name].default_grid[0]).retained(np.zeros(3), temperature, np.ones(3, bool))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([0.0, math.nan], "NaN or"),
        ([0.0, math.inf], "NaN or"),
        ([-math.inf] * 2, "every logit"),
        ([[0.0, 1.0]], "row"),
    ],
)
def test_refuses_unusable_logits(name, logits, message):
    with pytest.raises(ValueError, match=message):
        make(name, RULES[name].default_grid[0]).retained(np.array(logits), 1.0, np.ones_like(logits, bool))


@pytest.mark.parametrize("name", [name for name in NAMES if RULES[name].uses_valid_set])
def test_an_oracle_needs_the_valid_set(name):
    with pytest.raises(ValueError, match=f"{name} is an oracle: pass is_valid"):
        RULES[name]().retained(np.zeros(3), 1.0)
    with pytest.raises(ValueError, match="they must agree"):
        RULES[name]().retained(np.zeros(3), 1.0, np.ones(4, bool))


@given(logits=logit_lists, data=st.data())
def test_single_precision_logits_give_the_sets_of_their_float64_values(logits, data):
    single = np.array(logits, np.float32)
    assume(np.isfinite(single).all())
    for name in NAMES:
        rule = data.draw(settings_of(name))
        is_valid = np.arange(single.size) % 2 == 0
        np.testing.assert_array_equal(
            rule.retained(single, 0.7, is_valid), rule.retained(single.astype(np.float64), 0.7, is_valid)
        )
