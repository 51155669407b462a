"""Figures of single conditionals: token groups, masses, calibration, logit fits."""

import math

import numpy as np
import polars as pl
import pytest
import shape_tables
from drawn import artists, footnote, words

from calib_assets import figures


def test_token_groups_and_labels(tables):
    tokens = tables["conditional_ranks"]
    figure = figures.token_distribution(tokens)
    drawn = {
        group: artists(figure, f"group-{group}")[0].get_offsets()
        for group in ("valid, frequent", "valid, rare", "invalid")
    }
    assert len(drawn["invalid"]) == tokens.filter(~pl.col("is_valid")).height
    valid = tokens.filter("is_valid").sort("probability", descending=True)
    cumulative = valid["probability"].cum_sum().to_numpy() / valid["probability"].sum()
    n_frequent = int(
        np.searchsorted(cumulative, 0.9) + 1
    )  # the token that crosses the share counts as frequent
    assert 0 < n_frequent < valid.height
    np.testing.assert_allclose(
        np.sort(drawn["valid, frequent"][:, 1])[::-1], valid["probability"][:n_frequent]
    )
    np.testing.assert_allclose(np.sort(drawn["valid, rare"][:, 1])[::-1], valid["probability"][n_frequent:])
    assert tokens["text"][0] in words(figure)
    with pytest.raises(ValueError, match="no node 7"):
        figures.token_distribution(tokens, node=7)


def test_token_text_of_any_script_is_drawn_and_impossible_tokens_are_counted(tables):
    odd = ["\n", "数", "\U0001f600", "$x$", "\ufffd", "\x00", "<b>&amp;", " ", "", "\u202eevil", "é"]
    tokens = (
        tables["conditional_ranks"]
        .head(len(odd))
        .with_columns(
            text=pl.Series(odd), probability=pl.Series([0.5 / 2**i for i in range(len(odd) - 1)] + [0.0])
        )
    )
    figure = figures.token_distribution(tokens, labels=30)
    assert b"PNG" in figures.png(figure, dpi=60)
    # 0.5 (1 + 1/2 + … + 1/2⁹) of the mass is in the table, and 0.5/2⁹ is not.
    lost = "Invalid tokens that are not in the table hold 9.8×10⁻⁴ of the mass."
    assert footnote(figure) == f"{lost}\nTokens of probability 0, not drawn: 1."
    whole = tokens.with_columns(pl.col("probability") / tokens["probability"].sum())
    assert footnote(figures.token_distribution(whole)) == "Tokens of probability 0, not drawn: 1."


def test_masses_fill_the_plot(tables):
    table = tables["mass_by_temperature"]
    figure = figures.mass_by_temperature(table)
    layers = figure.axes[0].collections
    assert [layer.get_label() for layer in layers] == ["valid, frequent", "valid, rare", "invalid"]
    top = layers[-1].get_paths()[0].vertices
    assert top[:, 1].max() == pytest.approx(1.0)
    at_one = table.filter((pl.col("temperature") == 1.0) & (pl.col("group") == "valid, frequent"))["mass"][0]
    edge = layers[0].get_paths()[0].vertices
    assert edge[np.isclose(edge[:, 0], 1.0)][:, 1].max() == pytest.approx(at_one)
    bars = figures.mass_by_temperature(table.filter(pl.col("temperature") == 1.0)).axes[0].patches
    assert sum(bar.get_height() for bar in bars) == pytest.approx(1.0)


def test_calibration_dots_are_the_table_and_infinite_values_are_counted(tables):
    table = tables["conditional_calibration"]
    spoiled = table.with_columns(
        shape_divergence=pl.when(pl.col("node") == 2).then(math.inf).otherwise("shape_divergence"),
        order_auroc=pl.when(pl.col("node") == 3).then(None).otherwise("order_auroc"),
    )
    figure = figures.conditional_calibration(spoiled)
    figures.png(figure, dpi=50)
    assert footnote(figure) == "Infinite values of shape divergence, not drawn: 1."
    for column in ("order_auroc", "valid_mass", "shape_divergence", "effective_support"):
        dots = np.concatenate(
            [dot.get_offsets()[:, 1] for place in range(5) for dot in artists(figure, f"{column}-{place}")]
        )
        kept = spoiled[column].drop_nulls().to_numpy()
        np.testing.assert_allclose(np.sort(dots), np.sort(kept[np.isfinite(kept)]))


def test_logit_panels_split_at_the_change_point_and_report_the_fit():
    curves, fits = shape_tables.fit_tables(25)
    figure = figures.logit_fit(curves, fits, max_panels=12)
    assert len(figure.axes) == 12 and footnote(figure) == "12 of 25 conditionals, at even steps."
    row = fits.row(0, named=True)
    curve = curves.filter(pl.col("node") == row["node"])
    head, tail = artists(figure, "head-0")[0], artists(figure, "tail-0")[0]
    assert head.get_xdata().max() <= row["c"] < tail.get_xdata().min()
    np.testing.assert_array_equal(
        np.concatenate([head.get_ydata(), tail.get_ydata()]), curve["fitted"].to_numpy()
    )
    title = figure.axes[0].get_title(loc="left")
    assert f"R² {row['r2']:.3f}" in title and "MSE" in title
    assert artists(figure, "logits-24")  # the last conditional is among those shown
    figures.png(figure, dpi=50)
