"""Run something in fresh namespaces inside a sandbox, by forking: nothing has to be imported again.

Where the sandbox takes a second to come up, most of it Python reading modules, this takes some
milliseconds; and what runs is as much on its own, and as thoroughly ended.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any

from natlab.sandbox.furniture import mount

_CLONE_NEWNS, _CLONE_NEWPID, _CLONE_NEWNET = 0x00020000, 0x20000000, 0x40000000
_PR_SET_PDEATHSIG = 1
_FAILED = 70
_libc = ctypes.CDLL(None, use_errno=True)


def run_apart(work: Callable[[], None], caller: int) -> int:
    """Run `work` in network, mount and process namespaces of its own; wait for it to end.

    `work` runs in a forked process, the first of its process namespace: when it returns, this
    process dies, or the other end of the socket `caller` is closed, the kernel ends all that it
    started. Returns 0, or the exit status (negative: the signal) of a `work` that did not come to
    its end. This process must have no other threads. It leaves its own network and mounts, so
    there is nothing for it to do but to end.
    """
    # The first process decides what that means.
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _libc.unshare(_CLONE_NEWNS | _CLONE_NEWPID | _CLONE_NEWNET) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"cannot make namespaces: {os.strerror(errno)}")
    first = forked(lambda: _first_process(work, handler))
    end = os.pidfd_open(first)
    poll = select.poll()
    poll.register(end, select.POLLIN)
    poll.register(caller, 0)  # which tells of a hang-up all the same
    if end not in dict(poll.poll()):
        os.kill(first, signal.SIGKILL)
    os.close(end)
    return os.waitstatus_to_exitcode(os.waitpid(first, 0)[1])


def forked(body: Callable[[], int]) -> int:
    """The process id of a fork of this process that calls `body` and ends with its status."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os._exit(_guarded(body))
    return child


def _first_process(work: Callable[[], None], handler: Any) -> int:
    die_with_parent()
    # The present one shows the processes of whoever mounted it.
    mount("proc", "/proc")
    signal.signal(signal.SIGINT, handler)
    work()
    return 0


def _guarded(body: Callable[[], int]) -> int:
    """A forked process must never return into its parent's code."""
    try:
        return body()
    except BaseException:  # noqa: BLE001 - told on stderr, and by the status
        traceback.print_exc()
        return _FAILED


def die_with_parent() -> None:
    """The kernel kills this process when the thread that forked it ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
