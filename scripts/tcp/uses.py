"""Uses of a TCP service, each timed: from `near`, a host's process, to a service at `far`. Runs in a sandbox."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from natlab.errors import ProgramError
from natlab.sandbox.netns import in_namespace

IPERF, WEB, SSH, CROWD, WRITER = 5201, 8080, 2222, 7000, 7001
"""Ports of the services, which programs near by find under the same number."""
USER = "lab"
"""The user that ssh logs in. Only in the sandbox there is such a one, and no other."""
WORDS = 1_000
"""Octets that each connection of a crowd sends and hears."""
_READY, _LONG = 20.0, 300.0
_PAUSE, _BEGINS = 0.05, 0.5
_TRIES = 3
_WRITES = """
import socket, threading
def write(sock):
    sock.recv(1)
    while True:
        sock.sendall(bytes(65536))
server = socket.create_server(("", %d), backlog=1024)
threading.stack_size(65536)
while True:
    threading.Thread(target=write, args=(server.accept()[0],), daemon=True).start()
"""
_SERVES = """
import socket, threading
def echo(sock):
    with sock:
        while octets := sock.recv(65536):
            sock.sendall(octets)
server = socket.create_server(("", %d), backlog=1024)
while True:
    threading.Thread(target=echo, args=(server.accept()[0],), daemon=True).start()
"""


@contextmanager
def services(far: int, directory: Path, octets: int, sshd: str | None) -> Iterator[None]:
    """All of them at that host; the web server and ssh have a file of so many octets."""
    (directory / "file").write_bytes(_chunk() * (octets // len(_chunk())))
    with ExitStack() as stack:
        for command in (
            [sys.executable, "-m", "http.server", f"{WEB}", "--directory", f"{directory}"],
            [sys.executable, "-c", _SERVES % CROWD],
            [sys.executable, "-c", _WRITES % WRITER],
            *([_sshd(sshd, directory)] if sshd else []),
        ):
            stack.enter_context(started(far, command))
        for port in (WEB, CROWD, *([SSH] if sshd else [])):
            _wait(far, port)
        yield


def iperf(near: int, far: int, to: str, *options: str, seconds: int = 6) -> str:
    """One connection, or as `options` have it."""
    words = ["iperf3", "--json", "--client", to, "--port", f"{IPERF}", "--time", f"{seconds}"]
    for _ in range(_TRIES):
        # A server for each: one that a reset has hit answers no further client.
        with started(far, ["iperf3", "--server", "--port", f"{IPERF}"]):
            time.sleep(_BEGINS)
            said = json.loads(run(near, [*words, *options], may_fail=True))
        if "error" not in said:
            break
    else:
        raise ProgramError(f"iperf3 to {to} {options}: {said['error']}")
    return f"{said['end']['sum_received']['bits_per_second'] / 1e6:.0f} Mbit/s"


def beside(near: int, one: tuple[int, str], other: tuple[int, str], control: str) -> str:
    """A connection to `one`, with `control` if it is a kernel's, beside a kernel's with CUBIC to `other`: each a host, and
    where it is found."""
    (far, to), (server, at) = one, other
    words = ["iperf3", "--json", "--time", "15", "--omit", "3", "--port"]
    with (
        started(server, ["iperf3", "--server", "--port", f"{IPERF + 1}"]),
        started(far, ["iperf3", "--server", "--port", f"{IPERF}"]),
    ):
        time.sleep(_BEGINS)
        with in_namespace(near):
            both = [
                subprocess.Popen(command, stdout=subprocess.PIPE)
                for command in (
                    [*words, f"{IPERF + 1}", "--client", at, "--congestion", "cubic"],
                    [*words, f"{IPERF}", "--client", to]
                    + (["--congestion", control] if control else []),
                )
            ]
        ends = [json.loads(each.communicate()[0]) for each in both]
    if any("error" in end for end in ends):
        raise ProgramError(f"iperf3: {[end.get('error') for end in ends]}")
    cubic, this = (end["end"]["sum_received"]["bits_per_second"] / 1e6 for end in ends)
    return f"CUBIC {cubic:.1f} Mbit/s, this {this:.1f}"


def curl(near: int, to: str, directory: Path) -> str:
    """The file, whose every octet is looked at."""
    began = time.monotonic()
    got = directory / "got"
    run(near, ["curl", "-sS", "-o", f"{got}", f"http://{to}:{WEB}/file"])
    took = time.monotonic() - began
    return f"{took:.1f} s{_right(got, directory)}"


def ssh(near: int, to: str, directory: Path) -> str:
    """The file from there, and back again."""
    words = ["ssh", "-F", "none", "-p", f"{SSH}", "-i", f"{directory}/key", "-o", "LogLevel=ERROR"]
    words += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
    words += [f"{USER}@{to}"]
    got, back = directory / "got", directory / "back"
    began = time.monotonic()
    with got.open("wb") as file:
        run(near, [*words, "cat", f"{directory}/file"], stdout=file)
    there = time.monotonic()
    with got.open("rb") as file:
        run(near, [*words, f"cat > {back}"], stdin=file)
    ended = time.monotonic()
    return f"{there - began:.1f} s and {ended - there:.1f} s{_right(got, directory)}{_right(back, directory)}"


def crowd(near: int, to: str, count: int) -> str:
    """So many connections; then all echo at once."""
    socks = []
    with ExitStack() as stack:
        began = time.monotonic()
        for _ in range(count):
            with in_namespace(near):
                socks.append(stack.enter_context(socket.create_connection((to, CROWD), _LONG)))
        opened = time.monotonic()
        for sock in socks:
            sock.sendall(bytes(WORDS))
        for sock in socks:
            left = WORDS
            while left:
                octets = sock.recv(left)
                if not octets:
                    raise ProgramError("a connection of the crowd ended")
                left -= len(octets)
        ended = time.monotonic()
    return f"{opened - began:.1f} s to open, {ended - opened:.1f} s to echo"


def unread(near: int, to: str, count: int, sizes: Callable[[], list[int]]) -> str:
    """So many connections to a service that writes without end, for programs that read nothing. `sizes`: of both clients,
    octets in memory; told once they grow no more."""
    before = sizes()
    with ExitStack() as stack:
        for _ in range(count):
            with in_namespace(near):
                sock = stack.enter_context(socket.create_connection((to, WRITER), _LONG))
            sock.sendall(b"begin")
        last, now = [0, 0], sizes()
        while any(each > other * 1.01 for each, other in zip(now, last, strict=True)):
            last = now
            time.sleep(5.0)
            now = sizes()
    told = (
        f"{each >> 20} MiB ({then >> 20} before)" for each, then in zip(now, before, strict=True)
    )
    return ", ".join(told)


def run(near: int, words: Sequence[str], *, may_fail: bool = False, **others: object) -> bytes:
    """The output of a command at that host. Raises `ProgramError` with its words if it fails."""
    with in_namespace(near):
        process = subprocess.Popen(  # type: ignore[call-overload]
            words, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **others}
        )
    out, err = process.communicate(timeout=_LONG)
    if process.returncode and not may_fail:
        raise ProgramError(f"{words[0]}: {(out or b'') + (err or b'')!r}")
    return bytes(out or b"")


@contextmanager
def started(node: int, words: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A program at that host, until the block is left."""
    with in_namespace(node):
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait(node: int, port: int) -> None:
    deadline = time.monotonic() + _READY
    while True:
        with in_namespace(node):
            sock = socket.socket()
        with sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > deadline:
            raise ProgramError(f"nothing listens on port {port}")
        time.sleep(_PAUSE)


