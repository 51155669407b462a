"""What the assets of the order study share: a model at the start of a repetition, and the text that it answers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl

from calib_assets.assets.code_in_use import model_code
from calib_assets.decoding import RULES
from calib_assets.staleness.graph import Cell
from calib_assets.staleness.run import Run
from calib_assets.study import Study
from calib_assets.study.models import ModelRow
from calib_assets.study.prompts import Prompt
from resources.language_models import LanguageModel

# A row of `prefixes` carries its prompt whole, so that an edit of any of its fields changes that asset's content.
PROMPT_COLUMNS = {
    "prompt_id": pl.String,
    "prompt": pl.String,
    "completion": pl.String,
    "answers": pl.List(pl.String),
    "pattern": pl.String,
    "answer_prefix": pl.String,
    "lead": pl.String,
    "stop": pl.String,
}


@dataclass(frozen=True)
class Speaker:
    """A model in front of one prompt and prefix.

    Attributes:
        model: The model.
        prompt: The prompt.
        context_ids: Tokens of the prompt as this model is asked it, and of the prefix.
        prefix_ids: Tokens of the prefix: the beginning of the answer.
        lead: Text that stands before a listed answer.
    """

    model: LanguageModel
    prompt: Prompt
    context_ids: tuple[int, ...]
    prefix_ids: tuple[int, ...]
    lead: str

    def response(self, ids: Sequence[int]) -> str:
        """Text of the whole answer, prefix and ``ids``: without end tokens, cut at the prompt's stop text."""
        text = self._text(ids)
        return text.split(self.prompt.stop, 1)[0] if self.prompt.stop else text

    def stopped(self, ids: Sequence[int]) -> bool:
        """Whether the answer, prefix and ``ids``, holds the prompt's stop text."""
        return bool(self.prompt.stop) and self.prompt.stop in self._text(ids)

    def _text(self, ids: Sequence[int]) -> str:
        ends = set(self.model.tokenization.end_ids)
        return self.model.tokenization.decode([token for token in (*self.prefix_ids, *ids) if token not in ends])


@contextmanager
def speaking(run: Run, start: Mapping[str, object]) -> Iterator[Speaker]:
    """The cell's model at the start of one repetition; its weights stay loaded for the next one.

    Args:
        start: Columns :data:`PROMPT_COLUMNS` and ``prefix_ids``, as a row of ``prefixes`` has them.
    """
    row, prompt = run.row("model"), prompt_of(start)
    with run.tools["language_models"].open(row, run.context.store.root, prompt.answer_prefix) as model:
        context, prefix = model.tokenization.context(prompt.prompt, prompt.completion), tuple(start["prefix_ids"])
        yield Speaker(model, prompt, (*context.ids, *prefix), prefix, lead_of(row, prompt))


def prompt_columns(prompt: Prompt) -> dict[str, object]:
    """A prompt as columns of ``prefixes``."""
    record = prompt.record()
    return {name: record["id" if name == "prompt_id" else name] for name in PROMPT_COLUMNS}


def prompt_of(start: Mapping[str, object]) -> Prompt:
    """The prompt of a row of ``prefixes``."""
    fields = {"id" if name == "prompt_id" else name: start[name] for name in PROMPT_COLUMNS}
    fields["answers"] = None if fields["answers"] is None else tuple(fields["answers"])
    return Prompt(**fields)


def lead_of(row: ModelRow, prompt: Prompt) -> str:
    """Text to continue (a completion, an answer prefix) is followed by the prompt's `lead`; a new answer is not."""
    return prompt.lead if row.variant == "base" or row.answer_prefix + prompt.answer_prefix else ""


def rules_code(study: Study, cell: Cell) -> list[object]:
    """The model class, and the rule classes that the sweep's sampling names."""
    row = study.sweep(cell[1])
    names = {name for name, _ in row.decoding.settings()} if row.decoding else set()
    if row.robustness is not None and row.robustness.sampling != "suggested":
        names |= {item.rule for item in row.robustness.sampling.filters}
    return [*model_code(study, cell), *(RULES[name] for name in sorted(names))]
