"""Relayed frames in synthetic captures: by the server or a TURN server, and whose that is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from nat_traversal.wire.datagrams import Kind
from nat_traversal.wire.endpoint import Endpoint
from natlab.capture.packet import Protocol
from natlab.evidence.journey import SERVER_LINK, TURN_LINK
from natlab.evidence.result import Case, conclude
from natlab.evidence.way import Kind as Way
from natlab.oracle.predict import BY_TURN
from natlab.oracle.turn import RELAYED, TURN, parse_turn
from tests.unit.natlab.scenes import HOME_OF, SERVER, Scene, inside, other, outside

TO_B = bytes([Kind.DATA]) + b"0123456789 from a to b" + bytes(16)
TO_A = bytes([Kind.DATA]) + b"0123456789 from b to a" + bytes(16)
STUN = b"\x00\x03\x00\x04" + bytes(20)


def channel(frame: bytes, number: int = 0x4000) -> bytes:
    return number.to_bytes(2, "big") + len(frame).to_bytes(2, "big") + frame


def leg(
    scene: Scene, host: str, frame: bytes, relay: tuple[Endpoint, str], by: Protocol, *, up: bool
) -> None:
    """A frame between a host and a relay, by the links of the host and of the relay."""
    at, link = relay
    home, own, shown = HOME_OF[host], inside(host, 1), outside(host, 1)
    if up:
        scene.see(home.host_link, True, own, at, payload=frame, protocol=by)
        scene.see(link, False, shown, at, payload=frame, protocol=by)
        return
    scene.see(link, True, at, shown, payload=frame, protocol=by)
    scene.see(home.host_link, False, at, own, payload=frame, protocol=by)


def turned(
    scene: Scene,
    owner: str,
    *,
    by: Protocol = Protocol.UDP,
    before: Sequence[bytes] = (),
    number: int = 0x4000,
) -> None:
    """A frame each way through the TURN server of `owner`."""
    peer = other(owner)
    out, back = (TO_B, TO_A) if owner == "host_a" else (TO_A, TO_B)
    around = b"".join(before), bytes(-len(out) % 4) if by is Protocol.TCP else b""
    framed = [around[0] + channel(frame, number) + around[1] for frame in (out, back)]
    leg(scene, owner, framed[0], (TURN, TURN_LINK), by, up=True)
    leg(scene, peer, out, (RELAYED, TURN_LINK), Protocol.UDP, up=False)
    leg(scene, peer, back, (RELAYED, TURN_LINK), Protocol.UDP, up=True)
    leg(scene, owner, framed[1], (TURN, TURN_LINK), by, up=False)


def by_server(scene: Scene) -> None:
    relay = SERVER, SERVER_LINK
    for frame, sender in ((TO_B, "host_a"), (TO_A, "host_b")):
        leg(scene, sender, frame, relay, Protocol.UDP, up=True)
        leg(scene, other(sender), frame, relay, Protocol.UDP, up=False)


@pytest.mark.parametrize("owner", ["host_a", "host_b"])
@pytest.mark.parametrize(
    ("by", "before"),
    [
        (Protocol.UDP, ()),
        (Protocol.TCP, ()),
        (Protocol.TCP, (STUN,)),
        (Protocol.TCP, (channel(b"another"), b"\x00")),
    ],
)
def test_frames_in_channels_are_known_again_at_the_peer(
    owner: str, by: Protocol, before: Sequence[bytes]
) -> None:
    scene = Scene()
    turned(scene, owner, by=by, before=before)
    trace = scene.trace()
    found = {(each.sender, each.receiver, each.through, each.owner) for each in trace.handed_on}
    assert found == {
        ("host_a", "host_b", "turn", owner),
        ("host_b", "host_a", "turn", owner),
    }
    assert (trace.path, trace.through, trace.turned_by) == (Way.RELAYED, "turn", owner)
    assert trace.first_datagram_seconds is not None
    assert trace.final_path_seconds is not None
    assert trace.final_path_seconds > trace.first_datagram_seconds


def test_frames_by_the_server_are_nobody_s_turn_server() -> None:
    scene = Scene()
    by_server(scene)
    trace = scene.trace()
    assert (trace.path, trace.through, trace.turned_by) == (Way.RELAYED, "server", None)


def test_of_two_relays_the_one_used_last_counts() -> None:
    scene = Scene()
    turned(scene, "host_b")
    later = Scene(clock=scene.clock)
    by_server(later)
    scene.packets += [replace(each, payload=each.payload + b"2") for each in later.packets]
    assert scene.trace().through == "server"


@pytest.mark.parametrize("number", [0x3FFF, 0x5000])
def test_what_is_in_no_channel_counts_for_nothing(number: int) -> None:
    scene = Scene()
    turned(scene, "host_a", number=number)
    assert scene.trace().path is Way.NONE


def test_one_way_is_no_path() -> None:
    scene = Scene()
    turned(scene, "host_a")
    scene.packets = scene.packets[:4]
    trace = scene.trace()
    assert (trace.path, trace.through, trace.turned_by) == (Way.NONE, None, None)


@pytest.mark.parametrize(
    ("story", "turn", "is_right"),
    [
        (lambda scene: turned(scene, "host_a"), "a", True),
        (lambda scene: turned(scene, "host_a"), "both", True),
        (lambda scene: turned(scene, "host_b"), "both", False),
        (by_server, "a", False),
        (lambda _: None, "a", False),
    ],
)
def test_a_cell_fails_where_another_than_the_predicted_relay_carried(
    story: Callable[[Scene], None], turn: str, is_right: bool
) -> None:
    scene = Scene()
    story(scene)
    case = Case.of("symmetric", "symmetric", "two_nats", BY_TURN, parse_turn(turn))
    result = conclude(case, scene.trace())
    (check,) = [each for each in result.checks if each.name == "datagrams took the predicted way"]
    assert check.ok is is_right, check.why
    assert result.through == scene.trace().through
