"""Weights in memory: loaded once per process, shared by every handle, released at the end.

An in-process run materializes several assets of one model one after the other. Handles come and go with the
assets; the weights stay until another model is needed or :func:`release_models` is called.
"""

import logging
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_log = logging.getLogger(__name__)


@dataclass
class Loaded:
    """One set of weights; ``notes`` keeps the last context's states and whether tree masks were verified.

    ``unload`` gives back what dropping the last reference does not: an engine's memory and processes.
    """

    key: tuple[str, ...]
    model: Any
    users: int = 0
    unload: Callable[[Any], None] | None = None
    notes: dict[str, Any] = field(default_factory=dict)


class LoadedModels:
    """Models in memory by (content digest, dtype, device). All methods are safe to call from several threads.

    Attributes:
        loads: Key of every load since the process began; a run that was entirely up to date leaves it empty.

    >>> models = LoadedModels()
    >>> first, second = models.acquire(("a",), list), models.acquire(("a",), list)
    >>> first.model is second.model, models.loads
    (True, [('a',)])
    >>> models.release(first), models.release(second), len(models)   # idle, still there
    (None, None, 1)
    >>> _ = models.acquire(("b",), list); len(models)                # the idle one made room
    1
    """

    def __init__(self):
        self._lock = threading.RLock()
        self._models: dict[tuple[str, ...], Loaded] = {}
        self.loads: list[tuple[str, ...]] = []

    def __len__(self) -> int:
        return len(self._models)

    def acquire(
        self, key: tuple[str, ...], load: Callable[[], Any], unload: Callable[[Any], None] | None = None
    ) -> Loaded:
        """The model under ``key``, loaded if it is not there yet; idle others are dropped before that."""
        with self._lock:
            if key not in self._models:
                self.clear()
                self.loads.append(key)
                _log.info("loading model %s", " ".join(key))
                self._models[key] = Loaded(key, load(), unload=unload)
            require_full_float32()
            loaded = self._models[key]
            loaded.users += 1
            return loaded

    def in_use(self, kind: Callable[[Any], bool], but: tuple[str, ...]) -> bool:
        """Whether some handle uses a model of this kind under another key."""
        with self._lock:
            others = (loaded for key, loaded in self._models.items() if key != but)
            return any(loaded.users > 0 and kind(loaded.model) for loaded in others)

    def release(self, loaded: Loaded) -> None:
        """Give up one use; the weights stay as the idle model."""
        with self._lock:
            loaded.users -= 1

    def clear(self) -> None:
        """Drop every idle model."""
        with self._lock:
            for key in [key for key, loaded in self._models.items() if loaded.users == 0]:
                dropped = self._models.pop(key)
                if dropped.unload is not None:
                    dropped.unload(dropped.model)


def require_full_float32() -> None:
    """Products of float32 matrices keep their 24 bits on a GPU, whatever this process was told before.

    TF32 keeps 11 of them. Other libraries and environment variables switch it on for a whole process, and cuDNN's
    convolutions have it on by themselves.
    """
    torch = sys.modules.get("torch")
    if torch is None:  # a model that is no transformer needs none of this
        return
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    if torch.backends.cudnn.conv.fp32_precision == "tf32":  # set by torch's newer switches, which win
        torch.backends.cudnn.conv.fp32_precision = "ieee"


def hide_conversion_bars() -> None:
    """No bars of transformers for reading a GGUF and writing safetensors: in a log each bar is a hundred lines.

    Downloads of the hub, which can take long, keep theirs. Imports torch.
    """
    from functools import partial

    from huggingface_hub.utils import are_progress_bars_disabled, enable_progress_bars
    from transformers import modeling_gguf_pytorch_utils as reading
    from transformers.utils import logging as transformers_logging

    wanted = not are_progress_bars_disabled()
    transformers_logging.disable_progress_bar()  # for the hub as well
    if wanted:
        enable_progress_bars()
    reading.tqdm = partial(reading.tqdm, disable=True)  # it has no switch


#: The one pool of this process.
MODELS = LoadedModels()


def release_models() -> None:
    """Free the weights of all models that no handle uses (call at the end of a run)."""
    MODELS.clear()
