"""A cell's captured packets as a ladder diagram: sender, receiver, and where each packet ended. Pure.

Each NAT has its LAN and its WAN side, with what passed there when: the small figures are milliseconds
after the sending. Rows are in order of time but not to scale: what matters happens within
milliseconds, and a round that fails lasts seconds; a break marks where seconds pass. Repetitions that fared alike share one row. The
SVG takes its colours from the page around it (class names), so that it follows the reader's light or
dark setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from markupsafe import Markup

from natlab.evidence.journey import HOMES, SERVER_LINK, Fate
from natlab.evidence.packet_records import PacketRecord
from natlab.evidence.result import CellResult

_A, _B = HOMES
_X = {
    _A.host: 150,
    _A.lan: 320,
    _A.wan: 395,
    "internet": 545,
    _B.wan: 695,
    _B.lan: 770,
    _B.host: 940,
}
"""Every NAT has two lines of life: its LAN side and its WAN side."""
_END_X = {**_X, "server": _X["internet"]}
"""The server hangs on the internet router: what goes to it ends in that column."""
_POINT_X = {_A.host_link: _X[_A.host], _B.host_link: _X[_B.host], SERVER_LINK: _X["internet"], **_X}
_NAT_SIDES = (_A.lan, _A.wan, _B.wan, _B.lan)
_HOME = {home.host: home for home in HOMES}
_TIME_X = 84
_HEAD = 58
_ROW = 46
_BAND = 34
_PAUSE_BAND = 42
_SLANT = 12
_WIDTH = _X[_B.host] + 75
PAUSE = 1.0
"""Seconds without a packet from which the diagram shows a break."""

_ENDING = {
    Fate.DELIVERED: "",
    Fate.PORT_CLOSED: "socket closed",
    Fate.DROPPED: "dropped",
    Fate.TAKEN_BY_ROUTER: "taken by the router: ICMP",
    Fate.EXPIRED: "TTL ended",
    Fate.LOST: "lost",
    Fate.BLOCKED: "blocked",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One arrow: a transmission, or several that fared alike. `until` is when the last was sent."""

    record: PacketRecord
    times: int
    until: float


def rows_of(cell: CellResult) -> tuple[Row, ...]:
    """The arrows of `cell` in order: first copies alone, repetitions of one fate together."""
    groups: dict[tuple[object, ...], list[PacketRecord]] = {}
    for record in sorted((*cell.hellos, *cell.packets), key=lambda record: record.t):
        alone = record.kind in ("HELLO", "DATA") and not record.copy
        key = (
            record.kind,
            record.round,
            record.sender,
            record.step,
            record.heard,
            record.fate,
            record.source,
            record.translated,
            record.destination,
            record.t if alone else None,
        )
        groups.setdefault(key, []).append(record)
    return tuple(Row(group[0], len(group), group[-1].t) for group in groups.values())


def ladder(cell: CellResult) -> Markup:
    """The diagram as one SVG element without any script, style or outside reference."""
    body: list[Markup] = []
    y = _HEAD + 14
    shown_round = None
    before: float | None = None
    for number, row in enumerate(rows_of(cell)):
        if before is not None and row.record.t - before >= PAUSE:
            body.append(_break(row.record.t - before, y))
            y += _PAUSE_BAND
        before = row.record.t
        round_ = row.record.round
        if round_ is not None and round_ != shown_round:
            body.append(_band(round_, y))
            shown_round = round_
            y += _BAND
        body.append(Markup("").join(_arrow(row, y + 16, number)))
        y += _ROW
    head = Markup("").join(_head(cell, y))
    label = f"Ladder diagram: {cell.nat_a} and {cell.nat_b}, {cell.observed or 'not observed'}"
    return Markup(
        '<svg class="ladder" viewBox="0 0 {} {}" role="img" aria-label="{}">{}{}</svg>'
    ).format(_WIDTH, y + 10, label, head, Markup("").join(body))


def _break(seconds: float, y: int) -> Markup:
    """Where the lines of life are cut, since nothing happens for so long."""
    step, half = 24, 5
    across = "".join(
        f"{'M' if x == 0 else 'L'}{x} {y + 26 + (half if x // step % 2 else -half)}"
        for x in range(0, _WIDTH + step, step)
    )
    return Markup(
        '<g class="pause"><path class="break" d="{0}"/><path class="break-edge" d="{0}" transform="translate(0 -3)"/>'
        '<path class="break-edge" d="{0}" transform="translate(0 3)"/>'
        '<text class="break-text name" x="12" y="{1}">{2}</text></g>'
    ).format(across, y + 14, f"{seconds:.1f} s pass")


def _head(cell: CellResult, bottom: int) -> Iterator[Markup]:
    for home, preset in ((_A, cell.nat_a), (_B, cell.nat_b)):
        left, right = sorted((_X[home.lan], _X[home.wan]))
        middle = (left + right) // 2
        yield Markup('<rect class="box" x="{}" y="{}" width="{}" height="{}"/>').format(
            left, _HEAD - 8, right - left, bottom - _HEAD + 8
        )
        yield Markup('<text class="node" x="{}" y="16">{}</text>').format(middle, home.nat)
        yield Markup('<text class="preset" x="{}" y="32">{}</text>').format(middle, preset)
    for name, x in _X.items():
        yield Markup('<line class="life" x1="{0}" y1="{1}" x2="{0}" y2="{2}"/>').format(
            x, _HEAD - 8, bottom
        )
        side_name = name[-3:].upper() if name in _NAT_SIDES else None
        yield Markup('<text class="{}" x="{}" y="{}">{}</text>').format(
            "preset" if side_name else "node", x, 46 if side_name else 16, side_name or name
        )
    yield Markup('<text class="preset" x="{}" y="32">and the server</text>').format(_X["internet"])


