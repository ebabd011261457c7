"""No thread dies in silence: what it raises is heard, or ends the process."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from natlab.sandbox.threads import LabThread, end_process_with_any_thread, in_words


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("by zero"), SystemExit(0), KeyboardInterrupt(), MemoryError()]
)
def test_whatever_a_thread_raises_is_heard(error: BaseException) -> None:
    def work() -> None:
        raise error

    heard: list[BaseException] = []
    thread = LabThread(work, heard.append, "breaks")
    thread.start()
    thread.join()
    assert heard == [error]


def test_a_thread_that_does_its_work_tells_nothing() -> None:
    done: list[str] = []
    heard: list[BaseException] = []
    thread = LabThread(lambda: done.append("work"), heard.append, "works")
    thread.start()
    thread.join()
    assert (done, heard) == (["work"], [])


@pytest.mark.parametrize("raised", ["ZeroDivisionError('by zero')", "SystemExit(0)"])
def test_what_nobody_hears_ends_the_process(raised: str) -> None:
    """The main thread would wait for ever."""
    code = f"""
import threading
from natlab.sandbox.threads import end_process_with_any_thread
end_process_with_any_thread(70)
def work():
    raise {raised}
threading.Thread(target=work, name="of a library").start()
threading.Event().wait()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 70
    assert "the thread of a library ended early" in done.stderr
    assert raised.partition("(")[0] in done.stderr


def test_a_hook_that_somebody_else_has_put_there_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    def hook(_told: threading.ExceptHookArgs) -> None:
        """Somebody else's."""

    monkeypatch.setattr(threading, "excepthook", hook)
    end_process_with_any_thread(70)
    assert threading.excepthook is hook


def test_the_words_are_one_line_with_the_kind_first() -> None:
    assert in_words(ValueError("one\ntwo")) == "ValueError: one"
