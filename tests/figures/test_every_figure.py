"""What holds of every public figure: same bytes, an empty table said so, missing columns named, drawable text."""


import matplotlib
import polars as pl
import pytest
from drawn import misplaced, words
from hypothesis import given
from hypothesis import strategies as st

from calib_assets import figures
from calib_assets.figures.text import visible


def every_figure(tables) -> dict:
    return {
        "token_distribution": lambda: figures.token_distribution(tables["conditional_ranks"]),
        "mass_by_temperature": lambda: figures.mass_by_temperature(tables["mass_by_temperature"]),
        "temperature_tradeoff": lambda: figures.temperature_tradeoff(tables["decoding_sweep"]),
        "sequence_probability": lambda: figures.sequence_probability(tables["sequence_probabilities"]),
        "validity_diversity_frontier": lambda: figures.validity_diversity_frontier(
            tables["validity_diversity_frontier"], sweep=tables["decoding_sweep"]
        ),
        "conditional_calibration": lambda: figures.conditional_calibration(tables["conditional_calibration"]),
        "calibration_gap": lambda: figures.calibration_gap(tables["calibration_gap"]),
        "shape_bound": lambda: figures.shape_bound(tables["theory_f4"]),
        "order_bound": lambda: figures.order_bound(tables["theory_e3"]),
        "sequence_precision_recall": lambda: figures.sequence_precision_recall(
            tables["sequence_precision_recall"]
        ),
        "step_factors": lambda: figures.step_factors(
            tables["sequence_steps"], tables["sequence_precision_recall"]
        ),
        "logit_fit": lambda: figures.logit_fit(tables["logit_fit_curves"], tables["logit_fits"]),
        "depth_frontiers": lambda: figures.depth_frontiers(tables["depth_frontiers"]),
        "single_step": lambda: figures.single_step(tables["node_curves"], tables["token_validity"]),
        "model_scaling": lambda: figures.model_scaling(tables["model_scaling"]),
        "greedy_robustness": lambda: figures.greedy_robustness(tables["robustness_frontiers"]),
        "decoding_comparison": lambda: figures.decoding_comparison(
            tables["decoding_points"], tables["best_decoding"]
        ),
        "judge_scores": lambda: figures.judge_scores(tables["judge_labels"]),
        "sweep_tree": lambda: figures.sweep_tree(
            tables["token_validity"], completions=tables["completions"], prefix="In"
        ),
        "entropy_trajectories": lambda: figures.entropy_trajectories(tables["entropy_trajectory"]),
        "length_distributions": lambda: figures.length_distributions(tables["length_distribution"]),
        "prompt_variability": lambda: figures.prompt_variability(tables["prompt_measures"]),
        "canopy_levels": lambda: figures.canopy_levels(tables["canopy_models"]),
        "canopy_change": lambda: figures.canopy_change(tables["canopy_comparison"]),
        "residual_qq": lambda: figures.residual_qq(tables["scaled_residuals"], tables["residual_tests"]),
        "ranked_programs": lambda: figures.ranked_programs(tables["ranked_programs"]),
        "pass_curves": lambda: figures.pass_curves(tables["pass_speakers"]),
        "top_answers": lambda: figures.top_answers(
            tables["answer_counts"].filter(pl.col("speaker") == "collapsed"), "lenient"
        ),
        "effective_answers": lambda: figures.effective_answers(tables["collapse_comparison"]),
        "diversity_regression": lambda: figures.diversity_regression(tables["beta_panel"], tables["predictions"]),
    }


NAMES = sorted(set(figures.__all__) - {"png", "svg", "inline_svg", "thumbnail", "plotted_data"})


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_draws_leaves_matplotlib_alone_and_gives_the_same_bytes(every_table, name, monkeypatch):
    monkeypatch.setitem(matplotlib.rcParams, "font.size", 31.0)  # a user's own setting, which no theme has
    before = dict(matplotlib.rcParams)
    draw = every_figure(every_table)[name]
    first, second = draw(), draw()
    assert figures.png(first, dpi=60) == figures.png(second, dpi=60)
    assert figures.svg(first) == figures.svg(second)
    assert misplaced(first) == []
    thumbnail = figures.thumbnail(first)
    assert thumbnail.startswith(b"\x89PNG") and len(thumbnail) <= 45_000
    assert dict(matplotlib.rcParams) == before
    assert matplotlib._pylab_helpers.Gcf.get_all_fig_managers() == []


@pytest.mark.parametrize("name", NAMES)
def test_every_public_figure_says_so_when_its_table_is_empty(every_table, name):
    empty = {key: frame.clear() for key, frame in every_table.items()}
    figure = every_figure(empty)[name]()
    figures.png(figure, dpi=50)
    assert not figure.axes
    assert len(words(figure)) > 15


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("temperature_tradeoff", "decoding_sweep"),
        ("validity_diversity_frontier", "validity_diversity_frontier"),
        ("calibration_gap", "calibration_gap"),
        ("conditional_calibration", "conditional_calibration"),
        ("sequence_probability", "sequence_probabilities"),
        ("shape_bound", "theory_f4"),
        ("order_bound", "theory_e3"),
        ("token_distribution", "conditional_ranks"),
        ("mass_by_temperature", "mass_by_temperature"),
    ],
)
def test_a_missing_column_is_named(tables, name, table):
    column = {
        "validity_diversity_frontier": "diversity",
        "calibration_gap": "shape_gap",
        "conditional_calibration": "order_auroc",
        "order_bound": "bound",
        "shape_bound": "bound_f4",
        "token_distribution": "is_valid",
        "mass_by_temperature": "mass",
    }.get(name, "temperature")
    with pytest.raises(ValueError, match=rf"{table} lacks the column\(s\) {column}"):
        getattr(figures, name)(tables[table].drop(column))


@given(st.text(max_size=60), st.integers(3, 40))
def test_visible_text_is_drawable_bounded_and_free_of_mathematics(text, limit):
    shown = visible(text, limit)
    assert len(shown.replace(r"\$", "$")) <= limit
    assert shown.count("$") == shown.count(r"\$")
    assert all(character.isprintable() for character in shown)
