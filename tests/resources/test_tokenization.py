"""Contexts and answers as token ids; transformers' own tokenizer is the oracle."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.language_models import (
    CorruptFileError,
    ModelError,
    ModelSettings,
    SourceError,
    TokenizationError,
)
from resources.language_models.chat import render_chat
from resources.language_models.tokenization import TokenizerView

# Of the kinds found in the wild: trimmed blocks, loop controls, generation blocks, namespaces, tojson.
TEMPLATES = {
    "plain": """{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] | trim }}<end>
{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}""",
    "blocks": """{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '<u>' + message.content }}
    {%- else %}
        {% generation %}{{- message.content }}{% endgeneration %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<a>' }}
    {%- if enable_thinking is defined and not enable_thinking %}<nothink>{% endif %}
{% endif %}""",
    "functions": """{% set ns = namespace(n=0) %}
{% for m in messages %}
    {% if m.role == 'system' %}{% continue %}{% endif %}
    {% set ns.n = ns.n + 1 %}
{{ ns.n }}{{ m | tojson }}
{% endfor %}{{ eos_token }}{{ dict(a=1).a }}""",
}
MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": " Hé <b> \n"}]


@pytest.fixture(params=["byte_level", "sentencepiece"])
def kind(request):
    return request.param


@pytest.fixture
def view(tokenizer_directory):
    """``view(kind, adds_bos, **settings)``."""

    def make(kind="byte_level", adds_bos=True, **settings):
        return TokenizerView(tokenizer_directory(kind, adds_bos), ModelSettings(**settings))

    return make


# -- templates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("thinking", [None, False, True])
def test_rendering_equals_transformers(tokenizer_directory, template, thinking):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_directory("byte_level", True))
    extra = {} if thinking is None else {"enable_thinking": thinking}
    for generation_prompt in (True, False):
        expected = tokenizer.apply_chat_template(
            MESSAGES,
            chat_template=TEMPLATES[template],
            tokenize=False,
            add_generation_prompt=generation_prompt,
            **extra,
        )
        tokens = tokenizer.special_tokens_map
        found = render_chat(
            TEMPLATES[template], MESSAGES, tokens, add_generation_prompt=generation_prompt, thinking=thinking
        )
        assert found == expected


def test_smollm2_contexts_equal_transformers(smollm2):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2.directory)
    prompt = "Pick 3 digits.\n\n 7 or  8? é😀"
    for system in (None, "Be terse."):
        view = TokenizerView(smollm2.directory, ModelSettings(system_prompt=system))
        messages = [{"role": "system", "content": system}] if system else []
        messages.append({"role": "user", "content": prompt})
        expected = tokenizer.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
        assert view.context_ids(prompt) == expected
        assert view.context(prompt).text == tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, tokenize=False
        )
    assert view.end_ids == (tokenizer.convert_tokens_to_ids("<|im_end|>"),)


def test_templates_see_a_fixed_date():
    template = "{{ strftime_now('%d %b %Y') }}"
    assert render_chat(template, [], {}) == render_chat(template, [], {}, today="2024-07-26") == "26 Jul 2024"
    assert render_chat(template, [], {}, today="2025-01-02") == "02 Jan 2025"


def test_templates_run_in_a_sandbox_and_their_refusals_are_explained():
    with pytest.raises(ModelError, match="chat template: SecurityError"):
        render_chat("{{ messages.append(1) }}", [], {})
    with pytest.raises(
        ModelError, match=r"TemplateError: no system role; remedy: correct chat_template, or drop"
    ):
        render_chat("{{ raise_exception('no system role') }}", [], {})


def test_which_template_is_used(view, tokenizer_directory):
    assert view().render("Hi", "Greeting:") == "<s>[user]Hi<end>[assistant]"
    assert view(variant="base").render("Hi", "Greeting:") == "Greeting:"
    assert view(variant="base").render("Hi") == "Hi"
    assert view(chat_template="none", answer_prefix=" A:").render("Hi") == "Hi A:"
    assert view(chat_template="<{{ messages[0].content }}>", variant="base").render("Hi") == "<Hi>"
    assert (
        view(system_prompt="S", answer_prefix="x").render("Hi")
        == "<s>[system]S<end>[user]Hi<end>[assistant]x"
    )
    with pytest.raises(
        SourceError,
        match=r"field chat_template: the tokenizer has no chat template; remedy: set variant: base",
    ):
        TokenizerView(tokenizer_directory("byte_level", True, template=None), ModelSettings())


# -- BOS ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adds_bos", "template", "bos", "parity", "expected"),
    [
        (True, "default", "auto", None, 1),  # the template wrote it: not twice
        (True, "default", "always", None, 1),
        (True, "default", "never", None, 1),
        (True, "default", "auto", "canopy", 2),  # the released pipeline's second one
        (False, "default", "auto", "canopy", 1),
        (True, "none", "auto", None, 1),
        (True, "none", "never", None, 0),
        (True, "none", "auto", "canopy", 1),
        (False, "none", "auto", None, 0),
        (False, "none", "always", None, 1),
        (True, "[{{ messages[0].content }}]", "auto", None, 1),  # a template without BOS
    ],
)
def test_number_of_bos(view, kind, adds_bos, template, bos, parity, expected):
    made = view(kind, adds_bos, chat_template=template, bos=bos, parity=parity)
    context = made.context("abc")
    assert context.ids[: expected + 1].count(made.bos_id) == expected == context.ids.count(made.bos_id)
    assert made.answer_ids("0", context)  # answers are found behind the same BOS


# -- answers ------------------------------------------------------------------------------------------------


def test_answers_are_canonical_and_decode_to_themselves(view, kind):
    made = view(kind)
    context = made.context("Pick.")
    for answer in ("abc", "ab c", "1, 2", "é", "😀", " a"):
        ids = made.answer_ids(answer, context)
        assert made.decode(ids) == answer
        assert made.context_ids("Pick.") + ids == made._encode_after(context, answer)


@pytest.mark.parametrize(
    ("answer", "completion", "message"),
    [
        (
            "b",
            "xa",
            r"answer 'b': its first characters merge with the end of the context: tokens \[\d+ 'ab'\]",
        ),
        ("<eos>", "x", r"answer '<eos>': tokens \[2 '<eos>'\] spell '<eos>'"),
        ("", "x", "answer '': empty text"),
    ],
)
def test_answers_that_cannot_be_represented(view, kind, answer, completion, message):
    made = view(kind, variant="base")
    with pytest.raises(TokenizationError, match=message) as caught:
        made.answer_ids(answer, made.context("", completion))
    assert "remedy" in str(caught.value)


def test_a_normalised_answer_is_refused(view, tokenizer_directory):
    from tokenizers import Tokenizer, normalizers

    directory = tokenizer_directory("byte_level", True)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.save(str(directory / "tokenizer.json"))
    made = TokenizerView(directory)
    with pytest.raises(
        TokenizationError, match=r"answer 'ABC': tokens .* spell 'abc'; remedy: write it with characters"
    ):
        made.answer_ids("ABC", made.context("x"))


# -- bytes --------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.text(max_size=12).filter(lambda text: "\u2581" not in text))  # SentencePiece's own sign for a space
def test_token_bytes_join_to_the_text(tokenizers_of_both_kinds, text):
    for made in tokenizers_of_both_kinds:
        pieces = [made.token_bytes(i) for i in made._tokenizer.encode(text, add_special_tokens=False).ids]
        assert None in pieces or b"".join(pieces) == text.encode()
        assert None not in pieces or "<" in text  # a control token comes only from its own name in the text


@settings(deadline=None, max_examples=50)
@given(st.text(min_size=1, max_size=20).filter(lambda text: "<" not in text))
def test_smollm2_answers_spell_their_text_or_are_refused(smollm2, text):
    """SmolLM2 has no token for some bytes, and its tokenizer drops them without a word."""
    made = smollm2.tokenization
    known = {data for data in made.bytes_table if data is not None and len(data) == 1}
    context = made.context("x")
    if all(bytes([byte]) in known for byte in text.encode()) and text[0] not in "\n\r\t\v\f\x85 ":
        ids = made.answer_ids(text, context)
        assert b"".join(map(made.token_bytes, ids)) == text.encode()
        assert made.decode(ids) == text
    elif text[0].isalnum():
        with pytest.raises(TokenizationError, match="spell"):
            made.answer_ids(text, context)


def test_control_tokens_and_unused_ids_have_no_bytes(view, kind):
    made = view(kind)
    assert [made.token_bytes(i) for i in (0, 1, 2)] == [None] * 3
    assert made.token_bytes(made.vocab_size + 5) is None and made.token_text(2) == "<eos>"
    assert len(made.bytes_table) == made.vocab_size
    every_byte = {data for data in made.bytes_table if data is not None and len(data) == 1}
    assert every_byte == {bytes([byte]) for byte in range(256)}


def test_end_ids_hold_eos_and_end_of_turn(view):
    assert view().end_ids == (1, 2)  # <end> closes a turn of the template, <eos> is the tokenizer's
    assert view(variant="base").end_ids == (2,)


def test_unusable_tokenizer_files(tokenizer_directory, tmp_path):
    with pytest.raises(
        SourceError, match=r"tokenizer\.json: missing; remedy: save the tokenizer with transformers"
    ):
        TokenizerView(tmp_path)
    directory = tokenizer_directory("byte_level", True)
    (directory / "tokenizer_config.json").write_text("{")
    with pytest.raises(CorruptFileError, match=r"tokenizer_config\.json: not JSON"):
        TokenizerView(directory)
    (directory / "tokenizer.json").write_text("{")
    with pytest.raises(CorruptFileError, match=r"tokenizer\.json: unreadable"):
        TokenizerView(directory)
