"""Rollouts and panels that were made elsewhere: read and checked, before any work (docs/external-data.md).

Belongs here: columns, types, ranges. What is computed from the data is computed as from our own rollouts.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import polars as pl

from calib_assets.study.rollouts import ExternalData
from resources.artifacts.atomic import file_sha256

KEYS = ("task", "model_name", "variant", "prompt_id")
# Share by which a sum may differ from its terms: files hold float32 and rounded decimals.
SUM_TOLERANCE = 1e-3
# Optional columns, by kind: name -> type.
REQUIRED = {"rollouts": {"length": pl.Int64}, "panel": {"D": pl.Float64, "R_bar": pl.Float64, "N_bar": pl.Float64}}
OPTIONAL = {
    "rollouts": {
        "model": pl.String,
        "sample": pl.Int64,
        "sequence_entropy": pl.Float64,
        "step_entropy": pl.List(pl.Float64),
        "truncated": pl.Boolean,
        "text": pl.String,
    },
    "panel": {"model": pl.String, "M": pl.Int64},
}


class ExternalProblem(ValueError):
    """Data that cannot be used; carries where (file and field), value, message and remedy."""

    def __init__(self, where: str, value: object, message: str, remedy: str):
        self.where, self.value, self.message, self.remedy = where, value, message, remedy
        super().__init__(f"{where}: {message} (got {value!r}); {remedy}")


@dataclass(frozen=True)
class _Check:
    """Rows that must not be: a condition on a field, in words."""

    field: str
    bad: pl.Expr
    message: str
    remedy: str


def external_digest(file: str) -> str:
    """SHA-256 of the file's bytes."""
    try:
        return file_sha256(file)
    except OSError as error:
        raise _unreadable(Path(file), error) from None


def read_external(row: ExternalData) -> pl.LazyFrame:
    """The data under our own column names, checked; rows stay in the file until they are asked for.

    Returns:
        ``rollouts``: task, model_name, variant, prompt_id, model, sample, length, sequence_entropy, truncated, and,
        where the file has them, step_entropy and text; truncated is null where neither the file nor the row's
        max_new_tokens tells it. ``panel``: task, model_name, variant, prompt_id, model, D, R_bar, N_bar, M. Rows of
        one prompt of one model stand together, samples ascending.

    Raises:
        ExternalProblem: Naming file, field, value and remedy.
    """
    path = Path(row.file)
    try:
        stat = path.stat()
    except OSError as error:
        raise _unreadable(path, error) from None
    columns = tuple(sorted(row.columns.items()))
    _checked(row.kind, str(path), columns, row.max_new_tokens, stat.st_mtime_ns, stat.st_size)
    frame = _frame(row.kind, path, dict(columns), row.max_new_tokens)
    return frame.sort(*KEYS, *(["sample"] if row.kind == "rollouts" else []))


@lru_cache(maxsize=64)
def _checked(kind: str, file: str, columns: tuple, limit: int | None, changed: int, size: int) -> None:
    """Every check, once for each state of the file."""
    path = Path(file)
    try:
        frame = _frame(kind, path, dict(columns), limit)
        for check in _checks(kind, frame.collect_schema().names(), limit):
            wrong = frame.filter(check.bad).select(*KEYS, value=pl.col(check.field)).head(1).collect()
            if wrong.height:
                *key, value = wrong.row(0)
                where = f"{path.name}, field `{check.field}` of {dict(zip(KEYS, key))}"
                raise ExternalProblem(where, value, check.message, check.remedy)
        unique = [*KEYS, *(["sample"] if kind == "rollouts" else [])]
        twice = frame.group_by(unique).agg(pl.len().alias("n")).filter(pl.col("n") > 1).head(1).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, error) from None
    if twice.height:
        raise ExternalProblem(path.name, twice.row(0, named=True), "a row appears twice", f"keep one for each {unique}")


