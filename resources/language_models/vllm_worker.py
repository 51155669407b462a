"""What runs inside vLLM's workers: the project's own choice of tokens, as a logits processor of the engine.

vLLM batches requests, caches keys and values and runs the model; it does not sample. At every step the processor is
given the raw logits of all requests, before temperature, penalties or filters. It lets the project's policy choose
(:mod:`.choosing`: float64, a random stream for each request that knows nothing of the batch), notes the token, its
log-probability and the step's entropy, and leaves the chosen token alone in the row, so that vLLM's greedy sampler can
take no other. Where whole rows are wanted (the logit cache), it notes the row.

Notes are collected after each step by :func:`take`, by way of ``collective_rpc``, so that it is the same whether the
worker is this process or, under tensor parallelism, another one. vLLM's own returned log-probabilities are not used:
they are float32, a list of Python numbers for each token, and hold no normaliser beside raw logits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from vllm.v1.sample.logits_processor import LogitsProcessor, process_dict_updates

from calib_assets.decoding.policy import Row
from resources.language_models.choosing import Chooser
from resources.language_models.continuation import check_tops
from resources.language_models.device_heads import leading_on_device

ASKED = "calib"
"""Key of ``SamplingParams.extra_args``: ``[request, stream, given tokens]``."""


@dataclass(frozen=True)
class Note:
    """What a step of a request gave.

    Attributes:
        step: New tokens before it.
        token: The chosen token; None where the row is wanted.
        log_probability: Of the token, nats.
        entropy: Of the step, nats; None if nobody asked.
        logits: The whole row, float32; None where a token was chosen.
    """

    step: int
    token: int | None = None
    log_probability: float = 0.0
    entropy: float | None = None
    logits: np.ndarray | None = None


@dataclass(frozen=True)
class Job:
    """What all requests of one call are asked: the next token, or the row (``chooser`` None)."""

    chooser: Chooser | None
    where: str


class _Desk:
    """The job in progress in this worker, and its notes since they were last taken."""

    job: Job | None = None
    notes: dict[int, Note] = {}
    error: Exception | None = None


def begin(worker, job: Job | None) -> None:
    """Start a job, or end it with None; runs in every worker."""
    _Desk.job, _Desk.notes, _Desk.error = job, {}, None


def take(worker) -> tuple[dict[int, Note], Exception | None]:
    """Notes of the last step by request, and what went wrong in it; runs in every worker, and the first one answers."""
    found = _Desk.notes if worker.rank == 0 else {}, _Desk.error
    _Desk.notes, _Desk.error = {}, None
    return found


@dataclass(frozen=True)
class _Seat:
    """A request in the batch; ``new`` is vLLM's own list of its tokens, which grows."""

    index: int
    stream: tuple[int, ...]
    given: tuple[int, ...]
    new: Sequence[int]

    def row(self) -> Row:
        return Row(self.stream, (*self.given, *self.new), len(self.given))


class ProjectChoice(LogitsProcessor):
    """Chooses every token of the project's requests.

    A request whose prompt is still being read in parts is also shown; what is noted of it then is written over, since
    its number of new tokens, which counts the random stream, has not grown.
    """

    def __init__(self, vllm_config, device: torch.device, is_pin_memory: bool):
        self._seats: dict[int, _Seat] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update) -> None:
        process_dict_updates(self._seats, batch_update, _seat)

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        if _Desk.job is None or not self._seats:
            return logits
        places = sorted(self._seats)
        seats = [self._seats[place] for place in places]
        rows = logits if places == list(range(len(logits))) else logits[places]
        try:
            tokens = _noted(rows, seats, _Desk.job)
        except Exception as error:  # raised in the engine it would leave its queues in disorder; take() passes it on
            _Desk.error, tokens = error, None
        if tokens is not None:
            logits[places] = -torch.inf
            logits[places, tokens] = 0.0
        return logits


def _seat(params, prompt_ids, new_ids) -> _Seat | None:
    asked = (params.extra_args or {}).get(ASKED)
    return None if asked is None else _Seat(asked[0], tuple(map(int, asked[1])), tuple(asked[2]), new_ids)


def _noted(logits: torch.Tensor, seats: Sequence[_Seat], job: Job) -> list[int] | None:
    """Write the notes of a step; the chosen tokens, if the job is to choose."""
    chooser = job.chooser
    if chooser is None:
        for seat, row in zip(seats, logits.float().cpu().numpy(), strict=True):
            _Desk.notes[seat.index] = Note(len(seat.new), logits=row.copy())
        return None
    if chooser.ranks is not None and logits.device.type != "cpu":
        conditionals = leading_on_device(logits, chooser.ranks)
    else:
        conditionals = chooser.of_logits(logits.float().cpu().numpy())
    check_tops(chooser.top(conditionals), [(seat.index, len(seat.new)) for seat in seats], job.where)
    chosen = chooser(conditionals, [seat.row() for seat in seats])
    tokens, entropies = chosen.tokens.tolist(), chosen.entropies
    for i, seat in enumerate(seats):
        entropy = None if entropies is None else float(entropies[i])
        note = Note(len(seat.new), tokens[i], float(chosen.log_probabilities[i]), entropy)
        _Desk.notes[seat.index] = note
    return tokens
