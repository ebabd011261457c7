"""This machine as a place for a sandbox: where its tools are, which settings forbid one."""

from __future__ import annotations

import os
from pathlib import Path


def search_path() -> str:
    """PATH with the directories where Debian keeps iptables and a user's PATH does not look."""
    directories = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(dict.fromkeys([*directories, "/usr/local/sbin", "/usr/sbin", "/sbin"]))


NO_SYSFS = "NAT_LAB_NO_SYSFS"
"""Environment variable inside a sandbox: the kernel lets nobody mount a /sys there, since the container around
has its own read-only. Nodes then see the container's."""

_SWITCHES = (
    ("kernel/apparmor_restrict_unprivileged_userns", "1", "0"),
    ("kernel/unprivileged_userns_clone", "0", "1"),
    ("user/max_user_namespaces", "0", "10000"),
    ("user/max_net_namespaces", "0", "10000"),
)


def remedies(settings: Path = Path("/proc/sys")) -> list[str]:
    """Commands that lift what this machine's `settings` hold against namespaces of a user's own."""
    found = []
    for name, bad, good in _SWITCHES:
        try:
            value = (settings / name).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            continue
        if value == bad:
            found.append(f"sudo sysctl -w {name.replace('/', '.')}={good}")
    return found


def unavailable(reason: str) -> str:
    """The text of a `SandboxUnavailableError`: why, and what would help."""
    commands = remedies()
    if commands:
        remedy = " && ".join(commands)
    elif "mount /proc" in reason:
        remedy = f"this container masks parts of /proc; start it with {_UNMASKED}"
    elif "uid_map" in reason:
        remedy = (
            "a container's root needs --cap-add SETFCAP (Linux 5.12), or run it as another user"
        )
    else:
        remedy = (
            "a container must allow unshare(2), mount(2) and an unmasked /proc; start it with docker run"
            " --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
            " --security-opt systempaths=unconfined, or podman run --security-opt unmask=ALL"
        )
    return f"cannot make a sandbox of namespaces: {reason}. Remedy: {remedy}"


_UNMASKED = (
    "docker run --security-opt systempaths=unconfined, or podman run --security-opt unmask=ALL"
)
