"""Study files, prompt files and lists in the forms that editors, downloads and strangers leave them in."""

import codecs
import json

import pytest

from calib_assets.decoding import PrefixTrie
from calib_assets.study import StudyError, answers_of, load_study
from calib_assets.study.contexts import fewest_contexts
from calib_assets.study.prompts import PromptProblem, read_prompts
from calib_assets.study.tasks import DigitsTask, DigitSumTask

STUDY = """name: a
title: t
models:
  - {name: m, source: {markov: m.json}, variant: base}
tasks:
  - {name: d, kind: digits, length: 2, prompt: p, completion: c}
"""
LAUGHS = "x0: &l0 [a, a, a, a, a, a, a, a, a, a]\n" + "".join(
    f"x{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]\n" for i in range(1, 10)
)
REFUSED = {
    "key twice": (STUDY + "title: x\n", 7, ["'title' appears twice", "remove one"]),
    "key twice in a row": (STUDY.replace("length: 2", "length: 2, length: 3"), 6, ["'length' appears twice"]),
    "merge twice": (STUDY + "storage: {<<: {root: x}, <<: {root: y}}\n", 7, ["'<<' appears twice"]),
    "tab": (STUDY + "storage:\n\troot: x\n", 8, ["YAML takes no tabs"]),
    "alias of nothing": (STUDY + "description: *here\n", 7, ["undefined alias", "needs quotes"]),
    "alias inside of itself": (STUDY + "description: &a {b: *a}\n", 7, ["alias stands inside of what it repeats"]),
    "aliases of aliases": (STUDY + LAUGHS, 16, ["x9", "unknown field"]),
    "list as key": (STUDY + "? [a, b]\n: 3\n", 7, ["a key is no text", "needs quotes"]),
    "number as key": (STUDY.replace("length: 2", "length: 2, 7: 3"), 6, ["tasks[0] (d)", "a key is no text", "got 7"]),
    "two documents": (STUDY + "---\n" + STUDY, 7, ["one study in one file"]),
    "program": (STUDY + "description: !!python/object/apply:os.system [ls]\n", 7, ["remove the tag"]),
    "control character": (STUDY.replace("title: t", "title: \x1b[31mt"), None, ["remove the control characters"]),
    "half a character": (STUDY.replace("title: t", 'title: "\\ud800"'), 2, ["surrogate"]),
    "too deep": (STUDY + f"description: {'[' * 3000}{']' * 3000}\n", None, ["too deep"]),
    "too long a number": (STUDY.replace("length: 2", f"length: {'9' * 5000}"), None, ["write a shorter number"]),
    "name that is no file's": (STUDY.replace("name: d", f"name: {'d' * 81}"), 6, ["at most 80 characters"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_a_study_is_named_with_its_line(case, tmp_path):
    text, line, words = REFUSED[case]
    file = tmp_path / "s.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(StudyError) as caught:
        load_study(file)
    said = str(caught.value)
    assert f"{file}:{line}:" in said if line else f"{file}: " in said
    assert all(word in said for word in words), said


def test_a_study_that_is_not_utf8_is_named_with_its_line(tmp_path):
    (tmp_path / "s.yaml").write_bytes(STUDY.replace("title: t", "title: café").encode("latin-1"))
    with pytest.raises(StudyError, match=r"s\.yaml:2: file: it is not UTF-8; save it as UTF-8"):
        load_study(tmp_path / "s.yaml")


def test_marks_of_byte_order_and_other_ends_of_lines_change_nothing(tmp_path):
    (tmp_path / "plain.yaml").write_text(STUDY)
    (tmp_path / "dos.yaml").write_bytes(codecs.BOM_UTF8 + STUDY.replace("\n", "\r\n").encode())
    assert load_study(tmp_path / "plain.yaml") == load_study(tmp_path / "dos.yaml")


def test_anchors_and_merges_repeat_rows(tmp_path):
    row = (
        "  - &first {name: m, source: {markov: m.json}, variant: base}\n  - {<<: *first, name: n, variant: instruct}\n"
    )
    (tmp_path / "s.yaml").write_text(STUDY.replace("  - {name: m, source: {markov: m.json}, variant: base}\n", row))
    first, second = load_study(tmp_path / "s.yaml").models
    assert first.source == second.source
    assert (second.name, second.variant, first.variant) == ("n", "instruct", "base")


def test_a_mistake_inside_a_repeated_row_has_a_line(tmp_path):
    row = "  - &first {name: m, source: {markov: m.json}, variant: bsae}\n"
    (tmp_path / "s.yaml").write_text(STUDY.replace("  - {name: m, source: {markov: m.json}, variant: base}\n", row))
    with pytest.raises(StudyError, match=r"s\.yaml:4: models\[0\] \(m\)\.variant"):
        load_study(tmp_path / "s.yaml")


# -- prompts ----------------------------------------------------------------------------------------------------

LINES = [{"id": "a", "prompt": "one\u2028two\x85three"}, {"id": "b", "prompt": "two", "answers": ["x"]}]


def test_prompt_files_are_read_alike_however_they_were_saved(tmp_path):
    plain = "\n".join(json.dumps(line, ensure_ascii=False) for line in LINES)
    (tmp_path / "plain.jsonl").write_text(plain, encoding="utf-8")
    (tmp_path / "dos.jsonl").write_bytes(codecs.BOM_UTF8 + (plain.replace("\n", "\r\n\r\n") + "\r\n\r\n").encode())
    expected = [(line["id"], line["prompt"]) for line in LINES]
    for file in ("plain.jsonl", "dos.jsonl"):
        assert [(prompt.id, prompt.prompt) for prompt in read_prompts(tmp_path / file)] == expected


def test_the_same_prompt_twice_is_two_prompts_and_an_id_twice_is_an_error(tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "x"}\n\n{"prompt": "x"}\n')
    assert [prompt.id for prompt in read_prompts(file)] == ["line-1", "line-3"]
    file.write_text('{"id": "line-2", "prompt": "x"}\n{"prompt": "y"}\n')
    with pytest.raises(PromptProblem, match="an id is used twice"):
        read_prompts(file)


def test_half_a_character_in_a_prompt_is_named_with_its_line(tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_text('{"prompt": "\\ud83d\\ude00"}\n{"prompt": "x\\uD83D"}\n')
    with pytest.raises(PromptProblem, match=r"p\.jsonl:2: half a surrogate pair"):
        read_prompts(file)


# -- lists of answers -------------------------------------------------------------------------------------------

LISTED = STUDY.replace("kind: digits, length: 2", "kind: list, answers_file: days.txt")


def listed(folder, data: bytes):
    (folder / "days.txt").write_bytes(data)
    (folder / "s.yaml").write_text(LISTED)
    return answers_of(load_study(folder / "s.yaml").task("d"))


def test_ends_of_lines_and_empty_lines_are_no_answers(tmp_path):
    assert listed(tmp_path, b"Monday\r\n\r\nTuesday\r\n") == ("Monday", "Tuesday")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (codecs.BOM_UTF8 + b"Monday\nTuesday\n", "byte order mark, .*save it as UTF-8 without BOM"),
        ("Monday\nMärz\n".encode("latin-1"), "line 2 of the file is not UTF-8"),
        ("Monday\u2028Tuesday\n".encode(), "line 1 of the file holds a separator"),
        (b"Monday\nMonday\n", "an answer is listed twice"),
        (b"Monday \n", "an answer is blank or has outer spaces"),
    ],
)
def test_lists_that_would_hold_other_answers_than_they_show(data, words, tmp_path):
    with pytest.raises(StudyError, match=r"s\.yaml:6: tasks\[0\] \(d\)\.answers_file: .*" + words):
        listed(tmp_path, data)


# -- places -----------------------------------------------------------------------------------------------------


def test_a_link_to_a_file_without_a_name_keeps_its_own_and_home_is_known(tmp_path, monkeypatch):
    """As in the hub's cache, where `model.gguf` is a link to a blob without a name."""
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "0f3a").write_bytes(b"GGUF")
    (tmp_path / "model.gguf").symlink_to(tmp_path / "blobs" / "0f3a")
    (tmp_path / "studies").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    for written in ("../model.gguf", "~/model.gguf", str(tmp_path / "model.gguf")):
        text = STUDY.replace("{markov: m.json}", f"{{path: {written}}}")
        (tmp_path / "studies" / "s.yaml").write_text(text)
        assert load_study(tmp_path / "studies" / "s.yaml").model("m").source.path == str(tmp_path / "model.gguf")


def test_a_link_to_a_folder_or_to_a_file_of_the_same_kind_is_what_it_leads_to(tmp_path):
    """A model is identified by its files and their name, however it is reached."""
    (tmp_path / "models" / "folder-1.5").mkdir(parents=True)
    (tmp_path / "models" / "file.gguf").touch()
    for link, target in (("link", "folder-1.5"), ("link.gguf", "file.gguf"), ("link.d", "folder-1.5")):
        (tmp_path / link).symlink_to(tmp_path / "models" / target)
        (tmp_path / "s.yaml").write_text(STUDY.replace("{markov: m.json}", f"{{path: {link}}}"))
        assert load_study(tmp_path / "s.yaml").model("m").source.path == str(tmp_path / "models" / target)


# -- budgets ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "limit", "words"),
    [
        ({"kind": "digits", "length": 3}, 110, r"\.length: it needs logits at 111 contexts or more.*is 110 \(got 3\)"),
        ({"kind": "digit_sum", "length": 2, "total": 1}, 2, r"\.length: .* 3 contexts or more"),
        ({"kind": "list", "answers": ["x", "y"], "terminated": True}, 2, r"\.answers: .* 3 contexts or more"),
        (
            {"kind": "list", "answers": ["x"], "tokenizations": "all"},
            19_999,
            r"\.max_nodes: .* is 19,999 .got 20000",
        ),
    ],
)
def test_a_budget_that_no_tokenizer_can_keep_is_named_before_any_work(task, limit, words, tmp_path):
    row = {"name": "d", "prompt": "p", "completion": "c", **task}
    text = STUDY.partition("tasks:")[0] + f"tasks:\n  - {json.dumps(row)}\n"
    (tmp_path / "s.yaml").write_text(text + f"budgets: {{trie_nodes: {limit}}}\n")
    with pytest.raises(StudyError, match=r"s\.yaml:6: tasks\[0\] \(d\)" + words):
        load_study(tmp_path / "s.yaml")
    (tmp_path / "s.yaml").write_text(text + f"budgets: {{trie_nodes: {limit + 1}}}\n")
    load_study(tmp_path / "s.yaml")


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("total", [None, 0, 4, 13])
def test_the_fewest_contexts_are_those_of_the_longest_tokens_that_separated_digits_allow(length, total, terminated):
    """Against the trie of a tokenizer that glues a separator to its digit, and one of single characters."""
    if total is not None and total > 9 * length:
        return
    fields = {"name": "d", "prompt": "p", "completion": "c", "length": length, "terminated": terminated}
    task = (
        DigitsTask(kind="digits", **fields) if total is None else DigitSumTask(kind="digit_sum", total=total, **fields)
    )
    tokens, end = {}, [0] if terminated else []
    glued = [[*(piece + ", " for piece in answer.split(", ")[:-1]), answer[-1]] for answer in answers_of(task)]

    def contexts(pieces):
        ids = [[tokens.setdefault(piece, len(tokens) + 1) for piece in row] + end for row in pieces]
        return PrefixTrie.from_sequences(ids).internal.size

    assert fewest_contexts(task) == contexts(glued) <= contexts([list("".join(row)) for row in glued])
