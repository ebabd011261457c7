"""Words for people about one client: its next steps, its path, its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nat_traversal.aio.flow_table import EVICTED
from nat_traversal.aio.traffic import Traffic
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.peers.report_words import lines_of
from nat_traversal.cli.services import NamedEnd
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.wire.services import ServiceKind, Side


def tell_path(console: Console, report: Mapping[str, Any]) -> None:
    """Say in one sentence which path there is and why no better one; the event has all of the report."""
    console.event("path-status", **{key: report[key] for key in report if key != "text"})
    console.say(report["text"])


def tell_report(console: Console, report: Mapping[str, Any]) -> None:
    """Say all of the report, a line each."""
    tell_path(console, report)
    _, *further = lines_of(report)
    for line in further:
        console.say(line)


def next_steps(options: ClientOptions) -> Iterator[str]:
    """The next steps of a user once a path stands."""
    if options.listen is not None:
        yield f"ready: send your program's datagrams to {options.listen}"
    if options.connect is not None:
        yield f"ready: datagrams of the other side's programs go to {options.connect}"
    for service in options.services:
        if service.kind is ServiceKind.TCP:
            yield _tcp_step(service)
        elif service.side is Side.LISTEN:
            yield f"service {service.name}: send your program's datagrams to {service.at}"
        else:
            yield f"service {service.name}: datagrams of the other side's programs go to {service.at}"


def _tcp_step(service: NamedEnd) -> str:
    if service.side is Side.LISTEN:
        return f"service {service.name}: connect your program to {service.at}, over TCP"
    return (
        f"service {service.name}: TCP connections of the other side's programs go to {service.at}"
    )


def exit_status(notice: note.Notice, *, once: bool) -> Exit | None:
    """The meaning of a notice for a client that is about to end because of it."""
    match notice:
        case note.ServerRefused():
            return Exit.REFUSED
        case note.ServerLost(_, None):
            return Exit.SERVER_UNREACHABLE
        case note.AttemptFailed(_, _, None):
            return Exit.TRAVERSAL_FAILED
        case note.PathLost(_, False) if once:
            return Exit.CONNECTION_LOST
    return None


_LOST = {
    "unsendable": "could not be sent",
    "refused": "found nobody listening",
    "unreachable": "were lost on the way",
    "foreign": "came from other hosts",
    "unclaimed": "had no taker",
    "malformed": "malformed",
    "stranger": "of no path of ours",
    "replayed": "came twice or too late",
    "not-authentic": "not sealed by the other side",
    "incomplete": "incomplete",
    "handshake-forged": "forged in the handshake",
    "handshake-replayed": "replayed in the handshake",
}
"""The ends of datagrams that did not cross, in few words."""


def tell_summary(console: Console, counters: Counters) -> None:
    """Say how many datagrams crossed, and what became of the others."""
    Traffic(counters)  # also where no datagram came, every number is told
    counts = counters.snapshot()
    console.event("stopped", **counts)
    text = f"datagrams: {counts['sent']} to the other side, {counts['received']} from it"
    lost = [f"{counts[name]} {what}" for name, what in _LOST.items() if counts[name]]
    if evicted := counts.get(EVICTED, 0):
        lost.append(f"{evicted} programs' flows made room for others")
    console.say("; ".join([text, *lost]))
