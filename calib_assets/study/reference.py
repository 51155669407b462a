"""``docs/study-file.md``: every field of the study file, written from the document's types so that it stays true.

Run ``python -m calib_assets.study.reference > docs/study-file.md``; a test compares the two.
"""

import inspect
import typing

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from calib_assets.study import coding, document, judging, models, rollouts, speaking, sweeps, tasks

ROWS = (
    document.Study,
    models.ModelRow,
    models.HubSource,
    models.PackageSource,
    models.LocalSource,
    models.MarkovSource,
    models.NgramSource,
    tasks.DigitsTask,
    tasks.DigitSumTask,
    tasks.ListTask,
    document.Decoding,
    document.TemperatureRange,
    document.LogitFits,
    sweeps.PromptSet,
    sweeps.HubFile,
    sweeps.SweepRow,
    sweeps.Prefixes,
    sweeps.Robustness,
    sweeps.Sampling,
    sweeps.Filter,
    sweeps.Comparison,
    rollouts.RolloutRow,
    rollouts.SemanticEntropy,
    rollouts.Regression,
    rollouts.ExternalData,
    speaking.ApiModelRow,
    speaking.CollapseRow,
    speaking.History,
    coding.CodingRow,
    coding.CodeLimits,
    coding.LiveCodeBench,
    judging.JudgeRow,
    judging.JudgePrice,
    judging.JudgeBudget,
    judging.Annotations,
    document.EmbedderRow,
    document.Storage,
    document.Budgets,
)
INTRODUCTION = """# The study file

One YAML document says everything that determines a study's numbers. `calib-assets validate` checks it and runs
nothing; an error names file, line, field, value and remedy. Unknown fields are errors. Paths in it are relative to the
file. Fields marked *circumstance* (where and how, not what) and *presentation* never make a result stale.

Environment: `CALIB_STUDY` names the file, `CALIB_STORE` overrides `storage.root`; secrets are named by variable, never
written. This page is written from the code: `python -m calib_assets.study.reference > docs/study-file.md`.
"""


def reference() -> str:
    """The page as Markdown: one table for each kind of row."""
    return "\n".join([INTRODUCTION, *(_section(row) for row in ROWS)])


def _section(row: type[BaseModel]) -> str:
    lines = [
        f"## {row.__name__}",
        "",
        inspect.cleandoc(row.__doc__ or ""),
        "",
        "| field | type | default | meaning |",
        "|---|---|---|---|",
    ]
    for name, info in row.model_fields.items():
        default = "required" if info.is_required() else f"`{_default(info)}`"
        lines.append(f"| `{name}` | {_type(info.annotation)} | {default} | {_escape(info.description or '')} |")
    return "\n".join([*lines, ""])


def _default(info: FieldInfo) -> str:
    value = info.default
    if value is PydanticUndefined or value is None:
        return "null"
    if isinstance(value, BaseModel):
        return "as below"
    return {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)


def _type(annotation: object) -> str:
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _type(arguments[0])
    if origin is typing.Literal:
        return _escape(" \\| ".join(f"`{value}`" for value in arguments), keep_bars=True)
    if origin is tuple:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"map of {_type(arguments[0])} to {_type(arguments[1])}"
    if arguments:
        return " or ".join(_type(part) for part in arguments)
    names = {str: "text", int: "integer", float: "number", bool: "true/false", type(None): "null"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _escape(text: str, keep_bars: bool = False) -> str:
    return text if keep_bars else text.replace("|", "\\|")


if __name__ == "__main__":
    print(reference(), end="")
