"""The sandbox's half of `natlab.testbed.api`: one network, its programs and its capture, call after call.

Every function here is called through `natlab.sandbox.sandbox.Sandbox`, after `build`. The network itself needs
no end: the kernel takes it down with the sandbox.
"""

# ruff: noqa: PLC0415 - the caller's process imports this module for its names, not for Mininet

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from nat_traversal.errors import NatTraversalError
from natlab.capture.packet import Packet
from natlab.errors import LabError, NetworkError, ProgramError
from natlab.evidence.fates import Fates
from natlab.evidence.hops import Scene
from natlab.faults.grammar import Fault, FaultsTold, Injected, Scheduled
from natlab.links.conditions import DEFAULT_LINKS, LinkConditions
from natlab.nat.ruleset import Firewall
from natlab.network.addressing import Role
from natlab.programs.program import Line, Program, Stream
from natlab.sandbox.netns import in_namespace
from natlab.sandbox.streams import lost_output
from natlab.sandbox.threads import in_words
from natlab.testbed.files import CAPTURE_FILE

if TYPE_CHECKING:
    from natlab.evidence.result import CellResult
    from natlab.faults.inject import Faults
    from natlab.faults.schedule import Schedule
    from natlab.network.network import Network
    from natlab.testbed.bed import Bed
    from natlab.testbed.program_file import ProgramFile

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Facts:
    """A description of the standing network, for the caller."""

    environment: Mapping[str, Mapping[str, str]]
    """The ``LAB_`` variables of each node."""
    roles: Mapping[str, Role]
    nats: Mapping[str, str]
    """The preset of each NAT."""
    rules: Mapping[str, str]
    """The rules loaded into each NAT."""
    scene: Scene


@dataclass(slots=True)
class _Lab:
    stack: ExitStack
    """Never left: what is in it ends with the sandbox."""
    bed: Bed
    directory: Path
    links: LinkConditions
    faults: Faults
    schedules: list[Schedule] = field(default_factory=list)
    lost: LabError | None = None
    """Why the capture is no evidence."""

    @property
    def network(self) -> Network:
        return self.bed.network


_labs: list[_Lab] = []


def build(
    topology: str,
    directory: Path,
    conditions: LinkConditions = DEFAULT_LINKS,
    firewall: Firewall = Firewall.NFTABLES,
) -> Facts:
    """Make the network of `topology` (`natlab.network.loading.load`), probe its NATs, start to capture.

    `firewall` loads the NATs' rules. `conditions` apply to the links between NATs and what is outside them. `directory` gets the rules,
    the probes, and the mechanism of the conditions. Raises `UsageError` for an unknown topology, `NetworkError`, `NatMismatchError`, and `LabError` if
    `directory` cannot be written.
    """
    from natlab.faults.inject import Faults
    from natlab.network.base import made_by
    from natlab.network.loading import load
    from natlab.testbed.bed import bed
    from natlab.testbed.environment import environment, scene

    stack = ExitStack()
    entered = bed(
        made_by(load(topology), firewall),
        directory,
        lambda network: scene(network).points,
        conditions,
        keep=lambda name, text: _write(directory / name, text),
        places=True,
    )
    stands = stack.enter_context(entered)
    network = stands.network
    _labs.append(_Lab(stack, stands, directory, conditions, Faults(network, stands.programs)))
    return Facts(
        environment(network, directory),
        {name: network.node(name).role for name in network.names},
        {name: network.nat(name).preset.name for name in network.with_role(Role.NAT)},
        stands.rules,
        scene(network),
    )


def start(
    name: str,
    node: str,
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    interactive: bool,
    tell: bool,
) -> None:
    """`Programs.start`. With `tell` every line is printed too, after the name, as plain text on a terminal."""
    lab = _lab()
    lab.bed.programs.start(
        name,
        argv,
        lab.network.pid(node),
        environment=environment,
        interactive=interactive,
        tell=_teller(name) if tell else None,
    )


def wait_for_line(name: str, pattern: str, timeout: float, stream: Stream | None) -> str:
    """The line that `Program.wait_for_line` found."""
    return _program(name).wait_for_line(pattern, timeout=timeout, stream=stream).string


def wait_until_bound(name: str, protocol: Literal["udp", "tcp"], port: int, timeout: float) -> None:
    """`Program.wait_until_bound`."""
    _program(name).wait_until_bound(protocol, port, timeout=timeout)


def wait_for_end(name: str, timeout: float) -> int:
    """`Program.wait`."""
    return _program(name).wait(timeout=timeout)


def status_within(name: str, timeout: float) -> int | None:
    """The exit status, or None if it, or what a fault has started in its place, still runs after
    `timeout` seconds."""
    program = _program(name)
    try:
        status = program.wait(timeout=timeout)
    except ProgramError:
        if program.exit_status is None:
            return None
        raise
    return status if _program(name) is program else None


def exit_status(name: str) -> int | None:
    """`Program.exit_status`."""
    return _program(name).exit_status


