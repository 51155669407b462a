"""The page's own mathematics, run in a browser, against the library: every rule, at the study's grid and beside it."""

import json

import numpy as np
import polars as pl
import pytest
from chromium import quiet_visit
from explored import PARAMETERS, PLAIN, coarse_task, explored, float_task, off_grid, open_task

from calib_assets.decoding import RULES, PrefixTrie
from calib_assets.decoding.conditional import Conditional
from calib_assets.decoding.tempered import Tempered
from calib_assets.explorer import explorer_page
from calib_assets.metrics import local_precision_recall, node_curves
from calib_assets.metrics.validity_diversity import validity_diversity

MEASURES = {"validity": "validity", "diversity": "diversity", "sequencePrecision": "sequence_precision", "sequenceRecall": "sequence_recall"}  # fmt: skip
FLAGS = {"validity": "validity", "diversity": "diversity", "sequencePrecision": "precision", "sequenceRecall": "recall"}


@pytest.fixture(scope="module")
def tasks():
    """Complete in the page, cut at 150 of 6,000 logits, tied, partly explored."""
    return {
        "complete": float_task(600, 100_000),
        "cut": float_task(6_000, 150 * 5),
        "tied": coarse_task(),
        "open": open_task(),
    }


@pytest.fixture(scope="module")
def run(browser, tasks, tmp_path_factory):
    """Runs the body of an async function in the page; ``tasks`` are the opened ones by name."""
    file = tmp_path_factory.mktemp("page") / "explorer.html"
    file.write_text(explorer_page("Tasks", {("model", name): task.text for name, task in tasks.items()}, {}))
    opening = """const tasks = {};
      for (const cell of JSON.parse(document.getElementById('index').textContent).cells)
        tasks[cell.name] = await Engine.openTask(JSON.parse(document.getElementById(cell.id).textContent));
      window.tasks = tasks;"""
    with quiet_visit(browser) as visit:
        visit.page.goto(file.as_uri())

        def script(body, *arguments):
            wrapped = f"""async (text) => JSON.stringify(
              await (async (given) => {{ {body} }})(JSON.parse(text)) ?? null)"""  # as JSON: infinities are null
            answer = json.loads(visit.page.evaluate(wrapped, json.dumps(arguments)))
            assert visit.errors == [] and visit.asked == []
            return answer

        script(opening)
        yield script


def evaluate(run, name, settings):
    """Everything that the engine says of each (rule, parameter, temperature)."""
    return run(
        """const [name, settings] = given, task = window.tasks[name];
        return settings.map(([rule, parameter, T]) => {
          const answer = Engine.answer(task, T, rule, parameter), { live } = answer;
          return { live: { ...live, logQ: null, answerLogs: [...live.answerLogs] }, exact: live.exact,
                   shown: Object.fromEntries(['validity', 'diversity', 'sequencePrecision', 'sequenceRecall'].map((m) => [m, answer[m]])) };
        });""",
        name,
        settings,
    )


@pytest.mark.parametrize("name", ["complete", "cut", "tied", "open"])
def test_every_rule_at_the_grid_agrees_with_the_stored_sweep(run, tasks, name):
    points = tasks[name].points
    settings = points.select("rule", "parameter", "temperature").rows()
    found, rough = evaluate(run, name, settings), 0
    for point, (setting, answer) in zip(points.to_dicts(), zip(settings, found), strict=True):
        for measure, column in MEASURES.items():
            expected, live, shown = point[column], answer["live"][measure], answer["shown"][measure]
            # What is shown is right to 1e-6, be it computed in the page or the study's own.
            assert shown["how"] == ("computed" if answer["exact"][FLAGS[measure]] else "stored"), setting
            assert (shown["value"] is None) == (expected is None), (setting, measure)
            if expected is not None:
                assert shown["value"] == pytest.approx(expected, abs=1e-6), (setting, measure)
                assert live == pytest.approx(expected, abs=0.05), (setting, measure)
            rough += shown["how"] == "stored"
        assert answer["live"]["validityUpper"] == pytest.approx(point["validity_upper"], abs=1e-6) or name == "cut"
    if name == "cut":
        # Most settings are exact though 97 % of the logits are summarised, and some are not: both kinds were tested.
        assert 0 < rough < 0.35 * len(found) * len(MEASURES)
    else:
        assert rough == 0


