"""Words that every form of the report shares. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from nat_traversal.wire.methods import RELAYS
from natlab.evidence.category import Category
from natlab.evidence.result import CellResult, Report, Timing
from natlab.evidence.way import Kind
from natlab.oracle.outcome import Outcome

_EXIT_STATUS = re.compile(r"^exit status: (.*)$", re.MULTILINE)
"""In what is told of a program, before its own lines; None: it ran on."""


def summary(report: Report) -> str:
    """One line: how many cells, how many as predicted, what they came to, and whose doing that is."""
    if any(cell.program is not None for cell in report.cells):
        return _summary_of_program(report)
    total = len(report.cells)
    good = sum(cell.ok for cell in report.cells)
    connected = [cell for cell in report.cells if cell.observed is Outcome.CONNECTED]
    swapped = sum(cell.round == 2 for cell in connected)
    later = Counter(
        cell.method or "in a later round" for cell in connected if (cell.round or 0) > 2
    )
    failed = [cell for cell in report.cells if cell.observed is Outcome.FAILED]
    relayed = [cell for cell in failed if cell.path == Kind.RELAYED]
    failed = [cell for cell in failed if cell.path != Kind.RELAYED]
    text = (
        f"{good} of {total} cells as predicted: {len(connected)} connected "
        f"({_why({'in round 2': swapped, **later, **_doings(connected, _CONNECTED)})})"
    )
    text += f", {len(relayed)} relayed ({_why(_doings(relayed, _NO_PATH))})" if relayed else ""
    text += f", {len(failed)} failed ({_why(_doings(failed, _FAILED))})"
    text = text.replace(" ()", "")
    broken = sum(cell.error is not None for cell in report.cells)
    text += f", {broken} broken" if broken else ""
    unequal = sum(cell.disagree for cell in report.cells)
    return f"{text}, {unequal} WITH RUNS THAT DISAGREE" if unequal else text


def _summary_of_program(report: Report) -> str:
    """``hole puncher: 29 of 36 pairs direct, 7 none (5 because the NATs forbid it ...)``."""
    total = len(report.cells)
    counts = {
        kind: [cell for cell in report.cells if cell.path == kind and cell.error is None]
        for kind in Kind
    }
    direct, relayed, none = (counts[kind] for kind in Kind)
    guessed = {"by guessing ports": sum(cell.category is Category.GUESSED for cell in direct)}
    parts = [f"{len(direct)} of {total} pairs direct ({_why(guessed)})"]
    parts += [f"{len(relayed)} relayed ({_why(_doings(relayed, _NO_PATH))})"] if relayed else []
    parts += [f"{len(none)} without a path ({_why(_doings(none, _NO_PATH))})"]
    text = f"{report.cells[0].program}: {', '.join(parts)}".replace(" ()", "")
    broken = sum(cell.error is not None for cell in report.cells)
    text += f", {broken} broken" if broken else ""
    wrong = sum(not cell.ok for cell in report.cells) - broken
    text += f", {wrong} not as they should be" if wrong else ""
    unequal = sum(cell.disagree for cell in report.cells)
    return f"{text}, {unequal} WITH RUNS THAT DISAGREE" if unequal else text


def short_end(cell: CellResult) -> str:
    """``connected``, ``relayed`` or ``failed``; of any program ``direct``, ``relayed`` or ``none``."""
    if cell.program is None and cell.path != Kind.RELAYED:
        return str(cell.observed)
    return cell.path or str(cell.observed)


def rung_and_times(cell: CellResult) -> Iterator[str]:
    """The rung of a path of which the lab knows no round, and when data went."""
    if cell.program is not None or cell.round is not None or cell.final_path_ms is None:
        return
    if cell.topology.partition(",")[0] in {
        "two_nats",
        "regions",
    }:  # relayed: a direct path has a round there
        yield f"{cell.final_path_ms:.0f} ms"
        return
    if cell.path == Kind.DIRECT and cell.method is not None:
        yield cell.method
    if cell.first_datagram_ms is not None:
        yield f"first {cell.first_datagram_ms:.0f} ms"
    yield f"final {cell.final_path_ms:.0f} ms"


def costs(cell: CellResult) -> Iterator[str]:
    """A program's path and its cost, a sentence each; nothing of what is not known."""
    if cell.endpoints:
        yield f"Path: direct between {' and '.join(cell.endpoints)}."
    elif cell.through:
        yield f"Path: relayed through {cell.through}."
    if cell.first_datagram_ms is not None:
        yield f"First payload after {cell.first_datagram_ms:.1f} ms."
    if cell.final_path_ms is not None:
        yield f"Final path after {cell.final_path_ms:.1f} ms."
    if cell.sent_packets is not None and cell.sent_octets is not None:
        until = "until the first payload" if cell.first_datagram_ms is not None else "in vain"
        yield f"Both hosts sent {cell.sent_packets} packets with {cell.sent_octets} octets {until}."
    if cell.entries is not None:
        made = ", ".join(f"{nat} {count}" for nat, count in cell.entries.items())
        yield f"Entries made in each NAT's table of connections: {made}."
    if cell.idle_packets is not None:
        yield f"Idle, both hosts send {cell.idle_packets:g} packets a minute."
    if cell.recovery_ms is not None:
        yield f"Payload came through again {cell.recovery_ms:.0f} ms after the last fault."


