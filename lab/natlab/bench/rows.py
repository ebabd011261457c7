"""The rows of the forwarding benchmark: a load each, and what the chains make of it, side by side."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from natlab.bench import iperf
from natlab.bench.chains import (
    DIRECT,
    WIREGUARD,
    Chain,
    Hops,
    Ports,
    chain,
    no_hops,
    our_hops,
    our_server,
    socat_hops,
    two_hosts,
    wireguard_hops,
)
from natlab.bench.load import ANY_SIZE, LARGEST, SMALLEST, Carried, Load

SEALED, PLAINTEXT, SOCAT = "sealed", "plaintext", "socat"
HEADLINE = "1200"
"""The row whose ratio stands for all in the history."""
MANY = 200
"""Flows of the row with many."""
MOST_FLOWS = 4_000
"""For the memory that they take."""
_PLENTY, _MORE = 300_000.0, 600_000.0


@dataclass(frozen=True, slots=True)
class Row:
    """A load, and the chains that carry it in turn."""

    name: str
    title: str
    load: Load
    way: str = "there"
    flows: int = 1
    chains: tuple[str, ...] = (SEALED, PLAINTEXT, SOCAT)
    goals: Mapping[str, float] = field(default_factory=dict)
    """The least ratio to socat's rate, by chain."""
    until_loss: float = 0.0
    """Offer as much as makes socat lose this share, instead of the load's rate."""
    by_iperf3: bool = False
    """iperf3 offers the load, as much of it as it can."""

    @property
    def many_programs(self) -> bool:
        """More programs than one send to a chain, one after the other or at once."""
        return self.flows > 1 or self.by_iperf3


_ALL = (SEALED, PLAINTEXT, SOCAT, WIREGUARD)
_RUNS, _SINGLES = Load(rate=_PLENTY), Load(rate=_PLENTY, in_runs=False)
ROWS = (
    Row("1200", "1,200 octets", _RUNS, chains=_ALL, goals={SEALED: 2.0}),
    Row("more", "1,200 octets, twice as many", Load(rate=_MORE), goals={PLAINTEXT: 4.0}),
    Row("singles", "1,200 octets one by one", _SINGLES, chains=_ALL, goals={SEALED: 1.3}),
    Row("window", "1,200 octets, 256 on the way", Load(window=256), chains=_ALL),
    Row("window-singles", "one by one, 256 on the way", Load(window=256, in_runs=False), chains=_ALL),
    Row("64", "64 octets", Load(64, rate=_MORE)),
    Row("512", "512 octets", Load(512, rate=_MORE)),
    Row("1400", "1,400 octets", Load(1_400, rate=_PLENTY)),
    Row("9000", "9,000 octets", Load(9_000, rate=120_000.0)),
    Row("window-9000", "9,000 octets, 64 on the way", Load(9_000, window=64)),
    Row(
        "any",
        f"{SMALLEST} to {LARGEST:,} octets one by one",
        Load(ANY_SIZE, rate=_PLENTY, in_runs=False),
        goals={SEALED: 0.8},
    ),
    Row(
        "iperf3",
        "1,200 octets by iperf3 -u",
        replace(_SINGLES, rate=0.0, seconds=2.0),
        chains=(*_ALL, DIRECT),
        by_iperf3=True,
    ),
    Row("back", "1,200 octets from the service", _RUNS, way="back"),
    Row("both", "1,200 octets both ways at once", _RUNS, way="both"),
    Row("loss", "as many as socat loses a fifth of", _RUNS, until_loss=0.2),
    Row("alone", "1,000 a second", Load(rate=1_000, in_runs=False, waits=True), chains=(*_ALL, DIRECT)),
    Row("busy", "80,000 a second", Load(rate=80_000, waits=True), chains=(*_ALL, DIRECT)),
    Row("flows", f"1,200 octets, {MANY} flows", _RUNS, flows=MANY, goals={SEALED: 1.0}),
    Row("flows-singles", f"one by one, {MANY} flows", _SINGLES, flows=MANY, goals={SEALED: 1.0}),
)  # fmt: skip
"""In the order of running: chains with many flows stand only for the last ones."""


