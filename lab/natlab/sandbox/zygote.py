"""Python programs that start at once: forks of a process that has read their modules already.

Starting an interpreter and reading modules takes a third of a second of a processor for each
program, and was nine tenths of a cell. A prepared program is a process of its own all the same, with
the namespaces, arguments, environment and streams that ``mnexec -da PID python -m MODULE`` gives it.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO, NoReturn, Self

from natlab.sandbox.netns import enter_node

_ORDER_BYTES = 1 << 16
_MOST_FILES = 1 << 20
_USUAL_GARBAGE = gc.get_threshold()


def preload(*modules: str) -> None:
    """Import `modules`, so that what is prepared from now on need not. None may be one that is run."""
    for module in modules:
        importlib.import_module(module)
    # Never looked at again by the collector, they stay memory that the forks share. What is garbage
    # already is little, and to find it takes as long as to read a hundred modules.
    gc.freeze()


class Prepared:
    """A process that waits to become a Python program on a node; then what `subprocess` has for one.

    Make it while this process has a single thread: of several, a fork has one, and all their locks.
    As a context manager it is ended, if it still waits.
    """

    stdin: IO[bytes] | None = None
    stdout: IO[bytes] | None = None
    stderr: IO[bytes] | None = None

    def __init__(self) -> None:
        assert threading.active_count() == 1, "prepare programs before a thread is started"
        self._ended = False
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        _flush()
        # A terminal's Ctrl-C is not for what waits, from its first moment on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.pid = os.fork()
        if self.pid == 0:
            _live(lambda: _await_order(theirs, before))
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()

    def become(
        self,
        argv: Sequence[str],
        node_pid: int | None,
        environment: Mapping[str, str],
        *,
        interactive: bool = False,
    ) -> Prepared:
        """Run `argv`, which is this Python with ``-m``, where process `node_pid` is (None: here). Only once.

        `interactive`: it has a stdin.
        """
        python, option, *words = argv
        assert (python, option) == (sys.executable, "-m"), f"cannot be prepared: {argv}"
        order = json.dumps([words, node_pid, dict(environment)]).encode()
        (stdout, out), (stderr, err) = os.pipe(), os.pipe()
        self.stdout, self.stderr = os.fdopen(stdout, "rb"), os.fdopen(stderr, "rb")
        if interactive:
            read, stdin = os.pipe()
            self.stdin = os.fdopen(stdin, "wb")
        else:
            read = os.open(os.devnull, os.O_RDONLY)
        try:
            socket.send_fds(self._orders, [order], [read, out, err])
        finally:
            for each in (read, out, err):
                os.close(each)
            self._orders.close()
        return self

    def wait(self) -> int:
        """Its exit status, negative if a signal ended it. Only once."""
        _, status = os.waitpid(self.pid, 0)
        self._ended = True
        return os.waitstatus_to_exitcode(status)

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing happens if it has ended."""
        if not self._ended:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.stdout is None:
            self._orders.close()
            self.wait()


def _live(body: Callable[[], object]) -> NoReturn:
    """The forked process, which must never return into its parent's code, and its end."""
    status = 1
    try:
        body()
        status = 0
    except SystemExit as end:
        status = _status(end.code)
    except BaseException:  # noqa: BLE001 - as the interpreter ends a program
        traceback.print_exc()
    finally:
        with suppress(OSError):
            _flush()
        os._exit(status)


def _status(code: object) -> int:
    """The interpreter's exit status for `sys.exit(code)`."""
    if code is None or isinstance(code, int):
        return (code or 0) & 0xFF
    print(code, file=sys.stderr)
    return 1


def _await_order(orders: socket.socket, mask: Iterable[int]) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    # Nothing of the parent's may stay open: what waits for the end of another would not see it.
    os.closerange(3, orders.fileno())
    os.closerange(orders.fileno() + 1, _MOST_FILES)
    order, streams, *_ = socket.recv_fds(orders, _ORDER_BYTES, 3)
    orders.close()
    if not order:  # nobody needs it
        return
    words, node_pid, environment = json.loads(order)
    if node_pid is not None:
        enter_node(node_pid)
    _take_streams(*streams)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    gc.set_threshold(*_USUAL_GARBAGE)
    module, *sys.argv[1:] = words
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _take_streams(stdin: int, stdout: int, stderr: int) -> None:
    """These to read and write, and buffers like a new interpreter's."""
    for number, fd in enumerate((stdin, stdout, stderr)):
        os.dup2(fd, number)
        os.close(fd)
    reading, writing = sys.__stdin__, sys.__stdout__
    assert reading is not None
    assert writing is not None
    sys.stdin = os.fdopen(0, "r", -1, reading.encoding, reading.errors, closefd=False)
    sys.stdout = os.fdopen(1, "w", -1, writing.encoding, writing.errors, closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, writing.encoding, "backslashreplace", closefd=False)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
