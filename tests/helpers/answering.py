"""A workplace of case studies: a chain whose answers have a known distribution, and questions to it."""

import json

import yaml
from workplace import Workplace, model_row

LETTERS = "ABCD"
SHARES = (0.5, 0.25, 0.15, 0.1)
TOKENS = ("q", ":", *LETTERS, "\n", "<end>")


def write_answers(path, shares=SHARES) -> None:
    """After "q:" one of four letters with the given shares, then the line ends; what was said before is forgotten."""
    one = {"q": ":", "\n": "q", **dict.fromkeys(LETTERS, "\n"), "<end>": "q"}
    rows = [[float(token == one.get(state)) for token in TOKENS] for state in TOKENS]
    rows[TOKENS.index(":")] = [0.0, 0.0, *shares, 0.0, 0.0]
    initial = [float(token == "q") for token in TOKENS]
    chain = {"tokens": TOKENS, "transition": rows, "initial": initial, "end": [len(TOKENS) - 1]}
    path.write_text(json.dumps(chain))


def api_row(url: str, **fields) -> dict:
    return {"name": "far", "model": "gpt-x", "endpoint": url, "api_key_env": "CALIB_TEST_SPEAKER_KEY", **fields}


class Questions(Workplace):
    """Two chains, one question; ``exact`` has many answers of each kind, for closed forms."""

    def _write(self) -> None:
        write_answers(self.folder / "even.json", (0.25,) * 4)
        write_answers(self.folder / "uneven.json")
        question = {"prompt": "q:", "max_new_tokens": 3, "answers": ["A", "B", "C", "E"]}
        self.file.write_text(
            yaml.safe_dump(
                {
                    "name": "questions",
                    "title": "Questions",
                    "models": [model_row("even"), model_row("uneven")],
                    "collapse": [
                        {"name": "letter", **question, "samples": 60, "history": {"turns": 8, "conversations": 3}},
                        {"name": "exact", **question, "samples": 4000, "history": None},
                    ],
                },
                sort_keys=False,
            )
        )
