"""Answer collapse on chains whose answers are known in closed form, and of API models behind a real server."""

import math
import shutil

import dagster as dg
import numpy as np
import polars as pl
import pytest
from answer_server import KEY, answer_server
from answering import LETTERS, SHARES, Questions, api_row

from calib_assets.assets.cases.collapse_rules import COLLAPSE_RULES
from calib_assets.assets.rule import Reader
from calib_assets.plan_lines import render
from calib_assets.results import Results
from calib_assets.staleness.planner import plan

CASES = {"answer_samples", "answer_collapse", "collapse_comparison", "collapse_section", "report"}


@pytest.fixture
def place(asked, tmp_path):
    shutil.copytree(asked[0].folder, tmp_path / "copy")
    return Questions(tmp_path / "copy", new=False)


@pytest.fixture
def server():
    with answer_server() as running:
        yield running


@pytest.fixture
def api(place, server, monkeypatch):
    """The study with an API model beside its chains, and one question alone."""
    monkeypatch.setenv("CALIB_TEST_SPEAKER_KEY", KEY)

    def change(data):
        data["api_models"] = [api_row(server.url, concurrency=4)]
        data["collapse"] = data["collapse"][:1]

    place.edit(change)
    return place


def table(place, name, asset, cell):
    return place.store.open().table(asset, cell, name)


def measures(place, collapse, speaker, setting="independent", matching="strict"):
    rows = table(place, "answer_collapse", "answer_collapse", (collapse, speaker))
    rows = rows.filter((pl.col("setting") == setting) & (pl.col("matching") == matching))
    return {row["measure"]: row for row in rows.iter_rows(named=True)}


def test_the_first_run_computes_every_case_and_no_shape(asked):
    computed = asked[1]
    assert set(computed) >= CASES and "exact_logit_cache" not in computed and "rollouts" not in computed
    assert computed["answer_samples"] == {"letter|even", "letter|uneven", "exact|even", "exact|uneven"}


def test_counts_are_those_of_the_chain(asked):
    counts = table(asked[0], "answer_counts", "answer_collapse", ("exact", "uneven"))
    found = dict(counts.filter(pl.col("matching") == "strict").select("answer", "count").iter_rows())
    for letter, share in zip(LETTERS, SHARES, strict=True):
        spread = math.sqrt(4000 * share * (1 - share))
        assert abs(found[letter] - 4000 * share) < 4 * spread, letter  # the seed is fixed: no flake
    assert sum(found.values()) == 4000


@pytest.mark.parametrize(("speaker", "shares"), [("even", (0.25,) * 4), ("uneven", SHARES)])
def test_effective_number_and_collisions_are_those_of_the_chain(asked, speaker, shares):
    found = measures(asked[0], "exact", speaker)
    truth = math.exp(-sum(p * math.log(p) for p in shares))
    for name in ("effective_number", "effective_number_miller_madow", "effective_number_chao_shen"):
        assert found[name]["est"] == pytest.approx(truth, rel=0.02), name
        if name != "effective_number":  # the plug-in has no interval; the seed is fixed
            assert abs(found[name]["est"] - truth) < 4 * found[name]["se"] + 1e-3, name
    assert found["collision_probability"]["est"] == pytest.approx(sum(p * p for p in shares), abs=0.02)
    assert found["top_share"]["ci_low"] <= max(shares) <= found["top_share"]["ci_high"]
    listed = sum(shares[:3])  # D is not on the list, and E is never said
    assert found["valid_share"]["ci_low"] <= listed <= found["valid_share"]["ci_high"]
    assert found["coverage"]["est"] == 0.75 and found["n_distinct"]["est"] == 4


def test_conversations_hold_every_turn_and_their_answers(asked):
    samples = table(asked[0], "answer_samples", "answer_samples", ("letter", "uneven"))
    history = samples.filter(pl.col("setting") == "history")
    assert history.height == 24 and set(history["text"]) <= set(LETTERS) and set(history["status"]) == {"ok"}
    found = measures(asked[0], "letter", "uneven", "history")
    repeats = []
    for _, own in history.group_by("conversation", maintain_order=True):
        said = own.sort("turn")["text"].to_list()
        repeats.append(next(i + 1 for i, text in enumerate(said) if text in said[:i]))
    assert found["first_repeat"]["est"] == np.mean(repeats) and found["n_answers"]["est"] == 24


