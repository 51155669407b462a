"""The command line: plan, refresh and look. The UI, the sensor and the schedule do the same work."""

import argparse
import io
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

import polars as pl

from calib_assets.plan_lines import licences, render
from calib_assets.readable import readable
from calib_assets.staleness.pages import side_by_side
from calib_assets.staleness.planner import Stale
from calib_assets.staleness.selection import Selection, SelectionError
from calib_assets.study import Study, StudyError, load_study, study_path
from calib_assets.study.errors import Problem
from calib_assets.study.external import read_external
from calib_assets.study.problem_sets import problem_count
from calib_assets.study.prompts import prompt_count, prompts_digest, prompts_of
from calib_assets.study.yaml_lines import line_of
from resources.artifacts.atomic import DiskSpaceError, StorageError
from resources.endpoints.errors import ServerError
from resources.language_models.errors import ModelError
from resources.language_models.sources import ModelSource, content_digest, resolve
from resources.services.language_models import CACHE_FOLDER, source_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 well, 1 something is stale or failed, 2 bad input)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that cannot show a character stops nothing
    options = _parser().parse_args(arguments)
    if options.study:
        os.environ["CALIB_STUDY"] = options.study
    if options.store:
        os.environ["CALIB_STORE"] = options.store
    try:
        return options.command(options)
    except (StudyError, ModelError, ServerError, StorageError, DiskSpaceError, SelectionError) as error:
        _say(error, sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read the output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        _say("interrupted; what was computed is kept, and the next refresh goes on from there", sys.stderr)
        return 130


def _say(text: object, stream: TextIO | None = None) -> None:
    """Print at once. Texts of models and of files may hold what steers a terminal; it is shown, not done."""
    print(readable(str(text)), file=stream or sys.stdout, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="calib-assets",
        description="Plan and refresh a study of language models.",
        epilog="Exit status: 0 done, or nothing to do; 1 something is stale (status) or failed (refresh); 2 bad input, "
        "named with file, line and remedy; 130 interrupted, and what was computed is kept.",
    )
    parser.add_argument("--study", help="study file (default: CALIB_STUDY, then studies/first.yaml)")
    parser.add_argument(
        "--store",
        help="folder of results, or a URL such as s3://bucket/prefix (default: CALIB_STORE, then the study's"
        " storage.root)",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    validate = commands.add_parser("validate", help="check the study file and say what it holds")
    validate.set_defaults(command=_validate)
    status = commands.add_parser("status", help="what is stale, why, and the model work it needs; runs nothing")
    status.add_argument("--verify", action="store_true", help="read every stored file and compare its checksum")
    _add_selection(status)
    status.set_defaults(command=_status)
    cost = commands.add_parser("cost", help="tokens, calls, bytes and GPU hours of the whole study, stale or not")
    cost.set_defaults(command=_cost)
    sheet = commands.add_parser("annotation-sheet", help="judged texts for people to score, as CSV")
    sheet.add_argument("--items", type=_count, default=50, help="how many texts (default: 50)")
    sheet.add_argument("--seed", type=_seed, default=0, help="of the draw")
    sheet.set_defaults(command=_annotation_sheet)
    refresh = commands.add_parser("refresh", help="compute what is stale, and nothing else")
    refresh.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    refresh.add_argument("--verify", action="store_true", help="also make anew what has a wrong checksum")
    _add_selection(refresh)
    refresh.set_defaults(command=_refresh)
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of texts; write 1 or more")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; write a whole number, 0 or more")
    return int(text)


def _add_selection(command: argparse.ArgumentParser) -> None:
    command.add_argument("--model", help="only what this model of the study needs, and the comparisons")
    command.add_argument("--study-part", help="only one study: shape, order, canopy, …; and the report")
    command.add_argument("--no-comparisons", action="store_true", help="with the above: leave comparisons and report")
    command.add_argument(
        "--report-only",
        action="store_true",
        help="comparisons and report from the results there are, no model work; what is missing is left out and named",
    )


def _selection(options: argparse.Namespace, view) -> Selection:
    if options.report_only and (options.model or options.study_part or options.no_comparisons):
        raise SelectionError("--report-only is about the whole study; leave out the other selections, or leave it out")
    selection = Selection(options.model, options.study_part, not options.no_comparisons, options.report_only)
    selection.check(view.graph, view.study)
    return selection


def _validate(options: argparse.Namespace) -> int:
    path = study_path(options.study)
    study = load_study(path)
    _require_sources(study, path, resolve)
    grid = study.decoding.grid()
    settings = len(grid.temperatures) * sum(len(values) for values in grid.rules.values())
    _say(
        f"{path}: valid. {len(study.models)} models, {len(study.tasks)} tasks, {settings} decoding settings, "
        f"{len(study.sweeps)} sweeps, {len(study.rollouts)} kinds of rollouts, {len(study.external)} external data sets"
    )
    _say(licences(study))
    for row in study.prompt_sets:
        if row.file is not None:
            prompts = prompts_of(row)
            _say(f"prompt set {row.name}: {len(prompts)} prompts, content {prompts_digest(prompts)}")
    for row in study.sweeps:
        _say(
            f"sweep {row.name}: at most {row.seeds * row.leaves:,} completions and "
            f"{row.seeds * (row.leaves + row.sampled_leaves) + row.compared_samples:,} texts to judge for each model"
        )
    for row in study.rollouts:
        prompts = prompt_count(study.prompt_set(row.prompts), row.max_prompts)
        _say(
            f"rollouts {row.name}: {prompts * row.rollouts:,} of at most {row.max_new_tokens:,} tokens for each model"
        )
    for row in study.collapse:
        who = f"{len(study.speakers)} speakers, {len(study.api_models)} of them behind a server"
        _say(f"collapse {row.name}: {row.calls:,} answers of each of {who}")
    for row in study.coding:
        problems, who = (
            problem_count(row),
            f"{len(study.speakers)} speakers, {len(study.api_models)} of them behind a server",
        )
        _say(
            f"coding {row.name}: {problems:,} problems, {problems * row.samples:,} programs of at most "
            f"{row.max_new_tokens:,} tokens of each of {who}"
        )
    for row in study.external:
        _say(f"external {row.name}: {read_external(row).select(pl.len()).collect().item():,} rows of {row.kind}")
    return 0


def _status(options: argparse.Namespace) -> int:
    view = _view()
    stale = _selection(options, view).of(_plan(view, options.verify), view.graph)
    _say("\n".join([*render(stale, view), licences(view.study)]))
    return 1 if stale else 0


def _refresh(options: argparse.Namespace) -> int:
    started = time.monotonic()
    view = _view()
    selection = _selection(options, view)
    stale = selection.of(_plan(view, options.verify), view.graph)
    _say("\n".join(render(stale, view)))
    if not stale or options.dry_run:
        _say(f"nothing was run ({time.monotonic() - started:.1f} s)")
        return 0
    view.store.require_writable()
    if options.verify:
        _drop_damaged(view, stale)
    return _run(view, selection, started)


def _cost(options: argparse.Namespace) -> int:
    from calib_assets.cost import costs, render

    _say("\n".join(render(costs(_view()))))
    return 0


def _annotation_sheet(options: argparse.Namespace) -> int:
    from calib_assets.results import Results, UnknownName

    try:
        sheet = Results(options.study, options.store).annotation_sheet(options.items, options.seed).write_csv()
    except UnknownName as error:  # a study without sweeps has no texts
        _say(error.args[0], sys.stderr)
        return 2
    # In a file every character counts; on a terminal none may act.
    sys.stdout.write(readable(sheet) if sys.stdout.isatty() else sheet)
    return 0


def _run(view, selection: Selection, started: float) -> int:
    _set_dagster_home()
    # Dagster is imported here: planning needs none of it, and it takes seconds to load.
    from calib_assets.definitions import defs
    from jobs.queueing import QueueError, is_wanted, queue_of_workspace
    from jobs.runner import open_instance, refresh

    _show_progress()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with open_instance() as instance:
            try:
                queue = queue_of_workspace() if is_wanted() else None
                summary = refresh(view, defs.resolve_job_def, instance, _say, selection, queue)
            except QueueError as error:
                _say(error, sys.stderr)
                return 2
    _say(f"{len(summary.computed)} computed in {summary.runs} runs, {time.monotonic() - started:.0f} s")
    for launch, error in summary.failed.items():
        _say(f"FAILED {launch}: {error}", sys.stderr)
    for check in summary.failed_checks:
        _say(f"CHECK FAILED {check}", sys.stderr)
    for item in summary.left:
        _say(f"still stale: {item.name}", sys.stderr)
    for page, path in side_by_side(view.store).items():
        _say(f"{page}: {path}")
    return 0 if summary.ok else 1


def _view():
    from calib_assets.assets import GRAPH
    from calib_assets.staleness.identity import Context
    from resources.services import LanguageModels, StoreService, StudyService, slicer_of, tools_of

    study, models = StudyService(), LanguageModels()
    store = StoreService(study=study).open()
    return Context(GRAPH, study.load(), store, slicer_of(store.root), tools_of(models, store))


def _plan(view, verify: bool) -> list[Stale]:
    from calib_assets.staleness.planner import plan

    try:
        return plan(view, verify=verify)
    except ModelError:
        _require_sources(
            view.study, study_path(), lambda source: content_digest(source, view.store.root / CACHE_FOLDER)
        )
        raise


def _require_sources(study: Study, path: Path, read: Callable[[ModelSource], object]) -> None:
    """Name the row of each model whose weights are not on this machine, or are others than the row says.

    Args:
        read: Tries one source, and raises :class:`ModelError`. Models on the hub are not looked for.

    Raises:
        StudyError: Naming file, line, row and remedy of every such model.
    """
    problems = []
    for index, row in enumerate(study.models):
        source = source_of(row)
        try:
            read(source) if source.kind not in ("hub", "markov") else None
        except ModelError as error:
            field, line = f"models[{index}] ({row.name}).source", line_of(path, "models", index, "source")
            problems.append(Problem(field, None, f"{error.where}: {error.found}", error.remedy, line))
    if problems:
        raise StudyError(str(path), problems)


def _drop_damaged(view, stale: Sequence[Stale]) -> None:
    """A damaged result has the expected fingerprint, so it must go before it can be made anew."""
    for item in stale:
        manifest = view.store.current(item.key, item.cell)
        if manifest is not None and view.store.damage(manifest, full=True) is not None:
            view.store.drop(manifest)


def _set_dagster_home() -> None:
    """Runs are recorded in the instance of ``DAGSTER_HOME``; without one, beside the ``dagster.yaml`` in use.

    Raises:
        StorageError: If there is neither, or it is no folder that can be written to, with the remedy.
    """
    named = os.environ.get("DAGSTER_HOME")
    if not named and not Path("dagster.yaml").exists():
        raise StorageError(
            f"DAGSTER_HOME is not set and there is no dagster.yaml in {Path.cwd()}, so the history of runs has no "
            "place; start in the folder of the project, or export DAGSTER_HOME=<an existing folder>"
        )
    home = Path(named or "").expanduser().absolute()
    if not home.is_dir():
        raise StorageError(
            f"DAGSTER_HOME is {named!r}, which is no folder; make it (`mkdir -p {home}`; a copy of the project's "
            "dagster.yaml in it keeps its settings), or unset it and start in the folder of the project"
        )
    if not os.access(home, os.W_OK | os.X_OK):
        raise StorageError(f"DAGSTER_HOME is {named or str(home)!r}, which cannot be written to; correct its "
                           "permissions, or export another folder")
    os.environ["DAGSTER_HOME"] = str(home)


class _Readable(logging.Formatter):
    """As :func:`_say` prints."""

    def format(self, record: logging.LogRecord) -> str:
        return readable(super().format(record))


def _show_progress() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Readable("  %(message)s"))
    logger = logging.getLogger("calib_assets.progress")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


if __name__ == "__main__":
    sys.exit(main())
