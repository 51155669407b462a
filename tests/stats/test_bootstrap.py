"""The cluster bootstrap against plain loops over the same draws, and against what is known of the mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.stats import Bootstrap, bootstrap, cluster_bootstrap, from_draws, resampled_sums


@st.composite
def clustered(draw):
    """Values and the cluster of each row; clusters of unequal size, in no order."""
    rows = draw(st.lists(st.tuples(st.floats(-5, 5), st.integers(0, 5)), min_size=1, max_size=20))
    return np.array([value for value, _ in rows]), np.array([f"c{cluster}" for _, cluster in rows])


def by_the_book(values, clusters, statistic, n_boot, seed):
    """Statistic of each draw, from lists of rows."""
    names = sorted(set(clusters))
    rows = {name: [i for i, cluster in enumerate(clusters) if cluster == name] for name in names}
    drawn = np.random.default_rng(seed).integers(len(names), size=(n_boot, len(names)))
    return np.array([statistic(values[[i for c in draw for i in rows[names[c]]]]) for draw in drawn])


@given(clustered(), st.sampled_from([0.5, 0.9, 0.95]))
def test_mean_is_that_of_the_drawn_rows(data, level):
    values, clusters = data
    found = cluster_bootstrap(values, clusters, n_boot=50, rng=np.random.default_rng(3), level=level)
    assert found.est == pytest.approx(np.mean(values))
    assert found.n_clusters == len(set(clusters))
    if found.n_clusters == 1:
        assert found.se is found.ci_low is found.ci_high is None
        return
    draws = by_the_book(values, clusters, np.mean, 50, 3)
    assert found.se == pytest.approx(np.std(draws, ddof=1), abs=1e-12)
    assert found.ci_low == pytest.approx(np.quantile(draws, (1 - level) / 2), abs=1e-12)
    assert found.ci_high == pytest.approx(np.quantile(draws, (1 + level) / 2), abs=1e-12)


@given(clustered())
def test_callable_and_fast_path_agree(data):
    values, clusters = data
    fast = cluster_bootstrap(values, clusters, n_boot=40)
    slow = cluster_bootstrap(values, clusters, np.mean, n_boot=40)
    for field in ("est", "se", "ci_low", "ci_high"):
        one, other = getattr(fast, field), getattr(slow, field)
        assert (one is None and other is None) or one == pytest.approx(other, abs=1e-12)


@given(clustered())
def test_columns_share_their_draws(data):
    values, clusters = data
    both = cluster_bootstrap(np.column_stack([values, values**2]), clusters, n_boot=30)
    for column, single in enumerate((values, values**2)):
        alone = cluster_bootstrap(single, clusters, n_boot=30)
        assert both.est[column] == pytest.approx(alone.est)
        if both.se is not None:
            assert both.se[column] == pytest.approx(alone.se, abs=1e-12)
            assert both.ci_low[column] == pytest.approx(alone.ci_low, abs=1e-12)


def test_vector_valued_callable():
    values, clusters = np.arange(12.0), np.repeat(np.arange(4), 3)
    found = cluster_bootstrap(values, clusters, lambda rows: np.array([rows.min(), rows.max()]), n_boot=60)
    draws = by_the_book(values, clusters, lambda rows: (rows.min(), rows.max()), 60, 42)
    np.testing.assert_array_equal(found.est, [0, 11])
    np.testing.assert_allclose(found.ci_high, np.quantile(draws, 0.975, axis=0))


def test_defaults_are_the_papers():
    values, clusters = np.random.default_rng(0).normal(size=40), np.repeat(np.arange(10), 4)
    found = cluster_bootstrap(values, clusters)
    draws = by_the_book(values, clusters, np.mean, 2000, 42)
    assert found.ci_low == pytest.approx(np.quantile(draws, 0.025), abs=1e-12)
    again = cluster_bootstrap(values, clusters, rng=Bootstrap().rng(), n_boot=Bootstrap().n_boot)
    assert again == found


def test_blocks_do_not_change_the_draws(monkeypatch):
    values, clusters = np.random.default_rng(0).normal(size=30), np.repeat(np.arange(10), 3)
    whole = resampled_sums(values[:, None], clusters, 101)
    monkeypatch.setattr(bootstrap, "BLOCK_ENTRIES", 70)
    np.testing.assert_allclose(resampled_sums(values[:, None], clusters, 101), whole, atol=1e-12)


def test_standard_error_of_a_mean_of_clusters():
    # Means of equally large clusters: the bootstrap variance is that of the cluster means over n, ddof 0.
    means = np.random.default_rng(5).normal(size=50)
    found = cluster_bootstrap(np.repeat(means, 3), np.repeat(np.arange(50), 3), n_boot=20_000)
    assert found.se == pytest.approx(np.std(means) / np.sqrt(50), rel=0.03)


@pytest.mark.parametrize(("n", "share"), [(2, 0.5), (3, 0.75), (5, 0.84), (10, 0.91), (20, 0.94)])
def test_few_clusters_are_covered_as_seldom_as_the_docstring_says(n, share):
    studies = np.random.default_rng(1).normal(size=(n, 3000))
    found = cluster_bootstrap(studies, np.arange(n), n_boot=1000)  # a column a study
    covered = np.mean((found.ci_low <= 0) & (found.ci_high >= 0))
    assert covered == pytest.approx(share, abs=0.01 + 2 * np.sqrt(share * (1 - share) / 3000))


def test_rows_of_a_cluster_are_no_independent_evidence():
    values = np.repeat([0.0, 1.0, 0.0, 1.0], 25)
    whole = cluster_bootstrap(values, np.repeat(np.arange(4), 25))
    rows = cluster_bootstrap(values, np.arange(100))
    assert whole.se > 3 * rows.se


def test_undefined_draws_are_left_out_and_counted():
    def share(rows):
        return np.nan if not rows.any() else 1 / rows.sum()

    values, clusters = np.array([1.0, 0.0, 0.0]), np.arange(3)
    found = cluster_bootstrap(values, clusters, share, n_boot=200)
    draws = by_the_book(values, clusters, share, 200, 42)
    assert found.n_undefined == np.isnan(draws).sum() > 0
    assert found.se == pytest.approx(np.nanstd(draws, ddof=1))
    assert found.ci_low == np.nanquantile(draws, 0.025)


def test_columns_without_two_defined_draws_have_no_interval():
    draws = np.array([[1.0, np.nan], [2.0, np.nan], [4.0, 3.0]])
    found = from_draws(np.array([2.0, 3.0]), draws, n_clusters=3, level=0.5)
    assert found.n_undefined == 2
    assert np.isnan([found.se[1], found.ci_low[1], found.ci_high[1]]).all()
    assert (found.ci_low[0], found.ci_high[0]) == (1.5, 3.0)
    assert from_draws(2.0, np.array([np.nan, 1.0]), n_clusters=2, level=0.5).ci_low is None


def test_wrong_input_is_named():
    values, clusters = np.arange(3.0), np.arange(3)
    for settings, message in (
        ({"n_boot": 1}, "n_boot is 1"),
        ({"level": 1.0}, "level is 1.0"),
        ({"statistic": "median"}, "statistic is 'median'"),
    ):
        with pytest.raises(ValueError, match=message):
            cluster_bootstrap(values, clusters, **settings)
    with pytest.raises(ValueError, match="values has no rows"):
        cluster_bootstrap(values[:0], clusters[:0])
    with pytest.raises(ValueError, match=r"clusters has shape \(2,\)"):
        cluster_bootstrap(values, clusters[:2])
    with pytest.raises(ValueError, match="1 NaN or infinite of 3"):
        cluster_bootstrap(np.array([1, np.nan, 2]), clusters)
