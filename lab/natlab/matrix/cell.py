"""One cell: a pair of NATs, the real server and clients, a real DNS service, and the evidence.

Both hosts serve a zone with dnsmasq and ask for the other's with dig, through the tunnel: each client
has `--listen` and `--connect`. What the programs say only tells the lab when to go on; the verdict
comes from the packets, and the programs' word is checked against it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from nat_traversal.wire import DEFAULT_PORT
from natlab.capture.taps import Capture, Tap
from natlab.errors import LabError
from natlab.evidence.captions import comments
from natlab.evidence.checks import Check
from natlab.evidence.journey import CAPTURE_POINTS
from natlab.evidence.result import CellResult, broken, observe
from natlab.evidence.trace import reconstruct
from natlab.links.apply import Conditioned, conditioned
from natlab.links.conditions import PLAIN, LinkConditions
from natlab.network import addressing
from natlab.network.adjacency import wan_links
from natlab.network.network import Network
from natlab.oracle.outcome import Outcome
from natlab.probe.network import check_all, probe_all
from natlab.probe.observe import Observation
from natlab.programs.programs import Program, Programs
from natlab.sandbox.zygote import Prepared, preload
from natlab.topologies.two_nats import two_nats_network

TOPOLOGY = "two_nats"
CAPTURE_FILE = "capture.pcapng"
PYTHON_PROGRAM = "nat_traversal"
PRELOADED = tuple(
    f"{PYTHON_PROGRAM}.{part}" for part in ("cli.main", "cli.client_command", "cli.server_command")
)
"""What the server and the clients of a cell read before they begin."""
LETTERS = ("a", "b")
DNS_PORT = 53
LISTEN_PORT = 5300
ZONE_NAME = "where.lab"
READY_WITHIN = 20.0
VERDICT_WITHIN = 15.0
"""Seconds in which the clients must have connected, or have said that they cannot and why. This and
the others are for plain links; slow or lossy ones add their `LinkConditions.patience`."""
STOPPED, TRAVERSAL_FAILED, CONNECTION_LOST = 0, 4, 6
"""The client's documented exit statuses under `--once`: asked to end, no path, the other side left."""
CELL_TIMEOUT = 90.0
"""Seconds for a whole cell; far more than one takes on a slow machine."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CellJob:
    """What to run and where its files go. `directory` is made; `verbose` tells each stage on stderr,
    `keep_open` ends with a prompt on the standing lab."""

    nat_a: str
    nat_b: str
    directory: Path
    verbose: bool = False
    keep_open: bool = False
    links: LinkConditions = PLAIN
    """Of the link between each NAT and the internet."""

    @property
    def timeout(self) -> float:
        """Seconds that `run_cell` may take, without the prompt."""
        return CELL_TIMEOUT + 5 * self.links.patience


def run_cell(job: CellJob) -> CellResult:
    """Run one cell, inside `natlab.sandbox.sandbox.call`. What goes wrong with it is told in its `error`."""
    started = time.monotonic()

    def say(text: str) -> None:
        if job.verbose:
            print(f"{time.monotonic() - started:7.3f} s  {text}", file=sys.stderr, flush=True)

    try:
        result = _run(job, say)
    except LabError as error:
        result = broken(job.nat_a, job.nat_b, TOPOLOGY, str(error))
    return replace(result, seconds=round(time.monotonic() - started, 3))


def _run(job: CellJob, say: Say) -> CellResult:
    try:
        job.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(f"cannot write to {job.directory}: {error.strerror}") from None
    preload(*PRELOADED)
    with ExitStack() as ready, two_nats_network(job.nat_a, job.nat_b) as network:
        spares = [ready.enter_context(Prepared()) for _ in ("server", *LETTERS)]
        say("the network stands")
        probes = probe_all(network)
        check_all(network, probes)
        for node, observed in probes.items():
            say(f"{node} is probed: {observed}")
        with ExitStack() as stack:
            links = None
            if job.links != PLAIN:
                links = stack.enter_context(
                    conditioned(network, dict.fromkeys(wan_links(network), job.links))
                )
                say(f"links: {links}")
            taps = [Tap(network.pid(node), point) for point, node in CAPTURE_POINTS.items()]
            with Capture(taps) as capture:
                conversation = _converse(network, job, spares, say)
            kept = list(_links_kept(links))
            trace = reconstruct(capture.packets)
            capture.write(job.directory / CAPTURE_FILE, comments(trace))
            result = observe(job.nat_a, job.nat_b, TOPOLOGY, trace)
            result = replace(
                result,
                method=conversation.method,
                checks=(
                    *result.checks,
                    *_programs_agree(conversation, result.observed, heard=not trace.unheard),
                    *kept,
                ),
                probes={node: _evidence(observed) for node, observed in probes.items()},
                rules={node: str(rules) for node, rules in network.rules.items()},
                programs=conversation.said,
                pcap=str(Path(job.directory.name) / CAPTURE_FILE),
            )
            say(result.explanation)
            if job.keep_open:
                network.prompt()
        return result


def _links_kept(links: Conditioned | None) -> Iterator[Check]:
    if links is not None:
        untruths = links.untruths()
        why = "; ".join([str(links), *untruths])
        yield Check("the links kept their conditions", not untruths, why)


def _evidence(observed: Observation) -> str:
    return "\n".join([str(observed), *map(str, observed.probes)])


@dataclass(frozen=True, slots=True)
class _Conversation:
    """What the programs said and how they ended."""

    events: dict[str, list[dict[str, object]]]
    statuses: dict[str, int]
    answers: dict[str, str]
    """What dig printed on each host; empty where it was not asked to run."""
    said: dict[str, str]

    @property
    def method(self) -> str | None:
        found = self.find("client_a", "path-established")
        return str(found["method"]) if found else None

    def find(self, program: str, event: str) -> dict[str, object] | None:
        return next((each for each in self.events[program] if each["event"] == event), None)


def _converse(network: Network, job: CellJob, spares: list[Prepared], say: Say) -> _Conversation:
    """Server, services, clients; dig both ways if they connect; an orderly end."""
    python = [sys.executable, "-m", PYTHON_PROGRAM]
    patience = job.links.patience
    with Programs(job.directory) as programs:
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
            client.wait_for_line(verdict, timeout=VERDICT_WITHIN + patience, stream="stdout").group(
                1
            )
            for client in clients.values()
        }
        say(f"the clients say: {', '.join(sorted(verdicts))}")

        answers = dict.fromkeys(LETTERS, "")
        if verdicts == {"path-established"}:
            dig_argv = _dig(job.links)
            digs = {
                x: programs.start(f"dig_{x}", dig_argv, network.pid(f"host_{x}")) for x in LETTERS
            }
            for x, dig in digs.items():
                dig.wait(timeout=READY_WITHIN + patience)
                answers[x] = "\n".join(line.text for line in dig.lines("stdout"))
                say(f"dig on host_{x}: {answers[x] or 'no answer'}")
            clients["a"].terminate()  # and b is told by a's farewell
        statuses = {
            x: client.wait(timeout=READY_WITHIN + patience) for x, client in clients.items()
        }
        statuses["server"] = server.terminate()
        all_programs = [server, *services, *clients.values()]
        return _Conversation(
            {program.name: list(_events(program)) for program in (server, *clients.values())},
            statuses,
            answers,
            {program.name: _transcript(program) for program in all_programs},
        )


def _dnsmasq(owner: str) -> list[str]:
    """A zone of one record that tells who served it.

    `--no-daemon` also keeps dnsmasq from becoming another user: a sandbox has none but root.
    """
    options = ["--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--pid-file="]
    options += ["--bind-interfaces", "--listen-address=127.0.0.1", f"--port={DNS_PORT}"]
    return ["dnsmasq", *options, f"--txt-record={ZONE_NAME},{owner}"]


def _client(own: str, other: str) -> list[str]:
    ids = ["--id", f"host_{own}", "-r", f"host_{other}"]
    forward = ["--listen", str(LISTEN_PORT), "--connect", f"127.0.0.1:{DNS_PORT}"]
    server = f"{addressing.SERVER.ip}:{DEFAULT_PORT}"
    return ["client", "--server", server, *ids, *forward, "--once", "--json"]


def _dig(links: LinkConditions) -> list[str]:
    """It waits for its answer as long as the way to the peer and back takes, and 2 s."""
    wait, tries = 2 + math.ceil(4 * links.slowest), 6 if links.is_lossy else 3
    limits = [f"+tries={tries}", f"+time={wait}"]
    return ["dig", "@127.0.0.1", "-p", str(LISTEN_PORT), "+short", *limits, ZONE_NAME, "TXT"]


def _programs_agree(
    conversation: _Conversation, observed: Outcome | None, *, heard: bool
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
