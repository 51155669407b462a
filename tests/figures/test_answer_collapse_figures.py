"""What the figures of answer collapse show is what their tables hold."""

import collapse_tables
import polars as pl
import pytest
from drawn import words

from calib_assets import figures


def counts_of(collapse, speaker: str) -> pl.DataFrame:
    return collapse["answer_counts"].filter((pl.col("speaker") == speaker) & (pl.col("matching") == "strict"))


def test_bars_are_the_shares_and_others_are_one_bar(collapse):
    table = counts_of(collapse, "collapsed")
    rare = table.with_columns(answer=pl.col("answer") + "!", count=pl.lit(1, pl.Int64), share=0.001)
    table = pl.concat([table, rare])
    figure = figures.top_answers(table)
    for axes, setting in zip(figure.axes, ("independent", "history"), strict=True):
        own = table.filter(pl.col("setting") == setting).sort("count", descending=True, maintain_order=True)
        widths = [bar.get_width() for bar in axes.patches]
        assert widths[:12] == pytest.approx(own["share"].head(12).to_list())
        assert len(widths) == 13 and widths[12] == pytest.approx(own["share"].slice(12).sum())
        assert axes.get_yticklabels()[12].get_text() == f"{own.height - 12} other answers"
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_colours_say_what_is_on_the_list(collapse):
    table = counts_of(collapse, "varied")
    (axes, _) = figures.top_answers(table).axes
    rows = table.filter(pl.col("setting") == "independent").sort("count", descending=True, maintain_order=True)
    shown = [bar.get_facecolor() for bar in axes.patches]
    assert len({colour for colour, listed in zip(shown, rows["listed"], strict=False) if listed}) == 1
    assert len(set(shown)) == 2 and "not on the list" in words(figures.top_answers(table))
    free = collapse_tables.all_tables(None)
    assert "not on the list" not in words(figures.top_answers(counts_of(free, "varied")))


def test_points_are_the_estimates(collapse):
    table = collapse["collapse_comparison"].filter(pl.col("matching") == "strict")
    (axes,) = figures.effective_answers(collapse["collapse_comparison"]).axes
    lines = [line for line in axes.lines if line.get_gid() and line.get_gid().startswith("est-")]
    found = sorted(float(line.get_xdata()[0]) for line in lines)
    wanted = table.filter(pl.col("measure") == "effective_number_chao_shen")["est"].sort().to_list()
    assert found == pytest.approx(wanted)
    assert not axes.collections  # no intervals, and the footnote says why


def test_estimates_beyond_what_was_seen_stay_on_the_axis(collapse):
    """Where all answers differ, Chao and Shen's estimate is many times the distinct answers."""
    table = collapse["collapse_comparison"]
    shao = pl.col("measure") == "effective_number_chao_shen"
    table = table.with_columns(est=pl.when(shao).then(pl.col("est") * 40).otherwise("est"))
    (axes,) = figures.effective_answers(table).axes
    low, high = axes.get_xlim()
    own = table.filter((pl.col("matching") == "strict") & shao)
    assert low < own["est"].min() < own["est"].max() < high


def test_small_shares_are_not_written_as_nothing_and_one_answer_is_one(collapse):
    table = counts_of(collapse, "collapsed").filter(pl.col("setting") == "history").head(1)
    rows = [table.with_columns(answer=pl.lit(f"a{i}"), count=pl.lit(50 - i, pl.Int64), share=0.08) for i in range(11)]
    rows += [table.with_columns(answer=pl.lit(f"z{i}"), count=pl.lit(2 - i, pl.Int64), share=0.0012) for i in range(2)]
    text = words(figures.top_answers(pl.concat(rows)))
    assert "0.0012" in text and "0.00\n" not in text and "\n1 other answer\n" in text
