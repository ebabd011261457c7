"""The cells that can be asked for, as values that need nothing of what runs them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nat_traversal.wire.methods import MethodName
from natlab.links.conditions import DEFAULT_LINKS, LinkConditions
from natlab.nat.ruleset import Firewall
from natlab.oracle.neighbourhood import Where
from natlab.oracle.possible import path_can_open
from natlab.oracle.predict import LADDER, WITH_CHANCE
from natlab.oracle.regions import Regions
from natlab.oracle.turn import Turn
from natlab.testbed.files import KEYS_FILE

if TYPE_CHECKING:
    from natlab.evidence.neighbours import NeighbourCase
    from natlab.evidence.program import ProgramCase
    from natlab.evidence.result import Case
    from natlab.testbed.program_file import ProgramFile

TOPOLOGY = "two_nats"
USUAL = LADDER
"""The rungs that the clients of a cell may use, unless it says otherwise."""
PROVABLE = WITH_CHANCE
"""The rungs of the clients that a cell can prove by packets."""
CELL_TIMEOUT = 90.0
"""Seconds for a whole cell; far more than one takes on a slow machine."""


@dataclass(frozen=True, slots=True)
class CellJob:
    """A cell to run, and the place of its files. The cell makes `directory`; `verbose` tells each stage on stderr,
    `keep_open` ends with a prompt on the standing lab."""

    nat_a: str
    nat_b: str
    directory: Path
    verbose: bool = False
    keep_open: bool = False
    links: LinkConditions = DEFAULT_LINKS
    """Of the link between each NAT and the internet."""
    firewall: Firewall = Firewall.NFTABLES
    methods: tuple[MethodName, ...] = USUAL
    """The rungs that the clients may use."""
    routers: int = 0
    """Further ones between the NATs, beside the internet's."""
    regions: Regions | None = None
    """The hosts and the server are in regions of their own; None: one router is between all."""
    turn: Turn | None = None
    """The hosts that have a TURN server. Then the project's server relays only if `relay` is among `methods`."""
    key_log: bool = False
    """The clients write their keys into `directory`, and the ladder shows what their frames hold."""

    @property
    def timeout(self) -> float:
        """Seconds that `run_cell` may take, without the prompt."""
        return CELL_TIMEOUT + 5 * self.felt.patience

    @property
    def felt(self) -> LinkConditions:
        """As the programs feel the ways: with the longest delay between regions."""
        if self.regions is None:
            return self.links
        out, back = (
            replace(way, delay=way.delay + self.regions.longest)
            for way in (self.links.out, self.links.back)
        )
        return replace(self.links, out=out, back=back)

    @property
    def keys(self) -> Path | None:
        """The file of the clients' keys."""
        return self.directory.absolute() / KEYS_FILE if self.key_log else None

    @property
    def case(self) -> Case:
        """The pair that is run, and its prediction."""
        from natlab.evidence.result import Case  # noqa: PLC0415 - not needed for a command's options

        topology = str(self.regions) if self.regions else TOPOLOGY
        is_chance = self.links.out.is_random or self.links.back.is_random
        cross = self.regions.hellos_cross if self.regions else False
        return Case.of(
            *(self.nat_a, self.nat_b, topology, self.methods, self.turn),
            cross=None if is_chance else cross,
        )

    @property
    def server_options(self) -> tuple[str, ...]:
        """Of the project's server."""
        relays = self.turn is None or MethodName.RELAY in self.methods
        return () if relays else ("--no-relay",)


@dataclass(frozen=True, slots=True)
class ProgramJob:
    """A cell to run, and the place of its files, which the cell makes."""

    program: ProgramFile
    nat_a: str
    nat_b: str
    directory: Path
    verbose: bool = False
    links: LinkConditions = DEFAULT_LINKS
    firewall: Firewall = Firewall.NFTABLES

    @property
    def timeout(self) -> float:
        """Seconds that `run_program_cell` may take."""
        return CELL_TIMEOUT + self.program.longest(self.links)

    @property
    def case(self) -> ProgramCase:
        """The pair that is run."""
        return self.program.case(self.nat_a, self.nat_b)


@dataclass(frozen=True, slots=True)
class NeighbourJob:
    """A cell of neighbours to run with the project's programs, and the place of its files, which the cell makes."""

    where: Where
    nat_a: str
    nat_b: str
    """As `nat_a` where one NAT is in front of both hosts."""
    directory: Path
    methods: tuple[MethodName, ...]
    """The rungs that the clients may use."""
    verbose: bool = False
    links: LinkConditions = DEFAULT_LINKS
    firewall: Firewall = Firewall.NFTABLES

    @property
    def timeout(self) -> float:
        """Seconds that `run_neighbour_cell` may take."""
        return CELL_TIMEOUT + 5 * self.links.patience

    @property
    def case(self) -> NeighbourCase:
        """The pair that is run, and its prediction."""
        from natlab.evidence.neighbours import NeighbourCase  # noqa: PLC0415 - as in `CellJob`

        nats = self.nat_a, self.nat_b
        hosts = self.where.neighbourhood.hosts
        rung = self.where.rung(*nats, self.methods)
        can_open = self.where.neighbourhood.is_of_two_nats and path_can_open(*nats)
        return NeighbourCase(*nats, str(self.where), hosts, rung, can_open)
