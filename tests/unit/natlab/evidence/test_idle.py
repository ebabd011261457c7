"""What a path costs while nobody uses it: the packets of a quiet time, by the minute."""

from __future__ import annotations

from natlab.evidence.hops import TWO_NATS_SCENE
from natlab.evidence.program import ProgramCase, Word, conclude_program
from natlab.evidence.result import Beside
from tests.unit.natlab.evidence.test_fates import A_OUTSIDE, B_OUTSIDE, Wire

CASE = ProgramCase("it", "full-cone", "full-cone", "two_nats", ("host_a", "host_b"), True)


def test_only_what_the_hosts_send_in_the_quiet_time_counts() -> None:
    wire = Wire()
    wire.out("a", B_OUTSIDE, b"busy")
    begin = wire.now + 0.0001
    wire.out("a", B_OUTSIDE, b"keepalive")
    wire.into("b", A_OUTSIDE, b"keepalive")
    wire.out("b", A_OUTSIDE, b"keepalive")
    wire.now = begin + 29.9
    wire.out("b", A_OUTSIDE, b"keepalive")
    wire.now = begin + 30.0
    wire.out("b", A_OUTSIDE, b"farewell")

    def idle(quiet: tuple[float, float] | None) -> float | None:
        word = Word(True, "it works", wire.now + 1, quiet=quiet)
        found = conclude_program(CASE, wire.packets, TWO_NATS_SCENE, word, Beside())
        return found.idle_packets

    assert idle((begin, begin + 30.0)) == 6.0
    assert idle(None) is None
