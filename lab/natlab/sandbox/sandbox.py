"""Call a Python function in a sandbox of namespaces of its own, without being root.

The sandbox is a user, network, mount and process namespace. In it the function is root and sees no
process but its own. It has a loopback interface and nothing else, its own ``/proc``, and an empty
``/run`` (iptables keeps a lock there, and `ip netns` its names). When the function returns or raises,
or its caller dies, even by SIGKILL, the kernel ends every process of the sandbox. With them go the
interfaces, routes, rules and settings.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler, send_handle
from pickle import PicklingError
from typing import IO, Any, ParamSpec, Protocol, Self, TypeAlias, TypeVar, cast

from natlab.errors import SandboxError, SandboxUnavailableError
from natlab.sandbox.answer import unpacked
from natlab.sandbox.machine import search_path, unavailable

__tracebackhide__ = True  # pytest: the report of a failed test shows the test's frames
P = ParamSpec("P")
T = TypeVar("T")

_SETUP_TIMEOUT = 30.0
_EXIT_TIMEOUT = 10.0
# setpriv ends unshare with its caller; --kill-child ends process 1 of the sandbox with unshare.
_UNSHARE = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--mount-proc"),
    *("--fork", "--kill-child"),
)


def call(timeout: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call ``function(*args, **kwargs)`` in a sandbox of its own; return its result or raise its error.

    `Sandbox.call` says how, and what it raises. Several threads may call at once.
    """
    require_importable(function)
    with Sandbox() as sandbox:
        return sandbox.call(timeout, function, *args, **kwargs)


class Process(Protocol):
    """The process that holds a sandbox's namespaces, as `subprocess.Popen` is one."""

    pid: int
    stderr: IO[bytes] | None

    def wait(self, timeout: float | None = None) -> int: ...
    def kill(self) -> None: ...
    def __enter__(self) -> object: ...
    def __exit__(self, kind: Any, error: Any, trace: Any, /) -> None: ...


Begun: TypeAlias = "tuple[Connection[Any, Any], Process]"
"""Our end of the pipe to `natlab.sandbox.inside.serve`, and the process whose end is the sandbox's."""


def begin() -> Begun:
    """A new Python in new namespaces. Raises `SandboxUnavailableError` where there is no `unshare`."""
    ours, theirs = Pipe()
    stderr = os.dup(2)
    code = f"from natlab.sandbox.inside import serve; serve({theirs.fileno()}, {stderr})"
    try:
        process = subprocess.Popen(
            [*_UNSHARE, sys.executable, "-c", code],
            pass_fds=(theirs.fileno(), stderr),
            stderr=subprocess.PIPE,
            env=os.environ | surroundings(),
        )
    except OSError as error:
        ours.close()
        raise SandboxUnavailableError(
            f"cannot start {error.filename}: {error.strerror}; install Debian's util-linux"
        ) from None
    finally:
        theirs.close()
        os.close(stderr)
    return ours, process


def surroundings() -> dict[str, str]:
    """The environment variables that a sandbox has otherwise than its caller."""
    return {"PYTHONPATH": os.pathsep.join(sys.path), "PATH": search_path()}


