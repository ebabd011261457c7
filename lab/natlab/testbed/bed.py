"""The one place that puts a lab together: network, probes, links, capture, programs, in this order.

To be used inside a sandbox (`natlab.sandbox.sandbox.call`). Every cell, every lab of a test and every
command stands on it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from natlab.capture.taps import Capture, Tap
from natlab.links.apply import Conditioned, conditioned
from natlab.links.conditions import DEFAULT_LINKS, PLAIN, LinkConditions, Way
from natlab.network.adjacency import wan_links
from natlab.network.background import subscribers
from natlab.network.network import Network, Topology, standing
from natlab.network.places import give_places
from natlab.probe.network import check_all, probe_all
from natlab.probe.observe import Observation
from natlab.programs.programs import Programs
from natlab.testbed.files import LINKS_FILE, PROBES_FILE, RULES_SUFFIX

Keep = Callable[[str, str], None]
"""Takes the name of a file and its text, as soon as there is one."""


@dataclass(frozen=True, slots=True)
class Probed:
    """A network that stands, whose NATs have shown by packets that they are what they are called."""

    network: Network
    rules: Mapping[str, str]
    """NAT node to what was loaded into it."""
    probes: Mapping[str, Observation]
    """NAT node to what was found."""


@dataclass(frozen=True, slots=True)
class Bed(Probed):
    """All of a lab. The capture has begun; no program runs yet."""

    links: Conditioned | None
    """None: plain ones."""
    capture: Capture
    programs: Programs

    def end(self) -> None:
        """End the programs, then the capture: what follows is in no evidence.

        Raises `CaptureError` if frames were lost.
        """
        self.programs.__exit__()
        self.capture.stop()

    def let_arrive(self) -> None:
        """Return when what is on its way has arrived, over four links at most, and within two seconds."""
        if self.links is not None:
            slowest = max(each.slowest for each in self.links.conditions.values())
            time.sleep(min(4 * slowest, 2.0))

    def untruths(self) -> list[str]:
        """Where the links did not keep their conditions, in words."""
        return self.links.untruths() if self.links else []


def _drop(_name: str, _text: str) -> None:
    """Keep nothing."""


@contextmanager
def probed(topology: Topology, keep: Keep = _drop) -> Iterator[Probed]:
    """The network of `topology`, up; every NAT probed and held against its name.

    Raises `NetworkError`, and `NatMismatchError` after `keep` has the rules and probes.
    """
    with standing(topology) as network:
        rules = {node: str(loaded) for node, loaded in network.rules.items()}
        for node, text in rules.items():
            keep(f"{node}{RULES_SUFFIX}", text)
        probes = probe_all(network)
        lines = (line for nat, seen in probes.items() for line in _evidence(nat, seen))
        keep(PROBES_FILE, "".join(f"{line}\n" for line in lines))
        check_all(network, probes)
        yield Probed(network, rules, probes)


@contextmanager
def bed(
    topology: Topology,
    directory: Path,
    points: Callable[[Network], Mapping[str, str]],
    conditions: LinkConditions = DEFAULT_LINKS,
    keep: Keep = _drop,
    *,
    places: bool = False,
) -> Iterator[Bed]:
    """`probed`, then `conditions` on the links between NATs and what is outside them, then a capture.

    Links that the topology makes long have its delays as well.

    With `places`, each node first gets a ``/run`` and a ``/tmp`` of its own.

    `points` names the interfaces to capture on, each with its node. Output of programs goes to
    `directory`. Raises `NetworkError`, `NatMismatchError` and `CaptureError`.
    """
    with ExitStack() as stack:
        stands = stack.enter_context(probed(topology, keep))
        if places:
            give_places(map(stands.network.pid, stands.network.names))
        links = stack.enter_context(_links(stands.network, conditions))
        if links is not None:
            keep(LINKS_FILE, f"{links}\n")
        network = stands.network
        stack.enter_context(subscribers(network, conditions.seed))
        taps = [Tap(network.pid(node), point) for point, node in points(network).items()]
        with Capture(taps) as capture, Programs(directory) as programs:
            yield Bed(network, stands.rules, stands.probes, links, capture, programs)


@contextmanager
def _links(network: Network, conditions: LinkConditions) -> Iterator[Conditioned | None]:
    asked = dict.fromkeys(wan_links(network), conditions) if conditions != PLAIN else {}
    long = {
        link: LinkConditions(
            Way(delay), Way(delay), seed=conditions.seed, is_default=conditions.is_default
        )
        for link, delay in network.delays.items()
    }
    every = {**long, **asked}
    if not every:
        yield None
        return
    with conditioned(network, every, restore=False) as links:  # the network ends with them
        yield links


def _evidence(nat: str, seen: Observation) -> list[str]:
    return [f"{nat}: {seen}", *map(str, seen.probes)]
