"""The half of a sandbox that runs inside it: furnish the namespaces, take calls, give answers."""

from __future__ import annotations

import gc
import os
import signal
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler, recv_handle
from pathlib import Path
from pickle import PicklingError
from typing import Any

from nat_traversal.errors import NatTraversalError
from natlab.errors import LabError, SandboxError
from natlab.sandbox.answer import Raised
from natlab.sandbox.fork import forked, run_apart
from natlab.sandbox.furniture import loopback_up, mount, unmount
from natlab.sandbox.machine import NO_SYSFS
from natlab.sandbox.netns import set_sysctl
from natlab.sandbox.streams import never_fail_on_output
from natlab.sandbox.threads import end_process_with_any_thread

_GARBAGE = 50_000
"""So many new objects before Python looks for garbage: nearly all are of modules, and stay."""
_BRIDGE_SETTING = "net.bridge.bridge-nf-call-iptables"


def serve(connection_fd: int, stderr_fd: int) -> None:
    """Process 1 of the sandbox: furnish it, then answer calls."""
    os.dup2(stderr_fd, 2)
    os.close(stderr_fd)
    gc.set_threshold(_GARBAGE)
    never_fail_on_output()
    end_process_with_any_thread(1)
    # Handed to no child of ours, so that the caller sees our end when we end.
    os.set_inheritable(connection_fd, False)
    try:
        _answer_calls(Connection(connection_fd))
    except BaseException:  # noqa: BLE001 - told on stderr, and by the status
        # The caller would see no end while threads of a call go on.
        traceback.print_exc()
        os._exit(1)
    gc.freeze()  # at its end Python would look through all of it twice


class _Call:
    goes_on = False


def _interrupt(_number: int, _frame: object) -> None:
    """A terminal's Ctrl-C comes to the sandbox too. It ends a call, once, and never the sandbox."""
    if _Call.goes_on:
        _Call.goes_on = False
        raise KeyboardInterrupt


def _answer_calls(connection: Connection[Any, Any]) -> None:
    """Until the caller has gone."""
    apart: list[int] = []
    with connection:
        signal.signal(signal.SIGINT, _interrupt)
        connection.send(_furnish())
        while True:
            try:
                is_apart, number, order = connection.recv()
                channel = Connection(recv_handle(connection)) if is_apart else connection
            except (EOFError, ConnectionResetError):  # the caller has gone
                return
            reply = _Reply(channel, number)
            try:
                function, args, kwargs = ForkingPickler.loads(order)
            except (ImportError, AttributeError) as error:
                words = f"the sandbox cannot import the call: {error}"
                reply.send(Raised(SandboxError(words)))
                continue
            work = partial(_work, reply, function, args, kwargs)
            if is_apart:
                apart = [pid for pid in apart if os.waitpid(pid, os.WNOHANG) == (0, 0)]
                apart.append(forked(partial(_work_apart, reply, function.__name__, work)))
                channel.close()
                continue
            work()


@dataclass(frozen=True, slots=True)
class _Reply:
    """Where the answer to one call goes."""

    channel: Connection[Any, Any]
    number: int
    """The call's: who gave it up knows by it whose answer this is."""

    def send(self, answer: object) -> None:
        self.channel.send((self.number, answer))


def _work_apart(reply: _Reply, name: str, work: Callable[[], None]) -> int:
    """A process that waits for the end of the call, or ends it when nobody waits any more."""
    status = run_apart(partial(_furnished, work), reply.channel.fileno())
    if status != 0:
        words = f"{name} ended without an answer, exit status {status}"
        _answer(reply, name, Raised(SandboxError(words)))
    return 0


def _furnished(work: Callable[[], None]) -> None:
    trouble = _furnish()
    if trouble is not None:
        raise SandboxError(trouble)
    work()


def _work(
    reply: _Reply,
    function: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
) -> None:
    try:
        try:
            _Call.goes_on = True
            answer = function(*args, **kwargs)
        finally:
            _Call.goes_on = False
    except Exception as error:  # noqa: BLE001 - raised again by the caller
        answer = Raised(_portable(error))
    except KeyboardInterrupt:
        answer = Raised(SandboxError(f"{function.__name__} was interrupted"))
    _answer(reply, function.__name__, answer)


def _answer(reply: _Reply, name: str, answer: object) -> None:
    try:
        reply.send(answer)
    except (BrokenPipeError, ConnectionResetError):  # nobody waits any more
        return
    except (TypeError, AttributeError, PicklingError) as error:
        reply.send(Raised(SandboxError(f"{name} returned what has no copy: {error}")))


def _furnish() -> str | None:
    """Make the new namespaces usable. Returns what went wrong, if anything."""
    try:
        mount("tmpfs", "/run")
        loopback_up()
    except OSError as error:
        return str(error.strerror)
    if not _can_mount_sysfs():
        os.environ[NO_SYSFS] = "1"
    if Path("/proc/sys", *_BRIDGE_SETTING.split(".")).exists():
        # 1 in a new namespace: bridged frames would pass through the NATs' rules.
        set_sysctl(_BRIDGE_SETTING, 0)
    return None


def _can_mount_sysfs() -> bool:
    """Whether a node can have a /sys that shows its own interfaces, as ``mnexec -n`` gives it."""
    place = Path("/run/.sys")
    place.mkdir()
    try:
        mount("sysfs", str(place))
        unmount(str(place))
    except OSError:
        return False
    finally:
        place.rmdir()
    return True


def _portable(error: Exception) -> Exception:
    """`error` with its traceback as a note, or its text in a `SandboxError` if it has no copy."""
    if not isinstance(error, LabError | NatTraversalError):  # whose texts say all that there is
        error.add_note(f"in the sandbox: {_told(error)}")
    try:
        copy = ForkingPickler.loads(ForkingPickler.dumps(error))
    except (TypeError, AttributeError, PicklingError):
        copy = None
    if isinstance(copy, Exception):
        return error
    substitute = SandboxError(f"{type(error).__name__}: {error}")
    substitute.add_note(f"in the sandbox: {_told(error)}")
    return substitute


def _told(error: Exception) -> str:
    """The traceback of `error`, from the first frame that is not the lab's."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals.get("__name__", "").startswith("natlab."):
        trace = trace.tb_next
    shown = trace or error.__traceback__
    return "".join(traceback.format_exception(type(error), error, shown)).rstrip()
