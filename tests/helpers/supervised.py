"""A daemon under supervision, whose processes can be killed one by one: it starts again when it ends."""

import random
import signal
import subprocess
from pathlib import Path

import psutil
import yaml
from daemon import BIN, ROOT, Daemon

MARK = "CALIB_TEST_HOME"  # by this variable its processes are known, whoever their parents are


class Supervised(Daemon):
    """The processes of one deployment: daemon, the code server that it starts, run workers.

    Args:
        settings: Section of ``dagster.yaml`` -> fields that replace those of the project's.
    """

    def __init__(self, folder: Path, study: Path, store: Path, settings: dict[str, dict]):
        super().__init__(folder, study, store)
        self.environment[MARK] = str(self.home)
        file = self.home / "dagster.yaml"
        document = yaml.safe_load(file.read_text())
        for name, fields in settings.items():
            document[name] = {**document.get(name, {}), **fields}
        file.write_text(yaml.safe_dump(document))

    def command(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run one of the project's commands in this deployment."""
        command = [BIN / arguments[0], *arguments[1:]]
        return subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)

    def ensure(self) -> bool:
        """Start the daemon where none runs; whether it had to be started."""
        if self.process is not None and self.process.poll() is None:
            return False
        self.start()
        return True

    def processes(self) -> list[psutil.Process]:
        """Every process of this deployment, orphans of killed parents too."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == str(self.home):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def kill_one(self, kind: str, draw: random.Random) -> bool:
        """kill -9 a ``worker``, the ``daemon`` or all (``machine``); False where there is none now."""
        if kind == "machine":
            self.end()
            return True
        those = sorted(process.pid for process in self.processes() if _kind(process) == kind)
        if not those:
            return False
        try:
            psutil.Process(draw.choice(those)).kill()
        except psutil.NoSuchProcess:
            return False
        return True

    def end(self) -> None:
        """End all of it at once."""
        for process in self.processes():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        if self.process is not None:
            self.process.wait()


def _kind(process: psutil.Process) -> str:
    """What a process is, by its command line: workers are spawned children of the code server."""
    try:
        line = " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return "gone"
    kinds = {"dagster-daemon": "daemon", "spawn_main": "worker"}
    return next((kind for part, kind in kinds.items() if part in line), "other")
