"""The piecewise fit against exhaustive search with scipy's own least squares, and against known curves."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import curve_fit, minimize_scalar

from calib_assets.metrics import _piecewise_search, fit_piecewise_logits

falling = st.one_of(
    st.lists(st.floats(-50, 50), min_size=5, max_size=24),
    st.lists(st.integers(-5, 5).map(float), min_size=5, max_size=24),  # ties and flat stretches
).map(lambda values: np.sort(np.array(values))[::-1].copy())


def squared_error(x, y):
    design = np.column_stack([np.ones_like(x), x])
    residual = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float(residual @ residual)


def exhaustive(y):
    """Smallest squared error over every c and a dense grid of C, each local minimum polished."""
    n, best = y.size, np.inf
    ranks = np.arange(1.0, n + 1)
    for c in range(2, n - 2):
        head, tail = squared_error(ranks[:c], y[:c]), ranks[c:]
        shifts = np.geomspace(0.01, 100 * n + c + 1, 120) - c - 1
        shifts = shifts[shifts <= 100 * n]

        def error(shift, tail=tail, c=c):
            return squared_error(np.log(tail + shift) - np.log(n + shift), y[c:])

        errors = np.array([error(shift) for shift in shifts])
        for i in np.argsort(errors)[:2]:
            bounds = (shifts[max(i - 1, 0)], shifts[min(i + 1, shifts.size - 1)])
            errors = np.append(errors, minimize_scalar(error, bounds=bounds, method="bounded").fun)
        best = min(best, head + errors.min())
    return best


def piecewise(n, m, b, c, level, slope, shift):
    k = np.arange(1.0, n + 1)
    return np.where(k <= c, m * k + b, level + slope * np.log(np.maximum(k, c + 1) + shift))


def total_error(fit, y):
    return float(((y - fit.fitted) ** 2).sum())


@settings(max_examples=40)
@given(falling)
def test_no_c_and_shift_fit_better(y):
    fit = fit_piecewise_logits(y)
    spread = float(((y - y.mean()) ** 2).sum())
    assert fit.mse * y.size <= exhaustive(y) * (1 + 1e-9) + 1e-12 * spread
    assert fit.mse * y.size == pytest.approx(total_error(fit, y), rel=1e-6, abs=1e-9 * max(spread, 1))


@pytest.mark.parametrize("seed", range(4))
def test_no_c_and_shift_fit_better_on_noisy_heads_and_tails(seed):
    rng = np.random.default_rng(seed)
    n, c = 90, int(rng.integers(3, 60))
    y = piecewise(n, -0.2, 4, c, 4 - 0.2 * c + 2, -1.3, rng.exponential(9) - c) + rng.normal(size=n) * 0.05
    y = np.sort(y)[::-1]
    assert fit_piecewise_logits(y).mse * n <= exhaustive(y) * (1 + 1e-9)


def test_merged_tail_bins_do_not_cost_accuracy(monkeypatch):
    """The binned screening of large vocabularies, forced on small ones, must lead to the same optimum."""
    rng = np.random.default_rng(5)
    for c in (5, 30, 120):
        y = np.sort(piecewise(160, -0.1, 3, c, 3.5 - 0.1 * c, -0.8, 4 - c) + rng.normal(size=160) * 0.02)[
            ::-1
        ]
        exact = fit_piecewise_logits(y)
        monkeypatch.setattr(_piecewise_search, "EXACT_RANKS", 16)
        monkeypatch.setattr(_piecewise_search, "_BIN_RATIO", 1.1)
        binned = fit_piecewise_logits(y)
        monkeypatch.undo()
        assert binned.mse <= exact.mse * (1 + 1e-9)
        assert exact.mse * 160 <= exhaustive(y) * (1 + 1e-9)


def test_scipy_does_not_find_a_better_tail_for_the_chosen_c():
    rng = np.random.default_rng(2)
    y = np.sort(piecewise(400, -0.05, 6, 37, 9, -1.4, 3) + rng.normal(size=400) * 0.05)[::-1]
    fit = fit_piecewise_logits(y)
    k = np.arange(fit.c + 1.0, 401)
    tail = ((y[fit.c :] - fit.fitted[fit.c :]) ** 2).sum()
    for start in (-fit.c + 0.5, 0.0, 30.0):
        (level, slope, shift), _ = curve_fit(
            lambda k, level, slope, shift: level + slope * np.log(k + shift),
            k,
            y[fit.c :],
            p0=(9, -1, start),
            bounds=([-np.inf, -np.inf, -fit.c - 0.99], np.inf),
            x_scale=(1, 1, 10),
        )
        assert tail <= ((y[fit.c :] - level - slope * np.log(k + shift)) ** 2).sum() * (1 + 1e-9)


@pytest.mark.parametrize("n", [60, 1500, 49_152])
@pytest.mark.parametrize(("c", "shift"), [(5, 0.0), (24, 20.0), (40, -35.5)])
def test_recovers_a_known_curve(n, c, shift):
    y = piecewise(n, -0.4, 20.0, c, 20.0 - 0.4 * c + 0.9 * np.log(c + 1 + shift) - 0.5, -0.9, shift)
    fit = fit_piecewise_logits(y)
    assert fit.c == c
    assert (fit.m, fit.b, fit.B) == pytest.approx((-0.4, 20.0, -0.9), rel=1e-4)
    assert fit.C == pytest.approx(shift, abs=1e-2)
    assert (fit.geometric_rate, fit.zipf_exponent) == (-fit.m, -fit.B)
    assert fit.mse < 1e-9
    assert fit.r2 == pytest.approx(1)
    np.testing.assert_allclose(fit.fitted, y, atol=1e-3)


def test_statistics_of_a_fit():
    rng = np.random.default_rng(0)
    y = np.sort(rng.normal(size=300))[::-1]
    fit = fit_piecewise_logits(y)
    residual = y - fit.fitted

    def r2(part):
        return 1 - (residual[part] ** 2).sum() / ((y[part] - y[part].mean()) ** 2).sum()

    assert fit.mse == pytest.approx((residual**2).mean())
    assert (fit.r2, fit.head_r2, fit.tail_r2) == pytest.approx(
        (r2(slice(None)), r2(slice(fit.c)), r2(slice(fit.c, None)))
    )
    # Least squares: residuals of each piece are orthogonal to its regressors.
    k = np.arange(1, 301)
    for part, regressor in ((slice(fit.c), k), (slice(fit.c, None), np.log(np.maximum(k + fit.C, 0.01)))):
        assert residual[part].sum() == pytest.approx(0, abs=1e-9)
        assert residual[part] @ regressor[part] == pytest.approx(0, abs=1e-6)


@settings(max_examples=25)
@given(falling, st.floats(0.01, 100), st.floats(-100, 100))
def test_scaling_and_shifting_the_logits_scales_the_error(y, factor, shift):
    before, after = fit_piecewise_logits(y), fit_piecewise_logits(y * factor + shift)
    spread = float(((y - y.mean()) ** 2).mean())
    assert after.mse / factor**2 == pytest.approx(before.mse, rel=1e-6, abs=1e-9 * spread + 1e-20)


def test_scaling_scales_the_parameters():
    rng = np.random.default_rng(3)
    y = np.sort(piecewise(500, -0.1, 5, 20, 6.2, -1.1, 4) + rng.normal(size=500) * 0.01)[::-1]
    before, after = fit_piecewise_logits(y), fit_piecewise_logits(3 * y - 7)
    assert after.c == before.c
    assert after.C == pytest.approx(before.C, rel=1e-4)
    assert (after.m, after.b) == pytest.approx((3 * before.m, 3 * before.b - 7))
    assert (after.B, after.A) == pytest.approx((3 * before.B, 3 * before.A - 7), rel=1e-3)


def test_float32_logits_and_a_constant():
    y = piecewise(3000, -0.4, 20.0, 24, 13, -0.9, 20.0)
    assert fit_piecewise_logits(y.astype(np.float32)).c == 24
    flat = fit_piecewise_logits(np.full(9, 2.5))
    assert (flat.mse, flat.r2, flat.m, flat.B) == (0.0, 1.0, 0.0, 0.0)


def test_a_large_vocabulary_takes_about_a_second():
    rng = np.random.default_rng(0)
    y = np.sort(piecewise(262_144, -0.1, 20, 60, 25, -2.6, 15) + rng.normal(size=262_144) * 0.02)[::-1]
    start = time.process_time()
    fit_piecewise_logits(y)
    assert time.process_time() - start < 5  # 0.2 s on a free core


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([3.0, 2.0, 1.0, 0.0], "at least 5"),
        ([[3.0, 2.0, 1.0, 0.0, -1.0]], "at least 5"),
        ([3.0, 2.0, 1.0, 0.0, -np.inf], "1 entries that are not finite"),
        ([3.0, 2.0, np.nan, 0.0, -1.0], "1 entries that are not finite"),
        ([3.0, 2.0, 2.5, 0.0, -1.0], "rises somewhere"),
    ],
)
def test_bad_input(values, message):
    with pytest.raises(ValueError, match=message):
        fit_piecewise_logits(np.array(values))
