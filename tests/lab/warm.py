"""`natlab.sandbox.sandbox.call` for tests: apart from everything, in one sandbox for each pytest process.

Reading the modules of the lab takes longer than what most tests do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from natlab.matrix.conversation import PRELOADED
from natlab.matrix.running import IN_THE_SANDBOX
from natlab.sandbox.sandbox import Sandbox
from natlab.sandbox.zygote import preload

P = ParamSpec("P")
T = TypeVar("T")

_warm: list[Sandbox] = []
_PRELOAD_TIMEOUT = 60.0


def call(timeout: float, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``function(*args, **kwargs)`` returns or raises, as `Sandbox.call_apart`."""
    return sandbox().call_apart(timeout, function, *args, **kwargs)


def sandbox() -> Sandbox:
    """The one sandbox of this process, started when it is first asked for.

    It has read the modules of a cell, so that none of the processes that it forks has to.
    """
    if not _warm:
        _warm.append(Sandbox())
        _warm[0].call(_PRELOAD_TIMEOUT, preload, *IN_THE_SANDBOX, *PRELOADED)
    return _warm[0]


def close() -> None:
    """End the sandbox, if there is one."""
    while _warm:
        _warm.pop().close()
