"""A cell as a story in steps: where each packet is, what each NAT then remembers, and why it did so. Pure.

The packets and their fates are the capture's. The tables are the model's, with the capture's ports
in place of those that the model chose by chance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from nat_traversal.wire.behavior import Filtering, Mapping
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior, Unsolicited
from natlab.evidence.journey import HOMES, Fate
from natlab.evidence.packet_records import PacketRecord
from natlab.evidence.result import CellResult
from natlab.oracle.model import Admission, Entry, ModelNat
from natlab.oracle.possible import model_nats
from natlab.report.svg_ladder import Row, rows_of

LIKE_PAIRS = frozenset({"two_nats", "regions"})
"""The topologies in which each host has a NAT of its own, with the same addresses outside."""
_HOME = {home.host: home for home in HOMES}
_UDP = frozenset({"HELLO", "CONFIRM", "ANNOUNCE", "OPENER", "DATA", "UDP"})


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a NAT's table in words."""

    inside: str
    outside: str
    towards: str
    admits: str


@dataclass(frozen=True, slots=True)
class Step:
    """One packet at one NAT, or at the server."""

    t: float
    """Seconds since the cell's first packet."""
    row: int
    """Which arrow of the ladder diagram."""
    start: str
    """Where the packet was before: a host, a NAT or ``internet``."""
    end: str
    """Where it is now, or where it ended."""
    fate: Fate | None
    """Set where it ended."""
    what: str
    """``HELLO 1 of host_a``."""
    sentence: str
    tables: dict[str, tuple[Line, ...]]
    """By NAT node, as they are now."""


def steps_of(cell: CellResult) -> tuple[Step, ...]:
    """The steps of `cell` in order of time; none where the model does not know the network."""
    if cell.topology.partition(",")[0] not in LIKE_PAIRS or cell.error is not None:
        return ()
    try:
        return tuple(_Story(cell).tell())
    except ValueError:  # a report from elsewhere, whose endpoints are none
        return ()