def _frame(kind: str, path: Path, columns: dict[str, str], limit: int | None) -> pl.LazyFrame:
    """The file's columns under our names and types, with what can be filled in."""
    frame = pl.scan_parquet(path) if path.suffix == ".parquet" else pl.scan_csv(path, infer_schema_length=None)
    held = frame.collect_schema().names()
    wanted = {**dict.fromkeys(KEYS, pl.String), **REQUIRED[kind], **OPTIONAL[kind]}
    for name in columns:
        if name not in wanted:
            raise ExternalProblem(path.name, name, "`columns` names no column of ours", f"use {', '.join(wanted)}")
    found = {name: columns.get(name, name) for name in wanted}
    for name in (*KEYS, *REQUIRED[kind]):
        if found[name] not in held:
            remedy = f"add it, or say under `columns` which of {', '.join(held)} it is"
            raise ExternalProblem(path.name, found[name], f"the column `{name}` is missing", remedy)
    there = {name: source for name, source in found.items() if source in held}
    frame = frame.select(pl.col(source).cast(wanted[name]).alias(name) for name, source in there.items())
    have = frame.collect_schema().names()
    model = pl.format("{}-{}", "model_name", "variant") if "model" not in have else pl.col("model")
    filled = [model.alias("model")]
    if kind == "panel":
        return frame.with_columns(*filled, *([] if "M" in have else [pl.lit(None, pl.Int64).alias("M")]))
    if "sample" not in have:
        filled.append((pl.int_range(pl.len()).over(KEYS)).cast(pl.Int64).alias("sample"))
    if "truncated" not in have:
        # Not False: a rollout that was cut would count as one that ended.
        cut = pl.lit(None, pl.Boolean) if limit is None else pl.col("length") >= limit
        filled.append(cut.alias("truncated"))
    if "sequence_entropy" not in have:
        sums = pl.col("step_entropy").list.sum() if "step_entropy" in have else pl.lit(None, pl.Float64)
        filled.append(sums.alias("sequence_entropy"))
    return frame.with_columns(filled)


def _checks(kind: str, columns: list[str], limit: int | None) -> list[_Check]:
    checks = [_Check(name, pl.col(name).is_null() | (pl.col(name) == ""), "it is empty", "fill it in") for name in KEYS]
    if kind == "panel":
        empty = "correct it, or leave it empty"
        rate, length, inside = pl.col("R_bar"), pl.col("N_bar"), pl.col("D").is_between(0, 1)
        return [
            *checks,
            _Check("R_bar", ~rate.is_finite() | (rate < 0), "an entropy rate is finite and 0 or more", empty),
            _Check("N_bar", ~length.is_finite() | (length <= 0), "a mean length is above 0", empty),
            _Check("D", ~inside, "a diversity lies in [0, 1]", empty),
        ]
    length = pl.col("length")
    checks.append(_Check("length", length.is_null() | (length < 1), "a length is 1 or more", "count the EOS step"))
    if limit is not None:
        too_long = pl.col("length") > limit
        checks.append(_Check("length", too_long, f"it exceeds max_new_tokens {limit}", "correct max_new_tokens"))
    entropy = pl.col("sequence_entropy")
    checks.append(
        _Check("sequence_entropy", ~entropy.is_finite() | (entropy < 0), "an entropy is finite and 0 or more", "nats")
    )
    for name in ("sequence_entropy", "truncated"):
        # A mean over the others would be of other rollouts than the file's.
        partly = pl.col(name).is_null() & pl.col(name).is_not_null().any().over(*KEYS[:3], "model")
        some = "it is empty, but not in all rows of this task and model"
        checks.append(_Check(name, partly, some, "fill it in, or leave it empty in all of them"))
    if "step_entropy" in columns:
        steps = pl.col("step_entropy")
        apart = steps.list.len() != pl.col("length")
        checks.append(_Check("step_entropy", apart, "there is not one entropy for each token", "count the EOS step"))
        step = pl.element()
        wrong = steps.list.eval(step.is_null() | ~step.is_finite() | (step < -SUM_TOLERANCE)).list.any()
        checks.append(_Check("step_entropy", wrong, "an entropy is finite and 0 or more", "nats, none empty"))
        differs = (entropy - steps.list.sum()).abs() > SUM_TOLERANCE * (1 + entropy)
        checks.append(_Check("sequence_entropy", differs, "it is not the sum of step_entropy", "give both in nats"))
    return checks


def _unreadable(path: Path, error: Exception) -> ExternalProblem:
    message = str(error).splitlines()[0] if str(error) else type(error).__name__
    return ExternalProblem(path.name, message, "the file cannot be read", "name a Parquet or CSV file")
