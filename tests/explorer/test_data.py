"""What the page holds: nothing is rounded that is called exact, and a tail's mass is right at every temperature."""

import base64
import hashlib
import html
import json
import re

import numpy as np
import polars as pl
import pytest
from explored import explored, unpacked
from hypothesis import given, settings
from hypothesis import strategies as st
from order_tables import FAN, curves_of, grow, validity_rows, verdict

from calib_assets.decoding import RULES, PrefixTrie
from calib_assets.decoding.conditional import Conditional
from calib_assets.explorer import explorer_page, script_json, sweep_data
from calib_assets.explorer.heads import KNOTS, POINTS, head_of, tail_points
from calib_assets.explorer.packing import descending_keys, packed
from calib_assets.explorer.tail import gauss_points


@pytest.mark.parametrize(("kind", "values"), [("f8", [1.5, -np.inf, np.nan]), ("f4", [0.5, -2.25]), ("i4", [-1, 7]), ("u4", [0, 2**32 - 1]), ("u1", [0, 255]), ("u4", [])])  # fmt: skip
def test_packed_arrays_come_back_as_they_were(kind, values):
    np.testing.assert_array_equal(unpacked(packed(np.array(values), kind)), values)


@pytest.mark.parametrize("values", [[-1], [2**32], [0.5]])
def test_numbers_that_do_not_fit_are_refused(values):
    with np.errstate(invalid="ignore"), pytest.raises((ValueError, OverflowError)):
        packed(np.array(values), "u4")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
@settings(deadline=None)
def test_keys_of_falling_numbers_lose_nothing(numbers):
    values = np.sort(np.array(numbers, np.float64))[::-1] + 0.0
    keys = np.cumsum(np.concatenate([[1], -np.ones(values.size - 1)]) * descending_keys(values)).astype(np.int64)
    bits = np.where(keys >= 2**31, keys - 2**31, 2**32 - 1 - keys).astype(np.uint32)
    np.testing.assert_array_equal(bits.view(np.float32), values)
    assert (descending_keys(values)[1:] >= 0).all()


def test_keys_refuse_rising_and_rounded_numbers():
    with pytest.raises(ValueError, match="rise"):
        descending_keys(np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="float32"):
        descending_keys(np.array([0.1]))


@pytest.mark.parametrize("shape", ["normal", "uniform", "long"])
def test_points_of_a_tail_have_its_mass_at_every_temperature(shape):
    rng = np.random.default_rng(3)
    logits = {
        "normal": rng.normal(0, 2, 50_000),
        "uniform": rng.uniform(-9, 6, 50_000),
        "long": -rng.gamma(3, 3, 50_000),
    }[shape]
    descending = np.sort(logits)[::-1].astype(np.float32).astype(np.float64)
    gaps = descending[0] - descending
    tail = gaps[150:]
    gap, weight = tail_points(gaps, np.ones(gaps.size, np.int64), 150)
    assert (
        gap.size in POINTS
        and gap.size == (16 if shape == "normal" else gap.size)
        and (weight > 0).all()
        and weight.sum() == pytest.approx(tail.size)
    )
    for temperature in np.geomspace(0.2, 10, 25):
        norm = np.exp(-gaps / temperature).sum()
        exact, found = np.exp(-tail / temperature), weight * np.exp(-gap / temperature)
        assert abs(found.sum() - exact.sum()) < 2e-9 * norm
        assert abs((found * gap).sum() - (exact * tail).sum()) < 2e-9 * norm * temperature


def test_a_tail_of_few_values_is_given_exactly():
    gap, weight = gauss_points(np.array([2.0, 5.0, 5.5]), np.array([4, 1, 7]), 16)
    np.testing.assert_allclose(gap, [2.0, 5.0, 5.5], atol=1e-12)
    np.testing.assert_allclose(weight, [4, 1, 7], atol=1e-10)


def test_a_head_holds_the_highest_logits_and_their_counts():
    rng = np.random.default_rng(0)
    logits = np.round(rng.normal(0, 3, 900), 1).astype(np.float32)
    logits[:20] = -np.inf
    conditional = Conditional(logits, np.array([], np.int64))
    whole, cut = head_of(conditional, 10_000), head_of(conditional, 40)
    values, counts = np.unique(logits[20:], return_counts=True)
    np.testing.assert_array_equal(whole.values, values[::-1])
    np.testing.assert_array_equal(whole.counts, counts[::-1])
    assert whole.size == 880 and whole.gap.size == whole.knot.size == 0
    np.testing.assert_array_equal(cut.values, values[::-1][:40])
    assert whole.std == pytest.approx(np.std(logits[20:].astype(np.float64), ddof=1))
    assert cut.weight.sum() == pytest.approx(880 - counts[::-1][:40].sum())
    assert 0 < cut.knot.size <= KNOTS and cut.knot_rank[-1] == 880 and cut.knot[-1] == logits[20:].min()
    np.testing.assert_array_equal(cut.knot, np.sort(logits[20:])[::-1][cut.knot_rank - 1])


