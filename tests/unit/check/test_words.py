"""A verdict in plain words, and as JSON."""

from __future__ import annotations

import json

from nat_traversal.check.judge import verdict
from nat_traversal.check.questions import Known, Tcp
from nat_traversal.check.verdict import Pooling, Udp, Verdict
from nat_traversal.cli.check_words import report
from nat_traversal.wire.behavior import Filtering, Hairpin, Mapping, PortAllocation
from nat_traversal.wire.endpoint import Endpoint

SERVER = Endpoint("192.0.2.2", 6545)
STRICT = Verdict(
    SERVER,
    Udp.PASSES,
    0.05,
    nat=True,
    addresses=("203.0.113.2",),
    mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
    filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT,
    allocation=PortAllocation.SEQUENTIAL,
    ports=(1, 2, 3),
    pooling=Pooling.PAIRED,
    hairpin=Hairpin.NONE,
    lifetime=(60.0, 90.0),
    mtu=1492,
    port_mapping={"pcp": False, "upnp": True},
    not_told={"order_sensitive": "each destination has a port of its own", "ipv6": "no address"},
)


def test_the_report_has_a_line_for_each_thing_and_a_table() -> None:
    lines = report(STRICT)
    head = dict(line.split(":", 1) for line in lines[: lines.index("")])
    assert head["nat"].strip() == "APDM+APDF+sequential, outside 203.0.113.2"
    assert head["mapping"].strip().startswith("address-and-port-dependent: a new port")
    assert head["lifetime"].strip() == "an idle mapping ends at an age between 60 and 90 s"
    assert head["port mapping"].strip() == "pcp not answered, upnp answered"
    assert head["order sensitive"].strip().startswith("not told: each destination")
    table = lines[lines.index("") + 2 :]
    assert len(table) == 15
    (same,) = [line for line in table if line.startswith("APDM+APDF ")]
    assert same.split()[1:4] == ["port-mapping", "0.70", "s"]


def test_each_line_fits_a_terminal_and_none_is_without_words() -> None:
    for line in [*report(STRICT), *report(Verdict(None, not_told={"udp": "no server"}))]:
        assert not line.endswith(("told: ", "None"))


def test_the_json_has_plain_values_and_says_what_is_not_told() -> None:
    found = json.loads(json.dumps(STRICT.as_json()))
    assert found["mapping"] == "address-and-port-dependent"
    assert found["allocation"] == "sequential"
    assert found["lifetime"] == [60.0, 90.0]
    assert found["not_told"]["ipv6"] == "no address"


def silent(tcp: Tcp, *, refused: bool = False, echo: bool | None = None) -> Verdict:
    known = Known(SERVER, tcp=tcp, refused=refused, echo=echo)
    known.heard["mapping-1"] = None
    return verdict(known)


def test_a_server_that_is_silent_is_told_by_what_tcp_says() -> None:
    assert silent(Tcp.OPEN).udp is Udp.BLOCKED
    assert silent(Tcp.OPEN, echo=True).udp is Udp.NO_UDP
    assert silent(Tcp.OPEN, echo=False).udp is Udp.TCP_ONLY
    assert "though pings do" in report(silent(Tcp.OPEN, echo=True))[1]
    assert "nothing answers STUN on UDP port 6545" in silent(Tcp.REFUSED).not_told["udp"]
    assert "UDP port 6545" in silent(Tcp.SILENT, refused=True).not_told["udp"]
    assert "neither over UDP nor over TCP" in silent(Tcp.SILENT).not_told["udp"]
