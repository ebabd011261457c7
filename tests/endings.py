"""A command that starts warm, with any files as its streams, closed ones too, and with the interpreter's own end.

As Python ends, with words that nobody takes, all is done here as where Python was started for it.
"""

from __future__ import annotations

import ctypes
import gc
import os
import runpy
import signal
import sys
import traceback
from collections.abc import Sequence
from typing import IO, NoReturn

_MOST_FILES = 1 << 20
_NAMES = ("stdin", "stdout", "stderr")


def run(words: Sequence[str], streams: Sequence[int | None]) -> int:
    """``python -m WORDS`` in a fork of this process, to its end: its exit status. `streams`: None for a closed one."""
    pid = os.fork()
    if pid == 0:
        try:
            _begin(words, streams)
        finally:
            os._exit(70)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _begin(words: Sequence[str], streams: Sequence[int | None]) -> NoReturn:
    for number, file in enumerate(streams):
        if file is None:
            os.close(number)
        else:
            os.dup2(file, number)
    os.closerange(3, _MOST_FILES)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.set_threshold(700)
    become(words)


def become(words: Sequence[str]) -> NoReturn:
    """``python -m WORDS`` is all that this process still does, with a new interpreter's streams."""
    for number in range(3):
        _put(number, _opened(number) if _is_open(number) else None)
    module, *sys.argv[1:] = words
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - as the interpreter ends a program
        traceback.print_exc()
        status = 1
    ctypes.pythonapi.Py_Exit(status)
    raise AssertionError("it has ended")


def open_missing() -> None:
    """The streams that this process began without, as a new interpreter has them of what is at 0, 1 and 2 now."""
    for number, name in enumerate(_NAMES):
        if getattr(sys, f"__{name}__") is None:
            _put(number, _opened(number))


def _put(number: int, stream: IO[str] | None) -> None:
    setattr(sys, _NAMES[number], stream)
    setattr(sys, f"__{_NAMES[number]}__", stream)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _opened(number: int) -> IO[str]:
    """As a new interpreter opens it."""
    errors = "backslashreplace" if number == 2 else "strict"
    mode, buffering = ("r", -1) if number == 0 else ("w", 1 if number == 2 else -1)
    return os.fdopen(number, mode, buffering, "utf-8", errors, closefd=False)
