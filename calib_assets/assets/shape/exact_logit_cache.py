"""The one place of the shape study where a model runs: next-token logits at every context of a task's valid set."""

import polars as pl

from calib_assets.assets.code_in_use import GENERATION_LIBRARIES, model_code
from calib_assets.assets.shape.reading import CACHE_FOLDER
from calib_assets.decoding import PrefixTrie
from calib_assets.staleness.graph import Cell, Node, Work
from calib_assets.staleness.identity import Context
from calib_assets.staleness.progress import Progress
from calib_assets.staleness.run import Result, Run
from calib_assets.study import answers_of
from calib_assets.study.models import MarkovSource, ModelRow
from calib_assets.study.tasks import Task
from resources.artifacts.cache_builder import build_logit_cache
from resources.artifacts.logit_cache import LogitCache
from resources.language_models import LanguageModel, cache_trie_logits, explore
from resources.language_models.conversion import is_prepared
from resources.services import CACHE_FOLDER as CACHE_ROOT
from resources.services import source_of

ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
# What a plan assumes about a vocabulary before a tokenizer is there to ask: the largest in use today.
LARGEST_VOCABULARY = 262_144


class BudgetExceeded(RuntimeError):
    """A cache larger than the study allows; found before the model runs."""


def exact_logit_cache(run: Run) -> Result:
    """Full next-token logits at every trie node, in the model's own dtype, stored once (METHODS §2, "Logit cache")."""
    row, task = run.row("model"), run.row("task")
    model: LanguageModel = run.tools["language_models"].open(row, run.context.store.root, task.answer_prefix)
    context = model.tokenization.context(task.prompt, task.completion)
    answers = spelled_answers(row, task)
    with model:
        build = _build_all if task.tokenizations == "all" else _build_canonical
        cache = build(run, model, context, answers, task)
    return _result(cache, model, context, answers)


def spelled_answers(row: ModelRow, task: Task) -> list[str]:
    """Answers as they follow the context: a text to continue (completion, answer prefix) is followed by the `lead`."""
    lead = task.lead if row.variant == "base" or row.answer_prefix + task.answer_prefix else ""
    return [lead + answer for answer in answers_of(task)]


def canonical_trie(model: LanguageModel, context, answers: list[str], terminated: bool) -> PrefixTrie:
    """Trie of the canonical tokenizations; a terminated answer counts with each of the model's end tokens.

    Raises:
        TokenizationError: If an answer does not survive tokenization after this context.
        ValueError: If one answer's tokens begin another's.
    """
    spelled = [model.tokenization.answer_ids(answer, context) for answer in answers]
    ends = [[token] for token in model.tokenization.end_ids] if terminated else [[]]
    sequences = [ids + end for ids in spelled for end in ends]
    owners = [index for index in range(len(spelled)) for _ in ends]
    return PrefixTrie.from_sequences(sequences, owners)


def _build_canonical(run: Run, model: LanguageModel, context, answers: list[str], task: Task) -> LogitCache:
    trie = canonical_trie(model, context, answers, task.terminated)
    _check_budget(run, trie.internal.size, model)
    return cache_trie_logits(
        run.folder / CACHE_FOLDER,
        model,
        context.ids,
        trie,
        fingerprint=run.fingerprint,
        progress=Progress(f"{run.model} {run.task}: contexts scored", run.log),
    )


def _build_all(run: Run, model: LanguageModel, context, answers: list[str], task: Task) -> LogitCache:
    _check_budget(run, task.max_nodes, model)
    say = Progress(f"{run.model} {run.task}: contexts scored, of at most", run.log)
    found = explore(
        model,
        context.ids,
        [answer.encode() for answer in answers],
        max_nodes=task.max_nodes,
        tolerance=task.unexplored_mass,
        terminated=task.terminated,
        progress=lambda scored, open_mass: say(scored, task.max_nodes),
    )
    return build_logit_cache(
        run.folder / CACHE_FOLDER,
        found.trie,
        lambda rows: [(rows, found.logits[rows])],
        dtype=model.dtype,
        vocab_size=model.vocab_size,
        context_ids=context.ids,
        fingerprint=run.fingerprint,
        attributes={"explored_mass": found.explored_mass, "open_mass": found.open_mass},
    )


def _check_budget(run: Run, contexts: int, model: LanguageModel) -> None:
    budgets, place = run.context.study.budgets, f"exact_logit_cache[{run.model}|{run.task}]"
    size = contexts * model.vocab_size * ITEM_BYTES[model.dtype]
    if contexts > budgets.trie_nodes:
        raise BudgetExceeded(
            f"{place} needs logits at {contexts:,} contexts, budgets.trie_nodes is {budgets.trie_nodes:,}; "
            "raise the budget, or shorten the task"
        )
    if size > budgets.disk_gb * 1e9:
        raise BudgetExceeded(
            f"{place} needs {size / 1e9:.1f} GB of logits, budgets.disk_gb is {budgets.disk_gb}; "
            "raise the budget, shorten the task, or take a 16-bit dtype"
        )


def _result(cache: LogitCache, model: LanguageModel, context, answers: list[str]) -> Result:
    tokens = range(cache.vocab_size)
    known = model.tokenization.vocab_size  # logits may be padded to more rows than there are tokens
    texts = [model.tokenization.token_text(token) if token < known else "" for token in tokens]
    files = {f"{CACHE_FOLDER}/{name}": entry for name, entry in cache.files().items()}
    return Result(
        tables={
            "vocabulary": pl.DataFrame({"token": list(tokens), "text": texts}),
            "answers": pl.DataFrame({"answer": range(len(answers)), "text": [answer.strip() for answer in answers]}),
        },
        written=files,
        written_digest=cache.content_digest,
        numbers={
            "contexts": len(cache),
            "valid answers": cache.trie.n_answers,
            "valid sequences": cache.trie.n_sequences,
            "vocabulary": cache.vocab_size,
            "dtype": cache.dtype,
            "context tokens": len(context.ids),
            "context": context.text,
            "unexplored mass at T = 1": cache.attributes.get("open_mass", 0.0),
        },
    )


def expected_work(context: Context, cell: Cell) -> Work:
    """Model work of one cache, at the most, without tokenizing anything (a plan must be quick).

    Every proper beginning of an answer's text may be a context, which is exact where each character is a token, as in
    the digit tasks. The vocabulary is the model's, or the largest in use while the model has not been prepared.
    """
    row, task = context.study.model(cell[0]), context.study.task(cell[1])
    answers, vocabulary = spelled_answers(row, task), LARGEST_VOCABULARY
    contexts = len({text[:size] for text in answers for size in range(len(text))}) + task.terminated * len(answers)
    if task.tokenizations == "all":
        contexts = task.max_nodes
    if isinstance(row.source, MarkovSource) or is_prepared(source_of(row), context.store.root / CACHE_ROOT):
        vocabulary = context.tools["language_models"].open(row, context.store.root).vocab_size
    prompt = max(len(task.prompt), len(task.completion))
    return Work(prompt + contexts, contexts * vocabulary * ITEM_BYTES[row.dtype])


NODE = Node(
    key="exact_logit_cache",
    axes=("model", "task"),
    deps=("model_spec", "task_spec"),
    body=exact_logit_cache,
    group="shape",
    description="Full next-token logits at every context of the task's valid set, in the model's own dtype; everything "
    "else of the shape study is computed from them (Paper A §5.2, App. C).",
    dispatches=model_code,
    libraries=GENERATION_LIBRARIES,
    work=expected_work,
    pool="gpu",
)
