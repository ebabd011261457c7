"""The work of a cell's programs: server, DNS services, clients, dig both ways; and their word, to be checked.

Both hosts serve a zone with dnsmasq and ask for the other's with dig, through the tunnel: each client
has `--listen` and `--connect`. Their word only tells the lab when to go on.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from nat_traversal.wire import DEFAULT_PORT
from nat_traversal.wire.methods import RELAYS, MethodName
from natlab.evidence.check import Check
from natlab.evidence.way import Kind
from natlab.links.conditions import LinkConditions
from natlab.matrix.coturn import TurnOptions
from natlab.network import addressing
from natlab.programs.program import Program
from natlab.programs.programs import Programs
from natlab.sandbox.zygote import Prepared

if TYPE_CHECKING:
    from natlab.network.network import Network

PYTHON_PROGRAM = "nat_traversal"
PRELOADED = (
    *(
        f"{PYTHON_PROGRAM}.{part}"
        for part in (
            *(
                "cli.main",
                "cli.start",
                "cli.console_log",
                "cli.client_command",
                "cli.server_command",
            ),
            *("aio.direct_loop", "crypto.dh", "crypto.seal"),
        )
    ),
    "encodings.idna",
)
"""The modules that the server and the clients of a cell read before they begin, or as they connect."""
LETTERS = ("a", "b")
PREPARED = len(("server", *LETTERS))
"""How many prepared processes `converse` takes."""
DNS_PORT = 53
LISTEN_PORT = 5300
ZONE_NAME = "where.lab"
READY_WITHIN = 20.0
VERDICT_WITHIN = 15.0
"""Seconds in which the clients must have connected, or have said that they cannot and why. This and
the other are for plain links; slow or lossy ones add their `LinkConditions.patience`."""
STOPPED, TRAVERSAL_FAILED, CONNECTION_LOST = 0, 4, 6
"""The client's documented exit statuses under `--once`: asked to end, no path, the other side left."""

USUAL_HOSTS = ("host_a", "host_b")
NOWHERE_ELSE: Mapping[str, str] = MappingProxyType({})
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The programs' words, and how they ended."""

    events: dict[str, list[dict[str, object]]]
    statuses: dict[str, int]
    answers: dict[str, str]
    """The output of the last dig on each host; empty where it was not asked to run."""
    said: dict[str, str]
    hosts: dict[str, str]
    """By letter: the node of client_a and of client_b, and its id at the server."""

    @property
    def method(self) -> str | None:
        """The rung on which the datagrams of client_a went at the end."""
        names = ("path-established", "path-moved")
        found = [each for each in self.events["client_a"] if each["event"] in names]
        moved = [each for each in found if each["event"] == "path-moved"]
        last = (moved or found)[-1:]
        return str(last[0]["method"]) if last else None

    def find(self, program: str, event: str) -> dict[str, object] | None:
        return next((each for each in self.events[program] if each["event"] == event), None)


def converse(
    network: Network,
    programs: Programs,
    links: LinkConditions,
    *,
    spares: list[Prepared],
    methods: Sequence[str],
    hosts: tuple[str, str] = USUAL_HOSTS,
    servers: Mapping[str, str] = NOWHERE_ELSE,
    key_log: Path | None = None,
    server_options: Sequence[str] = (),
    turn: TurnOptions | None = None,
    say: Say,
) -> Conversation:
    """Server, services, clients; dig both ways if they connect, on each path that they use; an orderly end.

    `methods` are the rungs that the clients may use; they write their keys to `key_log`. The clients
    run on the nodes `hosts`, and reach the server where `servers` says, or at its first IPv4 address. `turn` has their options about a TURN server, which runs already.
    """
    nodes = dict(zip(LETTERS, hosts, strict=True))
    pids = {x: network.pid(node) for x, node in nodes.items()}
    python = [sys.executable, "-m", PYTHON_PROGRAM]
    keys = [] if key_log is None else ["--key-log", str(key_log)]
    patience = links.patience
    server_pid = network.pid("server")
    server = programs.start(
        "server",
        [*python, "server", "--json", *server_options],
        server_pid,
        prepared=spares.pop(),
    )
    services = [programs.start(f"dnsmasq_{x}", _dnsmasq(nodes[x]), pids[x]) for x in LETTERS]
    server.wait_for_line('"event": "listening"', timeout=READY_WITHIN, stream="stdout")
    for service in services:
        service.wait_until_bound("udp", DNS_PORT, timeout=READY_WITHIN)
    say("server and DNS services are ready")

    clients = {
        x: programs.start(
            f"client_{x}",
            [
                *python,
                *_client(nodes[x], nodes[y], methods, servers.get(nodes[x])),
                *keys,
                *(turn.of(nodes[x]) if turn else ()),
            ],
            pids[x],
            prepared=spares.pop(),
        )
        for x, y in (LETTERS, LETTERS[::-1])
    }
    verdict = '"event": "(path-established|attempt-failed)"'
    verdicts = {
        client.wait_for_line(verdict, timeout=VERDICT_WITHIN + patience, stream="stdout").group(1)
        for client in clients.values()
    }
    say(f"the clients say: {', '.join(sorted(verdicts))}")

    answers = dict.fromkeys(LETTERS, "")
    if verdicts == {"path-established"}:
        answers = _ask(programs, pids, links, "dig", say)
        ends = {_end_of_ladder(client, patience) for client in clients.values()}
        if "path-moved" in ends:
            answers = _ask(programs, pids, links, "dig_again", say)
        clients["a"].terminate()  # and b is told by a's farewell
    statuses = {x: client.wait(timeout=READY_WITHIN + patience) for x, client in clients.items()}
    statuses["server"] = server.terminate()
    all_programs = [server, *services, *clients.values()]
    return Conversation(
        {program.name: list(_events(program)) for program in (server, *clients.values())},
        statuses,
        answers,
        {program.name: _transcript(program) for program in all_programs},
        nodes,
    )


