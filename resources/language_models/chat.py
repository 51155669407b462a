"""Chat templates, rendered exactly as transformers' ``apply_chat_template`` does, without importing it.

Templates come with downloaded weights, so they run in Jinja's immutable sandbox.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from resources.language_models.errors import ModelError


class _GenerationBlocks(jinja2.ext.Extension):
    """Accept ``{% generation %}`` … ``{% endgeneration %}``, which marks assistant text for training."""

    tags = frozenset({"generation"})

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def _raise(message: str):
    raise jinja2.exceptions.TemplateError(message)


def _tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


@lru_cache(maxsize=32)
def _compile(template: str, today: str) -> jinja2.Template:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_GenerationBlocks, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise
    environment.globals["strftime_now"] = date.fromisoformat(today).strftime
    return environment.from_string(template)


def render_chat(
    template: str,
    messages: Sequence[Mapping[str, str]],
    special_tokens: Mapping[str, str],
    *,
    add_generation_prompt: bool = True,
    thinking: bool | None = None,
    today: str = "2024-07-26",
) -> str:
    """Render messages with a chat template.

    Args:
        template: Jinja source.
        messages: Mappings with ``role`` and ``content``.
        special_tokens: Names such as ``bos_token`` that the template may use, and their text.
        add_generation_prompt: End with the opening of an assistant turn.
        thinking: ``enable_thinking`` of the template; not passed when None.
        today: The date (ISO) that ``strftime_now`` gives. transformers gives the date of the call, with which
            the same study would have other contexts tomorrow; a fixed date is part of the model's identity
            instead.

    Raises:
        ModelError: If the template cannot be parsed or refuses the messages (for example a system message).

    >>> template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    >>> render_chat(template, [{"role": "user", "content": "Hi"}], {})
    '<user>Hi'
    """
    extra = {} if thinking is None else {"enable_thinking": thinking}
    try:
        return _compile(template, today).render(
            messages=[dict(message) for message in messages],
            tools=None,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **{**special_tokens, **extra},
        )
    except jinja2.exceptions.TemplateError as error:
        raise ModelError(
            "chat template",
            f"{type(error).__name__}: {error}",
            "correct chat_template, or drop system_prompt if it is refused",
        ) from error
