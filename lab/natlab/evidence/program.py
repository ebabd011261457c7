"""The result of a cell in which any program ran: its path, and what that cost, by the packets alone. Pure.

A program's own success is defined in its program file. The captures tell whether a path was there, which, and
since when. The model says beside it what can be at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from natlab.capture.packet import Packet
from natlab.evidence.category import Category
from natlab.evidence.check import LINKS_KEPT, Check
from natlab.evidence.entries import entries_made
from natlab.evidence.fates import Fates
from natlab.evidence.hops import Scene
from natlab.evidence.journey import HOMES
from natlab.evidence.records import records_of
from natlab.evidence.result import Beside, CellResult, begun
from natlab.evidence.times import COUNTED, both_began, milliseconds
from natlab.evidence.way import Kind, PathFound, Probe, path_between, path_of_probes
from natlab.oracle.outcome import Outcome
from natlab.oracle.possible import path_can_open
from natlab.presets import preset

FAULTS_HAPPENED = "the faults happened"


class Expectation(StrEnum):
    """Which cells of a program are good."""

    ANYTHING = "anything"
    """Each that could be judged."""
    POSSIBLE = "possible"
    """Those that connect, and those where the model says that no path can open."""
    ALWAYS = "always"
    """Only those that connect."""


@dataclass(frozen=True, slots=True)
class ProgramCase:
    """A pair of NATs, and the program that is to meet across them."""

    program: str
    nat_a: str
    nat_b: str
    topology: str
    between: tuple[str, str]
    is_a_pair: bool
    """Whether the model knows the network: two hosts, each behind one NAT."""
    expect: Expectation = Expectation.ANYTHING

    @property
    def predicted(self) -> Outcome | None:
        """Whether any path can open, whatever the program; None: the model does not know the network."""
        if not self.is_a_pair:
            return None
        can = path_can_open(self.nat_a, self.nat_b)
        return Outcome.CONNECTED if can else Outcome.FAILED


@dataclass(frozen=True, slots=True)
class Word:
    """The lab's view of the programs beside their packets. Times in seconds since 1970."""

    succeeded: bool
    why: str
    over: float
    """Packets from here on are the programs' farewell."""
    probes: Sequence[Probe] = ()
    payload: str | None = None
    """A regular expression for octets of payload."""
    is_exchange: bool = False
    last_fault: float | None = None
    quiet: tuple[float, float] | None = None
    """From when to when the lab said nothing."""


def broken_program(case: ProgramCase, error: str, seconds: float | None = None) -> CellResult:
    """The result of a cell that could not be run to its end. `error` says why."""
    return replace(begun(case, seconds), program=case.program, error=error)


def conclude_program(
    case: ProgramCase,
    packets: Sequence[Packet],
    scene: Scene,
    word: Word,
    beside: Beside,
    *,
    seconds: float | None = None,
) -> CellResult:
    """The result of a cell that ran. `packets` are all that were captured, in order of time."""
    before = [packet for packet in packets if packet.time < word.over]
    fates = Fates(before, scene)
    path = _path(case, fates, word)
    zero = both_began(before, scene, case.between)
    shown = path.kind if word.succeeded else Kind.NONE
    observed = Outcome.FAILED if shown is Kind.NONE else Outcome.CONNECTED
    first = path.first if word.succeeded else None
    spent = list(_sent_until(before, scene, case.between, first))
    reason = _reason(word, path, fates.drops())
    checks = (_agrees(word, path), *_expected(case, observed, reason), *beside.checks)
    return replace(
        begun(case, seconds, beside),
        observed=observed,
        connect_ms=milliseconds(first, zero),
        cause=_cause(word, path, fates),
        reason=reason,
        explanation=fates.in_words,
        packets=records_of(fates, scene, min((packet.time for packet in before), default=0.0)),
        checks=checks,
        category=_category(case.predicted, shown, checks),
        program=case.program,
        path=str(shown),
        through=path.through if shown is Kind.RELAYED else None,
        endpoints=path.endpoints if shown is Kind.DIRECT else (),
        first_datagram_ms=milliseconds(first, zero),
        final_path_ms=milliseconds(path.since if word.succeeded else None, zero),
        sent_packets=len(spent),
        sent_octets=sum(spent),
        entries=_entries(case, fates, scene),
        recovery_ms=_recovery(word),
        idle_packets=_idle(before, scene, case.between, word.quiet),
    )


