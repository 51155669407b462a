"""A deployment without a web server: a study of chains, a store, Dagster's real daemon with sensor and schedule on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import dagster as dg

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


class Daemon:
    """``dagster-daemon run`` on the project's own definitions; its history is read from its instance.

    Args:
        folder: For its home and log.
        study: The study file.
        store: Folder of results.
        nightly: Cron line of the schedule.
    """

    def __init__(self, folder: Path, study: Path, store: Path, nightly: str = "0 2 * * *"):
        self.home, self.log = folder / "home", folder / "daemon.log"
        self.home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", self.home)
        self.environment = {
            **os.environ,
            "DAGSTER_HOME": str(self.home),
            "CALIB_STUDY": str(study),
            "CALIB_STORE": str(store),
            "CALIB_AUTOMATION": "on",
            "CALIB_NIGHTLY": nightly,
            "PYTHONWARNINGS": "ignore",
        }
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        command = [BIN / "dagster-daemon", "run", "--workspace", "workspace.yaml"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self, sign: signal.Signals = signal.SIGTERM, patience: float = 60) -> None:
        """End the daemon, its code server and its runs."""
        for kind, seconds in ((sign, patience), (signal.SIGKILL, 20)):
            try:
                os.killpg(self.process.pid, kind)
                self.process.wait(seconds)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue
        self.process = None

    def instance(self) -> dg.DagsterInstance:
        """Its instance, read from this process."""
        return dg.DagsterInstance.from_config(str(self.home))

    def wait(self, condition, seconds: float, every: float = 1.0):
        """Poll until the condition gives something."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(f"the daemon ended\n{self.tail()}")
            if found := condition():
                return found
            time.sleep(every)
        raise AssertionError(f"not within {seconds} s\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text()[-3000:]
