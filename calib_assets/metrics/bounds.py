"""Closed-form bounds of Paper A: Theorem E.3 (order) and Theorem F.4 with its corollaries (shape).

Formulas only. The hardness that E.3 asks for is measured in `hardness.py`; the tables that set bounds
beside data are built in `theory.py`. Differences between paper and code are listed in docs/papers.md.
"""

import math

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import brentq

# k(x) of `entropy_loss` = sum over n of B_2n / (2n)! * (1 - 1/(2n)) * x^2n for |x| < 2 pi; used below 2.
_SERIES_LIMIT = 2.0
_TINY = 1e-300
_BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
    854513 / 138, -236364091 / 2730, 8553103 / 6, -23749461029 / 870, 8615841276005 / 14322,
    -7709321041217 / 510,
)  # fmt: skip
_SERIES = [b / math.factorial(2 * n) * (1 - 1 / (2 * n)) for n, b in enumerate(_BERNOULLI, start=1)]


def recall_bound(hard_steps: int, rho: float, eta: float, delta: float) -> float:
    r"""Theorem E.3: largest recall of a rule with precision >= 1 − δ when m steps are (η, ρ)-hard.

    :math:`\mathrm{Rec} \le \exp(-\rho (m - \ln\frac{1}{1-\delta} / \eta)_+)`.

    Args:
        hard_steps: Number m of (η, ρ)-hard steps.
        rho: Recall loss ρ >= 0 in nats that a hard step forces; infinite where no rule has a precision
            loss of at most η at that step.
        eta: Precision loss η > 0 in nats up to which it is forced.
        delta: Sequence precision is at least 1 − δ, δ in [0, 1).

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: If an argument lies outside its range.

    >>> round(recall_bound(hard_steps=4, rho=0.5, eta=0.1, delta=0.0), 6)  # exp(-2)
    0.135335
    """
    if hard_steps < 0 or not rho >= 0 or not eta > 0 or not 0 <= delta < 1:
        raise ValueError(
            f"Theorem E.3 needs hard_steps >= 0, rho >= 0, eta > 0 and 0 <= delta < 1; "
            f"got hard_steps={hard_steps}, rho={rho}, eta={eta}, delta={delta}"
        )
    forced = max(0.0, hard_steps + math.log1p(-delta) / eta)
    return math.exp(-rho * forced) if forced > 0 else 1.0


def entropy_loss(
    v: Int[np.ndarray, "..."] | int, a: Float[np.ndarray, "..."] | float
) -> Float[np.ndarray, "..."]:
    r"""Δ_v(a) = ln v − H_v(a), H_v(a) the entropy in nats of p(i) ∝ exp(−a i/v), i = 0 .. v−1.

    Written as Δ_v(a) = k(a) − k(a/v) with :math:`k(x) = \frac{x}{e^x - 1} - 1 - \ln\frac{1 - e^{-x}}{x}`,
    the same loss for a density :math:`e^{-xu}` on [0, 1]: neither term cancels the other, so the relative
    error stays near 1e-14 from a = 1e-150 to 1e300 and nothing is summed over v. k increases, which
    proves Lemma F.3 and that Δ_v(a) increases with v.

    Args:
        v: Number of valid tokens, >= 1; broadcast against ``a``.
        a: Sharpness, >= 0 or infinite.

    Returns:
        Loss in nats, in [0, ln v]; ~ (v² − 1)/(24 v²) a² as a → 0, ln v as a → ∞.

    Raises:
        ValueError: If ``v`` < 1, or ``a`` is negative or NaN.

    >>> float(entropy_loss(1, 3.0)), round(float(entropy_loss(2, np.inf)), 6)
    (0.0, 0.693147)
    """
    v, a = np.broadcast_arrays(np.asarray(v, dtype=float), np.asarray(a, dtype=float))
    if not (v >= 1).all() or not (a >= 0).all():
        raise ValueError(
            f"entropy_loss needs v >= 1 and a >= 0; smallest v is {v.min()}, smallest a is {a.min()}"
        )
    finite = np.where(np.isinf(a), 1.0, a)
    return np.where(np.isinf(a), np.log(v), _uniform_loss(finite) - _uniform_loss(finite / v))


def diversity_bound_f4(branching: Int[np.ndarray, "steps"], epsilon: float) -> float:
    r"""Theorem F.4: Div <= exp(−Σ_t Δ_{v_t}(ln 1/ε)) where Val >= 1 − ε.

    Holds for the ranked geometric model over an *infinite* vocabulary (where (1−q)q^i sums to one);
    for a finite one use `diversity_bound_finite_vocabulary`.

    Args:
        branching: v_t, the number of valid tokens at each step, all >= 1.
        epsilon: Invalid mass allowed, in [0, 1].

    Returns:
        A number in (0, 1].

    Raises:
        ValueError: If ``epsilon`` lies outside [0, 1] or a v_t is below 1.

    >>> round(diversity_bound_f4(np.array([10, 1, 10]), epsilon=0.0), 12)  # a point mass: 1 / |V|
    0.01
    """
    return float(np.exp(-entropy_loss(branching, _sharpness(epsilon)).sum()))