class Sandbox:
    """A standing sandbox, for several calls. It ends with the thread that made it, at the latest.

    Modules of the sandbox keep their state from call to call. Its stdin, stdout and stderr are this
    process's. As a context manager it is closed, after an error killed.
    """

    @staticmethod
    def begin() -> Begun:
        """Start one; a process that has read the modules may put a fork of itself here."""
        return begin()

    def __init__(self) -> None:
        """Raises `SandboxUnavailableError` if this machine does not let us make the namespaces."""
        self._connection, self._process = self.begin()
        self._turn = threading.Lock()
        self._orders = self._answers = 0
        """The numbers of the last order and of the last answer that was taken: a Ctrl-C may come between any two
        steps, so that nothing else can be known about an order."""
        self._last = ""
        try:
            self._await_furniture()
        except BaseException:
            self.kill()
            raise

    def call_apart(
        self, timeout: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Like `call`, but in namespaces of its own inside this sandbox, which end with the call.

        Much faster than a new sandbox: modules are imported once and for all. Calls of several
        threads run side by side, and one that was given up is ended at once.
        """
        name = function.__name__
        ours, theirs = Pipe()
        with ours:
            with theirs, self._turn:
                self._order(function, args, kwargs, theirs)
            try:
                if not ours.poll(timeout):
                    raise SandboxError(f"{name} gave no answer in {timeout:g} s")
                _, answer = ours.recv()
            except (EOFError, ConnectionResetError):
                raise SandboxError(f"the sandbox ended before {name} did") from None
        return cast(T, unpacked(answer))

    def call(
        self, timeout: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call ``function(*args, **kwargs)`` in the sandbox; return its result or raise its error.

        `function` must be importable by its module and name; the arguments and the answer are
        pickled. It has `timeout` seconds. Calls take turns; one that was given up (after its timeout,
        or an exception in the waiting thread, as by Ctrl-C) goes on, and the next waits for its end.

        Raises what `function` raised (as `SandboxError` where that cannot be pickled), and
        `SandboxError` if the sandbox gave no answer, in time or at all.
        """
        with self._turn:
            self._order(function, args, kwargs)
            self._last = function.__name__
            return cast(T, unpacked(self._receive(self._last, timeout)))

    def _order(
        self,
        function: Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
        reply: Connection[Any, Any] | None = None,
    ) -> None:
        """Tell the sandbox what to call; apart, and answering by `reply`, if there is one."""
        require_importable(function)
        name = function.__name__
        if self._connection.closed:
            raise SandboxError(f"cannot call {name}: the sandbox is closed")
        try:
            order = ForkingPickler.dumps((function, args, kwargs))
        except (TypeError, AttributeError, PicklingError) as error:
            raise SandboxError(f"an argument of {name} has no copy: {error}") from None
        self._orders += 1
        try:
            self._connection.send((reply is not None, self._orders, bytes(order)))
            if reply is not None:
                send_handle(self._connection, reply.fileno(), self._process.pid)
                self._answers += 1  # it comes elsewhere
        except (BrokenPipeError, ConnectionResetError):
            raise self._ended(name) from None

    def close(self) -> None:
        """End the sandbox, and wait for its end. A second call does nothing.

        Raises `SandboxError` if threads were left running in it. They end with it all the same.
        """
        self._connection.close()
        try:
            if self._answers == self._orders:
                self._process.wait(_EXIT_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise SandboxError(f"{self._last} answered but left threads running") from None
        finally:
            self.kill()

    def kill(self) -> None:
        """End the sandbox at once, whatever it does."""
        self._connection.close()
        with self._process:
            self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_exc: object) -> None:
        if kind is None:
            self.close()
        else:
            self.kill()

    def _await_furniture(self) -> None:
        try:
            if not self._connection.poll(_SETUP_TIMEOUT):
                raise SandboxUnavailableError(unavailable(f"no sandbox after {_SETUP_TIMEOUT:g} s"))
            trouble = self._connection.recv()
        except EOFError:
            assert self._process.stderr is not None
            words = self._process.stderr.read().decode(errors="replace").split("\n")
            if not any(words):  # it had come as far as our own stderr
                status = self._process.wait()
                raise SandboxError(f"the sandbox ended, exit status {status}") from None
            raise SandboxUnavailableError(unavailable(" / ".join(filter(None, words)))) from None
        if trouble is not None:
            raise SandboxUnavailableError(unavailable(trouble))

    def _receive(self, name: str, timeout: float) -> object:
        """The answer to the last order, past those to orders that were given up."""
        while True:
            try:
                if not self._connection.poll(timeout):
                    raise SandboxError(f"{name} gave no answer in {timeout:g} s")
                number, answer = self._connection.recv()
            except (EOFError, ConnectionResetError):
                raise self._ended(name) from None
            if number == self._orders:
                self._answers = number
                return cast(object, answer)

    def _ended(self, name: str) -> SandboxError:
        return SandboxError(
            f"the sandbox ended before {name} did, with exit status {self._process.wait()}"
        )


def require_importable(function: Callable[..., object]) -> None:
    """Raises `SandboxError` for a function that has no name by which a sandbox could import it."""
    if function.__module__ == "__main__" or "<" in function.__qualname__:
        raise SandboxError(
            f"a sandbox cannot import {function.__qualname__} of {function.__module__}:"
            " call a function at the top of a module that can be imported"
        )
