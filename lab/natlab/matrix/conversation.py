"""The work of a cell's programs: server, DNS services, clients, dig both ways; and their word, to be checked.

Both hosts serve a zone with dnsmasq and ask for the other's with dig, through the tunnel: each client
has `--listen` and `--connect`. What they say only tells the lab when to go on.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from nat_traversal.wire import DEFAULT_PORT
from natlab.evidence.check import Check
from natlab.links.conditions import LinkConditions
from natlab.network import addressing
from natlab.network.network import Network
from natlab.oracle.outcome import Outcome
from natlab.programs.program import Program
from natlab.programs.programs import Programs
from natlab.sandbox.zygote import Prepared

PYTHON_PROGRAM = "nat_traversal"
PRELOADED = tuple(
    f"{PYTHON_PROGRAM}.{part}"
    for part in ("cli.main", "cli.client_command", "cli.server_command", "crypto.dh", "crypto.seal")
)
"""The modules that the server and the clients of a cell read before they begin."""
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
ORDERED_HELLO = "ordered-hello"
"""The contract alone: no relay."""
STOPPED, TRAVERSAL_FAILED, CONNECTION_LOST = 0, 4, 6
"""The client's documented exit statuses under `--once`: asked to end, no path, the other side left."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Conversation:
    """The programs' words, and how they ended."""

    events: dict[str, list[dict[str, object]]]
    statuses: dict[str, int]
    answers: dict[str, str]
    """The output of dig on each host; empty where it was not asked to run."""
    said: dict[str, str]

    @property
    def method(self) -> str | None:
        found = self.find("client_a", "path-established")
        return str(found["method"]) if found else None

    def find(self, program: str, event: str) -> dict[str, object] | None:
        return next((each for each in self.events[program] if each["event"] == event), None)


def converse(
    network: Network,
    programs: Programs,
    links: LinkConditions,
    spares: list[Prepared],
    say: Say,
) -> Conversation:
    """Server, services, clients; dig both ways if they connect; an orderly end."""
    python = [sys.executable, "-m", PYTHON_PROGRAM]
    patience = links.patience
    server_pid = network.pid("server")
    server = programs.start(
        "server", [*python, "server", "--json"], server_pid, prepared=spares.pop()
    )
    services = [
        programs.start(f"dnsmasq_{x}", _dnsmasq(f"host_{x}"), network.pid(f"host_{x}"))
        for x in LETTERS
    ]
    server.wait_for_line('"event": "listening"', timeout=READY_WITHIN, stream="stdout")
    for service in services:
        service.wait_until_bound("udp", DNS_PORT, timeout=READY_WITHIN)
    say("server and DNS services are ready")

    clients = {
        x: programs.start(
            f"client_{x}",
            [*python, *_client(x, y)],
            network.pid(f"host_{x}"),
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
        dig_argv = _dig(links)
        digs = {x: programs.start(f"dig_{x}", dig_argv, network.pid(f"host_{x}")) for x in LETTERS}
        for x, dig in digs.items():
            dig.wait(timeout=READY_WITHIN + patience)
            answers[x] = "\n".join(line.text for line in dig.lines("stdout"))
            say(f"dig on host_{x}: {answers[x] or 'no answer'}")
        clients["a"].terminate()  # and b is told by a's farewell
    statuses = {x: client.wait(timeout=READY_WITHIN + patience) for x, client in clients.items()}
    statuses["server"] = server.terminate()
    all_programs = [server, *services, *clients.values()]
    return Conversation(
        {program.name: list(_events(program)) for program in (server, *clients.values())},
        statuses,
        answers,
        {program.name: _transcript(program) for program in all_programs},
    )


def _dnsmasq(owner: str) -> list[str]:
    """A zone of one record that tells which host served it.

    `--no-daemon` also keeps dnsmasq from becoming another user: a sandbox has none but root.
    """
    options = ["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
    options += ["--bind-interfaces", "--listen-address=127.0.0.1", f"--port={DNS_PORT}"]
    return ["dnsmasq", *options, f"--txt-record={ZONE_NAME},{owner}"]


def _client(own: str, other: str) -> list[str]:
    ids = ["--id", f"host_{own}", "-r", f"host_{other}"]
    forward = ["--listen", str(LISTEN_PORT), "--connect", f"127.0.0.1:{DNS_PORT}"]
    server = f"{addressing.SERVER.ip}:{DEFAULT_PORT}"
    methods = ["--methods", ORDERED_HELLO]
    return ["client", "--server", server, *ids, *forward, *methods, "--once", "--json"]


def _dig(links: LinkConditions) -> list[str]:
    """It waits for its answer as long as the way to the peer and back takes, and 2 s."""
    wait, tries = 2 + math.ceil(4 * links.slowest), 6 if links.is_lossy else 3
    limits = [f"+tries={tries}", f"+time={wait}"]
    return ["dig", "@127.0.0.1", "-p", str(LISTEN_PORT), "+short", *limits, ZONE_NAME, "TXT"]


def programs_agree(
    conversation: Conversation, observed: Outcome | None, *, heard: bool
) -> Iterator[Check]:
    """The programs' word against the packets'. `heard`: each host's announcements came through."""
    connected = observed is Outcome.CONNECTED
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
    if connected:
        for x, y in (LETTERS, LETTERS[::-1]):
            answer = conversation.answers[x]
            name = f"dig on host_{x} is answered by the service on host_{y}"
            # Behind the semicolon dig tells of tries that a lossy link took.
            records = [line for line in answer.splitlines() if not line.startswith(";")]
            yield Check(name, records == [f'"host_{y}"'], answer or "no answer")
        return
    for x in LETTERS:
        failure = conversation.find(f"client_{x}", "attempt-failed") or {}
        reason = str(failure.get("text", ""))
        name = f"the client on host_{x} says that it failed, and why"
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
