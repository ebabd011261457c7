"""The pytest plugin with any topology, built in or one's own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.network.test_topology_file import OWN
from tests.lab.testbed.runs import run

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.usefixtures("this_checkout")


_TOPOLOGIES = """
    import os, socket
    import pytest

    def our_address(port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
            opened.connect(("192.0.2.2", port))
            return opened.getsockname()[0]

    def _exchange(lab, one, other):
        a, b = (lab.environment(host) for host in (one, other))
        words = "sh -c 'while sleep 0.1; do echo this is $LAB_NODE; done | socat - UDP4:%s:5000,bind=%s:5000'"
        programs = [
            lab.start(own["LAB_NODE"], words % (peer["LAB_PUBLIC"], own["LAB_SELF"]))
            for own, peer in ((a, b), (b, a))
        ]
        programs[0].wait_for_line("this is " + other)
        programs[1].wait_for_line("this is " + one)

    @pytest.mark.nat_topology("star,peers=3,nats=symmetric/full-cone/port-restricted-cone")
    def test_star(nat_lab):
        from nat_traversal.errors import UsageError
        assert nat_lab.nats == {
            "nat_1": "symmetric", "nat_2": "full-cone", "nat_3": "port-restricted-cone"
        }
        variables = nat_lab.environment("host_2")
        assert {name: variables[name] for name in variables if name != "LAB_DIR"} == {
            "LAB_NODE": "host_2", "LAB_SELF": "10.0.2.2", "LAB_PUBLIC": "198.18.2.2",
            "LAB_NAT": "full-cone", "LAB_SERVER": "192.0.2.2", "LAB_SERVER_SECOND": "192.0.2.3",
            "LAB_1": "198.18.1.2", "LAB_2": "198.18.2.2", "LAB_3": "198.18.3.2",
        }
        assert nat_lab.call("host_3", our_address, 53) == "10.0.3.2"
        _exchange(nat_lab, "host_2", "host_3")
        nat_lab.inject("link-down host_1")
        assert nat_lab.run("host_1", "ping -c1 -W1 192.0.2.2").status != 0
        nat_lab.forget("nat_2")
        with pytest.raises(UsageError, match="host_1 is no NAT: choose from nat_1, nat_2, nat_3"):
            nat_lab.forget("host_1")
        assert {packet.point for packet in nat_lab.packets() if b"this is host_2" in packet.payload} == {
            "host_2-eth0", "nat_2-lan", "nat_2-wan", "nat_3-wan", "nat_3-lan", "host_3-eth0"
        }
        head = nat_lab.ladder().splitlines()[0].split()
        assert head == ["host_1", "nat_1", "host_2", "nat_2", "server", "nat_3", "host_3"]

    @pytest.mark.nat_topology("double_nat,nat_a=symmetric,cgn_a=full-cone,nat_b=none")
    def test_carrier(nat_lab):
        own = nat_lab.environment("host_b")
        assert (own["LAB_PUBLIC"], own["LAB_PEER"]) == ("198.51.100.2", "203.0.113.2")
        assert nat_lab.environment("cgn_a")["LAB_PEER"] == "198.51.100.2"
        assert nat_lab.run("host_a", "ping -c1 -W9 $LAB_SERVER").status == 0
        assert "nat_lab" in nat_lab.rules["cgn_a"]

    @pytest.mark.nat_topology("shared_nat,hosts=2")
    def test_bridge(nat_lab):
        assert "LAB_PEER" not in nat_lab.environment("host_a1")
        for target in ("10.0.1.3", "$LAB_SERVER"):
            nat_lab.run("host_a1", f"dig @{target} +tries=1 +time=1 lost{len(target)}.example")
        asked = {packet.point for packet in nat_lab.packets() if b"lost8" in packet.payload}
        assert asked == {"host_a1-eth0", "nat_a-lan1", "nat_a-lan2", "host_a2-eth0"}
        rows = nat_lab.ladder().splitlines()
        assert any("ICMP port unreachable from 192.0.2.2" in row for row in rows), rows
        assert not any("reached nobody" in row for row in rows), rows

    @pytest.mark.nat_topology("dual_stack", "multi_homed")
    def test_both(nat_lab):
        assert nat_lab.run("host_a", "ping -c1 -W9 $LAB_SERVER").status == 0
        assert ("LAB_C" in nat_lab.environment("server")) is False
        assert nat_lab.environment("host_a")["LAB_PUBLIC"] == "203.0.113.2"

    @pytest.mark.nat_topology("two_nats,nat_b=none")
    @pytest.mark.nat_pairs(("full-cone", "none"))
    def test_pair(nat_lab):
        assert nat_lab.environment("host_a")["LAB_PEER"] == "198.51.100.130"
"""


@pytest.mark.timeout(110)
def test_the_fixture_is_any_topology(pytester: pytest.Pytester) -> None:
    kept = pytester.path / "kept"
    outcomes, result = run(pytester, _TOPOLOGIES, "-v", f"--nat-lab-keep={kept}")
    assert outcomes == {"passed": 7}, result.stdout.str()
    assert "test_both[multi_homed]" in result.stdout.str()
    assert not any(kept.iterdir())


_OWN = """
    import pytest

    @pytest.mark.nat_topology("own.py:Own,nat=symmetric")
    def test_own(nat_lab):
        assert nat_lab.nats == {"gate": "symmetric"}
        assert nat_lab.environment("host_y")["LAB_X"] == "203.0.113.9"
        nat_lab.start("host_x", "sh -c 'echo about to fail'").wait()
        nat_lab.run("host_x", "ping -c1 -W9 $LAB_SERVER")
        assert False, "on purpose"
"""


def test_a_topology_of_ones_own_keeps_its_files_when_a_test_in_it_fails(
    pytester: pytest.Pytester,
) -> None:
    (pytester.path / "own.py").write_text(OWN, encoding="utf-8")
    outcomes, result = run(pytester, _OWN)
    assert outcomes == {"failed": 1}
    section = result.stdout.str().partition("NAT lab own.py:Own,nat=symmetric")[2]
    found = {Path(each).name: Path(each) for each in re.findall(r"^/.*\S", section, re.MULTILINE)}
    assert found.keys() == {
        "capture.pcapng", "ladder.txt", "gate.rules", "probes.txt", "links.txt",
        "host_x-sh.stdout", "host_x-ping.stdout",
    }  # fmt: skip
    assert "gate: APDM+APDF" in found["probes.txt"].read_text()


def test_a_topology_that_cannot_be_is_one_clear_line(pytester: pytest.Pytester) -> None:
    complaints = {
        "pentagon": "unknown topology 'pentagon': choose from two_nats",
        "star,peers=0": "0 peers cannot be around one router: give 1 to 250",
        "star,nats=cone": "unknown NAT 'cone': choose from none",
        "own.py": "there is no topology file own.py",
    }
    outcomes, result = run(
        pytester,
        "import pytest\n"
        + "".join(
            f"@pytest.mark.nat_topology({topology!r})\ndef test_{number}(nat_lab): pass\n"
            for number, topology in enumerate(complaints)
        ),
    )
    assert outcomes == {"errors": len(complaints)}
    said = re.split(r"^_+ ERROR at setup of .* _+$", result.stdout.str(), flags=re.MULTILINE)[1:]
    for complaint, words in zip(complaints.values(), said, strict=True):
        told = (line for line in words.splitlines() if line.startswith("test_"))
        assert any(complaint in line for line in told), words
        assert "Traceback" not in words
        assert "During handling" not in words
