"""`natlab.sandbox.sandbox.call` for tests: apart from everything, in one sandbox for each pytest process.

Reading the modules of the lab takes longer than what most tests do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from natlab.sandbox.sandbox import Begun, Sandbox
from tests.lab import nursery

P = ParamSpec("P")
T = TypeVar("T")

_warm: list[Sandbox] = []


class _Bred(Sandbox):
    """Begun where its modules have been read."""

    @staticmethod
    def begin() -> Begun:
        return nursery.sandbox()


def call(timeout: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``function(*args, **kwargs)`` returns or raises, as `Sandbox.call_apart`."""
    return sandbox().call_apart(timeout, function, *args, **kwargs)


def sandbox() -> Sandbox:
    """The one sandbox of this process, started when it is first asked for.

    It has read the modules of a cell, so that none of the processes that it forks has to.
    """
    if not _warm:
        _warm.append(_Bred())
    return _warm[0]


def close() -> None:
    """End the sandbox, if there is one."""
    while _warm:
        _warm.pop().close()
