"""Thirty kill -9 of workers, daemon and whole machine while a study runs: the results are those of a quiet run."""

import json
import random
import time

import pytest
from supervised import Supervised
from workplace import Workplace

KILLS = 30
KINDS = ("worker", "worker", "worker", "daemon", "machine")  # most kills hit what computes


def results(store) -> dict[str, bytes]:
    """Path -> bytes of every file of every result in use."""
    found = {}
    for current in sorted(store.rglob("current.json")):
        manifest = json.loads(current.read_text())
        folder = current.parent / manifest["fingerprint"]
        found |= {str((folder / name).relative_to(store)): (folder / name).read_bytes() for name in manifest["files"]}
    return found


def identities(store) -> dict[str, dict]:
    """Path of each manifest in use -> what it says, but for run, time and duration."""
    circumstance = {"run_id", "produced_at", "seconds"}
    return {
        str(current.relative_to(store)): {
            name: value for name, value in json.loads(current.read_text()).items() if name not in circumstance
        }
        for current in sorted(store.rglob("current.json"))
    }


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_thirty_kills_leave_the_results_of_a_quiet_run(tmp_path):
    place = Workplace(tmp_path / "study")
    quiet, hurt = tmp_path / "quiet", tmp_path / "hurt"
    (tmp_path / "calm").mkdir()
    done = Supervised(tmp_path / "calm", place.file, quiet, {}).command("calib-assets", "refresh")
    assert done.returncode == 0, done.stdout + done.stderr

    (tmp_path / "chaos").mkdir()
    daemon = Supervised(tmp_path / "chaos", place.file, hurt, {"run_monitoring": {"poll_interval_seconds": 5}})
    draw, killed, restarts, computed = random.Random(42), [], 0, []
    try:
        end, pause = time.monotonic() + 3000, time.monotonic()
        while time.monotonic() < end:
            restarts += daemon.ensure()
            if len(killed) < KILLS and time.monotonic() >= pause:
                kind = draw.choice(KINDS)
                if daemon.kill_one(kind, draw):
                    killed.append(kind)
                    computed.append(len(identities(hurt)))
                    pause = time.monotonic() + draw.uniform(2, 15)
            elif len(killed) == KILLS and daemon.command("calib-assets", "status").returncode == 0:
                break
            time.sleep(0.5)
        else:
            status = daemon.command("calib-assets", "status").stdout[-3000:]
            raise AssertionError(f"not finished; killed {killed} at {computed} results\n{status}\n{daemon.tail()}")
    finally:
        daemon.end()
    print(f"killed {killed}, with {computed} results; the daemon was started {restarts} times")
    assert computed[-1] < len(identities(quiet)), "the study was finished before the last kill"
    assert identities(hurt) == identities(quiet)
    assert results(hurt) == results(quiet)
