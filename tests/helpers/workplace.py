"""A workplace: a whole study on Markov chains, real models of the second kind, small enough to compute in seconds."""

import json

import numpy as np
import polars as pl
import yaml

from calib_assets.assets import GRAPH
from calib_assets.assets.memo import context_for
from calib_assets.definitions import build_defs
from jobs.runner import refresh
from resources.services import LanguageModels, StoreService, StudyService

ALPHABET = [*"0123456789", ",", " ", ":", *"redgnblu", "<end>"]


# Answers of one letter, which a comma or the end token ends.
PROMPTS = [
    {"id": "short", "prompt": "r", "completion": "r:", "answers": ["r", "e", "d"], "lead": "", "stop": ","},
    {"id": "long", "prompt": "g", "completion": "g:", "answers": ["g", "b", "l", "u", "e"], "lead": "", "stop": ","},
    {"id": "open", "prompt": "n", "completion": "n:"},
]


def write_chain(path, seed: int) -> None:
    """A random chain over the alphabet; the last token ends a sequence."""
    rng = np.random.default_rng(seed)
    size = len(ALPHABET)
    transition = rng.dirichlet(np.full(size, 0.4), size=size)
    initial = rng.dirichlet(np.ones(size))
    chain = {"tokens": ALPHABET, "transition": transition.tolist(), "initial": initial.tolist(), "end": [size - 1]}
    path.write_text(json.dumps(chain))


def write_useless_chain(folder, name):
    """A model that cannot spell the digits: every cell of the digits task fails, before any work."""
    tokens = [token for token in ALPHABET if token not in "0123456789"]
    share = 1 / len(tokens)
    chain = {"tokens": tokens, "transition": [[share] * len(tokens)] * len(tokens), "initial": [share] * len(tokens)}
    (folder / f"{name}.json").write_text(json.dumps({**chain, "end": [len(tokens) - 1]}))


def model_row(name: str, **fields) -> dict:
    return {"name": name, "source": {"markov": f"{name}.json"}, "variant": "base", "family": "chains", **fields}


def external_rollouts(n_prompts: int = 8, n_rollouts: int = 6) -> pl.DataFrame:
    """Rollouts of an imaginary pair of models, made elsewhere: all columns that a file may have."""
    rng, rows = np.random.default_rng(11), []
    for variant in ("base", "instruct"):
        for prompt in range(n_prompts):
            for sample in range(n_rollouts):
                length = int(rng.integers(2, 9))
                steps = rng.uniform(0.2, 2.0 if variant == "base" else 1.0, size=length).tolist()
                text = "".join(rng.choice(list("redgnblu"), size=length))
                rows.append(("letters", "outside", variant, f"p{prompt}", sample, length, steps, length == 8, text))
    names = ["task", "model_name", "variant", "prompt_id", "sample", "length", "step_entropy", "truncated", "text"]
    return pl.DataFrame(rows, schema=names, orient="row")


