"""A standing lab, used from outside its sandbox: start programs on its hosts, wait, look, end.

    with NatLab("full-cone", "symmetric", directory) as lab:  # or TopologyLab("star", directory)
        lab.start("server", "turnserver -n -L $LAB_SELF --no-auth", ready="udp:3478")
        assert "NAT with" in lab.run("host_a", "turnutils_natdiscovery -m $LAB_SERVER").stdout

The network lives in a sandbox (`natlab.testbed.worker`); what is here asks it over the sandbox's pipe, so that
neither Mininet nor scapy is imported into the caller's process. Every method may raise
`SandboxError` when the sandbox is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

from nat_traversal.errors import UsageError
from natlab.errors import LabError
from natlab.evidence.fates import Fates
from natlab.evidence.way import PathFound, path_between
from natlab.faults.grammar import FaultsTold, Injected, Scheduled, parse_action
from natlab.links.conditions import DEFAULT_LINKS, LinkConditions
from natlab.nat.ruleset import Firewall, parse_firewall
from natlab.network.addressing import Role
from natlab.presets import preset
from natlab.programs.command_line import Command, command_words
from natlab.report.directory import own_directory
from natlab.report.text_ladder import draw
from natlab.sandbox import sandbox
from natlab.sandbox.sandbox import Sandbox
from natlab.testbed import worker
from natlab.testbed.files import CAPTURE_FILE, LADDER_FILE
from natlab.testbed.program import ANSWER_MARGIN, Finished, LabProgram

if TYPE_CHECKING:
    from natlab.capture.packet import Packet
    from natlab.evidence.result import CellResult
    from natlab.evidence.trace import Trace
    from natlab.testbed.program_file import ProgramFile

__tracebackhide__ = True  # pytest: the report of a failed test shows the test's frames
P = ParamSpec("P")
T = TypeVar("T")

BUILD_TIMEOUT = 180.0
"""Seconds in which a network stands and its NATs are probed; most take less than one."""
_END_TIMEOUT = 60.0


class TopologyLab:
    """A standing network: any topology of the lab's, or one's own.

        with TopologyLab("star,peers=4,nats=symmetric/full-cone", directory) as lab:
            lab.run("host_3", "ping -c1 $LAB_1")

    Ends with the ``with`` block, or `close`, or the thread that made it. Times are in seconds.
    """

    def __init__(
        self,
        topology: str,
        directory: Path,
        links: LinkConditions = DEFAULT_LINKS,
        firewall: str = Firewall.NFTABLES,
    ) -> None:
        """`topology` is a name with parameters, ``star,peers=4``, or ``PATH.py:NAME,parameter=value``;
        `directory` is made, and keeps output, rules, probes and packets. Files of an earlier lab in it go;
        other people's stay, and a name that both want is a `LabError`. `links` are the conditions
        between each NAT and what is outside it; `firewall` is ``nftables`` or ``iptables``.

        Raises `UsageError` for what is no topology, `SandboxUnavailableError` with reason and remedy
        where there are no rootless namespaces, `NetworkError`, and `NatMismatchError`.
        """
        self.name = topology
        """The standing network in words, for people."""
        self.links = links
        """The conditions between each NAT and what is outside it."""
        self.directory = directory
        self.program: ProgramFile | None = None
        """For `play`."""
        self._names: Counter[str] = Counter()
        with ExitStack() as stack:
            stack.enter_context(own_directory(directory, shared=True))
            self._box = Sandbox()
            stack.callback(self._box.kill)
            self._facts = self._box.call(
                BUILD_TIMEOUT, worker.build, topology, directory, links, parse_firewall(firewall)
            )
            self._ends = stack.pop_all()

    @property
    def nats(self) -> Mapping[str, str]:
        """The preset's name of each NAT, by node name, as the lab began."""
        return self._facts.nats

    @property
    def rules(self) -> Mapping[str, str]:
        """The rules of each NAT, by node name, as the lab began."""
        return self._facts.rules

    @property
    def nodes(self) -> tuple[str, ...]:
        """Every node; of a pair of NATs host_a, host_b, internet, nat_a, nat_b and server."""
        return tuple(self._facts.roles)

    def with_role(self, role: Role) -> tuple[str, ...]:
        """The nodes that are this, in the same order."""
        return tuple(node for node, is_a in self._facts.roles.items() if is_a is role)

    def environment(self, node: str) -> Mapping[str, str]:
        """The ``LAB_`` variables of `node`; `docs/lab/guide.md` lists them."""
        if node not in self._facts.environment:
            raise UsageError(f"there is no node {node!r}: choose from {', '.join(self.nodes)}")
        return self._facts.environment[node]

    def start(
        self,
        node: str,
        command: Command,
        *,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
        ready: str | None = None,
        timeout: float = 20.0,
        interactive: bool = False,
        tell: bool = False,
    ) -> LabProgram:
        """Start a program on `node`; with `ready` wait for that (`LabProgram.wait_until_ready`).

        `name` is its name in errors and file names (default: of node and program). `interactive`: it
        has a stdin to `LabProgram.send` to. `tell`: print what it says, line by line.
        Raises `UsageError` for an unknown node or an empty command, `ProgramError` if there is no
        such program here, or it does not become ready within `timeout`.
        """
        variables = self.environment(node)
        words = command_words(command, variables)
        chosen = name or self._free_name(f"{node}-{Path(words[0]).name}")
        self._box.call(
            ANSWER_MARGIN,
            worker.start,
            chosen,
            node,
            words,
            {**variables, **(environment or {})},
            interactive=interactive,
            tell=tell,
        )
        program = LabProgram(self._box, chosen, node, self.directory)
        if ready is not None:
            program.wait_until_ready(ready, timeout=timeout)
        return program

    def run(
        self,
        node: str,
        command: Command,
        *,
        environment: Mapping[str, str] | None = None,
        timeout: float = 30.0,
    ) -> Finished:
        """Start a program on `node` and wait for its end. Raises as `start` and `LabProgram.wait`."""
        program = self.start(node, command, environment=environment)
        status = program.wait(timeout=timeout)
        texts = [
            path.read_text(encoding="utf-8", errors="replace") for path in program.paths.values()
        ]
        return Finished(status, *texts)

    def call(
        self,
        node: str,
        function: Callable[P, T],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """Call `function` in a process on `node`; return its result or raise its error, within a minute.

        It must stand at the top of a module that can be imported; arguments and answer are pickled.
        Other calls of this lab wait for its end; programs go on meanwhile.
        """
        self.environment(node)
        sandbox.require_importable(function)
        return self._box.call(60.0, worker.call_on, node, function, args, kwargs)

    def forget(self, nat: str) -> None:
        """Clear all that the NAT remembers, as its reboot does. Raises `UsageError` for no NAT."""
        self._box.call(ANSWER_MARGIN, worker.forget, nat)

    def inject(self, action: str) -> Injected:
        """Make a fault happen now, ``link-down host_a``; `docs/lab/links-and-faults.md` lists them. Says when it had.

        Raises `UsageError` for what is no fault or names what is not there, `NetworkError` or
        `ProgramError` if it could not be.
        """
        return self._box.call(_END_TIMEOUT, worker.inject, parse_action(action))

    def begin_faults(self, faults: Sequence[Scheduled]) -> None:
        """Inject `faults` (`natlab.faults.grammar.parse_fault`) when they are due; their times count from now.

        Raises `UsageError` if one names a node or interface that is not there.
        """
        self._box.call(ANSWER_MARGIN, worker.check_faults, faults)
        self._box.call(ANSWER_MARGIN, worker.begin_faults, faults)

    def end_faults(self) -> FaultsTold:
        """Inject no more. Returns the faults that were begun, and how each went."""
        return self._box.call(_END_TIMEOUT, worker.end_faults)

    def faults_failed(self) -> bool:
        """Whether a fault that was begun could not be."""
        return self._box.call(ANSWER_MARGIN, worker.faults_failed)

    def output_lost(self) -> str | None:
        """Why words that `start` was to `tell` were lost; None too if their reader went away."""
        return self._box.call(ANSWER_MARGIN, worker.output_lost)

    def stop_capture(self) -> Path:
        """End the capture, and name its file. Packets that come later are in no capture.

        Raises `CaptureError` if packets were lost.
        """
        self._box.call(_END_TIMEOUT, worker.stop_capture)
        return self.directory / CAPTURE_FILE

    def packets(self) -> tuple[Packet, ...]:
        """Everything that was sent, at each interface that it passed, in order. Ends the capture."""
        self.stop_capture()
        return self._box.call(_END_TIMEOUT, worker.packets)

    def ladder(self) -> str:
        """Every packet as a row of a diagram, and what each NAT made of it. Ends the capture."""
        return draw(self.packets(), self._facts.scene)

    def path(self, one: str | None = None, other: str | None = None) -> PathFound:
        """The way of the UDP datagrams between two hosts (by default the first two): ``direct``,
        ``relayed`` through a node, or ``none``, and since when. Ends the capture.

        By packets alone (`natlab.evidence.way.path_between`). Raises `UsageError` for what is no node.
        """
        hosts = self.with_role(Role.HOST)
        ends = [one or hosts[0], other or hosts[1]]
        for each in ends:
            self.environment(each)
        return path_between(Fates(self.packets(), self._facts.scene), ends[0], ends[1])

    def play(self, program: Path | str | None = None) -> CellResult:
        """Run the programs of a program file (default: the mark's) to their success or failure, end them and
        the capture, and judge by the packets. `docs/lab/program-file.md` says what is in the result.

        The network is this lab's: the file's topology and links are for `lab matrix` and for the mark.
        Raises `UsageError` for a wrong file, `ProgramError` where a program is not there or not ready.
        """
        # A lab without one needs none of it.
        from natlab.testbed.program_file import read_program_file  # noqa: PLC0415

        file = self.program if program is None else read_program_file(Path(program))
        if file is None:
            raise UsageError("there is no program file: give one here, or program= in the mark")
        nats = [self.environment(host)["LAB_NAT"] for host in file.between]
        within = file.longest(self.links) + _END_TIMEOUT
        return self._box.call(within, worker.play, file, nats[0], nats[1])

    def drops(self) -> list[str]:
        """Lines about what NATs dropped, and why, the most frequent first. Ends the capture."""
        return Fates(self.packets(), self._facts.scene).drops()

    def prompt(self) -> None:
        """Mininet's command line on this process's terminal, until the user leaves it."""
        self._box.call(86_400.0, worker.prompt)

    def finish(self) -> list[str]:
        """End programs and capture, write `capture.pcapng` and `ladder.txt`; what went wrong, if anything.

        Nothing is raised, so that what can be kept is kept. The lab still has to be closed.
        """
        troubles = []
        for step in (
            self._end_programs,
            self.stop_capture,
            self._write_ladder,
            self._check_links,
        ):
            try:
                step()
            except LabError as error:
                troubles.append(str(error))
        return list(dict.fromkeys(troubles))

    def require_links(self) -> None:
        """Raises `NetworkError` if a link has carried nothing because the lab itself broke: a program may kill
        processes of the lab.
        """
        self._box.call(_END_TIMEOUT, worker.require_links)

    def close(self) -> None:
        """End everything that runs in the lab, and the lab, at once. A second call does nothing."""
        self._ends.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def _end_programs(self) -> None:
        self._box.call(_END_TIMEOUT, worker.end_programs)

    def _check_links(self) -> None:
        self._box.call(_END_TIMEOUT, worker.check_links)

    def _write_ladder(self) -> None:
        path = self.directory / LADDER_FILE
        try:
            path.write_text(self.ladder(), encoding="utf-8")
        except OSError as error:
            raise LabError(f"cannot write {path}: {error.strerror}") from None

    def _free_name(self, wanted: str) -> str:
        self._names[wanted] += 1
        times = self._names[wanted]
        return wanted if times == 1 else f"{wanted}-{times}"


class NatLab(TopologyLab):
    """Two hosts behind a pair of NATs, and a server: the topology `two_nats`, worker."""

    def __init__(
        self,
        nat_a: str,
        nat_b: str,
        directory: Path,
        links: LinkConditions = DEFAULT_LINKS,
        firewall: str = Firewall.NFTABLES,
    ) -> None:
        """Two presets by name; the rest as in `TopologyLab`. Raises `UsageError` for an unknown preset."""
        self.nat_a, self.nat_b = preset(nat_a).name, preset(nat_b).name
        topology = f"two_nats,nat_a={self.nat_a},nat_b={self.nat_b}"
        super().__init__(topology, directory, links, firewall)
        self.name = f"{self.nat_a} × {self.nat_b}"

    def trace(self) -> Trace:
        """The actions of this project's client and server, from the packets. Ends the capture."""
        from natlab.evidence.trace import reconstruct  # noqa: PLC0415 - only for those who ask

        return reconstruct(self.packets())
