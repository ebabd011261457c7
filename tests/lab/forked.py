"""Sandboxes of a process that has read the lab's modules: forks in new namespaces, where others start Python anew.

A process that begins inside is the lab's own `serve`, with the same streams, group of processes and end. Commands and runs of
pytest that tests start warm have such ones.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import threading
from multiprocessing import Pipe
from pathlib import Path
from typing import IO, Any, Self

from natlab.sandbox.fork import die_with_parent, forked
from natlab.sandbox.furniture import mount
from natlab.sandbox.inside import serve
from natlab.sandbox.sandbox import Begun, Sandbox, surroundings
from tests import endings

_NEW = 0x00020000 | 0x10000000 | 0x20000000 | 0x40000000  # mounts, users, processes, network
_PRIVATE = 0x00004000 | 0x00040000  # MS_REC | MS_PRIVATE
_libc = ctypes.CDLL(None, use_errno=True)


def install() -> None:
    """From now on sandboxes of this process, and of its forks, are begun so."""
    Sandbox.begin = staticmethod(begin)  # type: ignore[method-assign]


class _Process:
    """What `subprocess` has for the one that holds the namespaces."""

    stderr: IO[bytes] | None = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def wait(self, timeout: float | None = None) -> int:
        if self._status is None:
            end = os.pidfd_open(self.pid)
            ended, _, _ = select.select([end], [], [], timeout)
            os.close(end)
            if not ended:
                raise subprocess.TimeoutExpired("a sandbox", timeout or 0.0)
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self._status

    def kill(self) -> None:
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.wait()


def begin() -> Begun:
    """Only for a process with a single thread."""
    assert threading.active_count() == 1, "a fork has one thread, and all locks of the others"
    ours, theirs = Pipe()

    def body() -> int:
        ours.close()  # else nobody inside would see the caller's end
        return outside(theirs.fileno())

    pid = forked(body)
    theirs.close()
    return ours, _Process(pid)


def outside(connection: int) -> int:
    """The process between, as ``setpriv --pdeathsig KILL unshare ... --fork --kill-child`` is: its exit status."""
    die_with_parent()
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    user, group = os.geteuid(), os.getegid()
    _check(_libc.unshare(_NEW))
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1", encoding="ascii")
    first = forked(lambda: _first(connection, handler))
    os.close(connection)
    status = os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])
    return status if status >= 0 else 128 - status


def _first(connection: int, handler: Any) -> int:
    die_with_parent()
    signal.signal(signal.SIGINT, handler)
    _check(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE), None))
    mount("proc", "/proc")
    os.closerange(3, connection)
    os.closerange(connection + 1, 1 << 20)
    os.environ.update(surroundings())
    endings.open_missing()
    serve(connection, os.dup(2))
    return 0


def _check(result: int) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))