def lines(name: str, stream: Stream | None) -> list[Line]:
    """`Program.lines`."""
    return _program(name).lines(stream)


def send(name: str, text: str) -> None:
    """`Program.send`."""
    _program(name).send(text)


def close_stdin(name: str) -> None:
    """`Program.close_stdin`."""
    _program(name).close_stdin()


def send_signal(name: str, number: int) -> None:
    """`Program.signal`."""
    _program(name).signal(number)


def terminate(name: str) -> int:
    """`Program.terminate`."""
    return _program(name).terminate()


def call_on(
    node: str, function: Callable[..., T], args: Sequence[object], kwargs: Mapping[str, object]
) -> T:
    """`function` called in the network namespace of `node`."""
    with in_namespace(_lab().network.pid(node)):
        return function(*args, **kwargs)


def forget(nat: str) -> None:
    """`Network.forget`."""
    _lab().network.forget(nat)


def check_faults(faults: Sequence[Scheduled]) -> None:
    """Raises `UsageError` if one names a node or interface that is not there."""
    for each in faults:
        _lab().faults.check(each.fault)


def begin_faults(faults: Sequence[Scheduled]) -> None:
    """Inject `faults` when they are due, beginning now (`natlab.faults.schedule`)."""
    from natlab.faults.schedule import Schedule

    lab = _lab()
    lab.schedules.append(Schedule(lab.faults, faults).__enter__())


def end_faults() -> FaultsTold:
    """Inject no more; tell what came of those that were begun."""
    schedules, _lab().schedules = _lab().schedules, []
    errors = tuple(
        str(error) if isinstance(error, LabError | NatTraversalError) else in_words(error)
        for schedule in schedules
        for error in schedule.stop()
    )
    injected = tuple(each for schedule in schedules for each in schedule.injected)
    missed = tuple(each for schedule in schedules for each in schedule.missed)
    return FaultsTold(injected, missed, errors)


def faults_failed() -> bool:
    """Whether one of those that were begun could not be."""
    return any(schedule.failed for schedule in _lab().schedules)


def inject(fault: Fault) -> Injected:
    """Make `fault` happen now."""
    return _lab().faults.inject(fault)


def end_programs() -> None:
    """End those that still run, the last first."""
    _lab().bed.programs.__exit__()


def check_links() -> None:
    """Raises `NetworkError` if the links were not what was asked for."""
    untruths = _lab().bed.untruths()
    if untruths:
        raise NetworkError(f"the links did not keep their conditions: {'; '.join(untruths)}")


def require_links() -> None:
    """Raises `NetworkError` if what carries the links has broken."""
    _lab().bed.untruths()


def stop_capture() -> None:
    """Stop the capture and write it to the lab's directory. A second call does nothing.

    Raises `CaptureError` if frames were lost, `LabError` if there is no room for it.
    """
    from natlab.testbed.environment import scene

    lab = _lab()
    path = lab.directory / CAPTURE_FILE
    if lab.lost is not None:
        raise lab.lost
    if path.exists():
        return
    lab.bed.let_arrive()
    try:
        lab.bed.capture.stop()
        fates = Fates(lab.bed.capture.packets, scene(lab.network))
        lab.bed.capture.write(path, fates.comments())
    except LabError as error:
        lab.lost = error
        raise


def play(file: ProgramFile, nat_a: str, nat_b: str) -> CellResult:
    """Run the programs of `file` here, end them and the capture, and judge."""
    from natlab.testbed.conduct import conduct
    from natlab.testbed.judged import judged, keep_files

    lab = _lab()
    links = lab.links
    told = conduct(
        lab.bed, file, lab.directory, lambda _: None, patience=links.patience, seed=links.seed
    )
    end_programs()
    keep_files(lab.bed, file, lab.directory)
    stop_capture()
    return judged(lab.bed, file.case(nat_a, nat_b), file, told, pcap=CAPTURE_FILE)


def packets() -> tuple[Packet, ...]:
    """All that was captured. The capture has to be stopped before."""
    return _lab().bed.capture.packets


def output_lost() -> str | None:
    """`natlab.sandbox.streams.lost_output`, of what programs said."""
    return lost_output()


def prompt() -> None:
    """Mininet's own command line, until the user leaves it."""
    _lab().network.prompt()


def _lab() -> _Lab:
    if not _labs:
        raise LabError("no lab stands in this sandbox: build one first")
    return _labs[-1]


def _program(name: str) -> Program:
    return _lab().faults.program(name)


def _teller(name: str) -> Callable[[Line], None]:
    streams = {"stdout": sys.stdout, "stderr": sys.stderr}

    def tell(line: Line) -> None:
        stream = streams[line.stream]
        text = _plain(line.text) if stream.isatty() else line.text
        print(f"{name} | {text}", file=stream, flush=True)

    return tell


def _plain(text: str) -> str:
    """Nothing in it moves a terminal's cursor, begins a line or sets a title."""
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each == "\t" else each.encode("unicode_escape").decode()
        for each in text
    )


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LabError(f"cannot write {path}: {error.strerror}") from None
