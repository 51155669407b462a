"""A small canopy study, computed by the shortest route there is, in the tables that its assets publish.

Rollouts are simulated: a model has a chance to end at each step and step entropies that drift with the position.
Measures follow the definitions prompt by prompt, intervals resample prompts in a plain loop, and the regression's
tables hold the numbers that the panel was simulated with.
"""

import math

import numpy as np
import polars as pl
from scipy import special, stats

CAP = 60
PROMPTS, ROLLOUTS, DRAWS = 10, 12, 60
PAIRS = {"llama": ("llama-base", "llama-it"), "qwen": ("qwen-base", "qwen-it")}
TASKS = ("math", "stories")
SUMMARY = {
    "measure": pl.String,
    "est": pl.Float64,
    "se": pl.Float64,
    "ci_low": pl.Float64,
    "ci_high": pl.Float64,
    "n_prompts": pl.Int64,
    "n_left_out": pl.Int64,
}
COMPARED = (
    *("canopy_entropy", "gen_ppl", "branching_factor", "mean_length", "mean_entropy_rate", "truncation_rate"),
    *("pearson", "spearman", "kendall", "covariance", "embedding_diversity", "vendi_score"),
)


def rollouts(seed: int, *, end: float = 0.06, level: float = 1.6, drift: float = -0.004, cap: int = CAP,
             prompts: int = PROMPTS, samples: int = ROLLOUTS) -> pl.DataFrame:  # fmt: skip
    """``prompt_id, sample, step_entropy, length, truncated`` of one model and task."""
    rng = np.random.default_rng((11, seed))
    rows = []
    for prompt in range(prompts):
        own_end, own_level = end * rng.uniform(0.6, 1.6), level * rng.uniform(0.8, 1.2)
        for sample in range(samples):
            tau = int(rng.geometric(own_end))
            length = min(tau, cap)
            steps = np.clip(own_level + drift * np.arange(length) + rng.normal(0, 0.35, length), 0.02, None)
            rows.append((f"p{prompt:03d}", sample, steps.tolist(), length, tau > cap))
    names = ("prompt_id", "sample", "step_entropy", "length", "truncated")
    table = pl.DataFrame(rows, schema=list(names), orient="row")
    total = table["step_entropy"].list.sum()
    return table.with_columns(sequence_entropy=total, entropy_rate=total / table["length"])


def interval(draws: np.ndarray) -> tuple[float | None, float | None, float | None]:
    """Standard error and 95 % percentile interval; nulls where no draw is defined."""
    draws = draws[np.isfinite(draws)]
    if len(draws) < 2:
        return None, None, None
    return float(draws.std(ddof=1)), *(float(q) for q in np.quantile(draws, [0.025, 0.975]))


def summary(values: dict[str, tuple], left_out: dict[str, int] | None = None, n: int = PROMPTS) -> pl.DataFrame:
    """A SUMMARY table: measure -> (estimate, draws)."""
    rows = []
    for name, (est, draws) in values.items():
        lost = (left_out or {}).get(name, 0)
        est = None if est is None or not math.isfinite(est) else float(est)
        ends = (None, None, None) if est is None else interval(np.asarray(draws, float))
        rows.append((name, est, *ends, n - lost, lost))
    return pl.DataFrame(rows, schema=SUMMARY, orient="row")


def prompt_measures(table: pl.DataFrame, cap: int = CAP) -> pl.DataFrame:
    """One row a prompt, straight from the definitions."""
    rows = []
    start = cap - cap // 4
    for (prompt,), own in table.group_by("prompt_id", maintain_order=True):
        length, rate, total = (own[name].to_numpy() for name in ("length", "entropy_rate", "sequence_entropy"))
        several = len(own) > 1
        spread = [float(np.var(v, ddof=1)) if several else None for v in (total, length, rate)]
        ended = int(((length > start) & ~own["truncated"].to_numpy()).sum())
        exposure = int(np.clip(length - start, 0, None).sum())
        rows.append((prompt, len(own), total.mean(), length.mean(), rate.mean(), *spread, own["truncated"].mean(),
                     ended, exposure))  # fmt: skip
    names = ("prompt_id", "n_rollouts", "canopy_entropy", "mean_length", "mean_entropy_rate", "var_sequence_entropy",
             "var_length", "var_entropy_rate", "truncation_rate", "tail_ended", "tail_exposure")  # fmt: skip
    kinds = dict.fromkeys(names, pl.Float64) | {"prompt_id": pl.String}
    kinds |= dict.fromkeys(("n_rollouts", "tail_ended", "tail_exposure"), pl.Int64)
    return pl.DataFrame(rows, schema=kinds, orient="row")


