"""Results of cells that no lab has run, for tests of what shows them."""

from __future__ import annotations

from dataclasses import replace

from natlab.evidence.category import Category
from natlab.evidence.check import Check
from natlab.evidence.journey import Fate
from natlab.evidence.packet_records import PacketRecord
from natlab.evidence.result import Case, CellResult, broken
from natlab.oracle.outcome import Outcome

NASTY = "<script>alert('&')</script>"


def hello(step: int, fate: Fate, *, copy: int = 0, t: float = 0.0) -> PacketRecord:
    sender, receiver = ("host_b", "host_a") if step == 2 else ("host_a", "host_b")
    return PacketRecord(
        t,
        sender,
        receiver,
        1,
        fate,
        "HELLO",
        "10.0.1.2:40001",
        None if fate is Fate.BLOCKED else "203.0.113.2:61234",
        "198.51.100.2:50001",
        None,
        t + 0.001 if fate is Fate.DELIVERED else None,
        step=step,
        copy=copy,
        heard=step == 3,
    )


def cell(nat_a: str = "none", nat_b: str = "none", **changes: object) -> CellResult:
    announce = replace(hello(1, Fate.DELIVERED, t=-1.0), kind="ANNOUNCE", receiver="server")
    good = CellResult(
        nat_a,
        nat_b,
        "two_nats",
        predicted=Outcome.CONNECTED,
        predicted_round=1,
        observed=Outcome.CONNECTED,
        round=1,
        connect_ms=12.345,
        bound_ms=9.0,
        method="ordered-hello",
        explanation="Round 1 connected.",
        hellos=(
            hello(1, Fate.DROPPED),
            hello(2, Fate.DELIVERED, t=0.1),
            hello(3, Fate.DELIVERED, t=0.2),
        ),
        packets=(replace(announce, round=None, step=None, copy=None, heard=None),),
        checks=(Check("the outcome is proven", True, "seen"),),
        probes={"nat_a": "EIM"},
        rules={"nat_a": "*nat"},
        programs={"dig": "answer"},
        pcap="pcap/none--none.pcapng",
        seconds=1.5,
        category=Category.AS_PREDICTED,
    )
    return replace(good, **changes)  # type: ignore[arg-type]


WRONG_OUTCOME = cell(
    "none",
    "symmetric",
    observed=Outcome.FAILED,
    round=None,
    connect_ms=None,
    category=Category.MISSED,
)
WRONG_CHECK = cell("none", "full-cone", checks=(Check("tokens differ", False, NASTY),))
BROKEN = broken(Case.of("symmetric", "none", "two_nats"), f"nat_a is not symmetric {NASTY}")

FORBIDDEN = replace(
    cell("symmetric", "symmetric", predicted=Outcome.FAILED, predicted_round=None),
    observed=Outcome.FAILED,
    round=None,
    connect_ms=None,
    category=Category.FORBIDDEN,
)
