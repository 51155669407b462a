"""Problems with tests: the format, LiveCodeBench's rows, pickles that are read and never run."""

import base64
import json
import pickle
import pickletools
import zlib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calib_assets.study.coding import CodingRow
from calib_assets.study.livecodebench import PRELUDE, read_livecodebench, release_files
from calib_assets.study.pickled_text import PickleRefused, inflated, packed_text, text_of_pickle
from calib_assets.study.problem_sets import checks_source, problem_count, problems_of, questions_source
from calib_assets.study.problems import ProblemError, read_problems, start_of
from resources.sandbox.programs import CallTest, StdinTest
from resources.sandbox.sandbox import Sandbox

DEMO = Path("studies/problems/demo.jsonl")


def packed(data: object, protocol: int = 4) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(data, protocol))).decode()


# -- pickles -------------------------------------------------------------------------------------------------


@given(st.text(), st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_the_text_of_a_pickle_is_what_unpickling_gives(text, protocol):
    data = pickle.dumps(text, protocol)
    assert text_of_pickle(data) == pickle.loads(data)


def test_a_long_text_too():
    text = "ü" * 70_000  # past the short forms
    assert packed_text(packed(text)) == text


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(tmp_path, protocol):
    path = tmp_path / "touched"
    data = pickle.dumps(Touch(path), protocol)
    with pytest.raises(PickleRefused, match="GLOBAL"):
        text_of_pickle(data)
    assert not path.exists()
    pickle.loads(data).close()
    assert path.exists()  # the pickle was a live one


@pytest.mark.parametrize(
    "data",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # the classic
        b"Vtext\n0(ios\nsystem\nVtrue\n.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x02U\x04true.",  # a byte string of Python 2
        pickle.dumps(["a"]),
        pickle.dumps({"a": "b"}),
        pickle.dumps(b"bytes"),
        pickle.dumps(None),
        pickle.dumps("a")[:-1],
        pickle.dumps("a") + b"x",
        pickle.dumps("a") + pickle.dumps("b"),
        b"\x80\x04\x8c\x01a\x8c\x01b.",
        b"\x80\x04P1\n.",
        b"\x80\x05\x82\x01.",
        b"",
        b"\xff\xff",
        b"\x80\x04\x8c\xffshort.",
    ],
)
def test_other_pickles_are_refused(data):
    with pytest.raises(PickleRefused):
        text_of_pickle(data)


def test_every_instruction_of_the_language_is_refused_but_those_of_a_text():
    from calib_assets.study.pickled_text import TEXT_ONLY

    harmless = {"PROTO", "FRAME", "STOP"}
    known = {code.name for code in pickletools.opcodes}
    assert TEXT_ONLY <= known
    pushes = {code.name for code in pickletools.opcodes if [item.name for item in code.stack_after] == ["str"]}
    assert TEXT_ONLY - harmless - {"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"} == pushes - {
        "STRING",
        "BINSTRING",
        "SHORT_BINSTRING",
    }


def test_a_small_file_cannot_become_a_large_one():
    bomb = zlib.compress(bytes(1 << 22))
    with pytest.raises(PickleRefused, match="more than 1,048,576 bytes"):
        inflated(bomb, 1 << 20)
    assert len(inflated(bomb, 1 << 22)) == 1 << 22
    with pytest.raises(PickleRefused, match="cut short"):
        inflated(bomb[:-10])
    with pytest.raises(PickleRefused, match="not base64"):
        packed_text("no base64!")


# -- LiveCodeBench -------------------------------------------------------------------------------------------


def row(number: int, **changes) -> dict:
    """A row in the form of the benchmark's files."""
    cases = [{"input": f"{number}\n", "output": f"{number}\n", "testtype": "stdin"}]
    return {
        "question_title": "Echo",
        "question_content": f"Print the number {number}.",
        "platform": "atcoder",
        "question_id": f"abc{number}",
        "contest_id": "abc",
        "contest_date": f"2024-0{number}-15T00:00:00",
        "starter_code": "",
        "difficulty": ("easy", "medium", "hard")[number % 3],
        "public_test_cases": json.dumps(cases),
        "private_test_cases": packed(json.dumps([{**cases[0], "input": "7\n", "output": "7\n"}])),
        "metadata": "{}",
        **changes,
    }


