"""Commands that see a file system of their own: a read-only folder, a disk of a few megabytes. Nobody else sees it."""

import functools
import subprocess
from pathlib import Path

READ_ONLY = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
SMALL_DISK = 'mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@"'


def with_read_only(folder: Path, command: list) -> list[str]:
    """``command``, for which ``folder`` is mounted read-only."""
    return [*_namespace(), "sh", "-c", READ_ONLY, str(folder), *map(str, command)]


def with_small_disk(folder: Path, size: str, command: list) -> list[str]:
    """``command``, for which ``folder`` is an empty disk of ``size`` (such as ``2m``), gone when it ends."""
    return [*_namespace(), "sh", "-c", SMALL_DISK.format(size=size), str(folder), *map(str, command)]


@functools.cache
def _namespace() -> tuple[str, ...]:
    for prefix in (("unshare", "-m"), ("unshare", "-r", "-m")):
        if subprocess.run([*prefix, "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0:
            return prefix
    raise RuntimeError("these tests mount file systems of their own: run them as root, or allow user namespaces")
