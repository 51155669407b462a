"""A fit as text, in the layout of Paper B's Tables 3, 7, 8 and 9."""

import textwrap

import polars as pl

WIDTH = 100


def written(fit) -> str:
    """The fit's tables, its own numbers and its notes."""
    summary = fit.summary_row.row(0, named=True)
    levels = ", ".join(f"{len(group.levels)} {name}" for name, group in fit.groups.items())
    dropped = summary["n_dropped_rows"]
    parts = [
        f"Beta regression by maximum likelihood (Laplace): {summary['n_rows']:,} rows"
        + (f" ({levels})" if levels else "")
        + (f", {dropped:,} left out" if dropped else ""),
        f"  mean:      logit(mu) of {fit.formulas[0]}\n  precision: ln(phi) ~ {fit.formulas[1].lstrip(' ~')}",
        "Conditional mean (logit link)\n" + _coefficients(fit.coefficients.filter(pl.col("part") == "mean")),
    ]
    if fit.groups:
        parts.append("Random intercepts\n" + _random_effects(fit.random_effects))
    parts += [
        "Precision (log link)\n" + _coefficients(fit.coefficients.filter(pl.col("part") == "precision")),
        f"Log-likelihood {summary['log_likelihood']:.4f}, {summary['n_parameters']} parameters, "
        f"AIC {summary['aic']:.2f}, BIC {summary['bic']:.2f}\n"
        f"Converged in {summary['iterations']} steps; largest gradient {summary['max_gradient']:.1g}, "
        f"condition {summary['condition']:.3g}",
    ]
    if len(fit.notes):
        lines = [
            textwrap.fill(f"- {kind}: {text}", WIDTH, subsequent_indent="  ", break_on_hyphens=False)
            for kind, text in fit.notes.iter_rows()
        ]
        parts.append("Notes\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _coefficients(rows: pl.DataFrame) -> str:
    table = [("Term", "Estimate", "Std. Error", "z", "p-value")]
    for row in rows.iter_rows(named=True):
        if row["estimate"] is None:
            table.append((row["term"], "dropped", "", "", ""))
            continue
        p = "<0.001" if row["p"] < 0.001 else f"{row['p']:.3f}"
        table.append((row["term"], f"{row['estimate']:.5f}", f"{row['se']:.5f}", f"{row['z']:.2f}", p))
    return _aligned(table, n_left=1)


def _random_effects(rows: pl.DataFrame) -> str:
    table = [("Random effect", "Group", "Levels", "Variance", "Std. Dev.")]
    for row in rows.iter_rows(named=True):
        singular = " (singular)" if row["is_singular"] else ""
        table.append(
            ("Intercept", row["group"], str(row["n_levels"]), f"{row['variance']:.6f}", f"{row['sd']:.5f}{singular}")
        )
    return _aligned(table, n_left=2)


def _aligned(table, n_left: int) -> str:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    lines = (
        "  ".join(
            cell.ljust(width) if column < n_left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    )
    return "\n".join(lines)