def sizes(rows: pl.DataFrame) -> dict[str, float]:
    """CE, GenPPL, BF and their parts of the given prompts."""
    ce, n, r = (rows[name].mean() for name in ("canopy_entropy", "mean_length", "mean_entropy_rate"))
    cut = rows["truncation_rate"].mean()
    hazard = rows["tail_ended"].sum() / max(rows["tail_exposure"].sum(), 1)
    bound = 0.0 if cut == 0 else (math.log(100) * cut / hazard if hazard else math.nan)
    return {
        "canopy_entropy": ce,
        "gen_ppl": math.exp(ce / n),
        "branching_factor": math.exp(r),
        "mean_length": n,
        "mean_entropy_rate": r,
        "truncation_rate": cut,
        "length_driven": n * r,
        "covariance_part": ce - n * r,
        "bias_bound": bound,
    }


def prompt_correlations(table: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for (prompt,), own in table.group_by("prompt_id", maintain_order=True):
        length, rate = own["length"].to_numpy().astype(float), own["entropy_rate"].to_numpy()
        reason = "one rollout" if len(own) < 2 else "no variation in length" if np.ptp(length) == 0 else None
        found = (None,) * 4
        if reason is None:
            found = (
                *(float(f(length, rate).statistic) for f in (stats.pearsonr, stats.spearmanr, stats.kendalltau)),
                float(np.cov(length, rate)[0, 1]),
            )
        rows.append((prompt, len(own), *found, reason))
    numbers = dict.fromkeys(("pearson", "spearman", "kendall", "covariance"), pl.Float64)
    kinds = {"prompt_id": pl.String, "n_rollouts": pl.Int64, **numbers, "reason": pl.String}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def pooled_correlations(rows: pl.DataFrame) -> dict[str, float]:
    """Fisher z for Pearson and Spearman, pair counts for Kendall, n − 1 for covariance (METHODS of the study)."""
    known = rows.drop_nulls("pearson")
    n = known["n_rollouts"].to_numpy().astype(float)
    found = {}
    for name in ("pearson", "spearman"):
        z = np.arctanh(np.clip(known[name].to_numpy(), -0.999999, 0.999999))
        found[name] = math.tanh((z * (n - 3)).sum() / (n - 3).sum()) if len(n) and (n - 3).sum() > 0 else math.nan
    for name, weight in (("kendall", n * (n - 1) / 2), ("covariance", n - 1)):
        found[name] = float((known[name].to_numpy() * weight).sum() / weight.sum()) if weight.sum() > 0 else math.nan
    return found


def prompt_diversity(seed: int, table: pl.DataFrame, centre: float) -> pl.DataFrame:
    rng = np.random.default_rng((13, seed))
    counts = table.group_by("prompt_id", maintain_order=True).len("n")
    spread = np.clip(rng.beta(centre * 40, (1 - centre) * 40, counts.height), 0.01, 0.9)
    reason = [None] * counts.height
    found: list[float | None] = [float(v) for v in spread]
    if seed % 3 == 1:  # a prompt whose rollouts are all empty
        found[-1], reason[-1] = None, "fewer than two embeddings: empty text"
    vendi = [None if v is None else 1 + v * (n - 1) * 0.4 for v, n in zip(found, counts["n"], strict=True)]
    return counts.select(
        "prompt_id",
        n_rollouts=pl.col("n").cast(pl.Int64),
        n_embedded=pl.Series([0 if v is None else n for v, n in zip(found, counts["n"], strict=True)], dtype=pl.Int64),
        embedding_diversity=pl.Series(found, dtype=pl.Float64),
        vendi_score=pl.Series(vendi, dtype=pl.Float64),
        reason=pl.Series(reason, dtype=pl.String),
    )


def prompt_semantic_entropy(seed: int, prompts: int) -> pl.DataFrame:
    """Six rollouts of each prompt in a few meanings; one prompt has missing pairs that matter."""
    rng = np.random.default_rng((17, seed))
    rows = []
    for prompt in range(prompts):
        k = int(rng.integers(1, 5))
        share = rng.dirichlet(np.full(k, 3.0))
        value = float(-(share * np.log(share)).sum())
        missing = 2 if prompt == 1 else 0
        low, high = value, value + (0.3 if missing else 0.0)
        exact = low == high
        rows.append((f"p{prompt:03d}", 6, 15, missing, k if exact else None, value if exact else None, low, high,
                     value / math.log(6) if exact else None))  # fmt: skip
    names = ("prompt_id", "n_rollouts", "n_pairs", "n_missing", "n_clusters", "semantic_entropy",
             "semantic_entropy_low", "semantic_entropy_high", "normalised")  # fmt: skip
    kinds = dict.fromkeys(names, pl.Float64) | {"prompt_id": pl.String}
    kinds |= dict.fromkeys(("n_rollouts", "n_pairs", "n_missing", "n_clusters"), pl.Int64)
    return pl.DataFrame(rows, schema=kinds, orient="row")


def draw_indices(prompts: int) -> np.ndarray:
    return np.random.default_rng(42).integers(0, prompts, (DRAWS, prompts))


def resampled(table: pl.DataFrame, statistic) -> dict[str, tuple[float, list[float]]]:
    """Estimate and draws of a dict-valued statistic of prompts, one replicate at a time."""
    whole = statistic(table)
    draws = [statistic(table[index.tolist()]) for index in draw_indices(table.height)] if table.height > 1 else []
    return {name: (value, [draw[name] for draw in draws]) for name, value in whole.items()}


def _means(*columns: str):
    def statistic(rows: pl.DataFrame) -> dict[str, float]:
        found = {name: rows[name].mean() for name in columns}
        return {name: math.nan if value is None else value for name, value in found.items()}

    return statistic


def trajectory(table: pl.DataFrame) -> pl.DataFrame:
    """Pooled mean over active rollouts by position; its interval is a normal one over prompts, which is enough here."""
    steps = table.select("prompt_id", "step_entropy").explode("step_entropy", empty_as_null=True)
    place = table["step_entropy"].list.eval(pl.int_range(1, pl.len() + 1)).explode(empty_as_null=True)
    found = (
        steps.with_columns(position=place.cast(pl.Int64))
        .group_by("position")
        .agg(mean=pl.col("step_entropy").mean(), active=pl.len().cast(pl.Int64), sd=pl.col("step_entropy").std())
        .sort("position")
    )
    se = found["sd"].fill_null(0.0) / found["active"].sqrt()
    return found.select(
        "position",
        "mean",
        se=se,
        ci_low=pl.col("mean") - 1.96 * se,
        ci_high=pl.col("mean") + 1.96 * se,
        active="active",
        active_share=pl.col("active") / table.height,
    )


def lengths(table: pl.DataFrame) -> pl.DataFrame:
    return (
        table.group_by(pl.col("length").cast(pl.Int64))
        .agg(n=pl.len().cast(pl.Int64), n_truncated=pl.col("truncated").sum().cast(pl.Int64))
        .sort("length")
    )


def variance_split(measures: pl.DataFrame) -> pl.DataFrame:
    pairs = {"canopy_entropy": "var_sequence_entropy", "mean_length": "var_length",
             "mean_entropy_rate": "var_entropy_rate"}  # fmt: skip
    n = measures.height
    m = n / (1 / measures["n_rollouts"]).sum()
    rows = []
    for name, variance in pairs.items():
        within = measures[variance].mean()
        raw = (measures[name].var() or 0.0) - within / m
        between = max(raw, 0.0)
        rows.append((name, n, m, between, within, raw < 0, math.sqrt((between + within / m) / n)))
    names = ("measure", "n_prompts", "n_rollouts", "between", "within", "floored", "se")
    return pl.DataFrame(rows, schema=list(names), orient="row")


def design(split: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for number, row in enumerate(split.iter_rows(named=True)):
        for share in (0.1, 0.05, 0.02):
            if number == 2 and share == 0.02:
                rows.append((row["measure"], share, 0.03, None, None, None, "the mean is zero"))
            else:
                rows.append((row["measure"], share, share * 7, int(20 / share), 8, 20 / share * 8 * 40, None))
    kinds = {"measure": pl.String, "relative_se": pl.Float64, "wanted_se": pl.Float64, "prompts": pl.Int64,
             "rollouts": pl.Int64, "forward_tokens": pl.Float64, "reason": pl.String}  # fmt: skip
    return pl.DataFrame(rows, schema=kinds, orient="row")


def cell(seed: int = 0, *, semantic: bool = True, **settings) -> dict[str, pl.DataFrame]:
    """Every table of one model and task."""
    table = rollouts(seed, **settings)
    measures = prompt_measures(table, settings.get("cap", CAP))
    correlations = prompt_correlations(table)
    diversity = prompt_diversity(seed, table, 0.2 + 0.05 * (seed % 4))
    meanings = prompt_semantic_entropy(seed, measures.height)
    split = variance_split(measures)
    n = measures.height
    lost = dict.fromkeys(("pearson", "spearman", "kendall", "covariance"), correlations["pearson"].null_count())
    no_vector = dict.fromkeys(("embedding_diversity", "vendi_score"), diversity["vendi_score"].null_count())
    unsure = dict.fromkeys(
        ("semantic_entropy", "semantic_entropy_normalised", "n_clusters"), meanings["semantic_entropy"].null_count()
    )
    renamed = meanings.rename({"normalised": "semantic_entropy_normalised"})
    meaning_summary = summary(
        resampled(renamed, _means("semantic_entropy", "semantic_entropy_normalised", "n_clusters")), unsure, n
    )
    return {
        "prompt_measures": measures,
        "canopy_entropy": summary(resampled(measures, sizes), n=n),
        "variance_split": split,
        "design": design(split),
        "entropy_trajectory": trajectory(table),
        "length_distribution": lengths(table),
        "prompt_correlations": correlations,
        "length_entropy_correlation": summary(resampled(correlations, pooled_correlations), lost, n),
        "prompt_diversity": diversity,
        "semantic_diversity": summary(
            resampled(diversity, _means("embedding_diversity", "vendi_score")), no_vector, n
        ),
        "prompt_semantic_entropy": meanings if semantic else meanings.clear(),
        "semantic_entropy": meaning_summary if semantic else meaning_summary.clear(),
    }


SUMMARIES = ("canopy_entropy", "length_entropy_correlation", "semantic_diversity", "semantic_entropy")


def cells() -> dict[tuple[str, str], dict[str, pl.DataFrame]]:
    """Two pairs of models on two tasks: fine-tuned models are longer and surer; one cell is mostly cut."""
    found, seed = {}, 0
    for base, tuned in PAIRS.values():
        for model in (base, tuned):
            for task in TASKS:
                is_tuned = model == tuned
                settings = dict(end=0.03 if is_tuned else 0.12, level=0.7 if is_tuned else 1.7)
                settings["drift"] = 0.006 if is_tuned else -0.012
                if (model, task) == ("qwen-it", "stories"):
                    settings["end"] = 0.004  # nearly every rollout reaches the cap
                found[model, task] = cell(seed, semantic=task == "math", **settings)
                seed += 1
    return found


def canopy_models(every: dict) -> pl.DataFrame:
    parts = []
    variants = {model: (pair, kind) for pair, both in PAIRS.items() for model, kind in zip(both, ("base", "instruct"))}
    for (model, task), tables in every.items():
        pair, variant = variants.get(model, (model, "base"))
        name = PAIRS[pair][0] if pair in PAIRS else model
        labels = [pl.lit(v).alias(k) for k, v in zip(("model", "task", "model_name", "variant"),
                                                     (model, task, name, variant))]  # fmt: skip
        parts += [tables[name].select(*labels, pl.all()) for name in SUMMARIES if tables[name].height]
    return pl.concat(parts)


def canopy_comparison(every: dict) -> pl.DataFrame:
    """Base against instruct on the same resampled prompts, one replicate at a time."""
    rows = []
    for base, tuned in PAIRS.values():
        for task in TASKS:
            both = [every[model, task] for model in (base, tuned)]
            draws = [_compared(tables) for tables in both]
            for name in COMPARED:
                (one, ones), (two, twos) = draws[0][name], draws[1][name]
                ones, twos = np.asarray(ones, float), np.asarray(twos, float)
                with np.errstate(divide="ignore", invalid="ignore"):
                    percent = 100 * (two - one) / abs(one) if one else math.nan
                    percents = 100 * (twos - ones) / np.abs(ones)
                parts = ((one, ones), (two, twos), (two - one, twos - ones), (percent, percents))
                values = []
                for est, samples in parts:
                    est = float(est) if math.isfinite(est) else None
                    values += [est, *(interval(samples) if est is not None else (None,) * 3)]
                rows.append((task, base, tuned, name, *values, PROMPTS, 0))
    numbers = [f"{part}{end}" for part in ("base", "instruct", "change", "percent_change")
               for end in ("_est" if part in ("base", "instruct") else "", "_se", "_ci_low", "_ci_high")]  # fmt: skip
    kinds = dict.fromkeys(("task", "base", "instruct", "measure"), pl.String) | dict.fromkeys(numbers, pl.Float64)
    return pl.DataFrame(rows, schema=kinds | {"n_prompts": pl.Int64, "n_left_out": pl.Int64}, orient="row")


def _compared(tables: dict) -> dict[str, tuple]:
    return {
        **resampled(tables["prompt_measures"], sizes),
        **resampled(tables["prompt_correlations"], pooled_correlations),
        **resampled(tables["prompt_diversity"], _means("embedding_diversity", "vendi_score")),
    }


SLOPES = {"base": 0.7, "instruct": 1.9}


def beta_panel(n: int = 25, tasks: tuple = TASKS, pairs: dict | None = None) -> pl.DataFrame:
    """Prompts of all models with a diversity drawn from the beta regression that `coefficients` holds."""
    rng = np.random.default_rng(19)
    rows = []
    for task in tasks:
        for both in (pairs or PAIRS).values():
            for model, variant in zip(both, ("base", "instruct"), strict=False):
                for prompt in range(n):
                    rate = rng.normal(1.6 if variant == "base" else 0.8, 0.25)
                    length = rng.uniform(20, 60) if variant == "base" else rng.uniform(50, 200)
                    rows.append((task, f"p{prompt:03d}", f"{task}/p{prompt:03d}", model, both[0], variant, 0.5,
                                 max(rate, 0.05), length, ROLLOUTS))  # fmt: skip
    names = ("task", "prompt_id", "prompt_uid", "model", "model_name", "variant", "D", "R_bar", "N_bar", "M")
    table = pl.DataFrame(rows, schema=list(names), orient="row")
    rate, inverse = table["R_bar"], 1 / table["N_bar"]
    table = table.with_columns(
        R_sc=(rate - rate.mean()) / rate.std(), invN_sc=(inverse - inverse.mean()) / inverse.std()
    )
    mu = special.expit(linear(table))
    drawn = np.random.default_rng(23).beta(mu * 40, (1 - mu) * 40)
    return table.with_columns(D=pl.Series(drawn), D_beta=pl.Series(drawn).clip(1e-6, 1 - 1e-6)).with_columns(
        is_clipped=pl.col("D") != pl.col("D_beta")
    )


def linear(panel: pl.DataFrame) -> np.ndarray:
    tuned = (panel["variant"] == "instruct").to_numpy().astype(float)
    slope = SLOPES["base"] + (SLOPES["instruct"] - SLOPES["base"]) * tuned
    return -0.9 + slope * panel["R_sc"].to_numpy() * 0.5 - 0.38 * tuned


def predictions(panel: pl.DataFrame) -> pl.DataFrame:
    mu = special.expit(linear(panel))
    shift = np.random.default_rng(29).normal(0, 0.1, panel.height)
    return panel.select(
        "prompt_uid",
        "model",
        "task",
        mu=pl.Series(special.expit(linear(panel) + shift)),
        mu_population=pl.Series(mu),
        phi=pl.Series(np.full(panel.height, 40.0)),
    )


def coefficients() -> pl.DataFrame:
    mean = {"(Intercept)": (-0.88, 0.07), "R_sc": (0.7, 0.033), "variantinstruct": (-0.38, 0.086),
            "ns(invN_sc, 4)1": (0.15, 0.041), "ns(invN_sc, 4)2": (0.4, 0.24), "ns(invN_sc, 4)3": (0.62, 1.47),
            "ns(invN_sc, 4)4": (0.61, 3.1), "taskstories": (-0.28, 0.029),
            "R_sc:variantinstruct": (1.2, 0.046)}  # fmt: skip
    precision = {"(Intercept)": (2.75, 0.23), "variantinstruct": (1.4, 0.245), "taskstories": (1.65, 0.15),
                 "variantinstruct:taskstories": (-2.9, 0.21), "R_sc": (0.98, 0.13),
                 "variantinstruct:R_sc": (-1.6, 0.2)}  # fmt: skip
    rows = []
    for part, terms in (("mean", mean), ("precision", precision)):
        for term, (est, se) in terms.items():
            rows.append((part, term, est, se, est / se, float(2 * stats.norm.sf(abs(est / se))), None))
    rows.append(("precision", "model_nameqwen-base", None, None, None, None, "dropped: collinear with (Intercept)"))
    numbers = dict.fromkeys(("estimate", "se", "z", "p"), pl.Float64)
    return pl.DataFrame(rows, schema={"part": pl.String, "term": pl.String, **numbers, "note": pl.String}, orient="row")


def regression(panel: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Tables of the fit and its diagnostics, as if the panel's truth had been found."""
    effects = [("prompt_uid", 50, 0.0139, 0.118, -2.14, 0.08, False), ("model_name", 2, 0.0, 0.0, None, None, True)]
    names = ("group", "n_levels", "variance", "sd", "log_sd", "log_sd_se", "is_singular")
    one = {"n_rows": panel.height, "n_dropped_rows": 3, "n_parameters": 17, "log_likelihood": 312.4, "aic": -590.8,
           "bic": -530.1, "converged": True, "iterations": 21, "max_gradient": 2.1e-6, "condition": 4.1e4}  # fmt: skip
    notes = [("singular variance", "the variance of model_name is at its boundary, 0"),
             ("collinear columns", "model_nameqwen-base is collinear with (Intercept); it was dropped")]  # fmt: skip
    rng, residuals, tests = np.random.default_rng(31), [], []
    fitted = special.expit(linear(panel))
    for kind, count in (("unconditional", 1000), ("conditional", 1000), ("closed_form", None)):
        found = rng.random(panel.height)
        residuals += [(kind, row, float(f), float(r)) for row, (f, r) in enumerate(zip(fitted, found, strict=True))]
        ks = stats.kstest(found, "uniform")
        tests.append((kind, "uniformity", float(ks.statistic), float(ks.pvalue), panel.height, count, "KS"))
        spread = (1.01, 0.8) if count else (None, None)
        tests.append((kind, "dispersion", *spread, panel.height, count, "" if count else "needs simulations"))
        tests.append((kind, "outliers", 1.0, 0.64, panel.height, count, "binomial"))
    kinds = {"kind": pl.String, "test": pl.String, "statistic": pl.Float64, "p": pl.Float64, "n": pl.Int64,
             "n_simulations": pl.Int64, "detail": pl.String}  # fmt: skip
    return {
        "coefficients": coefficients(),
        "random_effects": pl.DataFrame(effects, schema=list(names), orient="row"),
        "fit_summary": pl.DataFrame([one]),
        "fit_notes": pl.DataFrame(notes, schema=["kind", "text"], orient="row"),
        "predictions": predictions(panel),
        "residual_tests": pl.DataFrame(tests, schema=kinds, orient="row"),
        "scaled_residuals": pl.DataFrame(residuals, schema=["kind", "row", "fitted", "residual"], orient="row"),
    }


def overall(every: dict) -> dict[str, pl.DataFrame]:
    """Tables of the whole study."""
    panel = beta_panel()
    left = pl.DataFrame(
        [("llama-it", "math", "fewer than two embeddings: empty text", 1)],
        schema={"model": pl.String, "task": pl.String, "reason": pl.String, "n": pl.Int64},
        orient="row",
    )
    return {
        "canopy_models": canopy_models(every),
        "canopy_comparison": canopy_comparison(every),
        "beta_panel": panel,
        "panel_left_out": left,
        **regression(panel),
    }


def all_tables() -> dict[str, pl.DataFrame]:
    """Tables of one cell and of the study, by name, as figures take them."""
    every = cells()
    return every["llama-base", "math"] | overall(every)
