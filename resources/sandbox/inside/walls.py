"""Namespaces: a process that sees the interpreter and a small folder for writing, and no one else.

The order matters: new namespaces while there still are rights; a root of its own, read-only; then every right is given
up, before anything of the program is looked at.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from resources.sandbox.inside.system import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    drop_capabilities,
    make_read_only,
    mount,
    pivot_root,
    prctl,
    unmount,
    unshare,
)

USER = 1000  # inside
NOBODY = 65534  # outside, where the caller is root
BASE = "/tmp"  # any folder that exists: the new root is mounted over it, in this process's view alone
WRITABLE = "/tmp"  # in the new root
DEVICES = ("/dev/null", "/dev/urandom")
LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")


def new_namespaces() -> None:
    """Users, mounts, processes (for the children), network, messages, names and control groups of its own.

    A caller who is root becomes nobody outside, so that kernel limits on users hold; anyone else stays who he is.

    Raises:
        OSError: If the kernel or its settings refuse.
    """
    root = os.geteuid() == 0
    ready, tell = os.pipe()
    owner = os.getpid()
    helper = os.fork()
    if helper == 0:
        os._exit(_write_maps(owner, ready, tell, root))
    os.close(ready)
    try:
        unshare(
            CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP
        )
    except OSError:
        os.kill(helper, signal.SIGKILL)
        os.waitpid(helper, 0)
        raise
    os.write(tell, b"1")
    os.close(tell)
    _, status = os.waitpid(helper, 0)
    if status != 0:
        raise OSError("uid_map: the kernel refused the users of the new namespace")


def _write_maps(owner: int, ready: int, tell: int, root: bool) -> int:
    os.close(tell)
    if os.read(ready, 1) != b"1":
        return 1
    try:
        place = Path(f"/proc/{owner}")
        if root:
            lines = f"0 0 1\n{USER} {NOBODY} 1\n"
            (place / "uid_map").write_text(lines)
            (place / "gid_map").write_text(lines)
        else:
            (place / "setgroups").write_text("deny")
            (place / "uid_map").write_text(f"{USER} {os.geteuid()} 1\n")
            (place / "gid_map").write_text(f"{USER} {os.getegid()} 1\n")
    except OSError:
        return 1
    return 0


def interpreter_paths() -> list[str]:
    """What the interpreter needs to be seen of this machine's files: libraries, no programs, no settings, no homes."""
    prefixes = {sys.base_prefix, sys.base_exec_prefix}
    own = [str(Path(prefix, name)) for prefix in prefixes for name in ("lib", "lib64")]
    paths = [path for path in dict.fromkeys((*LIBRARIES, *own)) if os.path.isdir(path)]
    return [path for path in paths if not any(path.startswith(other + "/") for other in paths)]


def new_root(visible: Sequence[str], megabytes: int) -> None:
    """A root of its own: read-only views of ``visible`` and a folder of so many megabytes, nothing else.

    Called by the first process of the new namespaces.
    """
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", BASE, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,mode=755")
    for path in visible:
        if os.path.islink(path):  # /lib -> usr/lib
            os.makedirs(os.path.dirname(BASE + path), exist_ok=True)
            os.symlink(os.readlink(path), BASE + path)
        else:
            os.makedirs(BASE + path, exist_ok=True)
            mount(path, BASE + path, flags=MS_BIND | MS_REC)
    os.makedirs(BASE + "/dev")
    for device in DEVICES:
        os.close(os.open(BASE + device, os.O_CREAT))
        mount(device, BASE + device, flags=MS_BIND)
    os.makedirs(BASE + "/old")
    os.makedirs(BASE + WRITABLE, exist_ok=True)
    pivot_root(BASE, BASE + "/old")
    os.chdir("/")
    unmount("/old")
    os.rmdir("/old")
    make_read_only("/", recursive=True)
    limits = f"size={megabytes}m,nr_inodes=256,mode=1777"
    mount("tmpfs", WRITABLE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, limits)
    os.chdir(WRITABLE)


def give_up_rights() -> None:
    """Become the one user inside, without capabilities and without a way to get any."""
    if os.geteuid() == 0:
        os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    drop_capabilities()
    prctl(PR_SET_NO_NEW_PRIVS)
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # changing the user has taken it off
