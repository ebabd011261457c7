"""Claims about the rest: filters after an ICMP error, fragments, addresses in payloads, and parity."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address

from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior
from natlab.probe.errors import PORT_UNREACHABLE, error_about
from natlab.probe.finding import Finding
from natlab.probe.sockets import SAME_ENDPOINT, Exchange, Outside, endpoint
from natlab.sandbox.netns import in_namespace
from natlab.terms import AfterError, Fragments, Parity, Payload

_LARGE = 3000
"""Octets of a datagram that travels as three fragments."""
_PAIRS = 8
_FIRST_PORT = 21_000


def findings(exchange: Exchange, outside: Outside, behavior: NatBehavior) -> Iterator[Finding]:
    """To be used within `one_cpu`, once the NAT's fence is open."""
    closes = behavior.after_error is AfterError.CLOSES
    wanted = "closes the filter" if closes else "closes nothing"
    yield Finding("an error about a datagram", wanted, _after_error(exchange, outside))
    passes = behavior.fragments is Fragments.PASSED
    yield Finding("fragments", "pass both ways" if passes else "pass neither way", _sent(exchange))
    rewrites = behavior.payload is Payload.REWRITTEN
    wanted = "rewritten both ways" if rewrites else "left alone"
    yield Finding("addresses in payloads", wanted, _payloads(exchange))
    if behavior.parity is Parity.KEPT:
        yield Finding("port parity", "kept", _parity(exchange))


def _after_error(exchange: Exchange, outside: Outside) -> str:
    remote = exchange.remotes[SAME_ENDPOINT]
    inside = exchange.inside()
    mapped = exchange.send_out("an error", inside, remote)
    with in_namespace(outside.pid):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with raw:
        error = error_about(PORT_UNREACHABLE, mapped, endpoint(remote))
        raw.sendto(error, (mapped.address, 0))
    exchange.settle()
    exchange.send_out("after an error", exchange.inside(), remote)
    inside.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # which it has been told, and forgets
    stays_open = exchange.send_in("after an error", remote, mapped, inside).arrived
    again = exchange.send_out("after an error", inside, remote)
    if again != mapped:
        return f"moves the mapping from {mapped} to {again}"
    return "closes nothing" if stays_open else "closes the filter"


def _sent(exchange: Exchange) -> str:
    """A large datagram each way, through a mapping that stands."""
    remote, inside = exchange.remotes[SAME_ENDPOINT], exchange.inside()
    mapped = exchange.send_out("fragments", inside, remote)
    ways = ((inside, endpoint(remote), remote), (remote, mapped, inside))
    passed = [len(_heard(exchange, *way, b"f" * _LARGE)) == _LARGE for way in ways]
    return {(True, True): "pass both ways", (False, False): "pass neither way"}.get(
        (passed[0], passed[1]), "pass one way"
    )


def _payloads(exchange: Exchange) -> str:
    """The inside address in a datagram that goes out, and the external one in one that comes in."""
    remote, inside = exchange.remotes[SAME_ENDPOINT], exchange.inside()
    mapped = exchange.send_out("payloads", inside, remote)
    own, shown = (IPv4Address(each).packed for each in (endpoint(inside).address, mapped.address))
    out = _heard(exchange, inside, endpoint(remote), remote, b"head" + own + b"tail")
    back = _heard(exchange, remote, mapped, inside, b"head" + shown + b"tail")
    if (out, back) == (b"head" + own + b"tail", b"head" + shown + b"tail"):
        return "left alone"
    if (out, back) == (b"head" + shown + b"tail", b"head" + own + b"tail"):
        return "rewritten both ways"
    return f"out {out.hex()}, back {back.hex()}"


def _parity(exchange: Exchange) -> str:
    remote = exchange.remotes[SAME_ENDPOINT]
    own = [exchange.inside(port=_FIRST_PORT + n) for n in range(2 * _PAIRS)]
    got = [exchange.send_out("parity", each, remote).port for each in own]
    changed = sum((endpoint(each).port - port) % 2 for each, port in zip(own, got, strict=True))
    return "kept" if not changed else f"{changed} of {len(got)} changed"


def _heard(
    exchange: Exchange,
    sender: socket.socket,
    target: Endpoint,
    receiver: socket.socket,
    payload: bytes,
) -> bytes:
    """The payload as it came, or nothing."""
    sender.sendto(payload, target.sockaddr)
    exchange.settle()
    with ExitStack() as stack:
        stack.callback(receiver.settimeout, receiver.gettimeout())
        receiver.setblocking(False)
        try:
            return receiver.recv(65_535)
        except BlockingIOError:
            return b""
