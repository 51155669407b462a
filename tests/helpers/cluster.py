"""A cluster on this machine, of the real components: PostgreSQL, an S3 server, a Ray head, and what deploy/ starts.

Every port is free when it is taken, every folder is new, and whatever was started is ended.
"""

import glob
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from s3_server import s3_server

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """The environment of a running cluster without a study; ``deploy/dagster.sh`` is not started yet.

    Args:
        folder: For logs.
    """
    with ExitStack() as stack:
        environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": "1",
        }
        environment |= stack.enter_context(s3_server(folder))
        environment |= stack.enter_context(postgres(folder))
        environment["CALIB_CACHE"] = str(folder / "worker")
        environment["CALIB_RAY"] = stack.enter_context(ray_head(folder, environment))
        yield environment


@contextmanager
def postgres(folder: Path) -> Iterator[dict[str, str]]:
    """Environment of a new PostgreSQL server, from the system's packages; it refuses to run as root, so it does not."""
    initdb, server = _postgres_program("initdb"), _postgres_program("postgres")
    place, port = Path(tempfile.mkdtemp(prefix="calib-postgres-")), free_port()
    user = _postgres_user(place)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        subprocess.run(
            [initdb, "-D", place / "data", "-U", "calib", "--auth=trust", "--no-sync", "-E", "UTF8"],
            check=True, capture_output=True, cwd=place, **user,
        )  # fmt: skip
        settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": place, "fsync": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = folder / "postgres.log"
        process = stack.enter_context(_running([server, "-D", place / "data", *options], log, cwd=place, **user))
        _wait(lambda: _answers(port), 60, process, log)
        said = {"HOST": "127.0.0.1", "PORT": str(port), "USER": "calib", "PASSWORD": "none", "DATABASE": "postgres"}
        yield {f"CALIB_POSTGRES_{name}": value for name, value in said.items()}


@contextmanager
def ray_head(folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """URL of a new Ray head with two places for runs, started by ``deploy/ray-head.sh``."""
    short = Path(tempfile.mkdtemp(prefix="ray-"))  # the names of Ray's sockets must be short
    port = free_port()
    names = ("--port", "--ray-client-server-port", "--dashboard-agent-listen-port", "--dashboard-agent-grpc-port")
    options = [f"{name}={free_port()}" for name in names] + ["--min-worker-port=0", "--max-worker-port=0"]
    command = [ROOT / "deploy" / "ray-head.sh", "--num-cpus=2", f"--dashboard-port={port}", f"--temp-dir={short}"]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, short, ignore_errors=True)
        process = stack.enter_context(_running([*command, *options], folder / "ray.log", env=environment))
        _wait(lambda: _replies(f"http://127.0.0.1:{port}/api/version"), 120, process, folder / "ray.log")
        yield f"http://127.0.0.1:{port}"


@contextmanager
def dagster_processes(folder: Path, environment: dict[str, str]) -> Iterator[dict[str, str]]:
    """What ``deploy/dagster.sh`` starts, with ``deploy/dagster.yaml``; the environment for Dagster's own commands."""
    home = folder / "dagster_home"
    home.mkdir(exist_ok=True)
    shutil.copy(ROOT / "deploy" / "dagster.yaml", home)
    ports = {"CALIB_CODE_PORT": str(free_port()), "CALIB_WEB_PORT": str(free_port())}
    environment = {**environment, "DAGSTER_HOME": str(home), "CALIB_CODE_HOST": "127.0.0.1", **ports}
    log, web = folder / "dagster.log", int(environment["CALIB_WEB_PORT"])
    with _running([ROOT / "deploy" / "dagster.sh"], log, env=environment, cwd=folder) as process:
        _wait(lambda: _answers(web), 240, process, log)
        yield environment


def free_port() -> int:
    """A port that nobody uses now, from the system's own range."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _postgres_program(name: str) -> str:
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}")) or [path for path in [shutil.which(name)] if path]
    if not found:
        raise RuntimeError(f"{name} is not installed: apt-get install postgresql (`make test-cluster` does it)")
    return found[-1]


def _postgres_user(place: Path) -> dict[str, object]:
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    os.chown(place, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def _running(command: list, log: Path, **options) -> Iterator[subprocess.Popen]:
    """A process and all that it starts, which end with the block."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            list(map(str, command)), stdout=file, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
        try:
            yield process
        finally:
            for sent, seconds in ((signal.SIGTERM, 20), (signal.SIGKILL, 20)):
                try:
                    os.killpg(process.pid, sent)
                    process.wait(seconds)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _replies(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except OSError:
        return False


def _wait(ready: Callable[[], bool], seconds: float, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end or process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} did not come up: {log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.2)