def test_the_log_probability_is_the_chains(asked):
    samples = table(asked[0], "answer_samples", "answer_samples", ("exact", "uneven")).head(200)
    for text, value in samples.select("text", "log_probability").iter_rows():
        assert value == pytest.approx(math.log(SHARES[LETTERS.index(text)]), abs=1e-6)


def test_rules_hold_and_can_fail(asked):
    place = asked[0]
    cell = ("letter", "uneven")
    for rule in COLLAPSE_RULES:
        assert rule.holds(Reader(lambda asset, name: table(place, name, asset, cell))).passed, rule.name

    def broken(rule, asset_table, change):
        def read(asset, name):
            found = table(place, name, asset, cell)
            return change(found) if name == asset_table else found

        return not next(one for one in COLLAPSE_RULES if one.name == rule).holds(Reader(read)).passed

    assert broken("answers_are_all_there", "answer_samples", lambda t: t.head(t.height - 1))
    assert broken("answers_are_all_there", "answer_samples", lambda t: pl.concat([t.head(1), t.head(t.height - 1)]))
    assert broken("answers_are_all_there", "answer_samples", lambda t: t.with_columns(status=pl.lit("failed")))
    assert broken("few_answers_are_missing", "answer_samples", lambda t: t.with_columns(status=pl.lit("failed")))
    assert broken("counts_add_up", "answer_counts", lambda t: t.head(1))
    assert broken("counts_add_up", "answer_outcomes", lambda t: t.head(t.height - 5))
    assert broken(
        "effective_numbers_are_bounded", "answer_collapse", lambda t: t.with_columns(est=pl.col("est") * 5)
    ) or broken("effective_numbers_are_bounded", "answer_collapse", lambda t: t.with_columns(est=pl.col("est") / 5))


def test_more_samples_ask_for_the_missing_ones_only(place, instance):
    before = table(place, "answer_samples", "answer_samples", ("letter", "uneven"))
    place.edit(lambda data: data["collapse"][0].update(samples=70, history={"turns": 10, "conversations": 3}))
    summary, computed = place.refresh(instance)
    assert summary.ok, summary.failed
    assert computed["answer_samples"] == {"letter|even", "letter|uneven"}
    # Every answer that was asked for is in one piece; one asked twice would be in two.
    pieces = list((place.folder / "store" / ".pieces" / "answer_samples" / "letter" / "uneven").rglob("*.parquet"))
    assert sum(pl.read_parquet(path).height for path in pieces) == 70 + 30
    after = table(place, "answer_samples", "answer_samples", ("letter", "uneven"))
    key = ["setting", "conversation", "turn"]
    old = after.join(before.select(key), on=key, how="semi", nulls_equal=True)
    assert old.sort(key).equals(before.sort(key))


def test_another_list_touches_no_sample(place, instance):
    place.edit(lambda data: data["collapse"][0].update(answers=["A", "B", "C", "D"]))
    summary, computed = place.refresh(instance)
    assert summary.ok and "answer_samples" not in computed
    assert computed["answer_collapse"] == {"letter|even", "letter|uneven"}
    assert measures(place, "letter", "uneven")["valid_share"]["est"] == 1.0


def test_an_api_model_is_asked_once_for_each_answer(api, server, instance):
    plans = "\n".join(render(plan(api.view()), api.view()))
    assert "at most 84 calls of API models" in plans
    summary, computed = api.refresh(instance)
    assert summary.ok, (summary.failed, summary.failed_checks)
    assert computed["answer_samples"] == {"letter|far"} and len(server.paid) == 60 + 24
    seeds = [body["seed"] for body in server.paid if len(body["messages"]) == 1]
    samples = table(api, "answer_samples", "answer_samples", ("letter", "far"))
    assert samples["log_probability"].to_list() == [-0.5] * 84 and len(set(seeds)) == 63
    history = samples.filter(pl.col("setting") == "history")
    for _, own in history.group_by("conversation"):
        assert own.sort("turn")["text"].n_unique() == 4  # it goes through its cities
    longest = max(server.paid, key=lambda body: len(body["messages"]))["messages"]
    assert [m["role"] for m in longest] == ["user", "assistant"] * 7 + ["user"]


