"""The engine's life: errors that leave it usable, one at a time, nothing left behind, no network."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from engine_marks import ENGINE
from tiny_models import build_tiny

from calib_assets.decoding import TopK
from calib_assets.decoding.policy import Greedy, Policy, Sampled
from resources.language_models import MODELS, ModelError, Request, RolloutRequest, release_models
from resources.language_models.vllm_options import VARIABLE, installed_vllm

pytestmark = ENGINE
CONTEXT = (0, *range(20, 60))
REQUESTS = [RolloutRequest(CONTEXT, (i,)) for i in range(9)]


class Refuses(Policy):
    """Refuses the third token."""

    def choose(self, logits, rows):
        if any(len(row.ids) == 2 for row in rows):
            raise ValueError("no third token")
        return np.asarray(logits).argmax(axis=1)

    def identity(self):
        return {}


def rolled(model, n=8, **options):
    return sorted((one.index, one.ids) for one in model.rollouts(REQUESTS, Sampled(TopK(50)), n, **options))


def test_errors_and_calls_that_are_left_leave_a_usable_engine(engine):
    with engine() as model:
        expected = rolled(model)
        with pytest.raises(ValueError, match="no third token"):
            list(model.rollouts(REQUESTS, Refuses(), 8))
        assert rolled(model) == expected
        left = model.rollouts(REQUESTS, Greedy(), 40, batch_rows=2)
        next(left)
        with pytest.raises(ModelError, match="still answering an earlier call; remedy: use up or close that first"):
            model.next_logits(CONTEXT)
        left.close()
        assert rolled(model) == expected
        with pytest.raises(ModelError, match="exceed its 255 positions; remedy: shorten the prompt"):
            list(model.continuations(CONTEXT, [Request(())], Greedy(), 230))
        with pytest.raises(ModelError, match="empty context"):
            model.next_logits(())
        with pytest.raises(ModelError, match=r"token ids 0\.\.263 outside 0\.\.262"):
            list(model.rollouts([RolloutRequest((0, 263))], Greedy(), 2))
        (longest,) = model.rollouts([RolloutRequest(tuple(range(20, 236)))], Greedy(), 40)
        assert len(longest.ids) == 40 or longest.finish == "end"  # up to the last position
    with engine(max_model_len=64) as model:
        with pytest.raises(ModelError, match="41 tokens of context and 30 new ones exceed the 64 of its engine.*CALIB"):
            list(model.rollouts(REQUESTS, Greedy(), 30))


def test_nan_names_the_request_and_the_step(engine, tmp_path):
    import safetensors.torch

    broken = build_tiny(tmp_path / "nan", "llama", hidden_size=128, head_dim=32, intermediate_size=128)
    file = broken / "model.safetensors"
    weights = safetensors.torch.load_file(file)
    weights["model.embed_tokens.weight"][45] = float("nan")
    safetensors.torch.save_file(weights, file, metadata={"format": "pt"})
    with engine(directory=broken) as model:
        says = "model 'tiny': the largest logit after request 1 and 0 new tokens is nan"
        with pytest.raises(ModelError, match=says):
            list(model.rollouts([RolloutRequest((0, 5)), RolloutRequest((0, 45))], Greedy(), 3))


def test_one_engine_at_a_time(engine, reference):
    with engine() as model, engine() as same:
        model.next_logits(CONTEXT)
        assert same.loaded.model is model.loaded.model
        with engine(max_num_seqs=2) as other, pytest.raises(ModelError, match="another vLLM engine is in use"):
            other.next_logits(CONTEXT)
        running = model.loaded.model
    with engine(max_num_seqs=2) as other:
        other.next_logits(CONTEXT)
        assert running._engine is None and len(MODELS) == 1  # the idle engine was ended first
    with reference() as model:
        model.next_logits(CONTEXT)
        assert len(MODELS) == 1
    release_models()
    assert len(MODELS) == 0


def test_an_engine_that_cannot_start_says_why(engine, monkeypatch):
    with engine(max_model_len=4096) as model, pytest.raises(ModelError, match="vLLM did not start .*; remedy: see its"):
        model.next_logits(CONTEXT)
    monkeypatch.setenv(VARIABLE, '{"max_num_seqs": -1}')
    with engine() as model:
        model._options = {}
        with pytest.raises(ModelError, match="CALIB_VLLM, field max_num_seqs: -1"):
            model.next_logits(CONTEXT)
    with engine() as model:
        assert len(rolled(model)) == 9  # the failed start left nothing in the way


def test_identity_names_the_engine(engine):
    found = engine().identity()
    assert found["kind"] == "vllm" and found["libraries"]["vllm"] == installed_vllm()[1]
    assert found == engine(max_num_seqs=2, kv_cache_gib=0.5).identity()


LIFE = """
import json, os, socket, sys, time
def refuse(self, address, *rest):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
        print("CONNECT", address, flush=True)
        raise OSError("no network")
    return connect(self, address, *rest)
