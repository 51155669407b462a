"""Whether each sampled program passes the tests of its problem: run in a sandbox, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import polars as pl

from calib_assets.assets.cases.hosted_programs import FAILED
from calib_assets.staleness.graph import Cell, Node
from calib_assets.staleness.pieces import Pieces
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.study import Study
from calib_assets.study.problems import Problem, digest_of
from resources.sandbox.errors import SandboxFailed
from resources.sandbox.programs import KINDS, Outcome
from resources.sandbox.running import run_program
from resources.sandbox.sandbox import Sandbox

KNOWN = {"key": pl.String, "kind": pl.String, "tests": pl.Int64, "tests_passed": pl.Int64, "detail": pl.String}
SCHEMA = {
    "problem_id": pl.String,
    "sample": pl.Int64,
    "kind": pl.String,
    "passed": pl.Boolean,
    "tests": pl.Int64,
    "tests_passed": pl.Int64,
    "detail": pl.String,
}


class TooManyUntested(RuntimeError):
    """A larger share of the programs than the study allows has no verdict."""


def code_verdicts(run: Run) -> Result:
    """The verdict of each sampled program (METHODS §3.11); the same program of a problem is run once.

    A program whose sandbox broke down has no verdict, which is missing and not a failure; it is tried again when the
    asset is.

    Raises:
        SandboxUnavailable: If this machine cannot hold a program. Nothing is run then.
        TooManyUntested: If a larger share than the row allows has no verdict; verdicts that are there stay.
    """
    limits, most = run.slice("coding_limits_spec"), run.slice("coding_tests_spec")["max_missing_share"]
    problems = {item.id: item for item in run.tools["problem_sets"].read(run.context.study, run.coordinates["coding"])}
    samples = run.table("code_samples").select("problem_id", "sample", "program", "finish")
    keys = [_key(problems[name], text) for name, _, text, _ in samples.iter_rows()]
    samples = samples.with_columns(pl.Series("key", keys, dtype=pl.String))
    # Verdicts outlive the samples and the tests that asked for them: a key says what was run against what.
    pieces = run.pieces("code_samples", "coding_tests_spec")
    wanted = {key: (problems[name], text) for name, _, text, _, key in samples.iter_rows() if key is not None}
    known = _known(pieces, wanted)
    lacking = [key for key in wanted if key not in known]
    failed = _test(run, {key: wanted[key] for key in lacking}, limits, pieces)
    known = _known(pieces, wanted)
    rows = [
        {"problem_id": name, "sample": sample, **_verdict(key, finish, problems[name], known, failed)}
        for name, sample, _, finish, key in samples.iter_rows()
    ]
    table = pl.DataFrame(rows, schema=SCHEMA)
    untested = table["kind"].null_count()
    if untested > most * table.height:
        first = table.filter(pl.col("kind").is_null())["detail"][0]
        raise TooManyUntested(
            f"{'|'.join(run.cell)}: {untested} of {table.height} programs have no verdict, the first: {first}; run "
            "again (what is tested stays), or raise max_missing_share"
        )
    if wanted:
        pieces.prune()
    counts = dict(table["kind"].value_counts().iter_rows())
    return Result(
        tables={"code_verdicts": table},
        numbers={
            "programs run now": len(lacking) - len(failed),
            "without a verdict": untested,
            **{kind: counts.get(kind, 0) for kind in KINDS},
        },
    )


def _key(problem: Problem, text: str | None) -> str | None:
    return None if text is None else digest_of([problem.checking(), text])[:32]


def _known(pieces: Pieces, wanted: Mapping[str, object]) -> dict[str, Outcome]:
    found = {}
    for name in pieces.names():
        for key, kind, tests, passed, detail in pl.read_parquet(pieces.path(name)).iter_rows():
            if key in wanted:
                found[key] = Outcome(kind, tests, passed, detail)
    return found


def _test(run: Run, wanted: dict[str, tuple[Problem, str]], limits: dict, pieces: Pieces) -> dict[str, SandboxFailed]:
    """Run programs, a batch at a time, each kept when it is done; those whose sandbox broke down."""
    sandbox: Sandbox = run.tools["sandboxes"].open(limits)
    say, failed, keys = Progress(f"{'|'.join(run.cell)}: programs tested", run.log), {}, list(wanted)
    step = run.tools["sandboxes"].batch
    for start in range(0, len(keys), step):
        batch = keys[start : start + step]
        programs = [problem.program(text) for problem, text in (wanted[key] for key in batch)]
        rows = []
        for index, outcome in sandbox.run_many(programs, run.tools["sandboxes"].workers):
            if isinstance(outcome, SandboxFailed):
                failed[batch[index]] = outcome
            else:
                rows.append((batch[index], outcome.kind, outcome.tests, outcome.tests_passed, outcome.detail))
        if rows:
            table = pl.DataFrame(rows, schema=KNOWN, orient="row").sort("key")
            pieces.write(digest_of(table["key"].to_list())[:32], table)
        say(start + len(batch), len(keys))
    return failed


def _verdict(
    key: str | None, finish: str, problem: Problem, known: Mapping[str, Outcome], failed: Mapping[str, SandboxFailed]
) -> dict:
    tests, reason = len(problem.tests), None
    if key in known:
        outcome = known[key]
    elif key is not None:
        reason = f"the sandbox broke down: {failed[key]}"
    elif finish == FAILED:
        reason = "the server gave no answer"
    else:
        outcome = Outcome("no_code", tests, 0, "the answer holds no whole program")
    if reason is not None:
        return {"kind": None, "passed": None, "tests": tests, "tests_passed": None, "detail": reason}
    return {**asdict(outcome), "passed": outcome.passed}


def sandbox_code(study: Study, cell: Cell) -> Sequence[object]:
    """What decides a verdict: the comparison outside, and all that runs in the sandbox's own process."""
    return [run_program, _inside]


def _inside():
    """What the sandbox's process is started with, by name; an import here counts these modules as they are written."""
    import resources.sandbox.inside.launch

    return resources.sandbox.inside.launch


NODE = Node(
    key="code_verdicts",
    axes=("coding", "speaker"),
    deps=("coding_tests_spec", "coding_limits_spec", "code_samples"),
    body=code_verdicts,
    group="cases",
    description="Verdict of each program by the tests of its problem, run in a sandbox: passed, wrong_answer, error, "
    "timeout, memory or no_code (Paper A, App. H).",
    dispatches=sandbox_code,
    libraries=("python",),
)