@pytest.mark.parametrize("name", ["complete", "cut", "tied"])
def test_beside_the_grid_it_agrees_with_the_library_or_says_that_it_estimates(run, tasks, name):
    task, settings = tasks[name], off_grid()
    estimates = 0
    for (rule, parameter, T), answer in zip(settings, evaluate(run, name, settings), strict=True):
        setting = RULES[rule]() if parameter is None else RULES[rule](parameter)
        expected = validity_diversity(task.trie, task.logits, setting, T)
        for measure, column in MEASURES.items():
            shown, value = answer["shown"][measure], getattr(expected, column)
            assert shown["how"] == ("computed" if answer["exact"][FLAGS[measure]] else "estimate")
            estimates += shown["how"] == "estimate"
            if shown["how"] == "computed":
                assert shown["value"] == (value if value is None else pytest.approx(value, abs=1e-6)), (
                    rule,
                    parameter,
                    T,
                )
    assert (estimates > 0) == (name == "cut")


SELECT = """const [name, settings] = given, task = window.tasks[name];
  return settings.map(([rule, parameter, T]) => task.conditionals.map((context) => {
    const view = Engine.temper(context, T), set = Engine.select(view, rule, parameter);
    return { norm: view.logNorm + context.top / T, entropy: view.entropy, size: set.stop - set.start, logMass: set.logMass,
             least: Math.log(set.least) - view.logNorm, most: Math.log(set.most) - view.logNorm, slack: set.slack,
             sure: set.sure, counted: set.counted, keeps: [...context.validLogit.keys()].map((edge) => set.keeps(edge)) };
  }));"""


def selection(task, row, rule, parameter, T):
    """What the library retains at one context."""
    setting = RULES[rule]() if parameter is None else RULES[rule](parameter)
    conditional = Conditional(task.logits[row], task.trie.valid_tokens(int(task.trie.internal[row])))
    view = Tempered(conditional, np.array([T]))
    return view, type(setting).select(view, [setting])


def test_cuts_inside_a_tail_lie_between_their_bounds_and_near_their_estimates(run, tasks):
    """150 of 6,000 logits are known; nearly every one of these cuts falls among the others."""
    task = tasks["cut"]
    settings = [(rule, float(p), T) for T in (1.5, 3.0) for rule, values in (
        ("top_p", np.linspace(0.75, 0.999, 60)), ("top_p_canopy", np.linspace(0.75, 0.999, 20)),
        ("min_p", np.geomspace(0.004, 0.08, 40)), ("typical_p", np.linspace(0.6, 0.98, 20))) for p in values]  # fmt: skip
    seen = {"sure": 0, "unsure": 0}
    for (rule, p, T), answers in zip(settings, run(SELECT, "cut", settings), strict=True):
        for row, answer in enumerate(answers):
            _, expected = selection(task, row, rule, p, T)
            log_mass = float(expected.log_mass[0, 0])
            assert answer["least"] is None or answer["least"] - 1e-9 <= log_mass <= answer["most"] + 1e-9, (rule, p, T)
            if rule != "typical_p":  # which takes in a likely token or not: an estimate may be on the other side
                # Some 60 tokens lie between two knots, of at most 1e-3 each: their number is known to a few.
                assert answer["logMass"] == pytest.approx(log_mass, abs=1e-2), (rule, p, T)
            seen["sure" if answer["sure"] else "unsure"] += rule.startswith("top_p") and not answer["counted"]
            if answer["sure"]:
                assert answer["keeps"] == expected.keeps[0, 0].tolist(), (rule, p, T)
                assert answer["slack"] < (0.2 if rule == "min_p" else 1e-2)
    assert seen["sure"] > 100 and seen["unsure"] > 5
    nuclei = [setting for setting in settings if setting[0] == "top_p"]
    for (_, p, T), answer in zip(nuclei, evaluate(run, "cut", nuclei), strict=True):
        exact = validity_diversity(task.trie, task.logits, RULES["top_p"](p), T)
        for measure, column in MEASURES.items():
            if answer["shown"][measure]["how"] == "computed":
                assert answer["shown"][measure]["value"] == pytest.approx(getattr(exact, column), abs=1e-6), (
                    p,
                    T,
                    measure,
                )