@pytest.fixture
def bench(tmp_path):
    def write(*rows, name="test.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write


def test_stdin_problems(bench):
    (problem,) = read_livecodebench([bench(row(1))])
    assert problem.id == "abc1" and problem.entry_point is None
    assert problem.tests == (StdinTest("1\n", "1\n"), StdinTest("7\n", "7\n"))
    assert "Print the number 1." in problem.prompt and "standard input" in problem.prompt
    (public,) = read_livecodebench([bench(row(1))], private=False)
    assert public.tests == problem.tests[:1]


def test_call_problems_pass_and_fail_in_the_sandbox(bench):
    case = {"input": "[1, 2]\n3", "output": "6", "testtype": "functional"}
    starter = "class Solution:\n    def total(self, items: List[int], more: int) -> int:\n        "
    found = row(
        2,
        starter_code=starter,
        metadata=json.dumps({"func_name": "total"}),
        public_test_cases=json.dumps([case]),
        private_test_cases=packed(json.dumps([{**case, "input": "[]\n4", "output": "4"}])),
    )
    (problem,) = read_livecodebench([bench(found)])
    assert problem.tests == (CallTest(([1, 2], 3), 6), CallTest(([], 4), 4))
    box = Sandbox()
    assert box.run(problem.program(starter + "return sum(items) + more")).passed  # List comes from the prelude
    assert box.run(problem.program(starter + "return more")).kind == "wrong_answer"
    compile(start_of(problem) + "        return 0", "start", "exec")


def test_the_prelude_gives_what_the_benchmark_promises():
    space: dict = {}
    exec(PRELUDE, space)
    assert space["print"] is print and space["open"] is open and space["pow"] is pow
    assert {"List", "defaultdict", "heappush", "bisect_left", "gcd", "lru_cache", "Counter", "math"} <= set(space)


def test_dates_and_difficulties_filter(bench):
    path = bench(*(row(number) for number in range(1, 7)))
    ids = lambda **only: [problem.id for problem in read_livecodebench([path], **only)]  # noqa: E731
    assert ids() == [f"abc{number}" for number in range(1, 7)]
    assert ids(first_date=date(2024, 3, 15)) == ["abc3", "abc4", "abc5", "abc6"]
    assert ids(last_date=date(2024, 3, 15)) == ["abc1", "abc2", "abc3"]
    assert ids(difficulty=["hard"]) == ["abc2", "abc5"]
    with pytest.raises(ProblemError, match="no problem"):
        ids(first_date=date(2030, 1, 1))


def test_releases():
    assert release_files("release_v1") == ("test.jsonl",) == release_files("v1")
    assert release_files("v2_v4") == ("test2.jsonl", "test3.jsonl", "test4.jsonl")
    for name in ("release_v7", "v0", "v4_v2", "latest", "release_v"):
        with pytest.raises(ValueError, match="no release"):
            release_files(name)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"private_test_cases": packed(["a list"])},
            r"test.jsonl:1: `private_test_cases` is refused: instruction EMPTY_LIST",
        ),
        ({"private_test_cases": "%%%"}, "not base64"),
        ({"private_test_cases": packed("no json")}, "is no JSON"),
        ({"private_test_cases": packed(json.dumps({"a": 1}))}, "no JSON list"),
        ({"contest_date": "May"}, "`contest_date` is no date"),
        ({"question_content": None}, "`question_content` is no text"),
        ({"public_test_cases": "[{}]"}, "test 1: a test has `input` and `output`"),
        ({"metadata": json.dumps({"func_name": "f"})}, "of a call is no JSON"),
    ],
)
def test_rows_that_are_wrong_are_named(bench, changes, said):
    found = row(1, **changes)
    if "metadata" in changes:
        found["public_test_cases"] = json.dumps([{"input": "one", "output": "1"}])
    with pytest.raises(ProblemError, match=said):
        read_livecodebench([bench(found)])


