"""What a cell gives, as a value; `report.json` is its form on disk. `docs/lab.md` lists the fields."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from lab.checks import Check, run_checks
from lab.errors import LabError
from lab.explain import explain
from lab.outcome import Outcome
from lab.packet import Packet
from lab.passage import Fate, Passage
from lab.predict import predict
from lab.trace import Trace, reconstruct
from nat_traversal.wire import datagrams


@dataclass(frozen=True, slots=True)
class PacketRecord:
    """One transmission as the report shows it. Times in seconds since the cell's first packet.

    In JSON `sender`, `receiver` and `round` are called ``from``, ``to`` and ``attempt``.
    """

    t: float
    sender: str
    receiver: str
    round: int | None
    """None for an announce."""
    fate: Fate
    kind: str
    """``HELLO``, ``CONFIRM``, ``DATA`` or ``ANNOUNCE``."""
    source: str
    """The sender's socket."""
    translated: str | None
    """The source outside the sender's NAT; None if the datagram never got there."""
    destination: str
    reached: float | None
    """When it came to the receiver's NAT (or to the server)."""
    arrived: float | None
    """When it came to the receiver."""
    step: int | None = None
    """1, 2 or 3 for a HELLO; so are `copy` and `heard` set."""
    copy: int | None = None
    heard: bool | None = None


@dataclass(frozen=True, slots=True)
class CellResult:
    """One pair of NATs. `error` set: the cell broke, and observed nothing that counts."""

    nat_a: str
    nat_b: str
    topology: str
    predicted: Outcome
    predicted_round: int | None
    observed: Outcome | None = None
    round: int | None = None
    connect_ms: float | None = None
    """From the later host's registration until both have proof."""
    bound_ms: float | None = None
    """What that takes at least on this cell's wires (`Trace.bound_seconds`)."""
    method: str | None = None
    """The rung of the ladder, as the programs name it."""
    explanation: str = ""
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

    @property
    def ok(self) -> bool:
        """The cell worked, observed what was predicted, and passed every check."""
        return (
            self.error is None
            and self.observed is self.predicted
            and all(check.ok for check in self.checks)
        )


@dataclass(frozen=True, slots=True)
class Report:
    """`header` is what a reader must know of the run: versions, date, machine."""

    header: Mapping[str, str]
    cells: tuple[CellResult, ...]

    @property
    def ok(self) -> bool:
        return bool(self.cells) and all(cell.ok for cell in self.cells)


def observe(nat_a: str, nat_b: str, topology: str, packets: Iterable[Packet]) -> CellResult:
    """The result of a cell from its capture; the caller adds the rest with `dataclasses.replace`."""
    trace, prediction = reconstruct(packets), predict(nat_a, nat_b)
    connected = trace.connected_round
    records = _records(trace)
    return CellResult(
        nat_a,
        nat_b,
        topology,
        prediction.outcome,
        prediction.round,
        trace.outcome,
        connected.number if connected else None,
        _milliseconds(trace.connect_seconds),
        _milliseconds(trace.bound_seconds),
        explanation=explain(trace),
        hellos=tuple(record for record in records if record.kind == "HELLO"),
        packets=tuple(record for record in records if record.kind != "HELLO"),
        checks=run_checks(trace, nat_a, nat_b),
    )


def broken(nat_a: str, nat_b: str, topology: str, error: str) -> CellResult:
    """The result of a cell that could not be run to its end. `error` says why."""
    prediction = predict(nat_a, nat_b)
    return CellResult(nat_a, nat_b, topology, prediction.outcome, prediction.round, error=error)


def write_report(report: Report, path: Path) -> None:
    """Write `report.json`. Replaces the file only when the new one is complete."""
    content = {"header": dict(report.header), "cells": [_cell_to_json(c) for c in report.cells]}
    unfinished = path.with_suffix(".json.part")
    unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    unfinished.replace(path)


def read_report(path: Path) -> Report:
    """Read what `write_report` wrote. Raises `LabError` if `path` holds no such report."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Report(content["header"], tuple(map(_cell_from_json, content["cells"])))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise LabError(f"{path} is no report of this lab: {error!r}") from error


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _records(trace: Trace) -> list[PacketRecord]:
    passages = trace.passages()
    times = [passage.sent for passage in passages] + [said.time for said in trace.said]
    zero = min(times, default=0.0)
    numbers = {datagrams.tag_of(round_.token): round_.number for round_ in trace.rounds}
    records = []
    data_shown: set[tuple[str, bytes]] = set()
    for passage in passages:
        match passage.datagram:
            case datagrams.Hello(round=number, step=step, copy=copy, heard=heard):
                record = _record(passage, zero, "HELLO", number, step=step, copy=copy, heard=heard)
            case datagrams.Confirm(round=number):
                record = _record(passage, zero, "CONFIRM", number)
            case datagrams.Data(tag=tag) | datagrams.Fragment(tag=tag):
                if (passage.sender, tag) in data_shown:
                    continue
                data_shown.add((passage.sender, tag))
                record = _record(passage, zero, "DATA", numbers[tag])
            case _:
                record = _record(passage, zero, "ANNOUNCE")
        records.append(record)
    return records


def _record(
    passage: Passage,
    zero: float,
    kind: str,
    round_: int | None = None,
    *,
    step: int | None = None,
    copy: int | None = None,
    heard: bool | None = None,
) -> PacketRecord:
    def since_zero(time: float | None) -> float | None:
        return None if time is None else round(time - zero, 6)

    return PacketRecord(
        round(passage.sent - zero, 6),
        passage.sender,
        passage.receiver,
        round_,
        passage.fate,
        kind,
        str(passage.source),
        str(passage.translated) if passage.translated else None,
        str(passage.destination),
        since_zero(passage.reached),
        since_zero(passage.arrived),
        step=step,
        copy=copy,
        heard=heard,
    )


_JSON_NAMES = {"sender": "from", "receiver": "to", "round": "attempt"}


def _record_to_json(record: PacketRecord) -> dict[str, Any]:
    values = {_JSON_NAMES.get(name, name): value for name, value in asdict(record).items()}
    return {name: value for name, value in values.items() if value is not None}


def _record_from_json(values: Mapping[str, Any]) -> PacketRecord:
    known: dict[str, Any] = {
        name: values.get(_JSON_NAMES.get(name, name)) for name in _names(PacketRecord)
    }
    return PacketRecord(**{**known, "fate": Fate(values["fate"])})


def _cell_to_json(cell: CellResult) -> dict[str, Any]:
    return {
        **{name: getattr(cell, name) for name in _names(CellResult)},
        "hellos": [_record_to_json(record) for record in cell.hellos],
        "packets": [_record_to_json(record) for record in cell.packets],
        "checks": [asdict(check) for check in cell.checks],
        "ok": cell.ok,
    }


def _cell_from_json(values: Mapping[str, Any]) -> CellResult:
    known = {name: values[name] for name in _names(CellResult)}
    observed = values["observed"]
    return CellResult(
        **{
            **known,
            "predicted": Outcome(values["predicted"]),
            "observed": None if observed is None else Outcome(observed),
            "hellos": tuple(map(_record_from_json, values["hellos"])),
            "packets": tuple(map(_record_from_json, values["packets"])),
            "checks": tuple(Check(**check) for check in values["checks"]),
        }
    )


def _names(class_: type[PacketRecord] | type[CellResult]) -> list[str]:
    return [field.name for field in fields(class_)]
