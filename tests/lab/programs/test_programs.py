"""Programs in nodes: where they run, what is kept of them, and how their failures read."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from unittest.mock import patch

import pytest

from natlab.errors import ProgramError
from natlab.programs import program as program_module
from natlab.programs.program import LONGEST_LINE, Line, Program
from natlab.programs.programs import Programs
from tests.lab import warm

_TIMEOUT = 40.0


def _run(directory: Path, *argv: str) -> tuple[int, list[str], list[str]]:
    with _Node(directory) as (node, programs):
        program = programs.start("program", argv, node)
        status = program.wait(timeout=10)
        out, err = ([line.text for line in program.lines(s)] for s in ("stdout", "stderr"))
        return status, out, err


class _Node:
    """One namespace, and programs to run in it."""

    def __init__(self, directory: Path) -> None:
        from natlab.network.nodes import LabNode

        self.node = LabNode("node", addresses={})
        self.programs = Programs(directory)

    def __enter__(self) -> tuple[int, Programs]:
        self.node.wait_until_held()
        return self.node.pid, self.programs.__enter__()

    def __exit__(self, *exc: object) -> None:
        self.programs.__exit__(*exc)
        self.node.end()


def shell(script: str) -> tuple[str, str, str]:
    return ("sh", "-c", script)


def test_both_streams_are_kept_as_lines_and_as_files(tmp_path: Path) -> None:
    script = "echo one; echo two >&2; printf 'no newline'"
    assert warm.call(_TIMEOUT, _run, tmp_path, *shell(script)) == (
        0,
        ["one", "no newline"],
        ["two"],
    )
    assert (tmp_path / "program.stdout").read_bytes() == b"one\nno newline"
    assert (tmp_path / "program.stderr").read_bytes() == b"two\n"


def test_more_output_than_a_pipe_holds_is_kept(tmp_path: Path) -> None:
    code = "for n in range(100_000): print(n)"
    status, out, _ = warm.call(_TIMEOUT, _run, tmp_path, sys.executable, "-c", code)
    assert (status, out) == (0, [str(n) for n in range(100_000)])


def _seconds_for_a_line_of(octets: int, directory: Path) -> tuple[float, list[int]]:
    """Processor seconds of the reader, and the lengths of the lines."""
    with _Node(directory) as (node, programs):
        before = time.process_time()
        program = programs.start("program", [sys.executable, "-c", f"print('x' * {octets})"], node)
        program.wait(timeout=30)
        return time.process_time() - before, [len(line.text) for line in program.lines()]


def test_a_line_without_end_is_cut_and_read_in_linear_time(tmp_path: Path) -> None:
    seconds, lengths = warm.call(_TIMEOUT, _seconds_for_a_line_of, 16 << 20, tmp_path)
    assert sum(lengths) == 16 << 20
    assert max(lengths) <= LONGEST_LINE + 65536
    assert (tmp_path / "program.stdout").stat().st_size == (16 << 20) + 1
    assert seconds < 1  # over 10 where each piece made a copy of all before it


_CHILD_THAT_WRITES_FOR_EVER = "cat /dev/zero & cat /dev/zero >&2 & sleep 0.3; exit 5"


def test_a_child_that_writes_for_ever_does_not_hold_up_the_end(tmp_path: Path) -> None:
    status, _, _ = warm.call(_TIMEOUT, _run, tmp_path, *shell(_CHILD_THAT_WRITES_FOR_EVER))
    assert status == 5


def _flooded(directory: Path, script: str) -> None:
    with (
        patch.object(program_module, "MOST_OUTPUT", 4 << 20),
        _Node(directory) as (node, programs),
    ):
        programs.start("program", shell(script), node).wait(timeout=20)


@pytest.mark.parametrize("script", ["yes", "cat /dev/zero", "yes >&2"])
def test_a_program_that_writes_more_than_memory_holds_is_killed(
    tmp_path: Path, script: str
) -> None:
    with pytest.raises(ProgramError, match=r"^program: wrote more than the 4 MiB .* was killed"):
        warm.call(_TIMEOUT, _flooded, tmp_path, script)


def test_an_exit_status_is_told(tmp_path: Path) -> None:
    assert warm.call(_TIMEOUT, _run, tmp_path, *shell("exit 7"))[0] == 7


def test_a_program_runs_in_the_node_not_in_the_sandbox(tmp_path: Path) -> None:
    namespaces = "readlink /proc/self/ns/net /proc/1/ns/net"
    _, (node, ours), _ = warm.call(_TIMEOUT, _run, tmp_path, *shell(namespaces))
    assert node.startswith("net:[")
    assert node != ours


def test_a_program_that_does_not_exist_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="program: there is no program no-such-thing here"):
        warm.call(_TIMEOUT, _run, tmp_path, "no-such-thing")


def _wait_for_line(directory: Path, script: str, pattern: str, timeout: float) -> str:
    with _Node(directory) as (node, programs):
        program = programs.start("program", shell(script), node)
        return program.wait_for_line(pattern, timeout=timeout)[1]


def test_a_ready_line_is_awaited(tmp_path: Path) -> None:
    script = "echo not yet; echo ready on port 53 >&2; sleep 100"
    found = warm.call(_TIMEOUT, _wait_for_line, tmp_path, script, r"port (\d+)", 20)
    assert found == "53"


def test_an_early_end_is_told_with_the_last_lines(tmp_path: Path) -> None:
    script = "echo cannot open the door >&2; exit 3"
    with pytest.raises(ProgramError) as caught:
        warm.call(_TIMEOUT, _wait_for_line, tmp_path, script, "ready", 20)
    assert str(caught.value) == (
        "program: ended with exit status 3 before a line like 'ready'; its last lines:"
        "\n  cannot open the door"
    )


def test_a_line_that_does_not_come_in_time_is_told(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"waited 0\.3 s in vain for a line like 'ready'"):
        warm.call(_TIMEOUT, _wait_for_line, tmp_path, "sleep 100", "ready", 0.3)


class _BrokenError(BaseException):
    """Not even an `Exception`."""


def _read_by_a_thread_that_breaks(directory: Path, wait: str) -> str:
    has_read = threading.Event()

    def tell(_line: Line) -> None:
        has_read.set()
        raise _BrokenError("of this test's making")

    try:
        with _Node(directory) as (node, programs):
            program = programs.start(
                "program", shell("echo word; exec sleep 1000"), node, tell=tell
            )
            if wait == "end":
                program.wait(timeout=1000)
            elif wait == "line":
                program.wait_for_line("more", timeout=1000)
            elif wait == "terminate":
                program.wait_until(lambda: program.exit_status is not None, "", timeout=1000)
                assert program.terminate() == -signal.SIGKILL
            else:
                has_read.wait()
    except ProgramError as error:
        return str(error)
    return "nobody was told"


@pytest.mark.parametrize("wait", ["end", "line", "terminate", "nobody"])
def test_a_reader_that_breaks_ends_the_program_and_every_wait_for_it(
    wait: str, tmp_path: Path
) -> None:
    told = warm.call(_TIMEOUT, _read_by_a_thread_that_breaks, tmp_path, wait)
    assert told == (
        "program: the lab failed to read its output (_BrokenError: of this test's making);"
        " it was killed; its last lines:\n  word"
    )
    assert (tmp_path / "program.stdout").read_bytes() == b"word\n"


def _bound(directory: Path) -> tuple[bool, bool]:
    code = (
        "import socket, time; u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "u.bind(('127.0.0.1', 5300)); t = socket.create_server(('127.0.0.1', 5301)); time.sleep(99)"
    )
    with _Node(directory) as (node, programs):
        program = programs.start("program", (sys.executable, "-c", code), node)
        program.wait_until_bound("udp", 5300, timeout=20)
        program.wait_until_bound("tcp", 5301, timeout=20)
        return _is_refused(program, "tcp", 5300), _is_refused(program, "udp", 5301)


def _is_refused(program: Program, protocol: str, port: int) -> bool:
    try:
        program.wait_until_bound(protocol, port, timeout=0.1)  # type: ignore[arg-type]
    except ProgramError:
        return True
    return False


def test_a_bound_port_is_awaited_by_protocol(tmp_path: Path) -> None:
    assert warm.call(_TIMEOUT, _bound, tmp_path) == (True, True)


def _leave_running(directory: Path) -> list[int | None]:
    stubborn = shell("trap '' TERM; echo ready; while :; do sleep 0.1; done")
    with _Node(directory) as (node, programs):
        obedient = programs.start("obedient", ("sleep", "100"), node)
        last = programs.start("stubborn", stubborn, node)
        last.wait_for_line("ready", timeout=20)
        last.terminate(grace=0.2)
        statuses = [obedient.exit_status]
    return [*statuses, obedient.exit_status, last.exit_status]


def test_leaving_the_block_ends_every_program_even_a_stubborn_one(tmp_path: Path) -> None:
    assert warm.call(_TIMEOUT, _leave_running, tmp_path) == [
        None,
        -signal.SIGTERM,
        -signal.SIGKILL,
    ]


def _timestamps(directory: Path) -> tuple[float, list[float], float]:
    with _Node(directory) as (node, programs):
        before = time.time()
        script = shell("echo a; read line; echo b")
        program = programs.start("program", script, node, interactive=True)
        program.wait_for_line("a", timeout=10)
        program.send("go on\n")
        program.wait(timeout=10)
        return before, [line.at for line in program.lines()], time.time()


def test_lines_carry_the_time_at_which_they_came(tmp_path: Path) -> None:
    before, (first, second), after = warm.call(_TIMEOUT, _timestamps, tmp_path)
    assert before <= first < second <= after


def _talk(directory: Path) -> tuple[str, str, int]:
    with _Node(directory) as (node, programs):
        told: list[str] = []
        program = programs.start(
            "program", ("cat",), node, interactive=True, tell=lambda line: told.append(line.text)
        )
        program.send("one\ntwo\n")
        heard = program.wait_for_line("two", timeout=20)[0]
        program.close_stdin()
        status = program.wait(timeout=20)
        return heard, " ".join(told), status


def test_an_interactive_program_hears_what_it_is_sent(tmp_path: Path) -> None:
    assert warm.call(_TIMEOUT, _talk, tmp_path) == ("two", "one two", 0)


def _send_without_stdin(directory: Path) -> None:
    with _Node(directory) as (node, programs):
        programs.start("program", ("sleep", "9"), node).send("hello")


def test_a_program_that_is_not_interactive_cannot_be_sent_anything(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="program: has no stdin: start it interactive"):
        warm.call(_TIMEOUT, _send_without_stdin, tmp_path)


def _send_to_the_dead(directory: Path) -> None:
    with _Node(directory) as (node, programs):
        program = programs.start("program", ("true",), node, interactive=True)
        program.wait(timeout=20)
        program.send("hello")


def test_sending_to_a_program_that_has_ended_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="program: cannot write to it: Broken pipe"):
        warm.call(_TIMEOUT, _send_to_the_dead, tmp_path)


def _on_a_full_disk(directory: Path, room: str, script: str) -> None:
    """In a file system of `room` octets, which the sandbox mounts for itself alone."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={room},nr_inodes=4", "tmpfs", str(directory)]
    subprocess.run(mount, check=True)
    with _Node(directory) as (node, programs):
        programs.start("program", shell(script), node).wait(timeout=20)


