"""`lab matrix --program FILE`: other people's programs of several kinds, judged by their packets."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT, schema
from tests.lab import commands

SCHEMA = json.loads((ROOT / "docs/report.schema.json").read_text())
CONE, SYMMETRIC = "port-restricted-cone", "symmetric"
Cells = dict[tuple[str, str], dict[str, Any]]
PUNCHER = ROOT / "examples/puncher.py"
PEERS = "\n".join(
    f'[peers.{x}]\ncommand = "{sys.executable} {PUNCHER} peer $LAB_NODE $LAB_SERVER 7000"'
    for x in "ab"
)
BY_EXIT = f"""\
[server]
command = "{sys.executable} {PUNCHER} server 7000"
ready = "udp:7000"
{PEERS}
[success]
exit_status = 0
"""
WIREGUARD = """\
name = "wireguard-go"
{peers}
[success.exchange]
from = "host_a"
to = "10.99.0.2:7000"
at = "host_b"
listen = "0.0.0.0:7000"
"""
WIREGUARD_PEER = """\
[peers.{x}]
command = '''sh -c "
  wireguard-go wg0 && wg set wg0 private-key $LAB_PROGRAM_DIR/{x}.key listen-port 51820 \
    peer {public} allowed-ips 10.99.0.0/24 endpoint $LAB_PEER:51820 persistent-keepalive 1 &&
  ip address add 10.99.0.{number}/24 dev wg0 && ip link set wg0 mtu 1280 up && sleep 60"'''
"""


def _run(program: Path, report: Path, *options: str, status: int = 0) -> Cells:
    done = commands.lab(
        *("matrix", "--program", str(program), "--report", str(report)), *options, timeout=150
    )
    assert done.returncode == status, done.stdout + done.stderr
    content = json.loads((report / "report.json").read_text(encoding="utf-8"))
    schema.check(content, SCHEMA)
    return {(cell["nat_a"], cell["nat_b"]): cell for cell in content["cells"]}


def test_a_puncher_that_says_a_line_is_direct_where_a_path_can_open(tmp_path: Path) -> None:
    program = ROOT / "examples/puncher.toml"
    options = ("--nat-a", CONE, "--nat-b", CONE, "--nat-b", SYMMETRIC, "--repeat", "2")
    cells = _run(program, tmp_path / "r", *options)
    paths = {pair: cell["path"] for pair, cell in cells.items()}
    assert paths == {(CONE, CONE): "direct", (CONE, SYMMETRIC): "none"}
    direct = cells[CONE, CONE]
    assert [each.partition(":")[0] for each in direct["endpoints"]] == [
        "203.0.113.2",
        "198.51.100.2",
    ]
    assert 0 < direct["first_datagram_ms"] <= direct["final_path_ms"]
    assert direct["predicted"] == "connected"
    assert direct["category"] == "as predicted"
    # each host spoke with the server and with the other one, from one port
    assert direct["entries"] == {"nat_a": 2, "nat_b": 2}
    assert [run["path"] for run in direct["runs"]] == ["direct", "direct"]
    forbidden = cells[CONE, SYMMETRIC]
    assert (forbidden["predicted"], forbidden["category"]) == (
        "failed",
        "the NATs forbid it without guessing ports",
    )
    assert "had been sent to from" in forbidden["explanation"]
    # the last packets may be under way on a link when the program has ended
    under_way = forbidden["packets"][-1]["t"] - 0.05
    fates = {record["fate"] for record in forbidden["packets"] if record["t"] < under_way}
    assert fates == {"delivered", "dropped"}
    report = tmp_path / "r"
    assert "1 of 2 pairs direct" in (report / "summary.md").read_text()
    assert 'classname="lab.two_nats"' in (report / "junit.xml").read_text()
    assert (report / direct["pcap"]).stat().st_size > 0


def test_an_exit_status_shows_success_and_what_is_expected_decides(tmp_path: Path) -> None:
    program = tmp_path / "exit.toml"
    program.write_text(f'expect = "always"\n{BY_EXIT}')
    options = ("--nat-a", "full-cone", "--nat-b", CONE, "--nat-b", "udp-blocked")
    cells = _run(program, tmp_path / "r", *options, status=1)
    good, bad = cells["full-cone", CONE], cells["full-cone", "udp-blocked"]
    assert (good["path"], good["ok"]) == ("direct", True)
    assert (bad["path"], bad["ok"]) == ("none", False)
    (failed,) = (check for check in bad["checks"] if not check["ok"])
    assert failed["name"] == "it connects"
    assert "ended with exit status 1, not 0" in failed["why"]


def test_ice_peers_are_relayed_where_nothing_else_is_possible(tmp_path: Path) -> None:
    options = ("--nat-a", SYMMETRIC, "--nat-b", SYMMETRIC, "--nat-b", "none")
    cells = _run(ROOT / "examples/ice.toml", tmp_path / "r", *options)
    relayed = cells[SYMMETRIC, SYMMETRIC]
    assert (relayed["path"], relayed["through"]) == ("relayed", "server")
    assert relayed["category"] == "the NATs forbid it without guessing ports"
    assert cells[SYMMETRIC, "none"]["path"] == "direct"


def test_a_sealed_program_s_path_is_known_by_the_sizes_of_the_lab_s_datagrams(
    tmp_path: Path,
) -> None:
    options = ("--nat-a", CONE, "--nat-b", "full-cone", "--fault", "at=2s:nat-reboot nat_a")
    (cell,) = _run(ROOT / "examples/nat_traversal.toml", tmp_path / "r", *options).values()
    assert cell["path"] == "direct"
    assert [each.partition(":")[0] for each in cell["endpoints"]] == ["203.0.113.2", "198.51.100.2"]
    assert cell["recovery_ms"] is not None
    assert [check for check in cell["checks"] if not check["ok"]] == []


@pytest.mark.timeout(120)
def test_wireguard_carries_the_lab_s_datagrams_in_its_tunnel(tmp_path: Path) -> None:
    keys = {x: subprocess.check_output(["wg", "genkey"]) for x in "ab"}
    public = {x: subprocess.check_output(["wg", "pubkey"], input=keys[x]).decode() for x in "ab"}
    peers = ""
    for number, x, other in ((1, "a", "b"), (2, "b", "a")):
        (tmp_path / f"{x}.key").write_bytes(keys[x])
        (tmp_path / f"{x}.key").chmod(0o600)
        peers += WIREGUARD_PEER.format(x=x, public=public[other].strip(), number=number)
    program = tmp_path / "wireguard.toml"
    program.write_text(WIREGUARD.format(peers=peers))
    (cell,) = _run(program, tmp_path / "r", "--nat-a", CONE, "--nat-b", CONE).values()
    assert cell["path"] == "direct", cell["reason"]
    assert cell["endpoints"] == ["203.0.113.2:51820", "198.51.100.2:51820"]


def test_a_program_that_is_not_there_breaks_its_cell_and_says_so(tmp_path: Path) -> None:
    program = tmp_path / "none.toml"
    program.write_text(BY_EXIT.replace(sys.executable, "no-such-program"))
    options = ("--nat", "none")
    (cell,) = _run(program, tmp_path / "r", *options, status=1).values()
    assert cell["error"].startswith("server: there is no program no-such-program here; install it")
