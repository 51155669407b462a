"""A coding study on Markov chains whose every program, and its probability, is known: real models, a real sandbox."""

import json
from itertools import product

import yaml
from workplace import Workplace

START = "def pick(a, b):\n    return "
LINE = "\nprint(0)"
END = "<end>"
# What a program returns, and how likely a chain writes it; a line follows that ends the function.
RETURNS = {"a": 0.3, "b": 0.2, "a + b": 0.25, "b + a": 0.05, "a - b": 0.1, "a +": 0.1}
FENCED = "```\n", "\n```"
PROBLEMS = [
    {
        "id": "sum",
        "prompt": "p",
        "entry_point": "pick",
        "completion": START,
        "tests": [{"args": [1, 2], "expected": 3}, {"args": [0, 4], "expected": 4}],
    },
    {
        "id": "first",
        "prompt": "q",
        "entry_point": "pick",
        "completion": START,
        "tests": [{"args": [1, 2], "expected": 1}, {"args": [7, 0], "expected": 7}],
    },
]
RIGHT = {"sum": {"a + b", "b + a"}, "first": {"a"}}


def chain(returns: dict[str, float]) -> dict:
    """START or a fence, one of ``returns``, a closing line or fence, the end."""
    tokens = [START, "p", "q", FENCED[0], *returns, LINE, FENCED[1], END]
    place = {token: index for index, token in enumerate(tokens)}

    def only(token: str) -> list[float]:
        return [float(other == token) for other in tokens]

    choice = [returns.get(token, 0.0) for token in tokens]
    rows = []
    for token in tokens:
        if token == START:
            rows.append(choice)
        elif token in returns:
            rows.append([0.9 * x + 0.1 * y for x, y in zip(only(LINE), only(END), strict=True)])
        else:
            rows.append(only(END))
    return {"tokens": tokens, "transition": rows, "initial": only(START), "end": [place[END]]}


def sequences(returns: dict[str, float] = RETURNS) -> dict[tuple[str, str], float]:
    """(what is returned, how the sequence ends) -> probability, of every sequence that the chain writes."""
    ends = {LINE: 0.9, END: 0.1}
    return {(text, end): p * ends[end] for (text, p), end in product(returns.items(), ends)}


class CodingWorkplace(Workplace):
    """Two chains, one set of two problems."""

    def _write(self) -> None:
        other = dict(zip(RETURNS, (0.1, 0.1, 0.6, 0.1, 0.05, 0.05), strict=True))
        for name, returns in (("alpha", RETURNS), ("beta", other)):
            (self.folder / f"{name}.json").write_text(json.dumps(chain(returns)))
        self.problems(PROBLEMS)
        rows = [{"name": name, "source": {"markov": f"{name}.json"}, "variant": "base"} for name in ("alpha", "beta")]
        coding = {
            "name": "pick",
            "problems": "problems.jsonl",
            "samples": 60,
            "max_new_tokens": 3,
            "ks": [1, 2, 10, 100],
            "limits": {"cpu_seconds": 2, "memory_mb": 256},
        }
        study = {"name": "programs", "title": "Programs of two chains", "models": rows, "coding": [coding]}
        self.file.write_text(yaml.safe_dump(study, sort_keys=False))

    def many_programs(self) -> None:
        """Chains that write thirty-two programs, all equally likely."""
        returns = {f"a + b + {number}": 1 / 32 for number in range(32)}
        for name in ("alpha", "beta"):
            (self.folder / f"{name}.json").write_text(json.dumps(chain(returns)))

    def problems(self, problems: list[dict]) -> None:
        """Write the problems' file."""
        (self.folder / "problems.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
