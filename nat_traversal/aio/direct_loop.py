"""An event loop that calls readers of sockets without a detour, for the delay of datagrams that come alone.

Asyncio makes a key, a handle and a place in a queue of each socket that is readable, and calls it in a context of its own. A process
that was asleep finds nothing of that in its caches (docs/performance.md has what it costs). So here the selector calls. It takes a system with epoll.
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
from collections.abc import Callable
from typing import Any, TypeVarTuple, Unpack

Arguments = TypeVarTuple("Arguments")
Ready = list[tuple[selectors.SelectorKey, int]]
"""As `selectors.BaseSelector.select` gives it."""
AT_ONCE = 64
"""Sockets that are looked after before timers get their turn; the kernel sees to it that the others come next."""


class _DirectSelector(selectors.EpollSelector):
    """Calls `readers` in `select`, `at_once` of them at most, and gives the event loop the rest. `raised` hears of their exceptions."""

    def __init__(self, raised: Callable[[Exception], None], at_once: int) -> None:
        super().__init__()
        self.readers: dict[int, tuple[Callable[..., object], tuple[Any, ...]]] = {}
        """By file descriptor, with their arguments. Each is registered for reading only."""
        self._raised, self._at_once = raised, at_once
        self._epoll = select.epoll.fromfd(os.dup(self.fileno()))

    def modify(self, fileobj: Any, events: int, data: object = None) -> selectors.SelectorKey:
        key = super().modify(fileobj, events, data)
        self.readers.pop(key.fd, None)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self.readers.pop(key.fd, None)
        return key

    def select(self, timeout: float | None = None) -> Ready:
        rest: Ready = []
        readers = self.readers
        for fd, event in self._epoll.poll(timeout, self._at_once):
            reader = readers.get(fd)
            if reader is None:
                key = self.get_map().get(fd)
                if key is not None:  # none: closed just now by another one's reader
                    rest.append((key, _events(event) & key.events))
                continue
            callback, arguments = reader
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - as a handle of asyncio does
                self._raised(error)
        return rest

    def close(self) -> None:
        self._epoll.close()
        super().close()


class DirectLoop(asyncio.SelectorEventLoop):
    """Calls what `add_reader` is given as soon as the socket is found readable, before timers that are due, in whatever
    context the loop runs. Everything else is asyncio's."""

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._direct = _DirectSelector(self._reader_failed, at_once)
        try:
            super().__init__(self._direct)
        except OSError:
            # no descriptor is left for its pipe, without which it cannot even be closed
            self._direct.close()
            self._closed = True
            raise

    def add_reader(
        self, fd: Any, callback: Callable[[Unpack[Arguments]], Any], *args: *Arguments
    ) -> None:
        super().add_reader(fd, callback, *args)
        key = self._direct.get_key(fd)
        if key.events == selectors.EVENT_READ:
            self._direct.readers[key.fd] = callback, args

    def _reader_failed(self, error: Exception) -> None:
        self.call_exception_handler({"message": "a socket's reader failed", "exception": error})


def _events(event: int) -> int:
    """Errors count as both."""
    found = selectors.EVENT_WRITE if event & ~select.EPOLLIN else 0
    return found | (selectors.EVENT_READ if event & ~select.EPOLLOUT else 0)