def _ask(
    programs: Programs, pids: dict[str, int], links: LinkConditions, name: str, say: Say
) -> dict[str, str]:
    """Both hosts ask for the other's zone at once: the output of each dig."""
    argv, patience = _dig(links), links.patience
    digs = {x: programs.start(f"{name}_{x}", argv, pid) for x, pid in pids.items()}
    answers: dict[str, str] = {}
    for x, dig in digs.items():
        dig.wait(timeout=READY_WITHIN + patience)
        answers[x] = "\n".join(line.text for line in dig.lines("stdout"))
        say(f"{name} of {x}: {answers[x] or 'no answer'}")
    return answers


def _end_of_ladder(client: Program, patience: float) -> str:
    """The event with which a client's search for a direct path ended, which a relayed path does not stop."""
    first = next(each for each in _events(client) if each["event"] == "path-established")
    if first["method"] not in (MethodName.RELAY, MethodName.TURN):
        return "path-established"
    wanted = '"event": "(path-moved|not-direct|path-lost)"'
    found = client.wait_for_line(wanted, timeout=VERDICT_WITHIN + patience, stream="stdout")
    return found.group(1)


def _dnsmasq(owner: str) -> list[str]:
    """A zone of one record that tells which host served it.

    `--no-daemon` also keeps dnsmasq from becoming another user: a sandbox has none but root.
    """
    options = ["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
    options += ["--bind-interfaces", "--listen-address=127.0.0.1", f"--port={DNS_PORT}"]
    return ["dnsmasq", *options, f"--txt-record={ZONE_NAME},{owner}"]


def _client(own: str, other: str, methods: Sequence[str], at: str | None) -> list[str]:
    ids = ["--id", own, "-r", other]
    forward = ["--listen", str(LISTEN_PORT), "--connect", f"127.0.0.1:{DNS_PORT}"]
    server = f"{at or addressing.SERVER.ip}:{DEFAULT_PORT}"
    rungs = ["--methods", ",".join(methods)]
    return ["client", "--server", server, *ids, *forward, *rungs, "--once", "--json"]


def _dig(links: LinkConditions) -> list[str]:
    """It waits for its answer as long as the way to the peer and back takes, and 2 s."""
    wait, tries = 2 + math.ceil(4 * links.slowest), 6 if links.is_lossy else 3
    limits = [f"+tries={tries}", f"+time={wait}"]
    return ["dig", "@127.0.0.1", "-p", str(LISTEN_PORT), "+short", *limits, ZONE_NAME, "TXT"]


def programs_agree(
    conversation: Conversation, path: Kind, *, heard: bool, turned: bool = False
) -> Iterator[Check]:
    """The programs' word against the packets'. `heard`: each host's announcements came through.

    `turned`: the relay is a TURN server's.
    """
    connected = path is not Kind.NONE
    expected = {
        "server": STOPPED,
        "a": STOPPED if connected else TRAVERSAL_FAILED,
        "b": CONNECTION_LOST if connected else TRAVERSAL_FAILED,
    }
    yield Check(
        "the programs say what the packets say",
        conversation.statuses == expected,
        f"exit statuses {_in_words(conversation.statuses)}, expected {_in_words(expected)}",
    )
    told = Kind.NONE if conversation.method is None else Kind.DIRECT
    if conversation.method in RELAYS:
        told = Kind.RELAYED
    says_turned = conversation.method == MethodName.TURN
    shown = f"{path} by a TURN server" if turned else path
    why = f"client_a says {conversation.method or 'that there is no path'}, the packets {shown}"
    is_right = told is path and says_turned is turned
    yield Check("the client names the way that the packets took", is_right, why)
    hosts = conversation.hosts
    if connected:
        for x, y in (LETTERS, LETTERS[::-1]):
            answer = conversation.answers[x]
            name = f"dig on {hosts[x]} is answered by the service on {hosts[y]}"
            # Behind the semicolon dig tells of tries that a lossy link took.
            records = [line for line in answer.splitlines() if not line.startswith(";")]
            yield Check(name, records == [f'"{hosts[y]}"'], answer or "no answer")
        return
    for x in LETTERS:
        failure = conversation.find(f"client_{x}", "attempt-failed") or {}
        reason = str(failure.get("text", ""))
        name = f"the client on {hosts[x]} says that it failed, and why"
        right = failure.get("code") == ("no-path" if heard else "udp-blocked")
        yield Check(name, right, reason or "it did not say so")


def _in_words(statuses: dict[str, int]) -> str:
    return ", ".join(f"{name} {status}" for name, status in sorted(statuses.items()))


def _events(program: Program) -> Iterator[dict[str, object]]:
    for line in program.lines("stdout"):
        yield json.loads(line.text)


def _transcript(program: Program) -> str:
    words = [" ".join(program.argv), f"exit status: {program.exit_status}"]
    return "\n".join([*words, *(line.text for line in program.lines("stderr"))])
