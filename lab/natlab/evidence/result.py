"""A cell's result, as a value. `docs/lab/report.md` lists the fields, `natlab.report.files` writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median, median_low
from typing import Protocol

from nat_traversal.wire.methods import MethodName
from natlab.evidence.category import Category, categorize
from natlab.evidence.check import Check
from natlab.evidence.checks import run_checks
from natlab.evidence.explain import cause, explain, reason
from natlab.evidence.packet_records import PacketRecord, records_of
from natlab.evidence.trace import Trace
from natlab.evidence.way import Kind, way_of
from natlab.oracle.methods.ordered_hello import ROUNDS
from natlab.oracle.methods.simultaneous import counted
from natlab.oracle.outcome import Outcome
from natlab.oracle.predict import LADDER, method_of, predict_direct
from natlab.oracle.prediction import Prediction
from natlab.oracle.turn import Turn, turn_of


@dataclass(frozen=True, slots=True)
class Timing:
    """The distribution of `connect_ms` over the runs that connected, in milliseconds."""

    min: float
    median: float
    max: float
    values: tuple[float, ...]
    """In the order of the runs."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """One of several runs of a pair; the names mean what they mean in `CellResult`."""

    observed: Outcome | None
    round: int | None
    category: Category
    connect_ms: float | None
    ok: bool
    reason: str
    pcap: str | None
    seconds: float | None
    error: str | None
    path: str | None = None
    through: str | None = None

    @property
    def end(self) -> str:
        """How it ended, in words: ``connected in round 1``, ``relayed through server``, ``failed`` or ``broken``."""
        if self.error is not None or self.observed is None:
            return "broken"
        if self.path is not None and self.round is None:
            return f"{self.path} through {self.through}" if self.through else self.path
        return f"{self.observed} in round {self.round}" if self.round else str(self.observed)


@dataclass(frozen=True, slots=True)
class CellResult:
    """One pair of NATs. `error` set: the cell broke, and observed nothing that counts."""

    nat_a: str
    nat_b: str
    topology: str
    predicted: Outcome | None
    """The model's view of a pair; for a program that is not the project's, whether any path can open at all.
    None: the model does not know this network."""
    predicted_round: int | None
    observed: Outcome | None = None
    round: int | None = None
    connect_ms: float | None = None
    """From the later host's registration until both have proof."""
    bound_ms: float | None = None
    """The least that this can take on the cell's wires (`Trace.bound_seconds`)."""
    method: str | None = None
    """The rung of the ladder, as the programs name it."""
    cause: str = ""
    """At most ten words: what decided the outcome."""
    reason: str = ""
    """One sentence: which packet decided each round, when, and why it fared so."""
    explanation: str = ""
    """The same of every HELLO."""
    hellos: tuple[PacketRecord, ...] = ()
    packets: tuple[PacketRecord, ...] = ()
    """The others that the ladder diagram shows: announces, CONFIRMs, the first data each way."""
    checks: tuple[Check, ...] = ()
    probes: Mapping[str, str] | None = None
    """NAT node to what the probes found, for people."""
    rules: Mapping[str, str] | None = None
    """NAT node to its firewall rules."""
    programs: Mapping[str, str] | None = None
    """Program to what it was and said, for people; no check reads it."""
    pcap: str | None = None
    """Relative to `report.json`."""
    seconds: float | None = None
    """How long the cell took, wall clock."""
    error: str | None = None
    category: Category = Category.LAB_WRONG
    program: str | None = None
    """The name of the program file's program; None: the project's own server and clients."""
    path: str | None = None
    """``direct``, ``relayed`` or ``none``; None where only the outcome is known."""
    through: str | None = None
    """The node that relayed."""
    endpoints: tuple[str, ...] = ()
    """Of a direct path: the endpoints of host_a and host_b, as each other saw them."""
    first_datagram_ms: float | None = None
    """From the first packet of the later host until the first payload came to the other."""
    final_path_ms: float | None = None
    """The same, until payload went both ways on the path that was used last."""
    sent_packets: int | None = None
    """Of both hosts, until the first payload came through, or in all if none did; UDP and TCP."""
    sent_octets: int | None = None
    """Of the same packets, above UDP and TCP."""
    entries: Mapping[str, int] | None = None
    """NAT node to how many entries it made in its table of connections."""
    recovery_ms: float | None = None
    """From the last fault until payload came through again."""
    idle_packets: float | None = None
    """A minute, of both hosts, while the lab said nothing; UDP and TCP."""
    predicted_method: str | None = None
    """The rung that the model names for the datagrams at the end; None: none, or a program of which it knows nothing."""
    predicted_share: float | None = None
    """Of the runs that end as predicted; the others fail, by chance. None: all of them end so."""
    runs: tuple[RunResult, ...] = ()
    """Every run, if there were several; the rest of this result then shows one of them."""

    @property
    def ok(self) -> bool:
        """The cell worked, observed what was predicted, and passed every check, in every run."""
        return (
            self.error is None
            and self.is_as_predicted
            and all(check.ok for check in self.checks)
            and all(run.ok for run in self.runs)
            and not self.disagree
        )

    @property
    def is_as_predicted(self) -> bool:
        """Of any program but the project's own nothing is foreseen: its program file may expect something."""
        by_chance = self.predicted_share is not None and self.observed is Outcome.FAILED
        return self.program is not None or by_chance or self.observed is self.predicted

    @property
    def every_run(self) -> tuple[RunResult, ...]:
        """All runs, be there several or one."""
        return self.runs or (_run(self),)

    @property
    def ends(self) -> Mapping[str, int]:
        """How the runs ended, and how many of them so."""
        return Counter(run.end for run in self.every_run)

    @property
    def disagree(self) -> bool:
        """Not all runs ended alike."""
        return len({run.end for run in self.runs}) > 1

    @property
    def timing(self) -> Timing | None:
        """None if no run connected."""
        times = tuple(run.connect_ms for run in self.every_run if run.connect_ms is not None)
        return Timing(min(times), median(times), max(times), times) if times else None


