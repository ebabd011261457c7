"""The reference client where two regions of the internet are parted: for a moment, and until it has moved.

The hosts reach the server all the time. So the model knows what is possible: the direct path, a relay while the
link is cut, and the direct path again.
"""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from natlab.cli.main import main
from natlab.cli.status import Exit
from natlab.evidence.check import REGIONS_KEPT
from tests.lab import warm
from tests.lab.pairs import Pair, prepare, start_server, tunnels, ways

PAIR = Pair("host_a", "host_b")
OPTIONS = ("--methods", "ordered-hello,relay")
_MOVED_WITHIN = 60.0
REGIONS = ("internet_a", "internet_b")


@dataclass(frozen=True, slots=True)
class Seen:
    """`carried`: with which cuts datagrams came through. `ways`: of each client, the methods it went by, in order."""

    carried: dict[str, bool]
    paths_after_a_moment: list[int]
    ways: list[list[str]]


def _parted(directory: Path) -> Seen:
    from natlab.faults.inject import Faults
    from natlab.links.conditions import PLAIN
    from natlab.network.loading import load
    from natlab.testbed.bed import bed

    topology = load("regions,a_b=20ms,a_s=10ms,b_s=10ms")
    carried: dict[str, bool] = {}
    prepare()
    with bed(topology, directory, lambda _: {"host_b-eth0": "host_b"}, PLAIN) as lab:
        faults = Faults(lab.network, lab.programs)
        start_server(lab.network, lab.programs)
        with tunnels(lab.network, lab.programs, PAIR, options=OPTIONS) as made:
            tunnel = made[PAIR]
            clients = tunnel.clients.values()
            assert tunnel.verdicts() == {"path-established"}
            carried["before"] = tunnel.carries(b"before")
            faults.cut(*REGIONS)
            carried["cut"] = tunnel.carries(b"cut", timeout=0.3)
            faults.heal(*REGIONS)
            carried["healed at once"] = tunnel.carries(b"healed at once", tries=10, timeout=2)
            after = [len(ways(client)) for client in clients]
            faults.cut(*REGIONS)
            carried["by relay"] = tunnel.carries(b"by relay", tries=60, timeout=0.5)
            faults.heal(*REGIONS)
            for client in clients:
                client.wait_until(
                    lambda: ways(client)[-1] == "ordered-hello",  # noqa: B023
                    "a direct path again",
                    timeout=_MOVED_WITHIN,
                )
            carried["healed"] = tunnel.carries(b"healed", tries=10, timeout=2)
            return Seen(carried, after, [ways(client) for client in clients])


def test_the_first_hellos_of_hosts_far_apart_cross_as_predicted(tmp_path: Path) -> None:
    nats = ["--nat-a", "linux-masquerade", "--nat-a", "port-restricted-cone"]
    place = ["--topology", "regions,a_b=80ms", "--nat-b", "linux-masquerade"]
    asked = [*place, *nats, "--methods", "ordered-hello", "--report", str(tmp_path / "r")]
    assert main(["matrix", *asked]) == Exit.OK
    report = json.loads((tmp_path / "r" / "report.json").read_text(encoding="utf-8"))
    rounds = {cell["nat_a"]: (cell["predicted_round"], cell["round"]) for cell in report["cells"]}
    assert rounds == {"linux-masquerade": (1, 1), "port-restricted-cone": (1, 1)}


@pytest.mark.timeout(150)
def test_a_path_outlives_a_short_cut_is_relayed_through_a_long_one_and_is_direct_when_healed(
    tmp_path: Path,
) -> None:
    seen = warm.call(120, _parted, tmp_path)
    assert seen.carried == {
        "before": True,
        "cut": False,
        "healed at once": True,
        "by relay": True,
        "healed": True,
    }
    assert seen.paths_after_a_moment == [1, 1]
    # The path from before may come back a moment ahead of the one that an attempt has opened meanwhile.
    told = [[method for method, _ in groupby(each)] for each in seen.ways]
    assert told == [["ordered-hello", "relay", "ordered-hello"]] * 2


def test_cells_in_regions_are_as_predicted_and_no_faster_than_their_links(tmp_path: Path) -> None:
    place = "regions,a_b=30ms,a_s=10ms,b_s=20ms"
    nats = [
        "--nat-a",
        "port-restricted-cone",
        "--nat-b",
        "linux-masquerade",
        "--nat-b",
        "symmetric",
    ]
    asked = [
        "--topology",
        place,
        *nats,
        "--methods",
        "ordered-hello",
        "--report",
        str(tmp_path / "r"),
    ]
    assert main(["matrix", *asked]) == Exit.OK
    report = json.loads((tmp_path / "r" / "report.json").read_text(encoding="utf-8"))
    assert (
        "between the regions: a to b 30 ms, a to s 10 ms, b to s 20 ms" in report["header"]["links"]
    )
    cells = {cell["nat_b"]: cell for cell in report["cells"]}
    rounds = {name: cell["round"] for name, cell in cells.items()}
    assert rounds == {"linux-masquerade": 2, "symmetric": None}
    for cell in cells.values():
        (kept,) = (each for each in cell["checks"] if each["name"] == REGIONS_KEPT)
        assert kept["ok"], kept["why"]
        assert "to the server" in kept["why"]
