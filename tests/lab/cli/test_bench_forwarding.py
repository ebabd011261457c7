"""The forwarding benchmark carries what it says: every chain, both ways, one flow and many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from natlab.bench import chains, iperf
from natlab.bench.load import ANY_SIZE, LARGEST, SMALLEST, Carried, Load
from natlab.bench.rows import ROWS
from natlab.cli.bench_forwarding import COLUMNS, forwarding_table, lines, measure_forwarding
from natlab.errors import ProgramError
from natlab.sandbox import sandbox

pytestmark = [pytest.mark.timeout(120), pytest.mark.measures_time]
_TIMEOUT = 100.0
SLOW = Load(rate=2_000, seconds=0.2)


def _carried() -> dict[str, Carried]:
    """A load that loses nothing, of each kind, over the link alone and through socat."""
    ports = chains.Ports(5_000, 7_000)
    found: dict[str, Carried] = {}
    with chains.two_hosts():
        with chains.chain(chains.DIRECT, chains.no_hops, ports) as link:
            found["runs"] = link.carry(SLOW)
            found["singles"] = link.carry(replace(SLOW, in_runs=False, waits=True))
            found["any"] = link.carry(replace(SLOW, size=ANY_SIZE, in_runs=False))
            found["back"] = link.carry(SLOW, "back")
            found["both"] = link.carry(SLOW, "both")
            found["iperf3"] = iperf.carry(link, replace(SLOW, in_runs=False))
            found["after it"] = link.carry(SLOW)
            found["window"] = link.carry(Load(window=8, seconds=0.1))
        with chains.chain("socat", chains.socat_hops(fork=True), ports, 3) as some:
            found["flows"] = some.carry(SLOW)
    return found


def test_a_sink_counts_what_a_sender_sends() -> None:
    found = sandbox.call(_TIMEOUT, _carried)
    for name, carried in found.items():
        assert carried.received == carried.sent > 0, name
        assert carried.fewest == 1.0, name
        if name != "iperf3":
            assert 0.0 < carried.delay <= carried.delay_99, name
    assert found["both"].sent > 1.5 * found["back"].sent


def test_iperf3_tells_what_came_or_why_not() -> None:
    end = {
        "sum_sent": {"packets": 100, "seconds": 2.0},
        "sum_received": {"packets": 98, "lost_packets": 18},
    }
    assert iperf.carried({"end": end}) == Carried(100, 80, 2.0, 0.0, 0.0, 0.8)
    with pytest.raises(ProgramError, match="no route"):
        iperf.carried({"end": {}, "error": "no route"})


def test_a_row_has_each_of_its_chains_beside_socat() -> None:
    row = ROWS[0]
    (measured,) = measure_forwarding([row.name], pairs=1)
    assert tuple(measured.medians) == row.chains
    assert measured.medians["socat"].ratio == 1.0
    for found in measured.medians.values():
        assert found.rate > 0
        assert found.processor > 0
    drawn = lines(measured.title, measured.medians, row.goals)
    assert [line for line in drawn if len(line) != len(COLUMNS)] == []
    assert forwarding_table([measured]).row_count == len(row.chains)


def test_rows_have_names_of_their_own_and_goals_for_their_chains() -> None:
    assert len({row.name for row in ROWS}) == len({row.title for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert set(row.goals) < set(row.chains)
        assert row.load.run >= 1
    assert SMALLEST < LARGEST