def opened(cell: CellResult) -> Iterator[str]:
    """The programs' datagrams in the ladder's frames that a key log opened, a line each."""
    for each in cell.packets:
        if each.payload is not None:
            yield f"{each.t * 1000:.1f} ms, {each.sender} to {each.receiver}: {each.payload}"


def ended_badly(report: Report) -> Iterator[str]:
    """A line for each program of a program file that ended by itself, not with 0: how, where, and in which files of the
    report its output is."""
    cells: dict[tuple[str, str], list[CellResult]] = defaultdict(list)
    for cell in report.cells:
        for name, text in (cell.programs or {}).items() if cell.program is not None else ():
            found = _EXIT_STATUS.search(text)
            if found is not None and found[1] not in {"0", "None"}:
                cells[name, found[1]].append(cell)
    for (name, status), (first, *others) in cells.items():
        pair = f"{first.nat_a} × {first.nat_b}" + (f" and {len(others)} more" if others else "")
        end = f"by signal {status[1:]}" if status.startswith("-") else f"with exit status {status}"
        folder = f"{first.nat_a}--{first.nat_b}" + ("*" if first.runs else "")
        yield f"{pair}: {name} ended {end}; its output: {folder}/{name}.std*"


def links(report: Report) -> str:
    """``links: NATs to internet by netem: delay 5 ms (the default)``; empty where nothing is known."""
    told = report.header.get("links")
    return f"links: {told}" if told else ""


def categories(report: Report) -> dict[Category, int]:
    """How many cells each category has, in the categories' order."""
    counts = Counter(cell.category for cell in report.cells)
    return {category: counts[category] for category in Category}


def _doings(cells: Sequence[CellResult], words: Mapping[Category, str]) -> dict[str, int]:
    """Whose doing it is that `cells` did not come to the best end, and of how many."""
    counts = Counter(cell.category for cell in cells)
    return {text: counts[category] for category, text in words.items()}


def _why(counts: Mapping[str, int]) -> str:
    """``2 in round 2, 4 because the NATs forbid it``; what there is none of is left out."""
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count)


_CONNECTED = {
    Category.MISSED: "a round later than needed",
    Category.LAB_WRONG: "where the lab is wrong",
}
_FAILED = {
    Category.FORBIDDEN: "because the NATs forbid it without guessing ports",
    Category.MISSED: "though the program could have connected",
    Category.LAB_WRONG: "where the lab is wrong",
}


_NO_PATH = {
    Category.FORBIDDEN: "where the NATs forbid a direct path without guessing ports",
    Category.MISSED: "where a direct path could have opened",
    Category.LAB_WRONG: "where the lab is wrong",
}


def by_cause(report: Report) -> dict[tuple[Category, str], list[CellResult]]:
    """The cells without a direct path, together where category and cause are the same; the largest group first."""
    groups: dict[tuple[Category, str], list[CellResult]] = defaultdict(list)
    for cell in report.cells:
        if cell.observed is Outcome.FAILED:
            groups[cell.category, _of_either_side(cell.cause or cell.reason)].append(cell)
    return dict(sorted(groups.items(), key=lambda group: -len(group[1])))


def _of_either_side(cause: str) -> str:
    """``nat_b gave a port that nat_a ...`` as ``One NAT gave a port that the other ...``."""
    sides = list(dict.fromkeys(_SIDE.findall(cause)))

    def name(found: re.Match[str]) -> str:
        which = "the other" if sides.index(found[1]) else "one"
        return which if which != "one" else {"nat": "one NAT", "host": "one host"}[found[2]]

    text = _NAMED.sub(name, cause)
    return text[:1].upper() + text[1:]


_SIDE = re.compile(r"\b(?:nat|host)_([ab])\b")
_NAMED = re.compile(r"\b(?=(?:nat|host)_([ab])\b)(nat|host)_[ab]\b")


def faults(cell: CellResult) -> list[str]:
    """Why the cell is not `ok`, a line each."""
    found = []
    if cell.disagree:
        found.append(f"its runs disagree: {ends(cell)}")
    if cell.error is not None:
        return [*found, cell.error]
    found += [f"not so: {check.name} ({check.why})" for check in cell.checks if not check.ok]
    if not cell.is_as_predicted and not found:
        found.append(f"observed {cell.observed}, predicted {cell.predicted}")
    return found


def ends(cell: CellResult) -> str:
    """``connected in round 1 (9 of 10), failed (1 of 10)``; of a single run just its end."""
    counts, total = cell.ends, len(cell.every_run)
    if total == 1:
        return next(iter(counts))
    return ", ".join(f"{end} ({count} of {total})" for end, count in counts.items())


def verdict(cell: CellResult) -> str:
    """``symmetric × symmetric: relayed through turn (predicted: relayed)``."""
    relays = {str(method) for method in RELAYS}
    predicted = "relayed" if cell.predicted_method in relays else cell.predicted
    ended = ends(cell) if cell.observed is not None else "broken"
    return f"{cell.nat_a} × {cell.nat_b}: {ended} (predicted: {predicted})"


def spread(timing: Timing | None) -> str:
    """``8.1 ms``, or ``8.1 / 9.0 / 12.3 ms`` for the least, the median and the greatest of several."""
    if timing is None:
        return ""
    if len(timing.values) == 1:
        return f"{timing.median:.1f} ms"
    return f"{timing.min:.1f} / {timing.median:.1f} / {timing.max:.1f} ms"
