"""The local sockets of running clients: where they are, and how another command asks there."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nat_traversal.aio.private_folder import check_private
from nat_traversal.errors import UsageError

WITHIN = 30.0
"""Seconds for an answer: a reload takes its time."""
_FOLDER = "nat-traversal"
_SYSTEM = Path("/run") / _FOLDER
_MOST_OCTETS = 4 << 20


def own_folder(environment: Mapping[str, str]) -> Path:
    """Where this process puts its socket: systemd's ``RuntimeDirectory=``, the user's (XDG), or root's."""
    if given := environment.get("RUNTIME_DIRECTORY"):
        return Path(given.split(":")[0])  # systemd's form for several
    if (given := environment.get("XDG_RUNTIME_DIR")) and Path(given).is_absolute():
        return Path(given) / _FOLDER
    if os.getuid() == 0:
        return _SYSTEM
    return Path("/tmp") / f"{_FOLDER}-{os.getuid()}"  # noqa: S108 - its owner and mode are checked


def sockets(environment: Mapping[str, str]) -> Iterator[Path]:
    """The sockets of this user's clients, and of the system's as far as this user may see them.

    Raises `UsageError` where another user may answer in the place of a client: only root may have made what is below ``/run``.
    """
    own = own_folder(environment)
    if os.getuid() != 0:
        with contextlib.suppress(OSError):
            check_private(own)
    for folder in dict.fromkeys((own, _SYSTEM)):
        with contextlib.suppress(OSError):
            yield from (path for path in sorted(folder.glob("*.sock")) if not _is_dead(path))


def _is_dead(path: Path) -> bool:
    """Whether the client that made the socket has ended without a word."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(WITHIN)
        try:
            sock.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return True
        except OSError:  # it may not be this user's: asking tells why
            return False
    return False


def socket_of(name: str | None, environment: Mapping[str, str], *, with_file: bool = False) -> Path:
    """The socket of the client with that name, or with that file's name; without one, of the only client, or of the only
    one that runs `with_file`. Raises `UsageError`."""
    there = [
        path for path in sockets(environment) if name in (None, path.stem, f"{path.stem}.toml")
    ]
    if with_file and len(there) > 1:
        there = [path for path in there if ask(path, ask="status").get("file")] or there
    if not there:
        which = "no client" if name is None else f"no client named {name}"
        raise UsageError(f"{which} of this user runs: start one")
    if name is None and len(there) > 1:
        names = ", ".join(path.stem for path in there)
        raise UsageError(f"several clients run: name one of {names}")
    return min(there, key=lambda path: path.stem != name)  # an id may end in .toml too


def socket_with(peer: str, environment: Mapping[str, str]) -> Path:
    """The socket of the only client that has `peer`; of the only client, whatever its peers are. Raises `UsageError`."""
    there = list(sockets(environment))
    if len(there) < 2:
        return socket_of(None, environment)
    having = [path for path in there if peer in _peers(path)]
    if not having:
        raise UsageError(f"no client has the peer {peer}: nat-traversal status tells their peers")
    if len(having) > 1:
        names = ", ".join(path.stem for path in having)
        raise UsageError(f"several clients have the peer {peer}: name one after it, of {names}")
    return having[0]


def _peers(path: Path) -> list[str]:
    """The ids of a client's peers; none of a client that gives this user no answer."""
    with contextlib.suppress(UsageError), reading(path):
        return [str(each["peer"]) for each in ask(path, ask="status")["peers"]]
    return []


def ask(path: Path, *, within: float = WITHIN, **request: Any) -> dict[str, Any]:
    """The answer to one request, a JSON object, in `within` seconds. Raises `UsageError` if nobody gives one, and with an ``error``."""
    octets, until = b"", time.monotonic() + within
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(within)
        try:
            sock.connect(str(path))
            sock.sendall(json.dumps(request).encode() + b"\n")
            while len(octets) < _MOST_OCTETS and (more := sock.recv(65_536)):
                octets += more
                sock.settimeout(max(0.001, until - time.monotonic()))  # of all, not of each part
        except OSError as error:
            reason = error.strerror or "no answer in time"
            raise UsageError(
                f"the client {path.stem} does not answer at {path}: {reason}"
            ) from None
    try:
        answer = json.loads(octets)
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise UsageError(f"the client {path.stem} gave no answer: only its user and root may ask")
    if (told := answer.get("error")) is not None:
        raise UsageError(str(told))
    return answer


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Raises `UsageError` for an answer in another form than this version knows, as it is read."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError):
        raise UsageError(
            f"the client {path.stem} answers in a form that this version does not know: start it again"
        ) from None
