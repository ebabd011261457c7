"""Faults as text: what happens to a standing network or its programs, and when. Pure.

    at=2.5s:link-down host_a
    on=client_a:path-established:nat-reboot nat_a
    on=client_a:path-established+1s:signal client_b KILL

`natlab.faults.inject` makes them happen. `docs/lab/links-and-faults.md` describes each.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import AddressValueError, IPv4Address
from signal import Signals

from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.errors import UsageError
from natlab.presets import preset


class Action(StrEnum):
    """The faults that a lab can make."""

    LINK_DOWN = "link-down"
    LINK_UP = "link-up"
    CUT = "cut"
    HEAL = "heal"
    NAT_REBOOT = "nat-reboot"
    NAT_SWAP = "nat-swap"
    WAN_ADDRESS = "wan-address"
    EXPIRE = "expire"
    BLOCK = "block"
    UNBLOCK = "unblock"
    RELAY_CUT = "relay-cut"
    RELAY_RESTORE = "relay-restore"
    SIGNAL = "signal"
    RESTART = "restart"


WORDS = {
    Action.LINK_DOWN: ("NODE|INTERFACE",),
    Action.LINK_UP: ("NODE|INTERFACE",),
    Action.CUT: ("NODE", "NODE"),
    Action.HEAL: ("NODE", "NODE"),
    Action.NAT_REBOOT: ("NAT",),
    Action.NAT_SWAP: ("NAT", "PRESET"),
    Action.WAN_ADDRESS: ("NAT", "ADDRESS"),
    Action.EXPIRE: ("NAT", "HOST[:PORT]"),
    Action.BLOCK: ("FROM", "TO"),
    Action.UNBLOCK: ("FROM", "TO"),
    Action.RELAY_CUT: ("NODE",),
    Action.RELAY_RESTORE: ("NODE",),
    Action.SIGNAL: ("PROGRAM", "TERM|KILL|STOP|CONT|INT|HUP"),
    Action.RESTART: ("PROGRAM",),
}
"""The arguments of each action, after its name."""
SIGNALS = ("TERM", "KILL", "STOP", "CONT", "INT", "HUP")


@dataclass(frozen=True, slots=True)
class Fault:
    """An action and its arguments, as many as `WORDS` has for it."""

    action: Action
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return " ".join([self.action, *self.arguments])


@dataclass(frozen=True, slots=True)
class Moment:
    """When: `delay` seconds after the start, or after `program` first said `event`.

    An event is the ``event`` of a JSON line, or any text in a line.
    """

    delay: float
    program: str | None = None
    event: str | None = None

    def __str__(self) -> str:
        if self.program is None:
            return f"at={self.delay:g}s"
        after = f"+{self.delay:g}s" if self.delay else ""
        return f"on={self.program}:{self.event}{after}"


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A fault and its moment. Its text is what `parse_fault` reads."""

    when: Moment
    fault: Fault

    def __str__(self) -> str:
        return f"{self.when}:{self.fault}"


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault that has happened. `at` is when it had, in seconds since 1970."""

    at: float
    fault: Fault


@dataclass(frozen=True, slots=True)
class FaultsTold:
    """The result of a schedule: the faults that happened, in order; that were never due; that could not be."""

    injected: tuple[Injected, ...]
    missed: tuple[Scheduled, ...]
    errors: tuple[str, ...]


def parse_fault(text: str) -> Scheduled:
    """The fault that `text` describes. Raises `UsageError`, in one line, for anything else.

    Whether the nodes and programs exist is only known to a network: `natlab.faults.inject` checks that.
    """
    kind, _, rest = text.partition("=")
    moment, separator, action = rest.partition(":")
    try:
        if kind == "at" and separator:
            return Scheduled(Moment(_delay(moment)), parse_action(action))
        event, separator, action = action.partition(":")
        if kind == "on" and separator and moment and event:
            name, plus, delay = event.partition("+")
            when = Moment(_delay(delay) if plus else 0.0, moment, name)
            return Scheduled(when, parse_action(action))
    except UsageError as error:
        raise UsageError(f"fault {text!r}: {error}") from None
    raise UsageError(
        f"fault {text!r}: give at=DURATION:ACTION or on=PROGRAM:EVENT[+DURATION]:ACTION"
    )


def require_programs(faults: Iterable[Scheduled], programs: Collection[str]) -> None:
    """Raises `UsageError` for a fault that waits for, or acts on, a program that is not among `programs`."""
    for each in faults:
        named = [each.when.program] if each.when.program is not None else []
        if each.fault.action in {Action.SIGNAL, Action.RESTART}:
            named.append(each.fault.arguments[0])
        if strange := [name for name in named if name not in programs]:
            raise UsageError(
                f"fault {str(each)!r}: there is no program {strange[0]!r}: choose from"
                f" {', '.join(programs)}"
            )


def parse_action(text: str) -> Fault:
    """The action that `text` describes, ``link-down host_a``. Raises `UsageError`."""
    name, *arguments = text.split() or [""]
    if name not in set(Action):
        raise UsageError(f"unknown action {name!r}: choose from {', '.join(Action)}")
    action = Action(name)
    words = WORDS[action]
    if len(arguments) != len(words):
        raise UsageError(f"{name} takes {' '.join(words)}, not {' '.join(arguments) or 'nothing'}")
    match action:
        case Action.NAT_SWAP:
            preset(arguments[1])
        case Action.WAN_ADDRESS:
            try:
                IPv4Address(arguments[1])
            except AddressValueError:
                raise UsageError(f"{arguments[1]!r} is no IPv4 address") from None
        case Action.EXPIRE:
            host_and_port(arguments[1])
        case Action.CUT | Action.HEAL | Action.BLOCK | Action.UNBLOCK if len(set(arguments)) == 1:
            raise UsageError(f"{name} takes two nodes, not {arguments[0]} twice")
        case Action.SIGNAL:
            signal_number(arguments[1])
    return Fault(action, tuple(arguments))


def host_and_port(text: str) -> tuple[str, int | None]:
    """The two parts of ``HOST[:PORT]``, a node's name and a port from 1. Raises `UsageError`."""
    host, colon, port = text.partition(":")
    if not colon:
        return host, None
    if not host or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        raise UsageError(f"{text!r} is no host with a port: give one like host_a:5000")
    return host, int(port)


def signal_number(name: str) -> int:
    """The number of the signal called `name`, without SIG. Raises `UsageError`."""
    if name not in SIGNALS:
        raise UsageError(f"unknown signal {name!r}: choose from {', '.join(SIGNALS)}")
    return Signals[f"SIG{name}"]


def _delay(text: str) -> float:
    return parse_duration(text, most=DAY)