def test_a_floor_decides_on_a_valid_token_in_the_tail_by_its_own_logit(run, tasks):
    """The count of the others is an estimate there; whether this token stays is not."""
    task, T = tasks["cut"], 2.0
    logits = task.logits[1].astype(np.float64)
    deep = float(logits[task.trie.valid_tokens(int(task.trie.internal[1]))].min())
    assert (logits > deep).sum() > 300
    ratio = float(np.exp((deep - logits.max()) / T))
    for factor, stays in ((1 - 1e-9, True), (1 + 1e-9, False)):
        answers = run(SELECT, "cut", [["min_p", ratio * factor, T]])[0][1]
        assert answers["sure"] and not answers["counted"] and answers["keeps"].count(True) == 3 + stays


@pytest.mark.parametrize("T", [0.5, 1.5, 4.0])
def test_the_mass_between_knots_lies_between_its_bounds(run, tasks, T):
    task = tasks["cut"]
    found = run("return window.tasks.cut.conditionals.map((c) => Engine.segments(Engine.temper(c, given[0])));", T)
    for row, parts in enumerate(found):
        logits = task.logits[row].astype(np.float64)
        weights = np.sort(np.exp((logits - logits.max()) / T))[::-1]
        above = np.concatenate([[0.0], np.cumsum(weights[150:])])  # the first 150 are known
        assert parts[0]["rank"] == 150 and parts[-1]["rank"] + parts[-1]["n"] == weights.size
        for part in parts:
            start, end = above[part["rank"] - 150], above[part["rank"] + part["n"] - 150]
            rounding = 2e-9 * weights.sum()  # of the tail's quadrature
            assert part["least"] - rounding <= start <= part["endMost"] + rounding
            assert part["endLeast"] - rounding <= end <= part["endMost"] + rounding
            assert part["mass"] == pytest.approx(start, rel=0.02, abs=rounding)


def test_a_nucleus_that_ends_near_a_valid_token_in_the_tail_is_not_called_exact(run, tasks):
    """The mass above that token is known between bounds only: wherever the page is sure, it is right."""
    task, unsure, wrong = tasks["cut"], 0, 0
    for row, T in ((1, 2.0), (1, 3.0), (3, 2.0), (3, 3.0)):
        logits = task.logits[row].astype(np.float64)
        valid = task.trie.valid_tokens(int(task.trie.internal[row]))
        deep = logits[valid].min()
        probabilities = np.exp(logits / T) / np.exp(logits / T).sum()
        reached = probabilities[logits > deep].sum()
        settings = [("top_p", float(p), T) for p in reached + np.linspace(-0.012, 0.012, 25)]
        whole = evaluate(run, "cut", settings)
        for setting, answers, answer in zip(settings, run(SELECT, "cut", settings), whole, strict=True):
            keeps = selection(task, row, *setting)[1].keeps[0, 0].tolist()
            assert not answers[row]["sure"] or answers[row]["keeps"] == keeps, setting
            unsure += not answers[row]["sure"]
            wrong += answers[row]["keeps"] != keeps
            exact = validity_diversity(task.trie, task.logits, RULES["top_p"](setting[1]), T)
            recall = answer["shown"]["sequenceRecall"]
            assert recall["how"] == "estimate" or recall["value"] == pytest.approx(exact.sequence_recall, abs=1e-6), (
                setting
            )
    assert unsure > wrong > 0