@dataclass(slots=True)
class _Story:
    cell: CellResult
    nats: dict[str, ModelNat] = field(init=False)
    sources: dict[int, Endpoint] = field(default_factory=dict)
    """The model's source of each packet, by its place."""
    modelled: dict[Endpoint, Endpoint] = field(default_factory=dict)
    captured: dict[Endpoint, Endpoint] = field(default_factory=dict)
    shown: set[tuple[object, ...]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.nats = model_nats(self.cell.nat_a, self.cell.nat_b)

    def tell(self) -> Iterator[Step]:
        rows = rows_of(self.cell)
        records = sorted((*self.cell.hellos, *self.cell.packets), key=lambda record: record.t)
        records = [record for record in records if record.kind in _UDP]
        row_of = {id(record): number for number, row in enumerate(rows) for record in (row.record,)}
        events: list[tuple[float, int, int]] = []
        for place, record in enumerate(records):
            events.append((_left(record), 0, place))
            if record.fate is not Fate.BLOCKED:
                events.append((_ended(record), 1, place))
        for time, is_end, place in sorted(events):
            record = records[place]
            before = self._tables(time)
            said = self._end(record, place, time) if is_end else self._leave(record, place, time)
            if said is None:
                continue
            after = self._tables(time)
            key = (
                is_end,
                record.kind,
                record.step,
                record.sender,
                record.source,
                record.destination,
            )
            if before == after and key in self.shown:
                continue  # a repetition that taught nobody anything
            self.shown.add(key)
            row = row_of.get(id(record))
            start, end = _way(record, bool(is_end))
            yield Step(
                round(time, 6),
                row if row is not None else _row_like(rows, record),
                start,
                end,
                record.fate if is_end or record.fate is Fate.BLOCKED else None,
                _name(record),
                said,
                after,
            )

    def _leave(self, record: PacketRecord, place: int, now: float) -> str | None:
        """From the sender's host through its NAT."""
        source, destination = _endpoint(record.source), _endpoint(record.destination)
        if record.sender not in self.nats:
            self.sources[place] = source
            return None
        nat, name = self.nats[record.sender], _HOME[record.sender].nat
        known = {entry.port: entry for entry in nat.table(now) if entry.internal == source}
        target = self.modelled.get(destination, destination)
        shown = self.sources[place] = nat.outbound(source, target, now)
        if record.translated is not None:
            real = _endpoint(record.translated)
            self.modelled.setdefault(real, shown)
            self.captured.setdefault(shown, real)
        if record.fate is Fate.BLOCKED:
            return f"{name} lets no UDP out, so {_name(record)} ends here."
        if nat.behavior is None:
            return f"{record.sender} is public: {_name(record)} leaves as it is, from {source}."
        port = self.captured.get(shown, shown).port
        to = record.destination
        if shown.port in known:
            opens = _opening(nat.behavior, destination)
            same = next(each for each in nat.table(now) if each.port == shown.port)
            if same.admits == known[shown.port].admits:
                opens = "; nothing changes"
            return f"{name} sends it on from port {port}, which {source} has already{opens}."
        if known and nat.behavior.unsolicited is Unsolicited.ORDER_SENSITIVE:
            return (
                f"{name}'s router itself holds the way to {to} since a packet from there came first. So this one"
                f" gets another port, {port}, which nobody expects."
            )
        return (
            f"{name} gives {source} the external port {port} {_for_whom(nat.behavior, destination)}"
            f"{_opening(nat.behavior, destination)}."
        )

    def _end(self, record: PacketRecord, place: int, now: float) -> str:
        """At the receiver's NAT, and behind it; or wherever it ended."""
        shown = record.translated or record.source
        if record.fate is Fate.LOST:
            return f"The link loses {_name(record)}."
        if record.fate is Fate.EXPIRED:
            if record.sender in self.nats:
                target = _endpoint(record.destination)
                self.nats[record.sender].hears_error(
                    self.sources[place], self.modelled.get(target, target)
                )
            return f"Its TTL ends between the NATs, as it should: {_name(record)} only opens its own NAT."
        if record.receiver not in self.nats:
            return f"The server receives it, and sees {record.sender} at {shown}."
        nat, name = self.nats[record.receiver], _HOME[record.receiver].nat
        destination = _endpoint(record.destination)
        target = self.modelled.get(destination, destination)
        verdict = nat.judge(self.sources[place], target, now)
        if verdict.is_answered and record.sender in self.nats:
            self.nats[record.sender].hears_error(self.sources[place], target)
        admission = verdict.admission
        if nat.behavior is None:
            return f"{record.receiver} is public, and receives {_name(record)} from {shown}."
        asked = self._admitted(nat, target, now)
        closed = " Its socket is closed." if record.fate is Fate.PORT_CLOSED else ""
        if record.fate in {Fate.DELIVERED, Fate.PORT_CLOSED}:
            return f"{name} lets it in: {_why_in(nat.behavior)}. {record.receiver} receives it from {shown}.{closed}"
        if admission is Admission.TAKEN_BY_ROUTER:
            return (
                f"{name} has sent nothing to {shown} from here, so this packet is for nobody inside. The router takes"
                " it for itself, remembers the pair of endpoints, and answers with an ICMP error."
            )
        did = "refuses it" if record.fate is Fate.TAKEN_BY_ROUTER else "drops it"
        if admission is Admission.NO_MAPPING:
            return f"{name} {did}: nothing inside has the port of {record.destination}."
        if admission is Admission.BLOCKED:
            return f"{name} {did}: it lets no UDP in."
        return f"{name} {did}: it comes from {shown}, and there only {asked} may come in."

    def _admitted(self, nat: ModelNat, target: Endpoint, now: float) -> str:
        names = [
            self._remote(*remote)
            for entry in nat.table(now)
            if entry.internal is not None and entry.port == target.port
            for remote in entry.admits
        ]
        return " and ".join(names[:3]) or "nobody"

    def _tables(self, now: float) -> dict[str, tuple[Line, ...]]:
        return {
            home.nat: tuple(
                self._line(self.nats[home.host], each) for each in self.nats[home.host].table(now)
            )
            for home in HOMES
        }

    def _line(self, nat: ModelNat, entry: Entry) -> Line:
        model = Endpoint(nat.public_address, entry.port)
        outside = str(self.captured.get(model, model))
        if entry.internal is None:
            return Line("the router itself", outside, self._remote(*entry.towards), "nobody")
        admits = ", ".join(self._remote(*each) for each in entry.admits)
        towards = "everywhere" if not entry.towards[0] else self._remote(*entry.towards)
        return Line(str(entry.internal), outside, towards, admits or "nobody")

    def _remote(self, address: str, port: int) -> str:
        if not address:
            return "everybody"
        if not port:
            return address
        model = Endpoint(address, port)
        return str(self.captured.get(model, model))


def _row_like(rows: tuple[Row, ...], record: PacketRecord) -> int:
    """The arrow that stands for repetitions of `record`."""
    for number, row in enumerate(rows):
        same = row.record
        if row.record.t <= record.t <= row.until and (
            same.kind,
            same.sender,
            same.step,
            same.fate,
            same.source,
            same.destination,
        ) == (
            record.kind,
            record.sender,
            record.step,
            record.fate,
            record.source,
            record.destination,
        ):
            return number
    return 0


def _left(record: PacketRecord) -> float:
    """When the sender's NAT had it."""
    home = _HOME.get(record.sender)
    return record.seen.get(home.wan, record.t) if home else record.t


def _ended(record: PacketRecord) -> float:
    last = max(record.seen.values(), default=record.t)
    return record.reached if record.reached is not None else last


def _way(record: PacketRecord, is_end: bool) -> tuple[str, str]:
    own, peer = _HOME.get(record.sender), _HOME.get(record.receiver)
    left = own.nat if own else "internet"
    if not is_end:
        return record.sender, left
    match record.fate:
        case Fate.DELIVERED | Fate.PORT_CLOSED:
            return left, record.receiver if peer else "internet"
        case Fate.DROPPED | Fate.TAKEN_BY_ROUTER if peer:
            return left, peer.nat
        case _:
            return left, "internet"


def _name(record: PacketRecord) -> str:
    step = f" {record.step}" if record.step else ""
    kind = "a datagram" if record.kind == "UDP" else f"{record.kind}{step}"
    return f"{kind} of {'the server' if record.sender not in _HOME else record.sender}"


def _for_whom(behavior: NatBehavior, destination: Endpoint) -> str:
    match behavior.mapping:
        case Mapping.ENDPOINT_INDEPENDENT:
            return "for all destinations"
        case Mapping.ADDRESS_DEPENDENT:
            return f"for {destination.address} alone"
        case _:
            return f"for {destination} alone"


def _opening(behavior: NatBehavior, destination: Endpoint) -> str:
    match behavior.filtering:
        case Filtering.ENDPOINT_INDEPENDENT:
            return ", and lets in everybody there"
        case Filtering.ADDRESS_DEPENDENT:
            return f", and lets in {destination.address} there"
        case _:
            return f", and lets in {destination} there"


def _why_in(behavior: NatBehavior) -> str:
    match behavior.filtering:
        case Filtering.ENDPOINT_INDEPENDENT:
            return "it lets in everybody who knows the port"
        case Filtering.ADDRESS_DEPENDENT:
            return "something had gone out to this address"
        case _:
            return "something had gone out to this address and port"


def _endpoint(text: str) -> Endpoint:
    address, _, port = text.rpartition(":")
    return Endpoint(address.strip("[]"), int(port))