def _band(round_: int, y: int) -> Markup:
    first, second = ("host_a", "host_b") if round_ % 2 else ("host_b", "host_a")
    return Markup(
        '<rect class="band" x="0" y="{}" width="{}" height="24"/>'
        '<text class="band-text" x="12" y="{}">Round {}: A = {}, B = {}</text>'
    ).format(y, _WIDTH, y + 17, round_, first, second)


def _arrow(row: Row, y: int, number: int) -> Iterator[Markup]:
    record = row.record
    start, end = _END_X[record.sender], _end(record)
    forward = end > start
    full = abs(_END_X[record.receiver] - start)
    y_end = y + round(_SLANT * abs(end - start) / full)
    kind = "ok" if record.fate is Fate.DELIVERED else record.fate.value
    repeated = " repeated" if row.times > 1 or record.copy else ""

    yield Markup('<g class="{} {}{}" data-row="{}"><title>{}</title>').format(
        record.kind.lower(), kind, repeated, number, _describe(row)
    )
    yield Markup('<text class="time" x="{}" y="{}">{}</text>').format(
        _TIME_X, y + 4, _time(record.t)
    )
    yield Markup('<line class="path" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(
        start, y, end, y_end
    )
    if row.times == 1:
        yield from _hops(record, y, y_end, (start, end))
    yield _tip(end, y_end, forward) if record.fate is Fate.DELIVERED else _cross(end, y_end)
    side = 1 if forward else -1
    anchor = "start" if forward else "end"
    name = record.kind + (f" {record.step}" if record.step else "")
    if record.heard:
        name += " · heard"
    if row.times > 1:
        name += f" · {row.times} × until {_time(row.until)}"
    elif record.copy:
        name += " again"
    yield _text("name", start + 8 * side, y - 6, anchor, name)
    yield _text("to", start + 8 * side, y + 17, anchor, f"to {record.destination}")
    if record.payload is not None:
        yield _text("to", start + 8 * side, y + 30, anchor, record.payload)
    if record.translated and record.translated != record.source and record.sender in _HOME:
        nat = _X[_HOME[record.sender].wan]
        y_nat = y + round(_SLANT * abs(nat - start) / full)
        yield Markup('<circle class="nat" cx="{}" cy="{}" r="4"/>').format(nat, y_nat)
        yield _text("from", nat + 8 * side, y_nat + 17, anchor, f"as {record.translated}")
    if record.fate is not Fate.DELIVERED:
        yield _text("fate", end + 10 * side, y_end - 8, anchor, _ENDING[record.fate])
    yield Markup("</g>")


def _hops(record: PacketRecord, y: int, y_end: int, ends: tuple[int, int]) -> Iterator[Markup]:
    """When it passed each capture point on its way, after it was sent."""
    start, end = ends
    for point, time in list(record.seen.items())[1:]:
        x = _POINT_X[point]
        y_here = y + round((y_end - y) * (x - start) / (end - start))
        yield Markup('<circle class="hop" cx="{}" cy="{}" r="2.5"/>').format(x, y_here)
        text = f"+{(time - record.t) * 1000:.2f}"
        if end > start:
            yield _text("after", x - 5, y_here - 6, "end", text)
        else:
            yield _text("after", x + 5, y_here - 6, "start", text)


def _end(record: PacketRecord) -> int:
    """Where the arrow ends: the column, or the place between two columns, that the fate means."""
    receiver, sender = record.receiver, record.sender
    match record.fate:
        case Fate.DELIVERED | Fate.PORT_CLOSED:
            return _END_X[receiver]
        case Fate.DROPPED | Fate.TAKEN_BY_ROUTER:
            return _X[_HOME[receiver].wan]
        case Fate.EXPIRED | Fate.LOST if sender in _HOME:
            return _X["internet"]
        case Fate.BLOCKED if sender in _HOME:
            return _X[_HOME[sender].lan]
        case _:  # the server's own ended on the way to the NAT
            return (_X["internet"] + _X[_HOME[receiver].wan]) // 2


def _tip(x: int, y: int, forward: bool) -> Markup:
    back = x - 9 if forward else x + 9
    return Markup('<path class="tip" d="M{} {}L{} {}L{} {}z"/>').format(
        x, y, back, y - 5, back, y + 4
    )


def _cross(x: int, y: int) -> Markup:
    return Markup('<path class="cross" d="M{0} {2}L{1} {3}M{0} {3}L{1} {2}"/>').format(
        x - 6, x + 6, y - 6, y + 6
    )


def _text(class_: str, x: int, y: int, anchor: str, text: str) -> Markup:
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        class_, x, y, anchor, text
    )


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"


def _describe(row: Row) -> str:
    record = row.record
    parts: Iterable[str | None] = (
        record.kind + (f" {record.step}" if record.step else ""),
        f"copy {record.copy}" if record.copy else None,
        f"sent at {_time(record.t)} by {record.sender} from {record.source}",
        f"shown as {record.translated}" if record.translated else None,
        f"to {record.destination} ({record.receiver})",
        record.payload,
        str(record.fate),
        f"at {_time(record.arrived)}" if record.arrived is not None else None,
        f"{row.times} alike until {_time(row.until)}" if row.times > 1 else None,
    )
    return ", ".join(part for part in parts if part)