def _path(case: ProgramCase, fates: Fates, word: Word) -> PathFound:
    if word.is_exchange:
        return path_of_probes(fates, word.probes, *case.between)
    return path_between(fates, *case.between, word.payload)


def _sent_until(
    packets: Sequence[Packet], scene: Scene, hosts: tuple[str, str], until: float | None
) -> Iterator[int]:
    """The octets above UDP or TCP of each packet that the hosts sent before the first payload, or at all."""
    for packet in packets:
        if until is not None and packet.time > until:
            return
        if packet.outgoing and scene.points[packet.point] in hosts and packet.protocol in COUNTED:
            yield len(packet.payload)


def _idle(
    packets: Sequence[Packet],
    scene: Scene,
    hosts: tuple[str, str],
    quiet: tuple[float, float] | None,
) -> float | None:
    """The packets that both hosts sent in the quiet time, UDP and TCP, a minute."""
    if quiet is None:
        return None
    begin, end = quiet
    inside = [packet for packet in packets if begin <= packet.time < end]
    count = sum(1 for _ in _sent_until(inside, scene, hosts, None))
    return round(count * 60 / (end - begin), 1)


def _entries(case: ProgramCase, fates: Fates, scene: Scene) -> Mapping[str, int]:
    public = {
        home.nat
        for home, name in zip(HOMES, (case.nat_a, case.nat_b), strict=True)
        if case.is_a_pair and preset(name).behavior is None
    }
    made = entries_made(fates, scene)
    return {nat: 0 if nat in public else count for nat, count in made.items()}


def _agrees(word: Word, path: PathFound) -> Check:
    """A program that says that it succeeded has to have sent something that came there."""
    name = "the packets show what the program says"
    if word.succeeded and path.kind is Kind.NONE:
        return Check(name, False, f"{word.why}, but no datagrams went both ways between the hosts")
    if not word.succeeded and path.kind is not Kind.NONE:
        return Check(name, True, f"{word.why}; datagrams went both ways all the same, {path}")
    return Check(name, True, f"{word.why}; the path is {path}" if word.succeeded else word.why)


def _expected(case: ProgramCase, observed: Outcome, reason: str) -> Iterator[Check]:
    connected = observed is Outcome.CONNECTED
    match case.expect:
        case Expectation.POSSIBLE:
            forbidden = case.predicted is Outcome.FAILED
            yield Check("it connects wherever a path can open", connected or forbidden, reason)
        case Expectation.ALWAYS:
            yield Check("it connects", connected, reason)
        case Expectation.ANYTHING:
            pass


def _category(predicted: Outcome | None, shown: Kind, checks: Sequence[Check]) -> Category:
    if not all(check.ok for check in checks if check.name in {LINKS_KEPT, FAULTS_HAPPENED}):
        return Category.LAB_WRONG
    if shown is Kind.DIRECT:
        return Category.GUESSED if predicted is Outcome.FAILED else Category.AS_PREDICTED
    if predicted is None:
        return Category.AS_PREDICTED if shown is Kind.RELAYED else Category.MISSED
    return Category.FORBIDDEN if predicted is Outcome.FAILED else Category.MISSED


def _cause(word: Word, path: PathFound, fates: Fates) -> str:
    if not word.succeeded:
        return fates.cause
    match path.kind:
        case Kind.DIRECT:
            return f"Direct between {' and '.join(path.endpoints)}."
        case Kind.RELAYED:
            return f"Relayed through {path.through}."
        case Kind.NONE:
            return "The program says that it succeeded; the packets do not."


def _reason(word: Word, path: PathFound, drops: Sequence[str]) -> str:
    text = word.why
    if word.succeeded:
        text += f"; the path was {path}"
    elif drops:
        text += f"; {drops[0]}"
    return f"{text[:1].upper()}{text[1:]}."


def _recovery(word: Word) -> float | None:
    """From the last fault until a probe that was sent after it came out at the other end."""
    if word.last_fault is None or not word.succeeded:
        return None
    times = [
        probe.reached
        for probe in word.probes
        if probe.reached is not None
        and probe.answered is not None
        and probe.sent >= word.last_fault
    ]
    return milliseconds(min(times, default=None), word.last_fault)
