"""The plan in lines: what is stale and why, the model work it needs, and who could not be asked now."""

from collections.abc import Sequence

from calib_assets.staleness.graph import Work
from calib_assets.staleness.planner import Stale
from calib_assets.study import Study
from calib_assets.study.models import MarkovSource

MOST_WORK_LINES = 4  # cells of one asset whose model work is said one by one


def render(stale: Sequence[Stale], view) -> list[str]:
    """The plan in lines: stale cells with their reasons, those of one asset and reason together; then the model work.

    Args:
        stale: The plan.
        view: The planner's context.
    """
    total = sum(len(view.graph.cells(key, view.study)) for key in view.graph.nodes)
    if not stale:
        return [f"all {total} asset cells are up to date in {view.store.location}"]
    failed = [item for item in stale if item.has_failed]
    if len(stale) == total and not failed and all("missing" in item.reasons for item in stale):
        lines = [f"{len({item.key for item in stale})} assets have no result yet: this study is new in this store"]
    else:
        lines = _reasons([item for item in stale if not item.has_failed], view)
    lines.append(f"{len(stale)} of {total} asset cells are stale in {view.store.location}")
    lines += [f"FAILED {item.name} {item.failures[0].history}: {item.failures[0].summary}" for item in failed]
    if failed:
        lines.append(
            f"{len(failed)} of them failed: comparisons leave them out, and what needs them waits; the sensor tries "
            "them again when their inputs change, `calib-assets refresh` and the nightly schedule at once"
        )
    model_work = [item for item in stale if item.work not in (None, Work(0, 0))]
    lines += _model_work(model_work)
    total_work = sum(map(_needed, model_work), Work(0, 0))
    lines.append(f"model work in all: at most {_work(total_work)}" if model_work else "model work: none")
    lines += _unready_judges(stale, view) + _unready_speakers(stale, view)
    return lines


def licences(study: Study) -> str:
    """Under what terms each model comes, as its row says; the file is read by people, so nothing is guessed."""
    weights = [row for row in study.models if not isinstance(row.source, MarkovSource)]
    said = (f"{row.name}: {row.licence or 'not stated in the study'}" for row in weights)
    return f"licences of models: {'; '.join(said)}" if weights else "licences of models: no model has weights"


def _reasons(stale: Sequence[Stale], view) -> list[str]:
    """One line for the cells of one asset that are stale for one reason."""
    lines = []
    for (key, why), items in _groups([item for item in stale if not item.has_failed]).items():
        cells = len(view.graph.cells(key, view.study))
        if not view.graph.axes(key):
            place = key
        elif len(items) == cells and cells > 1:
            place = f"{key}, all {cells} cells"
        else:
            names = ", ".join("|".join(item.cell) for item in items[:4])
            place = f"{key}[{names}{f' and {len(items) - 4} more' if len(items) > 4 else ''}]"
        lines.append(f"{place}: {why}")
    return lines


def _model_work(items: Sequence[Stale]) -> list[str]:
    """One line for each cell, or for all cells of an asset that has many."""
    lines = []
    for key in dict.fromkeys(item.key for item in items):
        own = [item for item in items if item.key == key]
        if len(own) > MOST_WORK_LINES:
            own_work = sum(map(_needed, own), Work(0, 0))
            lines.append(f"model work: {key}, {len(own)} cells: at most {_work(own_work)}")
        else:
            lines += [f"model work: {item.name}: at most {_work(_needed(item))}" for item in own]
    return lines


def _unready_judges(stale: Sequence[Stale], view) -> list[str]:
    """One line for each judge that stale cells may need and that could not be asked now."""
    names: dict[str, None] = {}
    for item in stale:
        deps = view.graph.nodes[item.key].deps
        if "judge_spec" in deps and len(item.cell) == 2:
            names |= dict.fromkeys(view.study.sweep(item.cell[1]).judges)
        if "similarity_spec" in deps and (asked := view.study.rollout(item.cell[1]).semantic_entropy) is not None:
            names[asked.judge] = None
    found = (view.tools["judges"].unready(view.study.judge(name)) for name in names)
    return [f"note: {reason}" for reason in found if reason]


def _unready_speakers(stale: Sequence[Stale], view) -> list[str]:
    """One line for each model or other speaker that stale cells may need and that could not be asked now."""
    names: dict[str, None] = {}
    for item in stale:
        deps = view.graph.nodes[item.key].deps
        if "speaker_spec" in deps:
            names[item.cell[-1]] = None
        if "model_spec" in deps and item.work is not None:
            names[item.cell[0]] = None
    found = (view.tools["speakers"].unready(view.study.speaker(name)) for name in names)
    return [f"note: {reason}" for reason in found if reason]


def _needed(item: Stale) -> Work:
    return item.work or Work(0, 0)


def _work(work: Work) -> str:
    parts = [f"{_size(work.disk_bytes)} of logits" if work.disk_bytes else ""]
    parts.append(f"{work.judge_calls:,} calls of judges" if work.judge_calls else "")
    parts.append(f"{work.api_calls:,} calls of API models" if work.api_calls else "")
    if work.forward_tokens or not any(parts):
        parts.insert(0, f"{work.forward_tokens:,} tokens")
    return ", ".join(part for part in parts if part)


def _groups(stale: Sequence[Stale]) -> dict[tuple[str, str], list[Stale]]:
    """(asset, why) -> its cells; waiting for upstream is said once, not for each upstream cell."""
    groups: dict[tuple[str, str], list[Stale]] = {}
    for item in stale:
        own = [reason for reason in item.reasons if not reason.startswith(("waits for", "and for"))]
        if item.failures:
            own.append("behind a failure")
        if item.restorable:
            own.append("an earlier result fits, no work")
        why = "; ".join([*own, *(["waits for what is upstream"] if item.blocked and not item.failures else [])])
        groups.setdefault((item.key, why), []).append(item)
    return groups


def _size(count: int) -> str:
    value, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1000 or unit == "TB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit in {"B", "kB"} else f"{value:.1f} {unit}"