def c_epsilon(epsilon: float, vocab: int) -> float:
    """c(ε) = min over 2 <= v <= vocab of Δ_v(ln 1/ε), Corollaries F.5 and F.6, in nats.

    Δ_v(a) increases with v, so the minimum is Δ_2 for every ε, not only in the paper's limit ε → 1: the
    constant does not depend on the vocabulary. c(ε) → ln 2 as ε → 0 and ~ (ln 1/ε)²/32 as ε → 1.

    Args:
        epsilon: Invalid mass allowed, in [0, 1].
        vocab: Vocabulary size, >= 2.

    Returns:
        Nats, in [0, ln 2].

    Raises:
        ValueError: If an argument lies outside its range.

    >>> round(c_epsilon(1e-30, vocab=50_000), 6)
    0.693147
    """
    if vocab < 2:
        raise ValueError(f"vocab is {vocab}; the minimum runs over 2 <= v <= vocab")
    return float(entropy_loss(2, _sharpness(epsilon)))


def diversity_bound_f5(m: int, epsilon: float, vocab: int) -> float:
    """Corollary F.5: Div <= exp(−m c(ε)) where Val >= 1 − ε; never tighter than F.4.

    Args:
        m: Branching length, the number of steps with at least two valid tokens.
        epsilon: Invalid mass allowed, in [0, 1].
        vocab: Vocabulary size, >= 2.

    Returns:
        A number in [0, 1]; 2 to the power −m at ε = 0.

    Raises:
        ValueError: If an argument lies outside its range.

    >>> round(diversity_bound_f5(3, epsilon=0.0, vocab=50_000), 12)
    0.125
    """
    if m < 0:
        raise ValueError(f"m is {m}; a branching length is not negative")
    return math.exp(-m * c_epsilon(epsilon, vocab))


def finite_vocabulary_sharpness(v: int, epsilon: float, vocab: int) -> float:
    r"""Smallest sharpness z at which v top-ranked tokens of a geometric conditional hold mass 1 − ε.

    Over ``vocab`` ranks that mass is :math:`g(z) = (1 - e^{-z}) / (1 - e^{-z |\mathcal V| / v})`, which
    rises from v/|𝒱| at z = 0 (uniform) to 1. This inverts g; the paper's L = ln 1/ε inverts
    1 − e^{−z} <= g(z), and so asks for more sharpness than validity does.

    Args:
        v: Number of valid tokens, 1 <= v <= vocab.
        epsilon: Invalid mass allowed, in [0, 1].
        vocab: Vocabulary size |𝒱|.

    Returns:
        z in [0, ln 1/ε]; 0 where even the uniform conditional is valid enough.

    Raises:
        ValueError: If an argument lies outside its range.

    >>> finite_vocabulary_sharpness(5, epsilon=0.5, vocab=10)
    0.0
    """
    if not 1 <= v <= vocab:
        raise ValueError(f"v is {v}; it lies between 1 and vocab = {vocab}")
    upper = _sharpness(epsilon)
    ratio = vocab / v
    if epsilon >= 1 - v / vocab:
        return 0.0
    if math.isinf(upper):
        return upper

    def excess(z):  # ln(1 - g(z)) - ln(epsilon), falling in z
        return _log1mexp(z * (ratio - 1)) - _log1mexp(z * ratio) - z + upper

    # Exactly, excess > 0 at 0 and <= 0 at upper; both can round to 0, and then that end is the root.
    if excess(upper) >= 0:
        return upper
    return 0.0 if excess(_TINY) <= 0 else float(brentq(excess, _TINY, upper, xtol=_TINY, rtol=1e-14))


def diversity_bound_finite_vocabulary(
    branching: Int[np.ndarray, "steps"], epsilon: float, vocab: int
) -> float:
    """Theorem F.4 made sound for a finite vocabulary: Div <= exp(−Σ_t Δ_{v_t}(L'_t)) where Val >= 1 − ε.

    L'_t = `finite_vocabulary_sharpness(v_t, epsilon, vocab)` takes the place of L = ln 1/ε. As validity
    falls to v/|𝒱| the bound rises to 1, as it must: the uniform conditional has Div = 1.

    Args:
        branching: v_t, the number of valid tokens at each step, 1 <= v_t <= vocab.
        epsilon: Invalid mass allowed, in [0, 1].
        vocab: Vocabulary size |𝒱|.

    Returns:
        A number in (0, 1], at least `diversity_bound_f4`.

    Raises:
        ValueError: If an argument lies outside its range.

    >>> diversity_bound_finite_vocabulary(np.array([5, 5]), epsilon=0.5, vocab=10)
    1.0
    """
    size, count = np.unique(np.asarray(branching), return_counts=True)
    sharpness = [finite_vocabulary_sharpness(int(v), epsilon, vocab) for v in size]
    return float(np.exp(-(count * entropy_loss(size, np.array(sharpness))).sum()))


def _sharpness(epsilon: float) -> float:
    if not 0 <= epsilon <= 1:
        raise ValueError(f"epsilon is {epsilon}; an invalid mass lies in [0, 1]")
    return math.inf if epsilon == 0 else -math.log(epsilon)


def _uniform_loss(x):
    """k(x) of `entropy_loss`, for finite x >= 0."""
    small = x < _SERIES_LIMIT
    square = np.where(small, x, 0.0) ** 2
    series = np.zeros_like(square)
    for coefficient in reversed(_SERIES):
        series = (series + coefficient) * square
    large = np.where(small, _SERIES_LIMIT, x)
    decay = np.exp(-large)
    closed = large * decay / -np.expm1(-large) - 1 - np.log1p(-decay) + np.log(large)
    return np.where(small, series, closed)


def _log1mexp(x: float) -> float:
    """ln(1 − e^{−x}) for x > 0 without cancellation at either end."""
    return math.log(-math.expm1(-x)) if x < math.log(2) else math.log1p(-math.exp(-x))