class Workplace:
    """A study file, its store and its definitions, in one folder; edits go through :meth:`edit`.

    Args:
        folder: Of the study file.
        new: Write the study file; else it is there.
        store: Folder or URL of the store (default: in ``folder``).
    """

    def __init__(self, folder, new: bool = True, store: str = ""):
        self.folder = folder
        self.file = folder / "study.yaml"
        if new:
            folder.mkdir(parents=True, exist_ok=True)
            self._write()
        self.study = StudyService(path=str(self.file))
        self.store = StoreService(root=store or str(folder / "store"), study=self.study)
        self.models = LanguageModels()
        self.defs = self.definitions()

    def definitions(self):
        """What Dagster loads, with the services of this workplace."""
        return build_defs(study=self.study, store=self.store, language_models=self.models)

    def _write(self) -> None:
        folder = self.folder
        for seed, name in enumerate(["alpha", "beta"]):
            write_chain(folder / f"{name}.json", seed)
        external_rollouts().write_parquet(folder / "outside.parquet")
        for file in ("prompts.jsonl", "all.jsonl"):
            (folder / file).write_text("\n".join(json.dumps(prompt) for prompt in PROMPTS))
        self.file.write_text(
            yaml.safe_dump(
                {
                    "name": "chains",
                    "title": "Two chains",
                    "models": [model_row("alpha"), model_row("beta", variant="instruct", pair="alpha")],
                    "tasks": [
                        {
                            "name": "digits",
                            "kind": "digits",
                            "length": 2,
                            "separator": ",",
                            "prompt": "p",
                            "completion": "d:",
                        },
                        {
                            "name": "colours",
                            "kind": "list",
                            "answers": ["red", "green", "blue"],
                            "terminated": True,
                            "tokenizations": "all",
                            "unexplored_mass": 0.0,
                            "prompt": "p",
                            "completion": "r:",
                        },
                    ],
                    "decoding": {
                        "temperatures": [0.5, 1.0, 2.0],
                        "rules": {
                            "unrestricted": "default",
                            "top_p": [0.5, 0.9],
                            "top_k": [2, 5],
                            "oracle_cutoff": "default",
                            "validity_oracle": "default",
                        },
                        "validity_floors": [0.001, 0.5],
                        "sequence_temperatures": [1.0, 2.0],
                    },
                    "logit_fits": {"conditionals": 3},
                    "prompt_sets": [
                        {"name": "letters", "file": "prompts.jsonl", "select": "closed"},
                        {"name": "every", "file": "all.jsonl"},
                    ],
                    "judges": [
                        {"name": "strict", "kind": "verifier"},
                        {"name": "lenient", "kind": "verifier", "matching": "lenient"},
                    ],
                    "embedder": {"name": "ngrams", "source": {"ngrams": 64}},
                    "rollouts": [
                        {
                            "name": "completion",
                            "prompts": "every",
                            "rollouts": 12,
                            "max_new_tokens": 12,
                            "entropy_ranks": 6,
                        },
                        # Rollouts of one token: many are the same text, and none has a correlation.
                        {
                            "name": "letters",
                            "prompts": "letters",
                            "rollouts": 10,
                            "max_new_tokens": 1,
                            "semantic_entropy": {"judge": "lenient", "rollouts": 6},
                        },
                    ],
                    "external": [
                        {"name": "outside", "kind": "rollouts", "file": "outside.parquet", "max_new_tokens": 8},
                    ],
                    "regression": {
                        "mean": "D ~ R_sc * variant + (1 | prompt_uid)",
                        "precision": "variant",
                        "simulations": 100,
                    },
                    "sweeps": [
                        {
                            "name": "letters",
                            "prompts": "letters",
                            "judges": ["strict", "lenient"],
                            "seeds": 3,
                            "prefix": {"max_tokens": 0},
                            "depth": 2,
                            "stride": 2,
                            "max_rank": 20,
                            "branches": [None, 8],
                            "max_new_tokens": 4,
                            "robustness": {"samples": 3, "leaves": 20},
                            "decoding": {
                                "samples": 6,
                                "temperatures": [1.0, 2.0],
                                "rules": {"unrestricted": "default", "top_k": [3]},
                                "validity_floor": 0.05,
                            },
                        },
                        {
                            "name": "one-step",
                            "prompts": "letters",
                            "judges": ["strict"],
                            "seeds": 2,
                            "prefix": {"min_tokens": 1, "max_tokens": 3},
                            "depth": 1,
                            "stride": 1,
                            "max_rank": 100,
                            "max_new_tokens": 3,
                        },
                    ],
                },
                sort_keys=False,
            )
        )

    def write_chain(self, name: str, seed: int) -> None:
        """One more chain beside the study file."""
        write_chain(self.folder / f"{name}.json", seed)

    def edit(self, change) -> None:
        """Change the study file: ``change`` edits its data in place."""
        data = yaml.safe_load(self.file.read_text())
        change(data)
        self.file.write_text(yaml.safe_dump(data, sort_keys=False))

    def view(self):
        return context_for(GRAPH, self.study, self.store, self.models)

    def refresh(self, instance):
        """Refresh as the command line does; the summary, with what was computed as {asset: cells}."""
        summary = refresh(self.view(), self.defs.resolve_job_def, instance, lambda line: None)
        computed = {}
        for name in summary.computed:
            asset, _, cell = name.removesuffix("]").partition("[")
            computed.setdefault(asset, set()).add(cell)
        return summary, computed
