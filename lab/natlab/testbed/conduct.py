"""A program file's programs on a standing lab: start them in their order, watch for success, end them.

To be used inside a sandbox. Only the programs' success comes from here; by which way they reached each
other is told by the packets (`natlab.evidence.program`).
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from nat_traversal.errors import UsageError
from natlab.evidence.way import Probe
from natlab.faults.grammar import FaultsTold
from natlab.faults.inject import Faults
from natlab.faults.schedule import Schedule
from natlab.network.network import Network
from natlab.programs.command_line import command_words, fill
from natlab.programs.program import Program
from natlab.programs.readiness import bound_port
from natlab.testbed.bed import Bed
from natlab.testbed.environment import environment
from natlab.testbed.exchange import Exchange
from natlab.testbed.program_file import ByExchange, ByExit, ByLine, ProgramFile, Start

Say = Callable[[str], None]
_POLL = 0.02
_CALM = 1.0
_ANSWERS = 3
"""Probes that have to come back until an exchange counts."""


@dataclass(frozen=True, slots=True)
class Conducted:
    """How it went. Times in seconds since 1970."""

    succeeded: bool
    why: str
    """The sign of it, or of what did not come; one line."""
    over: float
    """When the lab began to end the programs: what they sent later is farewell."""
    probes: tuple[Probe, ...] = ()
    faults: FaultsTold = field(default_factory=lambda: FaultsTold((), (), ()))
    said: Mapping[str, str] | None = None
    """Program to its command and words, for people."""
    quiet: tuple[float, float] | None = None
    """From when to when the lab said nothing."""


def conduct(
    bed: Bed, file: ProgramFile, directory: Path, say: Say, *, patience: float = 0.0, seed: int = 0
) -> Conducted:
    """Run the programs of `file` on `bed` to their success or failure, and leave them running.

    `patience` is how many seconds longer than the file says they may take on these links. Raises
    `ProgramError` where a program is not there or not ready in time, `UsageError` for a node that is not.
    """
    return _Conductor(bed, file, directory, say, patience=patience, seed=seed).run()


class _Conductor:
    def __init__(
        self,
        bed: Bed,
        file: ProgramFile,
        directory: Path,
        say: Say,
        *,
        patience: float,
        seed: int,
    ) -> None:
        self._bed, self._file, self._say = bed, file, say
        self._patience, self._seed = patience, seed
        own = {
            "LAB_PROGRAM_DIR": str(Path(file.directory).resolve()),
            "LAB_PYTHON": sys.executable,
        }
        self._variables = {
            node: {**found, **own} for node, found in environment(bed.network, directory).items()
        }
        self._started: dict[str, Program] = {}
        self._exchange: Exchange | None = None

    def run(self) -> Conducted:
        with ExitStack() as stack:
            for each in self._file.starts:
                self._node(each.node)
            faults = Schedule(Faults(self._bed.network, self._bed.programs), self._file.faults)
            self._start_all()
            self._exchange = self._open_exchange(stack)
            faults.__enter__()
            quiet = None
            try:
                succeeded, why = self._await_success()
                if succeeded and self._file.faults:
                    succeeded, why = self._outlive(faults, why)
                if succeeded:
                    self._work(self._file.settle)
                    quiet = self._rest()
            finally:
                errors = tuple(map(str, faults.stop()))
            over = time.time()
            return Conducted(
                succeeded,
                why,
                over,
                self._exchange.probes if self._exchange else (),
                FaultsTold(faults.injected, faults.missed, errors),
                {name: _transcript(program) for name, program in self._started.items()},
                quiet,
            )

    def _node(self, name: str) -> Mapping[str, str]:
        if name not in self._variables:
            nodes = ", ".join(self._variables)
            raise UsageError(
                f"there is no node {name!r} in {self._file.topology}: choose from {nodes}"
            )
        return self._variables[name]

    def _start_all(self) -> None:
        """The servers and those that say when they are ready, each once the one before is; then the others."""
        for each in self._file.servers:
            self._start(each)
            self._await_ready(each)
        for each in sorted(self._file.peers, key=lambda each: each.ready is None):
            self._start(each)
            self._await_ready(each)
        self._say(f"started: {', '.join(self._started)}")

    def _start(self, start: Start) -> None:
        variables = self._node(start.node)
        words = command_words(start.command, variables)
        extra = {name: fill(text, variables) for name, text in start.environment.items()}
        self._started[start.name] = self._bed.programs.start(
            start.name,
            words,
            self._bed.network.pid(start.node),
            environment={**variables, **extra},
        )

    def _await_ready(self, start: Start) -> None:
        if start.ready is None:
            return
        program, timeout = self._started[start.name], start.ready_within + self._patience
        if port := bound_port(start.ready):
            program.wait_until_bound(port.protocol, port.number, timeout=timeout)
        else:
            program.wait_for_line(start.ready, timeout=timeout)

    def _open_exchange(self, stack: ExitStack) -> Exchange | None:
        how = self._file.success
        if not isinstance(how, ByExchange):
            return None
        network: Network = self._bed.network
        to = _endpoint(how.to, self._node(how.sender))
        listen = _endpoint(how.listen, self._node(how.receiver))
        pids = network.pid(how.sender), network.pid(how.receiver)
        return stack.enter_context(Exchange(pids[0], to, pids[1], listen, self._seed))

    def _work(self, seconds: float) -> None:
        if self._exchange is not None:
            self._exchange.work(seconds)
        else:
            time.sleep(seconds)

    def _rest(self) -> tuple[float, float] | None:
        if not self._file.idle:
            return None
        self._work(_CALM)  # the last answers come
        begin = time.time()
        time.sleep(self._file.idle)
        return begin, time.time()

    def _await_success(self) -> tuple[bool, str]:
        within = self._file.within + self._patience
        deadline = time.monotonic() + within
        judge = self._judge()
        while (verdict := judge()) is None:
            if time.monotonic() > deadline:
                return False, f"{self._awaited} did not come within {within:g} s"
            self._work(_POLL)
        self._say(verdict[1])
        return verdict

    @property
    def _awaited(self) -> str:
        match self._file.success:
            case ByLine(pattern=pattern):
                return f"a line like {pattern!r} of {' and '.join(self._file.judged)}"
            case ByExit(status=status):
                return f"exit status {status} of {' and '.join(self._file.judged)}"
            case ByExchange():
                return "an answer to the lab's datagrams"

    def _judge(self) -> Callable[[], tuple[bool, str] | None]:
        judged = [self._started[name] for name in self._file.judged]
        match self._file.success:
            case ByLine() as how:
                return lambda: _by_line(how, judged)
            case ByExit(status=status):
                return lambda: _by_exit(status, judged)
            case ByExchange(failure=failure):
                return lambda: self._by_exchange(failure, judged)

    def _by_exchange(
        self, failure: str | None, peers: Iterable[Program]
    ) -> tuple[bool, str] | None:
        assert self._exchange is not None
        if self._exchange.answered_since(0) >= _ANSWERS:
            return True, "the lab's datagrams are answered"
        for peer in peers:
            if (said := _said(peer, failure)) is not None:
                return False, f"{peer.name} said: {said}"
            if peer.exit_status:
                return False, f"{peer.name} ended with exit status {peer.exit_status}"
        return None

    def _outlive(self, faults: Schedule, why: str) -> tuple[bool, str]:
        """Wait until all faults have happened, and until the exchange works again after the last."""
        within = self._file.within + self._patience
        deadline = time.monotonic() + within
        while faults.missed and not faults.failed:
            if time.monotonic() > deadline:
                return True, why  # it is told among the faults
            self._work(_POLL)
        if self._exchange is None or faults.failed:
            return True, why
        last = faults.injected[-1].at
        deadline = time.monotonic() + within
        while self._exchange.answered_since(last) < _ANSWERS:
            if time.monotonic() > deadline:
                return False, f"nothing was answered for {within:g} s after the last fault"
            self._work(_POLL)
        return True, why


def _by_line(how: ByLine, judged: Iterable[Program]) -> tuple[bool, str] | None:
    missing = False
    for program in judged:
        ended = program.exit_status is not None  # asked first: its last lines are there then
        texts = [line.text for line in program.lines()]
        if any(re.search(how.pattern, text) for text in texts):
            continue
        missing = True
        if (said := _said(program, how.failure)) is not None:
            return False, f"{program.name} said: {said}"
        if ended:
            status = program.exit_status
            return (
                False,
                f"{program.name} ended with exit status {status}, without a line like {how.pattern!r}",
            )
    return None if missing else (True, f"each said a line like {how.pattern!r}")


def _said(program: Program, pattern: str | None) -> str | None:
    """The first line like `pattern`."""
    if pattern is None:
        return None
    texts = (line.text for line in program.lines())
    return next((text for text in texts if re.search(pattern, text)), None)


def _by_exit(wanted: int, judged: Iterable[Program]) -> tuple[bool, str] | None:
    statuses = {program.name: program.exit_status for program in judged}
    for name, status in statuses.items():
        if status not in {None, wanted}:
            return False, f"{name} ended with exit status {status}, not {wanted}"
    return None if None in statuses.values() else (True, f"each ended with exit status {wanted}")


def _endpoint(text: str, variables: Mapping[str, str]) -> tuple[str, int]:
    host, _, port = fill(text, variables).rpartition(":")
    if not port.isdecimal():
        raise UsageError(f"{text!r} names no port here: give ADDRESS:PORT")
    return host.strip("[]"), int(port)


def _transcript(program: Program) -> str:
    words = [" ".join(program.argv), f"exit status: {program.exit_status}"]
    shown = [line.text for line in program.lines()]
    if len(shown) > _MOST_LINES:
        shown = [
            *shown[:_MOST_LINES],
            f"... and {len(shown) - _MOST_LINES} lines more, in its files",
        ]
    return "\n".join([*words, *shown])


_MOST_LINES = 200