connect, socket.socket.connect = socket.socket.connect, refuse
lookup = socket.getaddrinfo
def looked_up(host, *rest, **more):
    if host not in (None, "localhost", "127.0.0.1", socket.gethostname()):
        print("LOOKUP", host, flush=True)
    return lookup(host, *rest, **more)
socket.getaddrinfo = looked_up
import torch
threads = torch.get_num_threads()
from calib_assets.decoding import TopK
from calib_assets.decoding.policy import Sampled
from resources.language_models import ModelSettings, ModelSource, RolloutRequest, VllmModel
source = ModelSource(path=sys.argv[1])
options = {"kv_cache_gib": 0.1, **json.loads(sys.argv[3])}
model = VllmModel(source, ModelSettings(), cache_dir=sys.argv[1] + "/c", options=options)
(rollout,) = model.rollouts([RolloutRequest((0, 20), (8,))], Sampled(TopK(100)), 12)
print("IDS", *rollout.ids, flush=True)
print("READY", torch.get_num_threads() == threads, os.sched_getaffinity(0) == set(range(os.cpu_count())), flush=True)
if sys.argv[2] == "wait":
    time.sleep(120)
"""


def _session(leader: int) -> list[str]:
    """Command lines of the living processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader and fields[0] != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def _start(llama, how: str, **options) -> subprocess.Popen:
    environment = {**os.environ, "TMPDIR": str(llama), "VLLM_CPU_OMP_THREADS_BIND": "0|1" if options else "auto"}
    environment.pop("OMP_NUM_THREADS", None)  # vLLM would then leave torch's threads alone by itself
    command = [sys.executable, "-c", LIFE, str(llama), how, json.dumps(options)]
    with open(llama / "errors", "w") as errors:
        return subprocess.Popen(
            command, env=environment, start_new_session=True, stdout=subprocess.PIPE, stderr=errors, text=True
        )


def _ids(line: str) -> list[int]:
    assert line.startswith("IDS"), line
    return [int(word) for word in line.split()[1:]]


@pytest.fixture(scope="module")
def expected_ids(reference):
    with reference() as model:
        (one,) = model.rollouts([RolloutRequest((0, 20), (8,))], Sampled(TopK(100)), 12)
    return list(one.ids)


def test_nothing_outlives_the_process_and_nothing_leaves_the_machine(llama, expected_ids):
    process = _start(llama, "end")
    out, _ = process.communicate()
    assert process.returncode == 0, (llama / "errors").read_text()
    ids, ready = out.splitlines()  # no line of a connection
    assert _ids(ids) == expected_ids
    assert ready == "READY True True"  # threads and cores as before
    assert _session(process.pid) == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_process_leaves_no_orphan(llama, expected_ids, workers):
    """Alone, or as the head of two tensor-parallel workers."""
    process = _start(llama, "wait", **({"tensor_parallel_size": 2} if workers == 2 else {}))
    try:
        first = process.stdout.readline()
        assert first, (llama / "errors").read_text()
        assert _ids(first) == expected_ids
        assert process.stdout.readline().startswith("READY")
        found = _session(process.pid)
        assert len([line for line in found if "Worker" in line]) == (2 if workers == 2 else 0)
        assert workers == 2 or len(found) == 1  # the engine is in the process: there is nothing beside it
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=60)  # until nobody holds its output any more
    deadline = time.monotonic() + 60
    while (left := _session(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left == []
