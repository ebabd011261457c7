"""A datagram of a cell in the report: its way, its fate, and its times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nat_traversal.wire import datagrams
from nat_traversal.wire.opener import Opener
from natlab.evidence.journey import Fate, Passage
from natlab.evidence.trace import Trace


@dataclass(frozen=True, slots=True)
class PacketRecord:
    """One transmission as the report shows it. Times in seconds since the cell's first packet.

    In JSON `sender` and `receiver` are called ``from`` and ``to``.
    """

    t: float
    sender: str
    receiver: str
    round: int | None
    """None for an announce."""
    fate: Fate
    kind: str
    """``HELLO``, ``CONFIRM``, ``OPENER``, ``DATA`` or ``ANNOUNCE``."""
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
    seen: Mapping[str, float] = field(default_factory=dict)
    """Every capture point (interface) that it passed, with the time, in order."""
    payload: str | None = None
    """Of a DATA that a key log opened: the program's datagram in words."""


def records_of(trace: Trace, payloads: Mapping[bytes, str]) -> list[PacketRecord]:
    passages = trace.passages()
    zero = trace.zero
    numbers = {id(each): round_.number for round_ in trace.rounds for each in round_.data}
    records = []
    data_shown: set[tuple[str, int]] = set()
    for passage in passages:
        match passage.datagram:
            case datagrams.Hello(round=number, step=step, copy=copy, heard=heard):
                record = _record(passage, zero, "HELLO", number, step=step, copy=copy, heard=heard)
            case datagrams.Confirm(round=number):
                record = _record(passage, zero, "CONFIRM", number)
            case datagrams.Frame(octets=octets):
                number = numbers[id(passage)]
                if (passage.sender, number) in data_shown:
                    continue
                data_shown.add((passage.sender, number))
                record = _record(passage, zero, "DATA", number, payload=payloads.get(octets))
            case Opener(round=number):
                record = _record(passage, zero, "OPENER", number)
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
    payload: str | None = None,
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
        seen={point: round(time - zero, 6) for point, time in passage.seen},
        payload=payload,
    )
