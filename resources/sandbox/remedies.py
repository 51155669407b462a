"""What to do about a wall that does not stand."""

_REMEDIES = {
    "namespaces": "run where Linux lets processes make user namespaces (sysctl user.max_user_namespaces above 0; "
    "kernel.unprivileged_userns_clone=1 or kernel.apparmor_restrict_unprivileged_userns=0 where these exist), outside "
    "of a container or in one that allows unshare and mount",
    "a root of its own": "run on Linux 5.12 or newer, with an interpreter whose library folders every user may read",
    "giving up rights": "run on Linux with seccomp and capabilities (every distribution's kernel has them)",
    "a filter of system calls": "run on x86_64 or aarch64 Linux with CONFIG_SECCOMP_FILTER",
    "Linux": "run the coding study on Linux, or take its rows out of the study file",
}


def remedy_for(wall: str) -> str:
    """The remedy for a wall."""
    return _REMEDIES.get(wall, "do not run programs on this machine; take the `coding` rows out of the study file")
