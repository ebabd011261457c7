"""Sandboxes on this machine's kernel: what is inside, what comes back, and that nothing stays."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from pathlib import Path
from types import ModuleType

import pytest

from natlab.errors import NatMismatchError, SandboxError
from natlab.sandbox import sandbox
from tests import ROOT

_ENTRY = "from tests.lab.sandbox import test_sandbox as t; from natlab.sandbox import sandbox; "


def _describe() -> tuple[int, int, list[str], list[str], str]:
    interfaces = sorted(line.split(":")[0].strip() for line in _lines("/proc/net/dev")[2:])
    bridge = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    bridged = bridge.read_text(encoding="ascii").strip() if bridge.exists() else "0"
    return os.getuid(), os.getpid(), interfaces, os.listdir("/run"), bridged  # noqa: PTH208


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="ascii").splitlines()


def _add(left: int, right: int) -> int:
    return left + right


def _mismatch() -> None:
    raise NatMismatchError("not what it says")


def _unforeseen() -> float:
    return 1 / 0


class _TwoArgumentsError(Exception):
    def __init__(self, left: str, right: str) -> None:
        super().__init__(left + right)


def _raise_without_copy() -> None:
    raise _TwoArgumentsError("no ", "copy")


def _return_without_copy() -> object:
    return threading.Lock()


def _wait_for_a_thread_that_breaks() -> None:
    def work() -> None:
        raise ZeroDivisionError("of this test's making")

    threading.Thread(target=work, name="of a library").start()
    threading.Event().wait()


def _die() -> None:
    os._exit(3)


def _sleep(marker: str) -> None:
    subprocess.run(["sleep", marker], check=True)


def _is_running(marker: str) -> bool:
    wanted = f"sleep\0{marker}\0".encode()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == wanted:
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def _becomes(wanted: bool, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while condition() is not wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition() is wanted


def test_inside_we_are_root_and_alone_with_a_loopback_interface() -> None:
    assert sandbox.call(20, _describe) == (0, 1, ["lo"], [], "0")


def test_it_returns_what_the_function_returns() -> None:
    assert sandbox.call(20, _add, 2, right=3) == 5


def test_it_raises_what_the_function_raises() -> None:
    with pytest.raises(NatMismatchError, match="not what it says") as caught:
        sandbox.call(20, _mismatch)
    assert not hasattr(caught.value, "__notes__"), "its text says all that there is"


def test_an_unforeseen_error_brings_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        sandbox.call(20, _unforeseen)
    assert "in _unforeseen" in caught.value.__notes__[0]


def test_an_error_that_cannot_be_copied_keeps_its_text() -> None:
    with pytest.raises(SandboxError, match="_TwoArgumentsError: no copy"):
        sandbox.call(20, _raise_without_copy)


def test_an_answer_that_cannot_be_copied_is_an_error() -> None:
    with pytest.raises(SandboxError, match="_return_without_copy returned what has no copy"):
        sandbox.call(20, _return_without_copy)


def test_a_module_that_cannot_be_imported_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("only_here")
    exec("def function(): pass", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(SandboxError, match="cannot import the call: No module named 'only_here'"):
        sandbox.call(20, module.function)


def test_a_sandbox_that_dies_is_an_error_with_its_status() -> None:
    with pytest.raises(SandboxError, match="ended before _die did, with exit status 3"):
        sandbox.call(20, _die)


def test_a_call_that_takes_too_long_ends_with_everything_it_started() -> None:
    marker = f"9{os.getpid()}.1"
    with pytest.raises(SandboxError, match="_sleep gave no answer in"):
        sandbox.call(1.0, _sleep, marker)
    assert _becomes(False, lambda: _is_running(marker))


def test_killing_the_caller_leaves_no_process() -> None:
    marker = f"9{os.getpid()}.2"
    code = f"{_ENTRY} sandbox.call(600, t._sleep, {marker!r})"
    caller = subprocess.Popen(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )
    try:
        assert _becomes(True, lambda: _is_running(marker))
    finally:
        caller.send_signal(signal.SIGKILL)
        caller.wait()
    assert _becomes(False, lambda: _is_running(marker))


def _python_of_an_ordinary_user() -> list[str]:
    """A command: this interpreter, or the system's where ours is root's own."""
    # setpriv itself still has root's capabilities when it looks for the program: `env` has not.
    user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env"]
    prefix = user if os.getuid() == 0 else []
    candidates = [str(Path(sys.executable).resolve()), "/usr/bin/python3"]
    new_enough = "import sys; sys.exit(sys.version_info < (3, 11))"
    for candidate in candidates:
        command = [*prefix, candidate]
        tried = subprocess.run([*command, "-c", new_enough], capture_output=True, check=False)
        if tried.returncode == 0:
            return command
    pytest.fail(f"an ordinary user may run none of {', '.join(candidates)}")


def test_an_ordinary_user_gets_the_same_sandbox() -> None:
    """From a copy of the lab, since a checkout under /root is closed to that user."""
    python = _python_of_an_ordinary_user()
    code = (
        "import os, subprocess; from natlab.sandbox import sandbox; print(os.getuid() != 0,"
        " sandbox.call(20, os.getuid), sandbox.call(20, subprocess.getoutput, 'ip -br link'))"
    )
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        for source in (ROOT / "lab" / "natlab", ROOT / "nat_traversal"):
            shutil.copytree(source, Path(directory, source.name))
        done = subprocess.run(
            [*python, "-c", code],
            env=os.environ | {"PYTHONPATH": directory},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
            timeout=40,
        )
    assert done.stdout.startswith("True 0 lo "), done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_several_threads_have_a_sandbox_each() -> None:
    answers: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(sandbox.call(20, _add, n, n)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [0, 2, 4, 6]


_kept: list[int] = []


def _keep(number: int) -> list[int]:
    _kept.append(number)
    return _kept


def _interrupt_myself() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(60)


def _touch_later(path: Path) -> None:
    subprocess.run(["sleep", "0.5"], check=True)
    path.touch()


def test_a_standing_sandbox_remembers_from_call_to_call() -> None:
    with sandbox.Sandbox() as box:
        assert [box.call(20, _keep, 1), box.call(20, _keep, 2)] == [[1], [1, 2]]
        with pytest.raises(NatMismatchError):
            box.call(20, _mismatch)
        assert box.call(20, _keep, 3) == [1, 2, 3]


def test_an_interrupted_call_ends_and_the_sandbox_stays() -> None:
    with sandbox.Sandbox() as box:
        with pytest.raises(SandboxError, match="_interrupt_myself was interrupted"):
            box.call(20, _interrupt_myself)
        assert box.call(20, _add, 1, 1) == 2


def test_the_call_after_one_that_was_given_up_gets_its_own_answer(tmp_path: Path) -> None:
    with sandbox.Sandbox() as box:
        with pytest.raises(SandboxError, match="_touch_later gave no answer in"):
            box.call(0.05, _touch_later, tmp_path / "late")
        assert box.call(20, _add, 2, 2) == 4
        assert (tmp_path / "late").exists()


def test_closing_a_busy_sandbox_does_not_wait_for_it() -> None:
    marker = f"9{os.getpid()}.3"
    box = sandbox.Sandbox()
    with pytest.raises(SandboxError, match="gave no answer"):
        box.call(0.05, _sleep, marker)
    box.close()
    box.close()
    assert _becomes(False, lambda: _is_running(marker))


def test_a_closed_sandbox_refuses_calls() -> None:
    with sandbox.Sandbox() as box:
        pass
    with pytest.raises(SandboxError, match="is closed"):
        box.call(20, _add, 1, 1)


def _start_and_describe(marker: str) -> tuple[int, str, int]:
    subprocess.Popen(["sleep", marker])
    return os.getpid(), str(Path("/proc/self/ns/net").readlink()), len(_kept)


def test_a_call_apart_has_namespaces_of_its_own_that_end_with_it() -> None:
    marker = f"{time.monotonic_ns()}"
    with sandbox.Sandbox() as warm:
        warm.call(10.0, _keep, 1)
        first, second = (warm.call_apart(10.0, _start_and_describe, marker) for _ in range(2))
        outside = warm.call(10.0, _start_and_describe, "0")
        assert _becomes(False, lambda: _is_running(marker))
    assert first[0] == second[0] == 1
    assert outside[1] not in {first[1], second[1]}
    assert first[2] == second[2] == outside[2] == 1  # forked: it knows what was done before


def test_a_call_apart_gives_errors_and_leaves_no_state() -> None:
    with sandbox.Sandbox() as warm:
        assert warm.call_apart(10.0, _keep, 1) == [1]
        assert warm.call_apart(10.0, _keep, 2) == [2]
        with pytest.raises(NatMismatchError):
            warm.call_apart(10.0, _mismatch)
        with pytest.raises(SandboxError, match="_die ended without an answer, exit status"):
            warm.call_apart(10.0, _die)
        with pytest.raises(SandboxError, match="_interrupt_myself was interrupted"):
            warm.call_apart(10.0, _interrupt_myself)
        assert warm.call_apart(10.0, _add, 2, 3) == 5


def _touch_and_sleep(path: Path, marker: str) -> None:
    path.touch()
    _sleep(marker)


def _meet(mine: Path, other: Path) -> bool:
    mine.touch()
    return _becomes(True, other.exists)


def test_calls_apart_of_several_threads_run_side_by_side(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one", "other")]
    with sandbox.Sandbox() as warm, ThreadPoolExecutor(2) as pool:
        met = [
            pool.submit(warm.call_apart, 30.0, _meet, mine, other)
            for mine, other in permutations(paths)
        ]
        assert [each.result() for each in met] == [True, True]


def test_a_call_apart_that_was_given_up_is_ended_and_the_sandbox_goes_on(tmp_path: Path) -> None:
    marker = f"{time.monotonic_ns()}"
    with sandbox.Sandbox() as warm, ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(warm.call_apart, 30.0, _meet, tmp_path / "b", tmp_path / "a")
        with pytest.raises(SandboxError, match="_touch_and_sleep gave no answer in 3 s"):
            warm.call_apart(3.0, _touch_and_sleep, tmp_path / "begun", marker)
        assert (tmp_path / "begun").exists()
        assert _becomes(False, lambda: _is_running(marker))
        assert warm.call(10.0, _add, 1, 2) == 3
        (tmp_path / "a").touch()
        assert waiting.result()


def test_calls_apart_end_with_the_sandbox(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        warm = sandbox.Sandbox()
        waiting = pool.submit(warm.call_apart, 30.0, _meet, tmp_path / "b", tmp_path / "a")
        assert _becomes(True, (tmp_path / "b").exists)
        warm.kill()
        with pytest.raises(SandboxError, match="the sandbox ended before _meet did"):
            waiting.result()


class _InterruptsWhenSent:
    """The answer is on its way when Ctrl-C comes: there is no call any more that it could end."""

    def __reduce__(self) -> tuple[type[int], tuple[int]]:
        os.kill(os.getpid(), signal.SIGINT)
        return int, (5,)


def _interrupted_answer() -> object:
    return _InterruptsWhenSent()


def test_ctrl_c_that_comes_after_a_call_ends_neither_its_answer_nor_the_sandbox() -> None:
    with sandbox.Sandbox() as box:
        assert box.call(20, _interrupted_answer) == 5
        assert box.call_apart(20, _interrupted_answer) == 5
        assert box.call(20, _add, 1, 1) == 2


def _leave_a_thread_behind() -> None:
    threading.Thread(target=time.sleep, args=(1000,)).start()
    sys.exit(3)


def test_a_sandbox_that_breaks_ends_at_once_though_threads_go_on_in_it() -> None:
    with (
        sandbox.Sandbox() as box,
        pytest.raises(SandboxError, match=r"ended before _leave_a_thread_behind did, .* status 1"),
    ):
        box.call(20, _leave_a_thread_behind)


def test_a_thread_that_nobody_hears_ends_the_sandbox_and_the_wait_for_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SandboxError, match="ended before _wait_for_a_thread_that_breaks did"):
        sandbox.call(50, _wait_for_a_thread_that_breaks)
    words = capfd.readouterr().err
    assert "the thread of a library ended early" in words
    assert "ZeroDivisionError: of this test's making" in words


def test_a_thread_that_nobody_hears_ends_a_call_apart_and_only_that() -> None:
    with sandbox.Sandbox() as box:
        with pytest.raises(SandboxError, match="ended without an answer, exit status 1"):
            box.call_apart(50, _wait_for_a_thread_that_breaks)
        assert box.call_apart(50, _add, 1, 2) == 3