# -- our own format ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "p.jsonl:1: not JSON"),
        ("[]", "not a JSON object"),
        ('{"id": "a"}', "`prompt` is no text"),
        ('{"id": "a", "prompt": "p", "tests": []}', "`tests` is no list of tests"),
        ('{"id": "a", "prompt": "p", "tests": [{"args": [1], "expected": 1}]}', r"tests\[0\].*reads its input"),
        (
            '{"id": "a", "prompt": "p", "entry_point": "f", "tests": [{"stdin": "", "expected": ""}]}',
            r"tests\[0\].*calls `f`",
        ),
        ('{"id": "a", "prompt": "p", "entry_point": "f", "tests": [{"args": 1, "expected": 1}]}', "`args` is no list"),
        ('{"id": "a", "prompt": "p", "entry_point": "f(x)", "tests": []}', "no name of a function"),
        ('{"id": "a", "prompt": "p", "tests": [{"stdin": 1, "expected": ""}]}', "`stdin` is no text"),
        ('{"id": "a", "prompt": "p", "test": []}', "unknown field `test`"),
        ('{"id": "a", "prompt": "p", "stop": 1, "tests": [{"stdin": "", "expected": ""}]}', "`stop` is no text"),
    ],
)
def test_lines_that_are_wrong_are_named(tmp_path, line, said):
    path = tmp_path / "p.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(ProblemError, match=said):
        read_problems(path)


def test_an_id_is_used_once(tmp_path):
    line = '{"id": "a", "prompt": "p", "tests": [{"stdin": "", "expected": ""}]}\n'
    path = tmp_path / "p.jsonl"
    path.write_text(line * 2)
    with pytest.raises(ProblemError, match="`id` is used twice"):
        read_problems(path)


def test_solutions_of_the_demo_pass_and_wrong_programs_fail():
    problems = read_problems(DEMO)
    right = [(problem, problem.solution) for problem in problems]
    wrong = [(problem, text) for problem in problems for text in problem.wrong]
    found = dict(Sandbox().run_many([problem.program(text) for problem, text in right + wrong], workers=2))
    assert len(problems) == 12 and all(len(problem.tests) >= 3 and problem.wrong for problem in problems)
    for index, (problem, text) in enumerate(right + wrong):
        assert found[index].passed is (index < len(right)), (problem.id, text, found[index])


def test_starts_of_base_models_are_python_and_their_solutions_continue_them():
    for problem in read_problems(DEMO):
        own = problem.solution.split("\n", 1)[1]  # less the line that the start holds
        assert Sandbox().run(problem.program(start_of(problem) + own)).passed
    (first, *_) = read_problems(DEMO)
    from dataclasses import replace

    assert start_of(replace(first, completion="")).endswith("\ndef add(")


def test_questions_and_tests_are_told_apart(tmp_path):
    path = tmp_path / "p.jsonl"
    record = {"id": "a", "prompt": "p", "tests": [{"stdin": "", "expected": "1"}], "solution": "print(1)"}
    coding = CodingRow(name="c", problems=str(path))

    def sources(**changes):
        path.write_text(json.dumps(record | changes) + "\n")
        return questions_source(coding), checks_source(coding)

    before = sources()
    assert sources(solution="print('1')", licence="MIT") == before
    tested = sources(tests=[{"stdin": "", "expected": "2"}])
    assert tested[0] == before[0] and tested[1] != before[1]
    asked = sources(prompt="q")
    assert asked[0] != before[0] and asked[1] == before[1]
    assert problem_count(coding) == 1 and problems_of(coding)[0].solution is None


def test_a_large_local_benchmark_counts_by_content(bench):
    path = bench(row(1), row(2))
    coding = CodingRow(name="c", livecodebench={"files": [str(path)]})
    before = questions_source(coding), checks_source(coding)
    assert str(path.parent) not in json.dumps(before)
    limited = CodingRow(name="c", livecodebench={"files": [str(path)], "tests": "public"})
    assert questions_source(limited) == before[0] and checks_source(limited) != before[1]
    bench(row(1), row(2), row(3))
    assert questions_source(coding) != before[0]
    assert [problem.id for problem in problems_of(coding)] == ["abc1", "abc2", "abc3"]
