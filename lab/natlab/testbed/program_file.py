"""A program file: how a program is started, when it is ready, how its success shows.

`docs/lab/program-file.md` is its documentation, with every key.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path, PurePath
from typing import TypeVar

from nat_traversal.arguments.config import MAX_SIZE
from nat_traversal.arguments.durations import DAY, parse_duration
from nat_traversal.arguments.user_file import descriptor_of
from nat_traversal.errors import UsageError
from natlab.evidence.program import Expectation, ProgramCase
from natlab.faults.grammar import Scheduled, parse_fault, require_programs
from natlab.links.conditions import LinkConditions
from natlab.links.options import conditions_of
from natlab.programs.readiness import pattern, readiness
from natlab.testbed.tables import Source, Table

E = TypeVar("E", bound=StrEnum)

SERVER = "server"
READY_WITHIN, WITHIN = 20.0, 30.0
PAIR = "two_nats"
_NAME = re.compile(r"[A-Za-z][\w-]{0,30}", re.ASCII)
_ADDRESS = re.compile(r"(.+):(\d{1,5}|\$\{?LAB_\w+\}?)")


class Keep(StrEnum):
    """Which captures stay."""

    ALWAYS = "always"
    FAILED = "failed"
    """Of cells that are not good, or came to nothing."""
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Start:
    """A program to start. Times are in seconds."""

    name: str
    node: str
    command: str
    ready: str | None = None
    """``udp:PORT``, ``tcp:PORT`` or a regular expression for a line; None: at once."""
    ready_within: float = READY_WITHIN
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ByLine:
    """Each of the peers says a line like `pattern`; one that says one like `failure` has failed."""

    pattern: str
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ByExit:
    """Each of the peers ends with this status."""

    status: int


@dataclass(frozen=True, slots=True)
class ByExchange:
    """The lab sends datagrams of its own from one end to the other, and answers them there.

    Endpoints are ``ADDRESS:PORT`` as the programs on these nodes have them, with ``$LAB_...`` if need be.
    """

    sender: str
    to: str
    receiver: str
    listen: str
    failure: str | None = None
    """A line that says that a peer has given up."""


Success = ByLine | ByExit | ByExchange


@dataclass(frozen=True, slots=True)
class ProgramFile:
    """All that a program file says. Times are in seconds."""

    name: str
    directory: PurePath
    """Where the file is: ``$LAB_PROGRAM_DIR``."""
    servers: tuple[Start, ...]
    peers: tuple[Start, ...]
    success: Success
    between: tuple[str, str]
    """The two nodes whose path is judged."""
    judged: tuple[str, ...]
    """The peers whose line or status counts."""
    topology: str = PAIR
    within: float = WITHIN
    """From the start of the last peer to success."""
    settle: float = 0.0
    """How long it goes on after its success: it may find a better path."""
    idle: float = 0.0
    """How long the lab then says nothing and counts what the hosts send."""
    expect: Expectation = Expectation.ANYTHING
    payload: str | None = None
    """A regular expression for the octets of a datagram that counts as payload; None: any counts."""
    faults: tuple[Scheduled, ...] = ()
    capture: Keep = Keep.ALWAYS
    files: tuple[tuple[str, str], ...] = ()
    """Node and path (with ``*``) of what is kept beside the programs' output."""
    links: Mapping[str, object] = field(default_factory=dict, hash=False)
    """As on the command line, which goes before: ``delay``, ``loss``, ..."""

    @property
    def starts(self) -> tuple[Start, ...]:
        return (*self.servers, *self.peers)

    def require_programs_of(self, faults: Iterable[Scheduled]) -> None:
        """Raises `UsageError` for a fault of a program that is not in the file."""
        require_programs(faults, [each.name for each in self.starts])

    def network(self, nat_a: str, nat_b: str) -> str:
        """The topology with this pair of NATs, as `natlab.network.loading.load` reads it."""
        if "{nat_" in self.topology:
            return self.topology.replace("{nat_a}", nat_a).replace("{nat_b}", nat_b)
        return f"{self.topology},nat_a={nat_a},nat_b={nat_b}"

    @property
    def is_a_pair(self) -> bool:
        """Whether the model knows the network: two hosts, each behind one NAT."""
        return self.topology == PAIR

    def longest(self, links: LinkConditions) -> float:
        """Seconds that the programs may take on such links, all in all."""
        ready = sum(each.ready_within for each in self.starts)
        return ready + 3 * (self.within + links.patience) + self.settle + self.idle

    def case(self, nat_a: str, nat_b: str) -> ProgramCase:
        """The program between these NATs."""
        topology = self.topology.partition(",")[0]
        return ProgramCase(
            self.name, nat_a, nat_b, topology, self.between, self.is_a_pair, self.expect
        )


