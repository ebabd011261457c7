"""The marks `nat_pairs` and `nat_topology`, read: which labs a test wants, and with what links and faults.

A mark that cannot be meant is no lab but a `Refusal`, so that its test fails and no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nat_traversal.errors import UsageError
from natlab.behavior import NINE
from natlab.faults.grammar import Scheduled, parse_fault
from natlab.links.conditions import DEFAULT_LINKS, PARSERS, LinkConditions
from natlab.links.options import conditions_of
from natlab.nat.rules import check_made
from natlab.nat.ruleset import Firewall, parse_firewall
from natlab.presets import PRESETS, preset
from natlab.testbed.mark_words import HELP, PAIRS, TOPOLOGY
from natlab.testbed.program_file import ProgramFile, read_program_file

if TYPE_CHECKING:
    import pytest

_LINK_WORDS = (*PARSERS, "mtu", "seed")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A lab that a test wants: two presets, or the text of a topology."""

    network: tuple[str, str] | str
    links: LinkConditions = DEFAULT_LINKS
    faults: tuple[Scheduled, ...] = ()
    firewall: Firewall = Firewall.NFTABLES
    settings: str = ""
    """Links and faults as they were written, for the test's id."""
    program: ProgramFile | None = None
    """The programs for `TopologyLab.play`; their topology and links are in `network` and `links`."""

    def __str__(self) -> str:
        name = self.network if isinstance(self.network, str) else "--".join(self.network)
        return f"{name} {self.settings}".strip()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a mark is none; one line."""

    reason: str

    def __str__(self) -> str:
        return "mark"


def wanted_by(marks: Iterable[pytest.Mark]) -> list[Wanted | Refusal]:
    """The labs of all `marks`, the nearest to the test first; each once."""
    found: dict[Wanted | Refusal, None] = {}
    for mark in marks:
        try:
            found |= dict.fromkeys(_read(mark))
        except UsageError as error:
            found[Refusal(f"{mark.name}: {error}")] = None
    return list(found)


def _read(mark: pytest.Mark) -> Iterator[Wanted]:
    settings = dict(mark.kwargs)
    networks: Sequence[tuple[str, str] | str]
    if mark.name == PAIRS:
        every = settings.pop("every", ())
        networks = _pairs(mark, every)
    else:
        networks = _topologies(mark)
    program = _program(settings.pop("program", None))
    words = [f"{name}={value}" for name, value in settings.items() if name != "faults"]
    faults = settings.pop("faults", ())
    firewall = parse_firewall(settings.pop("firewall", Firewall.NFTABLES))
    if isinstance(faults, str) or not all(isinstance(each, str) for each in faults):
        raise UsageError(f"faults={faults!r}: give a list of texts, as ['at=4s:nat-reboot nat_a']")
    strange = [name for name in settings if name not in _LINK_WORDS]
    if strange:
        raise UsageError(f"unknown argument {strange[0]!r}; write it as {HELP[mark.name]}")
    links = conditions_of({**(program.links if program else {}), **settings})
    scheduled = tuple(map(parse_fault, faults))
    for network in networks:
        for name in () if isinstance(network, str) else network:
            check_made(preset(name), firewall)
        if program is not None and not program.is_a_pair and not isinstance(network, str):
            network = program.network(*network)  # noqa: PLW2901 - the pair in its topology
        yield Wanted(network, links, scheduled, firewall, " ".join([*words, *faults]), program)


def _program(name: object) -> ProgramFile | None:
    if name is None:
        return None
    if not isinstance(name, str | Path):
        raise UsageError(f"program={name!r}: give the path of a program file, as 'meet.toml'")
    return read_program_file(Path(name))


EVERY = {"nine": NINE, "presets": tuple(PRESETS)}
"""Words for sets of NATs: RFC 4787's nine behaviours, and the presets of the matrix."""


def _pairs(mark: pytest.Mark, every: object) -> list[tuple[str, str]]:
    if isinstance(every, str):
        if every not in EVERY:
            raise UsageError(f"every={every!r}: give a list of NATs, or one of {', '.join(EVERY)}")
        every = EVERY[every]
    if not isinstance(every, Iterable):
        raise UsageError(f"every={every!r}: give a list of NATs; write it as {HELP[PAIRS]}")
    given: list[Any] = [*mark.args, *product(every, repeat=2)]
    pairs = [pair for pair in given if isinstance(pair, tuple | list) and len(pair) == 2]
    texts = [name for pair in pairs for name in pair]
    if not given or len(pairs) != len(given) or not all(isinstance(name, str) for name in texts):
        raise UsageError(f"not pairs of NATs: {mark.args}; write it as {HELP[PAIRS]}")
    return [(preset(a).name, preset(b).name) for a, b in pairs]


def _topologies(mark: pytest.Mark) -> list[str]:
    """Their nodes are only known where Mininet is, when the test begins."""
    if not mark.args or not all(isinstance(each, str) for each in mark.args):
        raise UsageError(f"not topologies: {mark.args}; write it as {HELP[TOPOLOGY]}")
    return list(mark.args)