def test_an_api_model_changes_nothing_of_the_others(asked, api, instance):
    summary, computed = api.refresh(instance)
    assert summary.ok
    assert {cell for key in ("answer_samples", "answer_collapse") for cell in computed[key]} == {"letter|far"}
    assert set(computed) == CASES
    for cell in (("letter", "even"), ("letter", "uneven")):
        for key in ("answer_samples", "answer_collapse"):
            old, new = (place.store.open().current(key, cell) for place in (asked[0], api))
            assert (old.fingerprint, old.data_version) == (new.fingerprint, new.data_version)
    api.edit(lambda data: data["api_models"][0].update(model="gpt-y"))
    due = {(item.key, item.cell) for item in plan(api.view()) if not item.blocked}
    assert due == {("answer_samples", ("letter", "far"))}


def test_where_the_server_is_makes_nothing_stale(api, instance):
    api.refresh(instance)
    api.edit(lambda data: data["api_models"][0].update(endpoint="http://127.0.0.1:9/v1", concurrency=1, timeout_s=3.0))
    assert plan(api.view()) == []


def test_an_outage_loses_nothing_and_a_refresh_pays_for_the_rest(api, server, instance):
    server.answers_left = 30
    summary, computed = api.refresh(instance)
    assert len(server.paid) == 30 and "answer_samples" not in computed
    (error,) = summary.failed.values()
    assert "out of service" in error
    server.answers_left = None
    with dg.DagsterInstance.ephemeral() as again:
        summary, computed = api.refresh(again)
    assert summary.ok and computed["answer_samples"] == {"letter|far"} and len(server.paid) == 84


def test_a_budget_stops_the_run_and_says_what_to_raise(api, server, instance):
    api.edit(lambda data: data["api_models"][0].update(budget={"tokens": 900}))
    summary, _ = api.refresh(instance)
    (error,) = summary.failed.values()
    assert "API model 'far': max_tokens_total (900) is reached" in error and 0 < len(server.paid) < 84
    paid = len(server.paid)
    api.edit(lambda data: data["api_models"][0].update(budget={"tokens": 200_000}))
    with dg.DagsterInstance.ephemeral() as again:
        summary, _ = api.refresh(again)
    assert summary.ok and len(server.paid) == 84 > paid


def test_answers_are_used_again_for_results_that_are_gone(api, server, instance):
    api.refresh(instance)
    paid = len(server.paid)
    store = api.store.open()
    store.drop(store.current("answer_samples", ("letter", "far")))
    with dg.DagsterInstance.ephemeral() as again:
        summary, computed = api.refresh(again)
    assert summary.ok and computed["answer_samples"] == {"letter|far"} and len(server.paid) == paid


def test_no_key_is_in_the_store_and_a_missing_one_is_said_before(api, server, instance, monkeypatch):
    monkeypatch.delenv("CALIB_TEST_SPEAKER_KEY")
    assert "CALIB_TEST_SPEAKER_KEY is not set" in "\n".join(render(plan(api.view()), api.view()))
    monkeypatch.setenv("CALIB_TEST_SPEAKER_KEY", KEY)
    summary, _ = api.refresh(instance)
    assert summary.ok
    for path in (api.folder / "store").rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


def test_too_many_missing_answers_are_an_error_and_few_are_not(api, server, instance):
    api.edit(lambda data: data["collapse"][0].update(samples=10, history=None, max_missing_share=0.5))
    server.answers_left = 9
    summary, _ = api.refresh(instance)
    assert summary.ok, summary.failed
    statuses = table(api, "answer_samples", "answer_samples", ("letter", "far"))["status"].to_list()
    assert statuses.count("failed") == 1
    api.edit(lambda data: data["collapse"][0].update(max_missing_share=0.0, samples=11))
    server.answers_left = 1
    with dg.DagsterInstance.ephemeral() as again:
        summary, _ = api.refresh(again)
    assert any("1 of 11 answers never came, and max_missing_share is 0" in error for error in summary.failed.values())


def test_the_report_has_the_part(asked):
    page = asked[0].store.open().read("report", (), "report.html").decode()
    for text in ("Case study: answer collapse", "Methods of the case studies", "Effective number of answers"):
        assert text in page, text
    assert "2 questions to 2 speakers" in page
    assert "the 60 independent answers of uneven are drawn in effect from" in page
    for rule in COLLAPSE_RULES:
        assert rule.name in page


def test_results_reads_the_comparison(asked):
    place = asked[0]
    found = Results(str(place.file), str(place.folder / "store")).table("collapse_comparison")
    assert set(found["speaker"]) == {"even", "uneven"} and "collapse" in found.columns