def read_program_file(path: Path) -> ProgramFile:
    """Raises `UsageError` for a file that cannot be read, or as `parse_program_file`."""
    try:
        with os.fdopen(descriptor_of(str(path)), "rb") as file:
            octets = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(f"cannot read the program file {path}: {error.strerror}") from None
    except UsageError as error:
        raise UsageError(f"cannot read the program file {error}") from None
    if len(octets) > MAX_SIZE:
        raise UsageError(f"{path} is no program file: it has more than {MAX_SIZE} octets")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no program file: TOML is text in UTF-8") from None
    return parse_program_file(text, path)


def parse_program_file(text: str, path: PurePath) -> ProgramFile:
    """The file at `path` with this text. Raises `UsageError`, one line with file, line and remedy."""
    top = Source(str(path), text).table()
    servers = [_start(table, SERVER, SERVER) for table in top.tables(SERVER)]
    servers = [_numbered(each, index) for index, each in enumerate(servers)]
    peers = [
        _start(table, _checked_name(table, name), f"host_{name}")
        for name, table in top.named("peers").items()
    ]
    if not peers:
        top.refuse('it starts no peer: add [peers.a] and [peers.b], each with command = "..."')
    taken = [each.name for each in (*servers, *peers)]
    if twice := next((name for name in taken if taken.count(name) > 1), None):
        top.refuse(f"a peer cannot be called {twice} beside a server of that name", "peers")
    nodes = list(dict.fromkeys(each.node for each in peers))
    success, judged, payload = _success(top, peers)
    within = top.duration("within", _moment, "30s")
    keep = top.table("keep")
    links = top.table("links")
    found = ProgramFile(
        top.text("name", "my program") or path.stem,
        path.parent,
        tuple(servers),
        tuple(peers),
        success,
        _between(top, success, nodes),
        judged,
        top.text("topology", "two_nats") or PAIR,
        WITHIN if within is None else within,
        top.duration("settle", _moment, "5s") or 0.0,
        top.duration("idle", _moment, "60s") or 0.0,
        top.read("expect", _choice(Expectation), "possible") or Expectation.ANYTHING,
        payload,
        top.read_all("faults", parse_fault, "at=4s:nat-reboot nat_a"),
        _kept_capture(keep),
        keep.read_all("files", _kept_file, "host_a:/tmp/*.log") if keep else (),
        dict(links.values) if links else {},
    )
    if links:
        try:
            conditions_of(found.links)
        except UsageError as error:
            links.refuse(str(error))
    if keep:
        keep.finish()
    try:
        found.require_programs_of(found.faults)
    except UsageError as error:
        top.refuse(str(error), "faults")
    top.finish()
    return found


def _start(table: Table, name: str, node: str) -> Start:
    command = table.read("command", _command, "python3 $LAB_PROGRAM_DIR/peer.py")
    if command is None:
        table.refuse('it needs a command: add command = "..."')
    within = table.duration("ready_within", _moment, "20s")
    environment = table.table("environment")
    values = environment.values if environment else {}
    for key, value in values.items():
        if environment and not isinstance(value, str):
            environment.refuse(f'{value!r} is not a text: write it as {key} = "{value}"', key)
    found = Start(
        name,
        table.text("on", node) or node,
        command,
        table.read("ready", readiness, "udp:3478"),
        READY_WITHIN if within is None else within,
        dict(values),
    )
    table.finish()
    return found


