"""Whether each completion is a valid answer, by every judge of the sweep."""

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES
from calib_assets.assets.order.judging import judged, judging_work, sweep_judges
from calib_assets.figures import judge_scores
from calib_assets.figures.encode import thumbnail
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.run import Result, Run


def judge_labels(run: Run) -> Result:
    """Scores, status and validity of each leaf's response (METHODS §3.4); a missing judgment is null, never invalid."""
    return judged(run, run.table("completions"), ["seed", "node"], "judge_labels")


def expected_work(context: Context, cell: Cell) -> Work:
    """Every leaf's response, by each judge."""
    row = context.study.sweep(cell[1])
    return judging_work(context, row, row.seeds * row.leaves, row.prefix.max_tokens + row.depth + row.max_new_tokens)


NODE = Node(
    key="judge_labels",
    axes=("model", "sweep"),
    deps=("judge_spec", "completions"),
    body=judge_labels,
    group="order",
    description="Grammar, semantic and overall score of every completed response, by every judge of the sweep, with "
    "raw replies; failed judgments are missing, not invalid (Paper A §4.1, App. A.1).",
    dispatches=sweep_judges,
    libraries=GENERATION_LIBRARIES,
    work=expected_work,
    pool="judge",
    preview=lambda result: thumbnail(judge_scores(result.tables["judge_labels"])),
)