def test_output_that_the_disk_has_no_room_for_ends_the_program(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="program: cannot keep its stdout: No space left on dev"):
        warm.call(_TIMEOUT, _on_a_full_disk, tmp_path, "64k", "while :; do echo more; done")


def _wait_for_another(directory: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)]
    subprocess.run(mount, check=True)
    with _Node(directory) as (node, programs):
        writer = programs.start("writer", shell("while :; do echo more; done"), node)
        waiting = programs.start("waiting", shell("sleep 1000"), node)
        with pytest.raises(ProgramError):
            writer.wait(timeout=20)
        waiting.wait_for_line("from the writer", timeout=0.01)


def test_the_error_is_that_of_the_program_that_was_killed_for_want_of_room(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match="writer: cannot keep its stdout: No space left on dev"):
        warm.call(_TIMEOUT, _wait_for_another, tmp_path)


def test_a_directory_that_is_not_there_is_told_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(
        ProgramError, match=r"cannot keep its output in .*/gone/program\.stdout: No such"
    ):
        warm.call(_TIMEOUT, _run, tmp_path / "gone", "true")


def _children_after_terminating(directory: Path) -> list[bool]:
    with _Node(directory) as (node, programs):
        program = programs.start("program", shell("sleep 77 & echo $!; wait"), node)
        child = Path("/proc", program.wait_for_line(r"\d+", timeout=20)[0], "stat")
        seen = [child.exists()]
        program.terminate()
        deadline = time.monotonic() + 20
        while child.exists() and " Z " not in child.read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        return [*seen, child.exists() and " Z " not in child.read_text()]


def test_a_program_is_terminated_with_its_children(tmp_path: Path) -> None:
    assert warm.call(_TIMEOUT, _children_after_terminating, tmp_path) == [True, False]


_ERR_THEN_OUT = (
    "import os, sys, time\n"
    "for n in range(200):\n"
    "    os.write(2, b'before %d\\n' % n); os.write(1, b'now %d\\n' % n); time.sleep(0.003)\n"
)


def _lines_at_each_match(directory: Path) -> list[list[str]]:
    with _Node(directory) as (node, programs):
        program = programs.start("program", [sys.executable, "-c", _ERR_THEN_OUT], node)
        seen = []
        for number in range(200):
            program.wait_for_line(f"^now {number}$", timeout=20, stream="stdout")
            seen.append([line.text for line in program.lines("stderr")])
        return seen


def test_what_was_written_before_a_line_that_was_awaited_is_among_the_lines(tmp_path: Path) -> None:
    for number, lines in enumerate(warm.call(_TIMEOUT, _lines_at_each_match, tmp_path)):
        assert lines[: number + 1] == [f"before {n}" for n in range(number + 1)]