def _numbered(start: Start, index: int) -> Start:
    name = SERVER if index == 0 else f"{SERVER}-{index + 1}"
    return Start(
        name, start.node, start.command, start.ready, start.ready_within, start.environment
    )


def _checked_name(table: Table, name: str) -> str:
    if not _NAME.fullmatch(name):
        table.refuse("a peer's name is a letter, then letters, digits, _ and -, at most 31 in all")
    return name


def _success(top: Table, peers: Sequence[Start]) -> tuple[Success, tuple[str, ...], str | None]:
    table = top.table("success")
    if table is None:
        top.refuse('it does not say how success shows: add [success] with line = "connected"')
    line, status = table.read("line", pattern, "connected"), table.take("exit_status", int, "0")
    exchange = table.table("exchange")
    ways = {"line": line, "exit_status": status, "exchange": exchange}
    chosen = [name for name, value in ways.items() if value is not None]
    if len(chosen) != 1:
        table.refuse(
            f"give one of {', '.join(ways)}" + (f", not {' and '.join(chosen)}" if chosen else "")
        )
    failure = table.read("failure", pattern, "no path")
    if failure is not None and status is not None:
        table.refuse("it goes with line and exchange, not with exit_status", "failure")
    names = [each.name for each in peers]
    judged = table.read_all("by", str, "a")
    if strange := [name for name in judged if name not in names]:
        table.refuse(f"there is no peer {strange[0]!r}: choose from {', '.join(names)}", "by")
    payload = table.read("payload", pattern, "this is host_")
    table.finish()
    success: Success
    if line is not None:
        success = ByLine(line, failure)
    elif status is not None:
        if not 0 <= status <= 255:
            table.refuse(f"{status} is no exit status: give 0 to 255", "exit_status")
        success = ByExit(status)
    else:
        assert exchange is not None
        success = _exchange(exchange, failure)
    return success, judged or tuple(names), payload


def _exchange(table: Table, failure: str | None) -> ByExchange:
    words = {
        "from": table.text("from", "host_a"),
        "to": table.read("to", _endpoint, "127.0.0.1:5300"),
        "at": table.text("at", "host_b"),
        "listen": table.read("listen", _endpoint, "127.0.0.1:7000"),
    }
    missing = [name for name, value in words.items() if value is None]
    if missing:
        table.refuse(
            f"it needs {', '.join(missing)}: from and at are nodes, to and listen are ADDRESS:PORT there"
        )
    table.finish()
    sender, to, receiver, listen = (value or "" for value in words.values())
    return ByExchange(sender, to, receiver, listen, failure)


def _between(top: Table, success: Success, nodes: Sequence[str]) -> tuple[str, str]:
    given = top.read_all("between", str, "host_a")
    if not given and isinstance(success, ByExchange):
        given = (success.sender, success.receiver)
    chosen = tuple(given or nodes[:2])
    if len(set(chosen)) != 2:
        top.refuse(
            'name the two hosts whose path counts: between = ["host_a", "host_b"]', "between"
        )
    return chosen[0], chosen[1]


def _kept_capture(keep: Table | None) -> Keep:
    return (keep.read("capture", _choice(Keep), "failed") if keep else None) or Keep.ALWAYS


def _kept_file(text: str) -> tuple[str, str]:
    node, _, path = text.partition(":")
    if not node or not path.startswith("/"):
        raise UsageError(f"{text!r}: give NODE:/PATH, as host_a:/tmp/*.log")
    return node, path


def _moment(text: str) -> float:
    return parse_duration(text, least=0.001, most=DAY)


def _command(text: str) -> str:
    try:
        shlex.split(text)
    except ValueError as error:
        raise UsageError(f"cannot read the command {text!r}: {error}") from None
    return text


def _endpoint(text: str) -> str:
    found = _ADDRESS.fullmatch(text)
    if found is None or (found[2].isdigit() and not 0 < int(found[2]) < 65536):
        raise UsageError(f"{text!r} is no endpoint: give ADDRESS:PORT, as 127.0.0.1:5300")
    return text


def _choice(kind: type[E]) -> Callable[[str], E]:
    def read(text: str) -> E:
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"{text!r}: choose from {', '.join(kind)}") from None

    return read
