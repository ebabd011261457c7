"""Work in a node's network namespace from this process: sockets, settings, commands (setns(2))."""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from natlab.errors import NetworkError
from natlab.sandbox import iproute, nftables
from natlab.sandbox.netlink import Netlink

NODE_MARK = "NAT_LAB_NODE"
"""Environment variable in which the process that holds a node's namespaces has the node's name."""
_CLONE_NEWNET, _CLONE_NEWNS = 0x40000000, 0x00020000
_libc = ctypes.CDLL(None, use_errno=True)


@contextmanager
def in_namespace(pid: int) -> Iterator[None]:
    """Run the block in the network namespace of process `pid`; this thread alone, and only until then.

    A socket stays in the namespace in which it was opened, and a child process starts in that of the
    thread which started it. Nothing in the block may switch threads or suspend a coroutine.

    Raises `NetworkError` if `pid` has ended or this process may not enter its namespace.
    """
    try:
        target = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_enter(f"the network namespace of process {pid}", error) from None
    with _inside(target, f"the network namespace of process {pid}"):
        yield


@contextmanager
def in_named_namespace(name: str) -> Iterator[None]:
    """The same for a namespace that ``ip netns add`` has made."""
    try:
        target = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise NetworkError(f"no network namespace {name}: {error.strerror}") from None
    with _inside(target, f"the network namespace {name}"):
        yield


@contextmanager
def _inside(target: int, told: str) -> Iterator[None]:
    """Closes `target`."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            _setns(target)
        except OSError as error:
            raise _cannot_enter(told, error) from None
        finally:
            os.close(target)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def _cannot_enter(told: str, error: OSError) -> NetworkError:
    return NetworkError(
        f"cannot enter {told}: {error.strerror} (it must be alive, and a node of this sandbox)"
    )


def enter_node(pid: int) -> None:
    """Move this process, which must have a single thread, to the node of process `pid` for good.

    Its network and mount namespaces, as ``mnexec -a``. Raises `OSError`.
    """
    spaces = (("net", _CLONE_NEWNET), ("mnt", _CLONE_NEWNS))
    opened = [os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name, _ in spaces]
    for fd, (_, kind) in zip(opened, spaces, strict=True):
        _setns(fd, kind)
        os.close(fd)


def enter_mounts(pids: Iterable[int]) -> Iterator[None]:
    """Move this process, which must have a single thread, to one mount namespace after the other.

    Each step of the iterator is in the next; at its end the process stays in the last. Raises `OSError`.
    """
    # By a number, before the first move: there may be another /proc.
    opened = [os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC) for pid in pids]
    for fd in opened:
        _setns(fd, _CLONE_NEWNS)
        os.close(fd)
        yield


def _setns(fd: int, kind: int = _CLONE_NEWNET) -> None:
    if _libc.setns(fd, kind) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def udp_socket(pid: int, address: str, port: int = 0) -> socket.socket:
    """A UDP socket in the namespace of process `pid`, bound to `address` and `port` (0: any)."""
    with in_namespace(pid):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        opened.bind((address, port))
    except OSError:
        opened.close()
        raise
    return opened


def set_sysctl(name: str, value: int) -> None:
    """Set ``net.*`` setting `name` in the namespace that this thread is in.

    Raises `NetworkError` if the kernel has no such setting or refuses the value.
    """
    try:
        Path("/proc/sys", *name.split(".")).write_text(f"{value}\n", encoding="ascii")
    except OSError as error:
        raise NetworkError(f"cannot set {name} to {value}: {error.strerror}") from None


def routing(pid: int | None = None) -> Netlink:
    """A socket to ask and change addresses, links and routes where process `pid` is (None: here).

    Raises `NetworkError` as `in_namespace` does.
    """
    with nullcontext() if pid is None else in_namespace(pid):
        return Netlink(socket.NETLINK_ROUTE)


IP, IP_ALL = ("ip", "-batch", "-"), ("ip", "-force", "-batch", "-")
"""The programs whose lines mostly need no process. The second goes on after a line that failed."""
NFT = ("nft", "-f", "-")
"""The program for rules, which mostly needs no process either."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program, what it reads, and the process in whose network namespace it runs (None: ours)."""

    argv: tuple[str, ...]
    stdin: str
    pid: int | None = None


def run_together(commands: Iterable[Command]) -> None:
    """Run all `commands` side by side, and wait for each.

    Batches of ``ip`` need no process, as far as `natlab.sandbox.iproute` knows their lines: they are
    carried out here, one after the other, while the others run. Nor do rules that `natlab.sandbox.nftables`
    can load.

    Raises `NetworkError` with the words of the first that cannot start or whose exit status is not
    zero, once all have ended.
    """
    started = []
    failures = []
    batches: list[tuple[Command, list[iproute.Step]]] = []
    for command in commands:
        if command.argv in {IP, IP_ALL}:
            with suppress(iproute.Unknown):
                batches.append((command, iproute.steps(command.stdin)))
                continue
        try:
            with ExitStack() as stack:
                if command.pid is not None:
                    stack.enter_context(in_namespace(command.pid))
                if command.argv == NFT and nftables.load(command.stdin):
                    continue
                process = subprocess.Popen(
                    command.argv,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    errors="replace",
                )
        except OSError as error:
            failures.append(f"cannot start {command.argv[0]}: {error.strerror}")
            continue
        started.append((command, process))
        assert process.stdin is not None
        process.stdin.write(command.stdin)
        process.stdin.close()
        process.stdin = None
    for command, steps in batches:
        with routing(command.pid) as netlink:
            trouble = iproute.carry_out(netlink, steps, force=command.argv == IP_ALL)
        failures += [] if trouble is None else [trouble]
    for command, process in started:
        _, words = process.communicate()
        if process.returncode != 0:
            said = " / ".join(words.split("\n")[:3]).strip(" /")
            failures.append(f"{' '.join(command.argv)}: exit status {process.returncode}: {said}")
    if failures:
        raise NetworkError("; ".join(failures))