def _sshd(sshd: str, directory: Path) -> list[str]:
    """An ssh server that needs no root: in a user namespace of its own, where it is the user of its only login."""
    for name in ("host", "key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{directory / name}"], check=True
        )
    for name, line in (
        ("passwd", f"{USER}:x:1000:1000::/tmp:/bin/sh"),
        ("shadow", f"{USER}:*:1::::::"),
    ):
        (directory / name).write_text(f"{line}\n", encoding="ascii")
        subprocess.run(["mount", "--bind", directory / name, f"/etc/{name}"], check=True)
    options = ["StrictModes=no", "UsePAM=no", "PidFile=none", f"HostKey={directory}/host"]
    options += [f"AuthorizedKeysFile={directory}/key.pub", f"Port={SSH}"]
    words = ["unshare", "--user", "--map-user=1000", "--map-group=1000", sshd, "-D", "-f", "none"]
    return [*words, *(word for option in options for word in ("-o", option))]


def _chunk() -> bytes:
    return b"".join(hashlib.sha256(b"%d" % each).digest() for each in range(32_768))


def _right(path: Path, directory: Path) -> str:
    """Nothing if it is as the file, whose octets are not compressible."""
    with path.open("rb") as one, (directory / "file").open("rb") as other:
        digests = {hashlib.file_digest(file, "sha256").digest() for file in (one, other)}
    path.unlink()
    return "" if len(digests) == 1 else ", WRONG OCTETS"
