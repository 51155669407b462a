"""What the sections of all studies share: drawn once, kept with provenance and check results, put into the report."""

from collections.abc import Mapping, Sequence

from calib_assets.assets.rule import Reader, Rule
from calib_assets.report import Check, Provenance, ReportSection
from calib_assets.report.codec import encode
from calib_assets.staleness.fingerprint import digest
from calib_assets.staleness.graph import cell_name
from calib_assets.staleness.run import Result, Run


def kept_section(
    run: Run, section: ReportSection, sources: Mapping[str, Provenance], rules: Sequence[Rule]
) -> Result:
    """A drawn section as the report reads it: with the provenance of its tables and the checks of its cell."""
    checks = checked(run, rules)
    records = list(dict.fromkeys(sources.values()))
    return Result(
        files={"section.json": encode({"section": section, "provenance": records, "checks": checks})},
        numbers={
            "figures and tables": len(section.items),
            "checks passed": sum(check.passed for check in checks),
            "checks": len(checks),
        },
    )


def checked(run: Run, rules: Sequence[Rule]) -> list[Check]:
    """What the checks say of the tables that this asset reads."""
    found = [(rule, rule.holds(Reader(run.table, run.scan))) for rule in rules]
    place = cell_name(run.cell) or None
    return [Check(rule.name, rule.asset, place, verdict.passed, verdict.detail) for rule, verdict in found]


def provenance(run: Run, asset: str, cell: tuple[str, ...] | None = None) -> Provenance:
    """Where the numbers of an upstream asset come from, by its manifest."""
    cell = cell if cell is not None else run.upstream_cells(asset)[0]
    manifest = run.context.store.current(asset, cell)
    return Provenance(
        asset=asset,
        partition="|".join(cell) or None,
        fingerprint=manifest.fingerprint,
        data_version=manifest.data_version,
        code_version=digest(manifest.inputs["code"]),
        libraries=manifest.libraries,
    )
