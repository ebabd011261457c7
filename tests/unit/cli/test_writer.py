"""Lines to a pipe that nobody reads: nobody waits, the newest are dropped, and how many is told."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from nat_traversal.cli.writer import LineWriter

DEADLINE = 10.0


class Pipe:
    """A pipe of one page, and a writer to it."""

    def __init__(self, **limits: Any) -> None:
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, 4096)
        self.errors: list[OSError] = []
        self.failed = threading.Event()
        self.writer = LineWriter(
            self.writing,
            dropped_line=lambda count: f"dropped {count}",
            failed=self._failed,
            **limits,
        )

    def _failed(self, error: OSError) -> None:
        self.errors.append(error)
        self.failed.set()

    def read_until(self, end: bytes) -> bytes:
        got = b""
        while not got.endswith(end):
            got += os.read(self.reading, 65_536)
        return got

    def close(self) -> None:
        os.set_blocking(self.reading, False)
        while not self.writer.finish(0.01):
            os.read(self.reading, 65_536)
        for end in (self.reading, self.writing):
            if end >= 0:
                os.close(end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe(most=20_000)
    yield made
    made.close()


def test_lines_go_out_whole_and_in_order(pipe: Pipe) -> None:
    lines = [f"line {number}" for number in range(300)]
    for line in lines:
        pipe.writer.put(line)
    assert pipe.read_until(b"line 299\n").decode().splitlines() == lines
    assert pipe.writer.finish(DEADLINE)
    assert pipe.writer.dropped == 0


def test_a_reader_that_does_not_read_is_waited_for_by_nobody(pipe: Pipe) -> None:
    for number in range(1000):
        pipe.writer.put(f"{number:>99}")
    assert not pipe.writer.finish(0.0)
    assert 700 <= pipe.writer.dropped <= 800, "20,000 octets wait, and what the pipe took"
    read, dropped = list[int](), 0
    while len(read) + dropped < 1000:
        for line in pipe.read_until(b"\n").decode().splitlines():
            if line.startswith("dropped"):
                dropped += int(line.split()[1])
            else:
                read.append(int(line))
    assert read == sorted(read)
    assert read[:199] == list(range(199)), "the oldest are kept"
    assert dropped == pipe.writer.dropped
    assert pipe.writer.finish(DEADLINE), (
        "what was read counts as waiting until the writer has looked"
    )
    pipe.writer.put("after")
    assert pipe.read_until(b"after\n") == b"after\n"


def test_lines_dropped_behind_the_last_one_are_told_without_another(pipe: Pipe) -> None:
    pipe.writer.put("x" * 19_990)
    first = os.read(pipe.reading, 1)  # the line is on its way, and still counts as waiting
    for _ in range(5):
        pipe.writer.put("y" * 99)
    assert pipe.writer.dropped == 5
    assert first + pipe.read_until(b"dropped 5\n") == b"x" * 19_990 + b"\ndropped 5\n"


def test_an_end_with_lines_that_nobody_reads_takes_no_longer_than_asked(pipe: Pipe) -> None:
    for _ in range(100):
        pipe.writer.put("x" * 99)
    assert not pipe.writer.finish(0.01)


def test_a_reader_that_has_gone_is_told_once(pipe: Pipe) -> None:
    os.close(pipe.reading)
    pipe.reading = -1
    pipe.writer.put("one")
    assert pipe.failed.wait(DEADLINE)
    pipe.writer.put("two")
    assert pipe.writer.finish(DEADLINE), "nothing waits"
    assert [error.errno for error in pipe.errors] == [errno.EPIPE]
    pipe.reading = os.open(os.devnull, os.O_RDONLY)


def test_a_thread_that_rests_between_many_lines_goes_on_at_once_for_who_ends() -> None:
    pipe = Pipe(wakes=0, rest=1000.0)
    pipe.writer.put("first")
    assert pipe.read_until(b"first\n") == b"first\n"
    pipe.writer.put("while it rests")
    pipe.writer.put("last")
    assert pipe.writer.finish(DEADLINE)
    assert pipe.read_until(b"last\n") == b"while it rests\nlast\n"
    pipe.close()