def test_equal_logits_at_a_boundary_are_cut_as_the_rules_cut_them(run):
    """Eight tokens of one logit, four of them valid; and one token so far below that its probability underflows."""
    trie = PrefixTrie.from_sequences([[0], [1], [6], [7]])
    even = explored(trie, np.zeros((1, 8), np.float32))
    steep = explored(trie, np.array([[0, -1, -2, -3, -4, -5, -300, -400]], np.float32))
    cases = [("top_p", 0.5), ("top_p", 0.375), ("top_p_canopy", 0.5), ("top_k", 3), ("top_k_exact", 3), ("min_p", 1.0),
             ("epsilon", 0.125), ("epsilon", 0.126), ("top_h", 1.0), ("top_h_authors", 1.0), ("oracle_cutoff", None),
             ("typical_p", 0.3), ("top_n_sigma", 0.5)]  # fmt: skip
    for task, temperature in ((even, 1.0), (steep, 0.3)):
        settings = [(rule, parameter, temperature) for rule, parameter in cases]
        found = run(
            f"window.tasks.edge = await Engine.openTask(given[2]); {SELECT}", "edge", settings, json.loads(task.text)
        )
        for setting, (answer,) in zip(settings, found, strict=True):
            _, expected = selection(task, 0, *setting)
            assert answer["keeps"] == expected.keeps[0, 0].tolist(), setting
            assert answer["size"] == int(expected.size[0, 0]), setting


@pytest.mark.parametrize("name", ["complete", "cut", "tied"])
def test_one_conditional_agrees_with_the_rules_themselves(run, tasks, name):
    """Mass, size and valid tokens of each retained set: a whole task could hide errors that cancel."""
    task, settings = tasks[name], off_grid()
    found = run(SELECT, name, settings)
    for (rule, parameter, T), answers in zip(settings, found, strict=True):
        for row, answer in enumerate(answers):
            view, expected = selection(task, row, rule, parameter, T)
            log_mass = float(expected.log_mass[0, 0])
            logits = task.logits[row].astype(np.float64)
            assert answer["norm"] == pytest.approx(np.logaddexp.reduce(logits / T), abs=1e-9)
            assert answer["entropy"] == pytest.approx(float(view.entropy[0]), abs=1e-8)
            if answer["counted"]:
                assert answer["size"] == int(expected.size[0, 0]), (rule, parameter, T)
            else:
                assert answer["size"] == pytest.approx(int(expected.size[0, 0]), rel=0.05), (rule, parameter, T)
            if answer["sure"]:
                assert answer["keeps"] == expected.keeps[0, 0].tolist(), (rule, parameter, T)
                assert answer["least"] - 1e-9 <= log_mass <= answer["most"] + 1e-9, (rule, parameter, T)
                assert answer["logMass"] == pytest.approx(log_mass, abs=answer["slack"] + 1e-9), (rule, parameter, T)


def test_answers_sum_over_their_spellings(run, tasks):
    from calib_assets.decoding import answer_log_probabilities

    task = tasks["tied"]
    (answer,) = evaluate(run, "tied", [("unrestricted", None, 1.3)])
    expected = answer_log_probabilities(task.trie, task.logits, [1.3], threads=1)[0]
    logs = [-np.inf if log is None else log for log in answer["live"]["answerLogs"]]  # JSON has no infinity
    assert logs[0] == -np.inf
    np.testing.assert_allclose(np.exp(logs), np.exp(expected), atol=1e-12)


def test_cutoffs_at_a_context_are_local_precision_and_recall(run, tasks):
    task = tasks["complete"]
    found = run(
        """const task = window.tasks.complete, context = task.conditionals[0];
        const weights = [...context.lower.keys()].map((edge) => task.trie.continuations[task.childStart[0] + edge]);
        return Array.from({ length: context.size }, (_, i) => Engine.cutoff(context.lower, i + 1, weights.map((w, e) => w + e)));"""
    )
    is_valid = np.zeros(task.logits.shape[1], bool)
    valid = task.trie.valid_tokens(0)
    is_valid[valid] = True
    curve = local_precision_recall(task.logits[0], is_valid)
    np.testing.assert_allclose([p["precision"] for p in found], curve.precision, atol=1e-12)
    np.testing.assert_allclose([p["tokenRecall"] for p in found], curve.recall, atol=1e-12)
    # By continuations, with unequal weights: straight from the definition.
    order, weight = np.argsort(-task.logits[0], kind="stable"), dict(zip(valid, 4 + np.arange(4)))
    reached = np.cumsum([weight.get(token, 0) for token in order]) / sum(weight.values())
    np.testing.assert_allclose([p["recall"] for p in found], reached, atol=1e-12)