def test_data_of_a_task_name_every_token_that_the_page_shows():
    rng = np.random.default_rng(2)
    trie = PrefixTrie.from_sequences([[1, 2], [1, 399], [7, 0]])
    task = explored(trie, rng.normal(size=(3, 400)).astype(np.float32))
    data = json.loads(task.text)
    shown, starts = unpacked(data["shown"]["token"]), unpacked(data["shown"]["start"])
    for row in range(3):
        assert (
            shown[starts[row] : starts[row + 1]].tolist() == np.argsort(-task.logits[row], kind="stable")[:60].tolist()
        )
    assert {str(token) for token in [*shown, 0, 1, 2, 7, 399]} == set(data["texts"])
    np.testing.assert_array_equal(unpacked(data["edges"]["logit"]), [task.logits[0, 1], task.logits[0, 7], task.logits[1, 2], task.logits[1, 399], task.logits[2, 0]])  # fmt: skip
    assert data["prompt"] == "Say: " and data["answers"] == ["answer 0", "answer 1", "answer 2"]
    # A sweep over fewer temperatures in one setting is no grid.
    from calib_assets.explorer.task import _packed_sweep

    with pytest.raises(ValueError, match="rows for"):
        _packed_sweep(task.points.head(task.points.height - 1))


def order_tables():
    """The small judged study of the report's tests, with one repetition."""
    nodes = grow(0, 0.1)
    leaves = [node | {"item": str(node["node"]), "finish": "stop"} for node in nodes if node["is_leaf"]]
    rng = np.random.default_rng(1)
    labels = [verdict(judge, leaf, rng) for judge in ("strict", "lenient") for leaf in leaves]
    by_leaf = {(row["judge"], row["seed"], row["node"]): row for row in labels}
    validity = [row for judge in ("strict", "lenient") for row in validity_rows(judge, nodes, by_leaf)]
    tree = pl.DataFrame(nodes).with_columns(is_leaf=pl.col("is_leaf"))
    completions = pl.DataFrame([{"seed": 0, "node": leaf["node"], "completion": f"word {leaf['node']}" * (400 if i == 0 else 1), "finish": "stop"} for i, leaf in enumerate(leaves)])  # fmt: skip
    prefixes = pl.DataFrame({"seed": [0], "prompt": ["Say a word"], "prefix": ["The "]})
    return tree, completions, pl.DataFrame(labels), pl.DataFrame(validity), prefixes


def test_data_of_a_sweep_hold_every_label():
    tree, completions, labels, validity, prefixes = order_tables()
    (tree_data,) = sweep_data(tree, completions, labels, validity, prefixes)["repetitions"]
    for judge in ("strict", "lenient"):
        found = unpacked(tree_data["judges"][judge]["label"]).tolist()
        rows = validity.filter(pl.col("judge") == judge).sort("node")
        names = ["missing" if v is None else "valid" if v else "uncertain" if u else "invalid" for v, u in rows.select("is_valid", "is_uncertain").iter_rows()]  # fmt: skip
        assert [("missing", "invalid", "valid", "uncertain")[label] for label in found] == names
        assert {"missing", "valid", "invalid"} <= set(names)
        assert unpacked(tree_data["judges"][judge]["n_valid"]).tolist() == rows["n_valid"].to_list()
    first = str(completions["node"][0])
    assert len(tree_data["completion"][first][0]) == 601 and tree_data["completion"][first][0].endswith("…")
    assert unpacked(tree_data["parent"]).tolist() == tree["parent"].to_list()
    assert len(unpacked(tree_data["rank"])) >= 1 + FAN[0] and curves_of  # the same study as the report's
    with pytest.raises(ValueError, match="repetition 0 are not numbered"):
        sweep_data(tree.filter(pl.col("node") != 3), completions, labels, validity, prefixes)


def test_json_of_hostile_texts_ends_no_script():
    hostile = "</script><script>alert(1)</script><!--\u2028\ud800"
    text = script_json({"a": hostile})
    assert "<" not in text and text.isascii() and json.loads(text)["a"] == hostile
    with pytest.raises(ValueError):
        script_json(float("nan"))


def test_the_page_is_reproducible_allows_its_own_scripts_alone_and_offers_every_rule():
    page = explorer_page("<b>&", {}, {}, [("a[b]", "<img src=x>"), ("c[d]", "")])
    assert page == explorer_page("<b>&", {}, {}, [("a[b]", "<img src=x>"), ("c[d]", "")])
    assert "<b>" not in page and "&lt;img src=x&gt;" in page and "Not computed yet" in page
    policy = html.unescape(re.search(r'content="(default-src[^"]*)"', page)[1])
    scripts = re.findall(r"<script>(.*?)</script>", page, re.S)
    for script in scripts:
        assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in policy
    assert (
        "unsafe-eval" not in policy and policy.count("'unsafe-inline'") == 1 and policy.startswith("default-src 'none'")
    )
    assert "http:" not in page.replace("http://www.w3.org/2000/svg", "") and "https:" not in page
    index = json.loads(re.search(r'id="index">(.*?)</script>', page)[1])
    assert {card["name"] for card in index["rules"]} == set(RULES)
