"""Threads that never die in silence: whatever one of them raises is heard by somebody."""

from __future__ import annotations

import os
import threading
import traceback
from collections.abc import Callable

Heard = Callable[[BaseException], None]


class LabThread(threading.Thread):
    """Calls `work`; what it raises, whatever that is, goes to `failed`, still in the thread.

    `failed` has to wake everybody who waits for the thread's work. Every thread of the lab's own is one.
    """

    def __init__(self, work: Callable[[], None], failed: Heard, name: str) -> None:
        super().__init__(name=name)
        self._work = work
        self._failed = failed

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - Python would print it, and let the others wait
            self._failed(error)


def end_process_with_any_thread(status: int) -> None:
    """From now on, an exception that nobody hears ends this process with exit status `status`.

    Of a thread which a library made, and of a `LabThread` whose `failed` raises. Those that wait for this
    process see its end; Python would go on without the thread. A hook that somebody else has put there,
    as pytest does, stays.
    """
    if threading.excepthook is not threading.__excepthook__:
        return

    def end(told: threading.ExceptHookArgs) -> None:
        name = told.thread.name if told.thread else "of unknown name"
        try:
            print_thread_error(name, told.exc_value)
        finally:
            os._exit(status)

    threading.excepthook = end


def print_thread_error(name: str, error: BaseException | None) -> None:
    """The thread's name and the traceback, on stderr."""
    words = "".join(traceback.format_exception(error)) if error else "no exception\n"
    os.write(2, f"the thread {name} ended early:\n{words}".encode(errors="backslashreplace"))


def in_words(error: BaseException) -> str:
    """One line of what a thread raised, with the kind of error first."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]
