"""The worked examples, with programs nobody here wrote."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from examples import ice, tcp, wireguard
from natlab.testbed.api import NatLab
from tests import ROOT


@pytest.mark.nat_pairs(
    ("full-cone", "port-restricted-cone"),
    ("restricted-cone", "symmetric"),
    ("symmetric", "symmetric"),
)
def test_aioice_with_stun_alone_connects_where_the_nats_allow_it(nat_lab: NatLab) -> None:
    both_symmetric = nat_lab.nat_a == nat_lab.nat_b == "symmetric"
    assert ice.run(nat_lab, "stun") == ("no path" if both_symmetric else "direct")
    assert str(nat_lab.path()) == ("none" if both_symmetric else "direct")


@pytest.mark.measures_time  # two clients in step within 5 ms
@pytest.mark.nat_pairs(("linux-masquerade", "linux-masquerade"))
def test_first_packets_cross_on_default_links_and_open_two_order_sensitive_nats(
    nat_lab: NatLab,
) -> None:
    assert ice.run(nat_lab, "stun") == "direct"


@pytest.mark.nat_pairs(("symmetric", "symmetric"))
def test_aioice_is_relayed_by_coturn_where_both_nats_are_symmetric(nat_lab: NatLab) -> None:
    assert ice.run(nat_lab, "turn") == "relayed"
    assert str(nat_lab.path()) == "relayed through server"


@pytest.mark.nat_pairs(("symmetric", "symmetric"))
def test_what_coturn_relays_stops_while_the_relay_is_cut_and_comes_again(nat_lab: NatLab) -> None:
    cut = ice.cut_relay(nat_lab)
    assert min(cut.missed) > 0
    arrivals: dict[str, list[float]] = {"server-eth0": [], "host_a-eth0": [], "host_b-eth0": []}
    for packet in nat_lab.packets():
        if packet.point in arrivals and not packet.outgoing and b" says " in packet.payload:
            arrivals[packet.point].append(packet.time)
    on_its_way = 0.5
    for times in arrivals.values():
        assert not [time for time in times if cut.began + on_its_way < time < cut.ended]
        assert times[0] < cut.began < cut.ended < times[-1]


@pytest.mark.nat_pairs(("port-restricted-cone", "full-cone"))
def test_wireguard_between_two_homes_carries_ping_and_iperf3(nat_lab: NatLab) -> None:
    result = wireguard.run(nat_lab)
    assert result.method == "ordered-hello"
    assert result.pings_answered == 3
    assert result.megabits_per_second > 0
    crossing = [
        packet
        for packet in nat_lab.packets()
        if packet.point == "nat_b-wan" and str(packet.source).startswith("203.0.113.2:")
    ]
    assert len(crossing) > 100
    assert {packet.destination.address for packet in crossing} == {"198.51.100.2"}


@pytest.mark.nat_pairs(("port-restricted-cone", "full-cone"), ("symmetric", "symmetric"))
def test_curl_and_a_database_s_client_use_tcp_services_directly_and_by_the_relay(
    nat_lab: NatLab,
) -> None:
    result = tcp.run(nat_lab, octets=500_000)
    assert result.is_whole
    assert result.database == ("OK", "home-b")
    is_relayed = nat_lab.nat_a == "symmetric"
    assert str(nat_lab.path()) == ("relayed through server" if is_relayed else "direct")
    ends = {port for packet in nat_lab.packets() for port in (packet.source, packet.destination)}
    services = {tcp.WEB, tcp.DATABASE, tcp.LISTEN_WEB, tcp.LISTEN_DATABASE}
    assert not [each for each in ends if each.port in services], "inside the path alone"


def test_dig_asks_dnsmasq_from_behind_two_nats(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "examples/dns.sh"), "symmetric", "restricted-cone"],
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHON": sys.executable}
        | {"REPORT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ['host_a | "server"', 'host_b | "server"']
    asked = [line for line in done.stderr.splitlines() if "query[TXT] where.lab" in line]
    assert sorted(line.rpartition(" ")[2] for line in asked) == ["198.51.100.2", "203.0.113.2"]


def test_every_example_is_run_somewhere() -> None:
    """Scripts are run here; program files, with the scripts that they start, as a matrix."""
    here = Path(__file__).read_text(encoding="utf-8")
    matrix = (ROOT / "tests/lab/matrix/test_program_matrix.py").read_text(encoding="utf-8")
    for path in (ROOT / "examples").glob("[a-z]*.*"):
        is_run_here = path.name in here or f"{path.stem.removesuffix('_peer')}.run(" in here
        assert is_run_here or f"examples/{path.name}" in matrix, path.name