@dataclass(frozen=True, slots=True)
class Medians:
    """One chain in one row: medians of its runs."""

    rate: float
    """Datagrams that came, a second."""
    loss: float
    """The share that did not."""
    delay: float
    """Microseconds from the program to the service, median; the next one is the 99th percentile."""
    delay_99: float
    processor: float
    """Microseconds of processor time that the hops took for a datagram that came."""
    ratio: float
    """Of its rate to socat's, pair by pair."""
    fewest: float
    """The smallest share of a flow's datagrams that came."""
    slowest: float = 1.0
    """Of the flow with the fewest that came: its rate over that of an average one of socat's, pair by pair."""
    flows: int = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """One row."""

    name: str
    title: str
    medians: dict[str, Medians]


def measure(names: Sequence[str], pairs: int) -> list[Measured]:
    """The rows of these names (see `ROWS`), each chain `pairs` times in turn. Runs in a sandbox.

    Raises `ProgramError` if a chain does not work.
    """
    rows = [row for row in ROWS if row.name in names]
    measured: list[Measured] = []
    with two_hosts(), our_server():
        for flows, many in sorted({(row.flows, row.many_programs) for row in rows}):
            some = [row for row in rows if (row.flows, row.many_programs) == (flows, many)]
            with ExitStack() as stack:
                wanted = {name for row in some for name in row.chains}
                chains = {
                    name: stack.enter_context(chain(name, _hops(name, many=many), ports, flows))
                    for name, ports in _PORTS.items()
                    if name in wanted
                }
                for row in some:
                    measured.append(_measure(row, chains, pairs))
                    print(f"measured: {row.title}", file=sys.stderr, flush=True)
    return measured


def memory(flows: int) -> dict[int, int]:
    """Octets in memory of both clients without flows and with `flows`, by number of flows. Runs in a sandbox."""
    found: dict[int, int] = {}
    with two_hosts(), our_server():
        for count in (1, flows):
            with chain(SEALED, our_hops(*_ALL_AT_ONCE), _PORTS[SEALED], count) as made:
                found[count] = made.memory()
    return found


_ALL_AT_ONCE = tuple(f"--set={name}={MOST_FLOWS}" for name in ("flows-per-source", "new-flows"))
"""One host's programs may not have as many flows otherwise, nor begin them as quickly."""
_PORTS = {
    name: Ports(5_000 + number, 7_000 + number)
    for number, name in enumerate((SEALED, PLAINTEXT, SOCAT, WIREGUARD, DIRECT))
}


def _hops(name: str, *, many: bool) -> Hops:
    return {
        SEALED: our_hops(),
        PLAINTEXT: our_hops("--plaintext"),
        SOCAT: socat_hops(fork=many),
        WIREGUARD: wireguard_hops,
        DIRECT: no_hops,
    }[name]


def _measure(row: Row, chains: Mapping[str, Chain], pairs: int) -> Measured:
    load = row.load
    if row.until_loss:
        most = statistics.median(chains[SOCAT].carry(load).rate for _ in range(3))
        load = replace(load, rate=most / (1.0 - row.until_loss))
    runs: dict[str, list[tuple[Carried, float]]] = {name: [] for name in row.chains}
    for _ in range(pairs):
        for name in row.chains:
            before = chains[name].processor_time()
            carried = _carried(row, chains[name], load)
            used = chains[name].processor_time() - before
            runs[name].append((carried, 1e6 * used / carried.received))
    socat = [carried for carried, _ in runs[SOCAT]]
    medians = {name: _medians(some, socat, row.flows) for name, some in runs.items()}
    return Measured(row.name, row.title, medians)


def _carried(row: Row, over: Chain, load: Load) -> Carried:
    return iperf.carry(over, load) if row.by_iperf3 else over.carry(load, row.way)


def _medians(
    runs: Sequence[tuple[Carried, float]], socat: Sequence[Carried], flows: int
) -> Medians:
    carried = [each for each, _ in runs]
    median = statistics.median
    return Medians(
        rate=median(each.rate for each in carried),
        loss=median(each.loss for each in carried),
        delay=median(each.delay for each in carried),
        delay_99=median(each.delay_99 for each in carried),
        processor=median(used for _, used in runs),
        ratio=median(each.rate / other.rate for each, other in zip(carried, socat, strict=True)),
        fewest=median(each.fewest for each in carried),
        slowest=median(
            each.fewest * each.sent / each.seconds / other.rate
            for each, other in zip(carried, socat, strict=True)
        ),
        flows=flows,
    )
