"""Tokenization from a model directory with the ``tokenizers`` library alone (no torch, no transformers)."""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from resources.language_models.base import Context, Tokenization, lines_before
from resources.language_models.chat import render_chat
from resources.language_models.errors import CorruptFileError, SourceError
from resources.language_models.spec import ModelSettings

_SPACE = "\u2581"  # SentencePiece writes a space as this character


@lru_cache(maxsize=1)
def _byte_of_character() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes stand for themselves, the others for U+0100, U+0101, … in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise CorruptFileError(
            str(path), f"not JSON ({error})", "install or download the file again"
        ) from error


class TokenizerView(Tokenization):
    """Tokenization of a model directory under given :class:`~.spec.ModelSettings`.

    Args:
        directory: Holds tokenizer.json, and where the model has them tokenizer_config.json,
            chat_template.jinja, config.json, generation_config.json.
        settings: Template, BOS policy, parity, prefix.

    Raises:
        SourceError: No tokenizer.json; or a chat template is wanted and there is none.
        CorruptFileError: Unreadable files.
    """

    def __init__(self, directory: str | Path, settings: ModelSettings | None = None):
        self.directory, self.settings = Path(directory), settings or ModelSettings()
        file = self.directory / "tokenizer.json"
        if not file.is_file():
            raise SourceError(
                str(file),
                "missing",
                "save the tokenizer with transformers: AutoTokenizer.from_pretrained(…).save_pretrained(…)",
            )
        try:
            self._tokenizer = Tokenizer.from_file(str(file))
        except Exception as error:  # tokenizers raises bare Exception
            raise CorruptFileError(
                str(file), f"unreadable ({error})", "install or download the file again"
            ) from error
        self._config = _read_json(self.directory / "tokenizer_config.json")
        self.template = self._choose_template()

    # -- special tokens -------------------------------------------------------------------------------------

    @cached_property
    def special_tokens(self) -> dict[str, str]:
        """Named special tokens (``bos_token``, ``eos_token``, …) and their text."""
        text = {
            key: value["content"] if isinstance(value, dict) else value for key, value in self._config.items()
        }
        return {key: text[key] for key in text if key.endswith("_token") and isinstance(text[key], str)}

    @cached_property
    def bos_id(self) -> int | None:
        """Id of the beginning-of-sequence token, None if the model names none."""
        return self._tokenizer.token_to_id(self.special_tokens.get("bos_token", ""))

    @cached_property
    def adds_bos(self) -> bool:
        """Whether the tokenizer by itself puts BOS before a text."""
        return self.bos_id is not None and self._tokenizer.encode("").ids[:1] == [self.bos_id]

    @cached_property
    def end_ids(self) -> tuple[int, ...]:
        """EOS of every configuration file, and the control token that the template puts after an answer."""
        found = {self._tokenizer.token_to_id(self.special_tokens.get("eos_token", ""))}
        for name in ("generation_config.json", "config.json"):
            value = _read_json(self.directory / name).get("eos_token_id")
            found.update(value if isinstance(value, list) else [value])
        if self.template is not None:
            marker = "calibration"
            turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": marker}]
            rest = self._render(turns, add_generation_prompt=False).rpartition(marker)[2]
            after = self._tokenizer.encode(rest, add_special_tokens=False).ids[:1]
            found.update(token for token in after if self.token_bytes(token) is None)
        return tuple(sorted(found - {None}))

    @property
    def vocab_size(self) -> int:
        return self._tokenizer.get_vocab_size(with_added_tokens=True)

    # -- context --------------------------------------------------------------------------------------------

    def _choose_template(self) -> str | None:
        wanted = self.settings.chat_template
        if wanted == "none" or (wanted == "default" and self.settings.variant == "base"):
            return None
        if wanted != "default":
            return wanted
        file = self.directory / "chat_template.jinja"
        template = file.read_text(encoding="utf-8") if file.exists() else self._config.get("chat_template")
        if isinstance(template, list):  # several named templates
            template = {entry["name"]: entry["template"] for entry in template}.get("default")
        if template is None:
            raise SourceError(
                f"model {self.settings.name!r}, field chat_template",
                "the tokenizer has no chat template",
                "set variant: base, chat_template: none, or write the template out",
            )
        return template

    def _render(self, messages: list[dict], add_generation_prompt: bool = True) -> str:
        options = {"thinking": self.settings.thinking, "today": self.settings.today}
        return render_chat(
            self.template,
            messages,
            self.special_tokens,
            add_generation_prompt=add_generation_prompt,
            **options,
        )

    def render(self, prompt: str, completion: str | None = None, history: Sequence[tuple[str, str]] = ()) -> str:
        """The context as text: chat template (or the completion as it is) and the answer prefix."""
        prefix = self.settings.answer_prefix
        if self.template is None:
            text = lines_before(history, prefix) + (prompt if completion is None else completion)
        else:
            system = self.settings.system_prompt
            messages = [] if system is None else [{"role": "system", "content": system}]
            for said, answer in history:
                messages.append({"role": "user", "content": said})
                messages.append({"role": "assistant", "content": (prefix + answer).strip()})
            text = self._render([*messages, {"role": "user", "content": prompt}])
        return text + prefix

    def context(
        self, prompt: str, completion: str | None = None, history: Sequence[tuple[str, str]] = ()
    ) -> Context:
        text = self.render(prompt, completion, history)
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return Context(text, (*self._bos_before(ids), *ids))

    def _bos_before(self, ids: list[int]) -> list[int]:
        """The BOS ids to put before a context that was tokenized without special tokens."""
        if self.bos_id is None:
            return []
        if self.settings.parity == "canopy":
            # The released pipeline tokenized the rendered text again with special tokens, BOS in the text or
            # not.
            return [self.bos_id] if self.adds_bos else []
        if self.settings.bos == "never" or ids[:1] == [self.bos_id]:
            return []
        return [self.bos_id] if self.adds_bos or self.settings.bos == "always" else []

    def _encode_after(self, context: Context, text: str) -> list[int]:
        ids = self._tokenizer.encode(context.text + text, add_special_tokens=False).ids
        return [*self._bos_before(ids), *ids]

    # -- bytes ----------------------------------------------------------------------------------------------

    @cached_property
    def _kind(self) -> str:
        """``byte_level`` or ``sentencepiece``, read from the tokenizer's decoder."""
        decoder = json.loads(self._tokenizer.to_str())["decoder"] or {}
        steps = decoder.get("decoders", [decoder])
        kinds = {step.get("type") for step in steps}
        if "ByteLevel" in kinds:
            return "byte_level"
        replaces_space = any(step.get("pattern", {}).get("String") == _SPACE for step in steps)
        if "Metaspace" in kinds or replaces_space:
            return "sentencepiece"
        raise SourceError(
            str(self.directory / "tokenizer.json"),
            f"decoder {sorted(map(str, kinds))} does not say which bytes a token stands for",
            "use a model with a byte-level or SentencePiece tokenizer",
        )

    @cached_property
    def _added(self) -> dict[int, object]:
        return self._tokenizer.get_added_tokens_decoder()

    def token_bytes(self, token: int) -> bytes | None:
        if added := self._added.get(token):
            return None if added.special else added.content.encode()
        piece = self._tokenizer.id_to_token(token)
        if piece is None:
            return None
        if self._kind == "byte_level":
            table = _byte_of_character()
            return bytes(table[c] for c in piece) if all(c in table for c in piece) else piece.encode()
        if len(piece) == 6 and piece.startswith("<0x") and piece.endswith(">"):
            return bytes([int(piece[3:5], 16)])
        return piece.replace(_SPACE, " ").encode()

    def token_text(self, token: int) -> str:
        data = self.token_bytes(token)
        if data is None:
            return self._tokenizer.id_to_token(token) or f"<unused {token}>"
        return data.decode("utf-8", errors="replace")

    def identity(self) -> dict:
        """Hash of tokenizer.json and the settings that shape a context; part of a model's identity."""
        digest = hashlib.sha256((self.directory / "tokenizer.json").read_bytes()).hexdigest()
        template = None if self.template is None else hashlib.sha256(self.template.encode()).hexdigest()
        return {
            "tokenizer_sha256": digest,
            "chat_template_sha256": template,
            "special_tokens": self.special_tokens,
        }
