"""The coding figures show the numbers of their tables."""

import code_tables
import numpy as np
import polars as pl
import pytest
from drawn import misplaced, words

from calib_assets.figures import pass_curves, ranked_programs


@pytest.fixture(scope="module")
def code():
    return code_tables.all_tables()


def marks(axes, kind):
    return [
        tuple(point)
        for item in axes.collections
        if item.get_gid() == f"{kind}-programs"
        for point in item.get_offsets()
    ]


def test_every_program_is_a_mark_of_its_verdict(code):
    ranked = code["ranked_programs"]
    figure = ranked_programs(ranked)
    titles = {axes.get_title(loc="left"): axes for axes in figure.axes}
    assert set(titles) == set(ranked["problem_id"])
    for problem, axes in titles.items():
        own = ranked.filter(problem_id=problem)
        for kind, passed in (("right", True), ("wrong", False)):
            wanted = own.filter(passed=passed).select("rank", "log_probability").rows()
            assert np.allclose(sorted(marks(axes, kind)), sorted(wanted)) if wanted else not marks(axes, kind)


def test_problems_with_both_verdicts_come_first_and_the_rest_is_counted(code):
    ranked = code["ranked_programs"]
    first = ranked_programs(ranked).axes[0].get_title(loc="left")
    assert ranked.filter(problem_id=first)["passed"].n_unique() == 2
    many = pl.concat([ranked.with_columns(pl.col("problem_id") + f"-{copy}") for copy in range(3)])
    figure = ranked_programs(many)
    assert len(figure.axes) == 12 and "Problems of the table that are not drawn: 3." in words(figure)


def test_twenty_speakers_with_long_names_have_a_legend_that_fits(code):
    one = code["pass_speakers"].filter(speaker="one")
    names = [f"organisation/a-long-name-of-a-model-{number}-instruct" for number in range(20)]
    figure = pass_curves(pl.concat([one.with_columns(speaker=pl.lit(name)) for name in names]))
    assert misplaced(figure) == [] and figure.axes[0].get_position().height * figure.get_figheight() > 1.5  # inches


def test_curves_are_the_means_with_their_intervals(code):
    rates = code["pass_speakers"]
    (axes,) = pass_curves(rates).axes
    lines = {line.get_label(): line for line in axes.get_lines() if (line.get_gid() or "").startswith("pass-")}
    for speaker, line in lines.items():
        own = rates.filter(speaker=speaker).drop_nulls("est").sort("k")
        assert np.allclose(line.get_xydata(), own.select("k", "est").to_numpy())
    assert set(lines) == {"one", "two"}
    (single,) = pass_curves(code["pass_summary"]).axes
    assert len([line for line in single.get_lines() if (line.get_gid() or "").startswith("pass-")]) == 1
