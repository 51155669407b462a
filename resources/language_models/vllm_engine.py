"""One vLLM engine in this process: started, asked, shut down. What it is asked for stands in :mod:`.vllm_model`.

The engine's core runs in this process (no core process that could outlive it; with several GPUs the workers are
processes of their own, which end with this one), without asynchronous scheduling, so that the choice of every token is
made before the next step is planned. It is vLLM's version 1 runner, whose logits processors this project uses.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

os.environ.update({"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_USE_V2_MODEL_RUNNER": "0"})
_UNLESS_SET = {
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_LOGGING_STREAM": "ext://sys.stderr",
    "VLLM_HOST_IP": "127.0.0.1",  # else it asks the system how 8.8.8.8 would be reached; all workers are here
}
for _name, _value in _UNLESS_SET.items():
    os.environ.setdefault(_name, _value)

from vllm import EngineArgs, LLMEngine, SamplingParams  # noqa: E402  (it reads its variables when it is imported)
from vllm.inputs import tokens_input  # noqa: E402
from vllm.platforms import current_platform  # noqa: E402
from vllm.sampling_params import RequestOutputKind  # noqa: E402

from resources.language_models.base import Request  # noqa: E402
from resources.language_models.choosing import Chooser  # noqa: E402
from resources.language_models.continuation import Active, Ends  # noqa: E402
from resources.language_models.errors import ModelError  # noqa: E402
from resources.language_models.rollout import RolloutRequest  # noqa: E402
from resources.language_models.vllm_options import VARIABLE, EngineOptions  # noqa: E402
from resources.language_models.vllm_worker import ASKED, Job, Note, ProjectChoice, begin, take  # noqa: E402

_CPU = {"kv_cache_gib": 1.0, "block_size": 32, "enforce_eager": True}


@dataclass(frozen=True)
class Asked:
    """One request: its place in the caller's list, all tokens before the first new one, and the row's own part."""

    index: int
    prompt_ids: tuple[int, ...]
    request: Request | RolloutRequest


class Engine:
    """A running engine.

    Args:
        directory: Config and safetensors.
        dtype: Arithmetic of weights and activations.
        options: How it is run.
        where: Names the model in errors.

    Raises:
        ModelError: If vLLM cannot start.
    """

    def __init__(self, directory: Path, dtype: str, options: EngineOptions, where: str):
        self._where, self._busy = where, False
        try:
            self._engine = _start(directory, dtype, options)
        except Exception as error:  # vLLM raises many kinds: no memory, an unknown architecture, a wrong option
            reason = (str(error).splitlines() or ["no reason given"])[0]
            remedy = f"see its log above; give it less or other memory with {VARIABLE}, or write backend: transformers"
            raise ModelError(where, f"vLLM did not start ({type(error).__name__}: {reason})", remedy) from error

    @property
    def max_model_len(self) -> int:
        """Tokens of a request at most, context and new ones."""
        return self._engine.vllm_config.model_config.max_model_len

    def shutdown(self) -> None:
        """End the engine; its memory and its workers are given back."""
        self._engine.engine_core.shutdown()
        self._engine = None

    def logits(self, asked: Iterable[Asked], longest: int, at_once: int) -> Iterator[list[tuple[int, np.ndarray]]]:
        """``(index, row of logits)`` after each prompt, those of one step together; in any order.

        Args:
            asked: The prompts.
            longest: Tokens of a prompt at most.
            at_once: Requests that are handed to the engine at a time.
        """
        call = _Call(None, 1, (), at_once)
        for step in self._steps(asked, longest, call):
            yield [(one.index, note.logits) for one, note in step]

    def decode(
        self, asked: Iterable[Asked], longest: int, chooser: Chooser, ends: Ends, at_once: int
    ) -> Iterator[tuple[Active, str]]:
        """Rows as they finish, and how.

        Raises:
            ModelError: If logits hold NaN or +inf, or nothing but -inf.
            ValueError: What the policy refuses.
        """
        rows: dict[int, Active] = {}
        call = _Call(chooser, ends.max_new_tokens, tuple(sorted(ends.ids)), at_once)
        for step in self._steps(asked, longest, call):
            finished = []
            for one, note in step:
                row = rows.setdefault(one.index, Active(one.index, one.request))
                row.new.append(note.token)
                row.log_probability += note.log_probability
                if note.entropy is not None:
                    row.entropies.append(note.entropy)
                if (how := ends.of(row)) is not None:
                    call.ended.append(one.index)
                    finished.append((rows.pop(one.index), how))
            yield from finished

    def _steps(self, asked: Iterable[Asked], longest: int, call: "_Call") -> Iterator[list[tuple[Asked, Note]]]:
        """What each step gave, until no request is left; requests in ``call.ended`` are ended before the next one."""
        if self._busy:
            raise ModelError(self._where, "its engine is still answering an earlier call", "use up or close that first")
        if longest + call.max_tokens > self.max_model_len:
            raise ModelError(
                self._where,
                f"{longest} tokens of context and {call.max_tokens} new ones exceed the {self.max_model_len} of its "
                "engine",
                f"shorten the prompt or lower max_new_tokens; where memory is the limit, give it more ({VARIABLE})",
            )
        self._busy = True
        try:
            self._engine.collective_rpc(begin, args=(Job(call.chooser, self._where),))
            yield from self._served(iter(asked), call)
        finally:
            self._engine.abort_request([name for name, _ in call.live.values()], internal=True)
            self._engine.collective_rpc(begin, args=(None,))
            self._busy = False

    def _served(self, waiting: Iterator[Asked], call: "_Call") -> Iterator[list[tuple[Asked, Note]]]:
        while True:
            stopped = [call.live.pop(index)[0] for index in call.ended if index in call.live]
            self._engine.abort_request(stopped, internal=True)
            call.ended.clear()
            while len(call.live) < call.at_once and (one := next(waiting, None)) is not None:
                call.live[one.index] = self._add(one, call), one
            if not call.live:
                return
            outputs = self._engine.step()
            notes, error = self._engine.collective_rpc(take)[0]
            if error is not None:
                raise error
            yield [self._matched(output, notes, call) for output in outputs]

    def _matched(self, output, notes: dict[int, Note], call: "_Call") -> tuple[Asked, Note]:
        """A request and what its step gave; vLLM must have taken the token that was chosen."""
        index, tokens = int(output.request_id), list(output.outputs[0].token_ids)
        note = notes.get(index)
        if note is None or len(tokens) != 1 or note.token not in (None, tokens[0]):
            found = f"vLLM gave tokens {tokens} where {note} was chosen"
            raise ModelError(self._where, found, "write backend: transformers, and report the version of vLLM")
        one = call.live[index][1]
        if output.finished:
            del call.live[index]
        return one, note

    def _add(self, one: Asked, call: "_Call") -> str:
        # As text, since a stream's numbers may be longer than what vLLM lets pass.
        stream = [str(part) for part in one.request.stream]
        parameters = SamplingParams(
            temperature=0.0,  # greedy among what the processor leaves: the chosen token
            max_tokens=call.max_tokens,
            stop_token_ids=list(call.stop_ids),
            ignore_eos=True,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            extra_args={ASKED: [one.index, stream, list(one.request.ids)]},
        )
        return self._engine.add_request(str(one.index), tokens_input(list(one.prompt_ids)), parameters)


@dataclass
class _Call:
    """One call of the engine: what its requests are asked, and which are being answered."""

    chooser: Chooser | None
    max_tokens: int
    stop_ids: tuple[int, ...]
    at_once: int
    live: dict[int, tuple[str, Asked]] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)


def _start(directory: Path, dtype: str, options: EngineOptions):
    given = options.model_dump()
    if current_platform.is_cpu():
        given |= {name: value for name, value in _CPU.items() if given[name] is None}
    gib, eager, longest = given.pop("kv_cache_gib"), given.pop("enforce_eager"), given.pop("max_model_len")
    if gib is not None:
        given["kv_cache_memory_bytes"] = int(gib * 2**30)
    with _threads_kept():
        return LLMEngine.from_engine_args(
            EngineArgs(
                model=str(directory),
                dtype=dtype,
                skip_tokenizer_init=True,
                language_model_only=True,
                generation_config="vllm",  # not the model's own: nothing is sampled here
                logits_processors=[ProjectChoice],
                async_scheduling=False,
                enforce_eager=bool(eager),
                max_model_len=-1 if longest is None else longest,  # -1: as long as memory allows
                disable_log_stats=True,
                use_tqdm_on_load=False,
                **{name: value for name, value in given.items() if value is not None},
            )
        )


@contextmanager
def _threads_kept():
    """vLLM's CPU worker sets torch to one thread and forbids to change that; in our own process both are undone."""
    setter, threads = torch.set_num_threads, torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads = setter
        torch.set_num_threads(threads)