def test_cutoffs_of_a_swept_node_are_those_of_the_stored_curves(run):
    rng = np.random.default_rng(4)
    n = 30
    labels = [None if x < 0.1 else bool(x < 0.5) for x in rng.random(n)]
    counts = [int(rng.integers(1, 6)) if label else 0 for label in labels]
    ranks = [1 + 3 * i for i in range(n)]
    table = pl.DataFrame(
        {"judge": ["j"] * n, "seed": [0] * n, "parent": [0] * n, "depth": [1] * n, "rank": ranks, "n_valid": counts,
         "is_valid": labels}
    )  # fmt: skip
    children = [{"rank": r, "label": label, "n_valid": c} for r, label, c in zip(ranks, labels, counts)]
    found = run("return Engine.nodeCurve(given[0])", children)
    curves = node_curves(table)
    for weighting, name in (("token", "tokenRecall"), ("continuation", "recall")):
        stored = curves.filter(pl.col("weighting") == weighting)
        assert [p["rank"] for p in found] == stored["rank"].to_list()
        np.testing.assert_allclose([p["precision"] for p in found], stored["precision"], atol=1e-12)
        np.testing.assert_allclose([p[name] for p in found], stored["recall"], atol=1e-12)
    assert run("return Engine.nodeCurve(given[0])", [{"rank": 1, "label": False, "n_valid": 0}]) == []


def test_a_task_that_is_too_large_shows_the_nearest_stored_values(run):
    rng = np.random.default_rng(1)
    trie = PrefixTrie.from_sequences([[a, b, c] for a in range(3) for b in range(3) for c in range(3)])
    task = explored(trie, rng.normal(size=(trie.internal.size, 40)).astype(np.float32), most_contexts=4)
    answers = run(
        """const task = await Engine.openTask(given[0]);
        return { contexts: task.conditionals.length, nodes: task.n, found: [[2.25, 'top_p', 0.9], [2.0, 'top_p', 0.88], [1, 'validity_oracle', null]].map(
          ([T, rule, parameter]) => Engine.answer(task, T, rule, parameter)), none: Engine.answer({ ...task, sweep: { ...task.sweep, rule: [] } }, 1, 'top_p', 0.5) };""",
        json.loads(task.text),
    )
    assert answers["contexts"] == 4 and answers["nodes"] == 1 + 3 + 9
    on_grid, near, oracle = answers["found"]
    row = task.points.filter(
        (pl.col("rule") == "top_p") & (pl.col("parameter") == 0.9) & (pl.col("temperature") == 2.25)
    )
    assert on_grid["validity"] == {"value": pytest.approx(row["validity"][0], abs=1e-6), "how": "stored"}
    assert near["validity"]["how"] == "nearest" and near["validity"]["at"] == {"T": 2.25, "parameter": 0.9}
    assert near["diversity"]["value"] == pytest.approx(row["diversity"][0], abs=1e-6)
    assert oracle["validity"] == {"value": 1, "how": "stored"}
    assert answers["none"]["validity"] == {"value": None, "how": "none"}


def test_the_rules_of_the_page_are_registered_and_all_are_tested(run):
    names = set(run("return Object.keys(Engine.RULES)"))
    assert names <= set(RULES) and names == {*PLAIN, *PARAMETERS}


def test_a_rule_that_the_page_cannot_cut_shows_stored_values(run):
    (answer,) = run("return [Engine.answer({ ...window.tasks.complete, sweep: { ...window.tasks.complete.sweep, rule: window.tasks.complete.sweep.rule.map(() => 'new') } }, 1, 'new', 7)];")  # fmt: skip
    assert answer["live"] is None and answer["validity"]["how"] == "stored"
