"""A socket of this host by which its user asks a running command something: one JSON line each way."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from nat_traversal.aio.private_folder import check_private
from nat_traversal.errors import InstanceRunsError, UsageError

log = logging.getLogger(__name__)

MOST_OCTETS = 65_536
"""Of a request, with the LF."""
WITHIN = 5.0
"""Seconds for a request to come, and for its answer to be taken."""
AT_A_TIME = 16
"""Connections. One more ends the oldest that waits for its request, or for its answer to be taken."""
_LONGEST_CLAIM = 4096
_CREDENTIALS = struct.Struct("3i")
"""Process, user and group at the other end (unix(7))."""

Request = Mapping[str, Any]
Answer = Mapping[str, Any]
Handle = Callable[[Request], Awaitable[Answer]]


class LocalSocket:
    """Answers at `path` with what `handle` says, to this user and to root.

    The folder is for its owner only (mode 700), and so is the socket (600). A lock beside it belongs to the
    process that serves it: what a dead one has left is replaced. `claim` tells others what this process is.
    """

    def __init__(self, path: Path, handle: Handle, claim: str = "") -> None:
        self.path = path
        self._claim = claim
        self._handle = handle
        self._lock: int | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._idle: dict[asyncio.Task[None], None] = {}
        """Those that make no progress by themselves, the oldest first."""

    async def open(self) -> None:
        """Begin to answer. Raises `InstanceRunsError` if another process does, `UsageError` if it cannot be."""
        _make_folder(self.path.parent)
        self._lock = _locked(_beside(self.path))
        try:
            os.truncate(self._lock, 0)
            os.write(self._lock, self._claim.encode())
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                before = os.umask(0o177)
                try:
                    sock.bind(str(self.path))
                finally:
                    os.umask(before)
                self._server = await asyncio.start_unix_server(
                    self._connected, sock=sock, limit=MOST_OCTETS
                )
            except BaseException:
                sock.close()
                raise
        except OSError as error:
            self._unlock()
            raise UsageError(f"{self.path}: {error.strerror or error}") from None

    async def close(self) -> None:
        """Answer no more, and remove the socket."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        with contextlib.suppress(OSError):
            self.path.unlink()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            with contextlib.suppress(OSError):
                _beside(self.path).unlink()
            os.close(self._lock)
            self._lock = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if not (self._has_room() and _is_ours(writer.get_extra_info("socket"))):
            writer.close()
            return
        self._connections.add(task)
        try:
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                await self._serve(reader, writer, task)
        finally:
            self._connections.discard(task)
            self._idle.pop(task, None)
            writer.close()

    def _has_room(self) -> bool:
        """For one more connection. One that only connects keeps no other out."""
        if len(self._connections) < AT_A_TIME:
            return True
        oldest = next(iter(self._idle), None)
        if oldest is None:
            return False
        del self._idle[oldest]
        self._connections.discard(oldest)
        oldest.cancel()
        return True

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        task: asyncio.Task[None],
    ) -> None:
        self._idle[task] = None
        async with asyncio.timeout(WITHIN):
            try:
                request = json.loads(await reader.readline())
            except (ValueError, RecursionError):  # too long, or no JSON
                request = None
        self._idle.pop(task, None)
        if isinstance(request, dict):
            answer = await self._answer(request)
        else:
            answer = {
                "error": f"one JSON object in a line of at most {MOST_OCTETS} octets is a request"
            }
        writer.write(json.dumps(answer).encode() + b"\n")
        self._idle[task] = None
        async with asyncio.timeout(WITHIN):
            await writer.drain()

    async def _answer(self, request: Request) -> Answer:
        """Of a mistake in this program too, the other side gets one line."""
        try:
            return await self._handle(request)
        except Exception as error:
            log.debug("no answer to a request at %s", self.path, exc_info=True)
            return {
                "error": f"this is a mistake in nat-traversal: {type(error).__name__}: report it"
            }


def _is_ours(sock: socket.socket) -> bool:
    """Whether this user, or root, is at the other end. Where the system does not say, the modes do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    told = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    _, user, _ = _CREDENTIALS.unpack(told)
    if user in (os.getuid(), 0):
        return True
    log.warning("user %d may not ask this command anything", user)
    return False


def _beside(path: Path) -> Path:
    """The lock of the socket at `path`. A name may have dots."""
    return path.with_name(f"{path.name.removesuffix('.sock')}.lock")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check_private(folder)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}") from None


def _locked(path: Path) -> int:
    """The descriptor of a lock that is this process's as long as it lives."""
    while True:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), path.stat()):
                return lock
        except BlockingIOError:
            claim = os.read(lock, _LONGEST_CLAIM).decode(errors="replace")
            os.close(lock)
            raise InstanceRunsError(
                f"another client named {path.stem} runs already: end that one, or give this one's file another name",
                claim,
            ) from None
        except FileNotFoundError:  # it has just ended, and removed its lock
            pass
        os.close(lock)