@dataclass(frozen=True, slots=True)
class Report:
    """`header` is what a reader must know of the run: versions, date, machine."""

    header: Mapping[str, str]
    cells: tuple[CellResult, ...]

    @property
    def ok(self) -> bool:
        return bool(self.cells) and all(cell.ok for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Case:
    """A pair of NATs to run, and what the model expects of it."""

    nat_a: str
    nat_b: str
    topology: str
    prediction: Prediction
    """Of the first method that opens a direct path, or of the contract."""
    method: MethodName | None
    """The rung on which datagrams go at the end; None: on none."""
    turned_by: str | None = None
    """The host whose TURN server carries them; None: none."""
    methods: tuple[str, ...] = ()
    """The rungs that the clients may use."""
    turn: Turn | None = None
    cross: bool | None = False
    """Whether the ordered HELLOs cross between the hosts; None: chance decides, so that the capture has to say it."""

    @classmethod
    def of(
        cls,
        nat_a: str,
        nat_b: str,
        topology: str,
        methods: Collection[str] = LADDER[:1],
        turn: Turn | None = None,
        *,
        cross: bool | None = False,
        crossing: Collection[int] | None = None,
    ) -> Case:
        """`crossing`: the rounds in which the HELLOs cross, where that is known. Raises `UsageError` as `method_of`."""
        if crossing is None:
            crossing = ROUNDS if cross else ()
        method = method_of(nat_a, nat_b, methods, turn, crossing=crossing)
        own = turn_of(nat_a, nat_b, turn) if turn and method is MethodName.TURN else None
        direct = predict_direct(nat_a, nat_b, methods, crossing=crossing)
        return cls(
            nat_a, nat_b, topology, direct, method, own, tuple(methods), turn=turn, cross=cross
        )

    def as_seen(self, trace: Trace) -> Case:
        """With the rounds in which the HELLOs crossed, if chance decided that."""
        if self.cross is not None:
            return self
        crossed = {each.number for each in trace.rounds if each.attempt == 1 and each.crossed}
        names = self.nat_a, self.nat_b, self.topology
        return Case.of(*names, self.methods, self.turn, cross=None, crossing=crossed)

    @property
    def predicted(self) -> Outcome:
        """Whether a direct path opens."""
        return self.prediction.outcome

    @property
    def share(self) -> float | None:
        """Of the runs that end as predicted; None: all."""
        return self.prediction.share if self.prediction.share < 1 else None

    @property
    def path(self) -> Kind:
        """By which way datagrams go at the end."""
        return way_of(self.method)


@dataclass(frozen=True, slots=True)
class Beside:
    """All that a cell leaves beside its packets. Fields that `CellResult` has mean what they mean there."""

    method: str | None = None
    checks: tuple[Check, ...] = ()
    """Of the programs' word and of the links."""
    probes: Mapping[str, str] | None = None
    rules: Mapping[str, str] | None = None
    programs: Mapping[str, str] | None = None
    pcap: str | None = None
    payloads: Mapping[bytes, str] = field(default_factory=dict)
    """Frames that a key log opened, each with its program's datagram in words."""


class AnyCase(Protocol):
    """The part of a case that each result bears, whatever ran."""

    @property
    def nat_a(self) -> str: ...
    @property
    def nat_b(self) -> str: ...
    @property
    def topology(self) -> str: ...
    @property
    def predicted(self) -> Outcome | None:
        """The model's view."""


def begun(case: AnyCase, seconds: float | None, beside: Beside | None = None) -> CellResult:
    """A result that says nothing of the packets yet."""
    beside = beside or Beside()
    return CellResult(
        case.nat_a,
        case.nat_b,
        case.topology,
        case.predicted,
        None,
        method=beside.method,
        checks=beside.checks,
        probes=beside.probes,
        rules=beside.rules,
        programs=beside.programs,
        pcap=beside.pcap,
        seconds=seconds,
    )


def conclude(
    case: Case, trace: Trace, beside: Beside | None = None, seconds: float | None = None
) -> CellResult:
    """The result of a cell that ran, in one step: its category comes last, from all checks."""
    beside = beside or Beside()
    case = case.as_seen(trace)
    nat_a, nat_b, prediction = case.nat_a, case.nat_b, case.prediction
    connected = trace.connected_round
    round_ = connected.number if connected else None
    records = records_of(trace, beside.payloads)
    checks = (
        *run_checks(trace, nat_a, nat_b, prediction),
        _path_is_predicted(trace, case),
        *beside.checks,
    )
    return replace(
        begun(case, seconds, beside),
        predicted_round=prediction.round,
        observed=trace.outcome,
        round=round_,
        connect_ms=_milliseconds(trace.connect_seconds),
        bound_ms=_milliseconds(trace.bound_seconds),
        predicted_method=case.method,
        predicted_share=case.share,
        cause=cause(trace, nat_a, nat_b),
        reason=reason(trace, nat_a, nat_b),
        explanation=explain(trace, nat_a, nat_b),
        hellos=tuple(record for record in records if record.kind == "HELLO"),
        packets=tuple(record for record in records if record.kind != "HELLO"),
        checks=checks,
        category=categorize(nat_a, nat_b, prediction, (trace.outcome, counted(round_)), checks),
        path=str(trace.path),
        through=trace.through,
        first_datagram_ms=_milliseconds(trace.first_datagram_seconds),
        final_path_ms=_milliseconds(trace.final_path_seconds),
    )


def _path_is_predicted(trace: Trace, case: Case) -> Check:
    """The model foresaw by which way datagrams go at the end."""
    observed = _way(trace.path, trace.turned_by)
    predicted = _way(case.path, case.turned_by)
    why = f"datagrams went {observed}"
    by_chance = case.share is not None and trace.path in (Kind.RELAYED, Kind.NONE)
    if observed != predicted:
        why += f", predicted {predicted}"
    return Check("datagrams took the predicted way", by_chance or observed == predicted, why)


def _way(kind: Kind, turned_by: str | None) -> str:
    if kind is Kind.RELAYED and turned_by is not None:
        return f"through the TURN server of {turned_by}"
    return {
        Kind.DIRECT: "directly",
        Kind.RELAYED: "through the server's relay",
        Kind.NONE: "no way",
    }[kind]


def broken(case: Case, error: str, seconds: float | None = None) -> CellResult:
    """The result of a cell that could not be run to its end. `error` says why."""
    return replace(begun(case, seconds), predicted_round=case.prediction.round, error=error)


def merge(results: Sequence[CellResult]) -> CellResult:
    """One result of several runs of one pair.

    It shows the first run that is not `ok`, else the first with the (lower) median connect time, and
    tells of every run in `runs`.
    """
    if len(results) == 1:
        return results[0]
    times = [result.connect_ms for result in results if result.connect_ms is not None]
    typical = median_low(times) if times else None
    shown = next(
        (result for result in results if not result.ok),
        next(result for result in results if result.connect_ms == typical or not times),
    )
    return replace(shown, runs=tuple(map(_run, results)))


def _run(cell: CellResult) -> RunResult:
    return RunResult(
        cell.observed,
        cell.round,
        cell.category,
        cell.connect_ms,
        cell.ok,
        cell.reason,
        cell.pcap,
        cell.seconds,
        cell.error,
        cell.path,
        cell.through,
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
