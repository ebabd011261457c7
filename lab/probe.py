"""Find out what a NAT of the lab really does, before anything relies on its name.

Four remote endpoints (two addresses of the server, two ports each) and sockets of the inside host,
fresh for every question, all opened in this process. No answer rests on waiting: packets sent by one
thread on one CPU pass every hop of the virtual network in the order in which they were sent, since
each hop is that CPU's receive queue. So when a datagram of a flow known to be open comes back, each
packet sent before it has arrived or never will (`docs/lab.md`, "The probes").
"""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lab.addressing import SERVER, SERVER_SECOND, Side
from lab.errors import NatMismatchError, NetworkError
from lab.netns import in_namespace, udp_socket
from nat_traversal.behavior import Filtering, Mapping, Preset, Unsolicited, usual_behavior
from nat_traversal.endpoint import Endpoint

if TYPE_CHECKING:  # so that an observation can be read where Mininet is not installed
    from lab.network import Network

_TIMEOUT = 10.0
"""Seconds after which a datagram that has to arrive means a broken network."""
_DESTINATION_UNREACHABLE = 3
_SAME_ENDPOINT, _SAME_ADDRESS, _OTHER_ADDRESS, _BOTH_OTHER = range(4)


@dataclass(frozen=True, slots=True)
class Probe:
    """One datagram: sent from `source` to `target`; if it arrived, `seen_as` is its source there."""

    question: str
    source: Endpoint
    target: Endpoint
    seen_as: Endpoint | None

    @property
    def arrived(self) -> bool:
        return self.seen_as is not None

    def __str__(self) -> str:
        fate = f"arrived from {self.seen_as}" if self.arrived else "did not arrive"
        return f"{self.question}: {self.source} -> {self.target} {fate}"


@dataclass(frozen=True, slots=True)
class Observation:
    """What the probes showed. `filtering` is None if no RFC 4787 term fits what was let in."""

    translated: bool
    """The inside host's packets leave from another address or port than its own."""
    closed_until_sent: bool
    """Nothing reaches an inside endpoint that has not sent, even from where others have sent to."""
    mapping: Mapping
    filtering: Filtering | None
    unsolicited: Unsolicited
    silent: bool
    """No ICMP error came back for a packet that was not let in."""
    probes: tuple[Probe, ...]

    def __str__(self) -> str:
        if not self.translated and not self.closed_until_sent:
            return "no NAT"
        parts = [
            str(replace(usual_behavior(self.mapping, self.filtering), unsolicited=self.unsolicited))
            if self.filtering
            else f"{self.mapping} mapping with a filter that RFC 4787 has no name for",
            "" if self.translated else "without translation",
            "" if self.closed_until_sent else "open before sending",
            "" if self.silent or self.unsolicited is Unsolicited.REJECT else "answering with ICMP",
        ]
        return ", ".join(filter(None, parts))


def check(preset: Preset, observed: Observation) -> None:
    """Raise `NatMismatchError`, with the probes, unless `observed` is what `preset` names."""
    behavior = preset.behavior
    if behavior is None:
        agrees = not observed.translated and not observed.closed_until_sent
    else:
        agrees = (
            observed.translated
            and observed.closed_until_sent
            and (observed.mapping, observed.filtering) == (behavior.mapping, behavior.filtering)
            and observed.unsolicited is behavior.unsolicited
        )
    if not agrees:
        wanted = str(behavior) if behavior else "no NAT"
        evidence = "".join(f"\n  {probe}" for probe in observed.probes)
        raise NatMismatchError(
            f"this NAT is not {preset.name}: it should be {wanted} and is {observed}{evidence}"
        )


def probe_nat(network: Network, side: Side) -> Observation:
    """Probe the NAT of `side`, and make it forget the probes.

    Raises `NatMismatchError` if packets leave from an address that is not the NAT's, and
    `NetworkError` if what has to arrive behind any NAT (a packet out, the answer to it) does not.
    """
    with _one_cpu(), ExitStack() as stack:
        prober = _Prober(network.pid(side.host_node), network.pid("server"), side, stack)
        observed = prober.observe()
    network.forget(side)
    return observed


@contextmanager
def _one_cpu() -> Iterator[None]:
    """Keep this thread on one CPU, without which packets could overtake each other."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


class _Prober:
    def __init__(self, host_pid: int, server_pid: int, side: Side, stack: ExitStack) -> None:
        self._host_pid = host_pid
        self._host_address = str(side.host.ip)
        self._outside = str((side.wan if side.preset.behavior else side.host).ip)
        self._stack = stack
        self._probes: list[Probe] = []

        def remote(address: str, port: int = 0) -> socket.socket:
            opened = stack.enter_context(udp_socket(server_pid, address, port))
            opened.settimeout(_TIMEOUT)
            return opened

        first, second = str(SERVER.ip), str(SERVER_SECOND.ip)
        remotes = [remote(first), remote(first)]
        remotes += [remote(second, _endpoint(opened).port) for opened in remotes]
        self._remotes = remotes
        with in_namespace(server_pid):
            self._icmp = stack.enter_context(
                socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            )
        self._fence_inside = self._inside()
        self._fence_outside = remote(first)
        self._fence_target = self._send_out("fence", self._fence_inside, self._fence_outside)
        if self._fence_target.address != self._outside:
            raise NatMismatchError(
                f"this NAT is not {side.preset.name}: packets leave it from"
                f" {self._fence_target.address} and should from {self._outside}"
            )

    def observe(self) -> Observation:
        inside = self._inside()
        mapped = [self._send_out("mapping", inside, remote) for remote in self._remotes]
        unsent_let_in = [self._comes_in_unsent(remote) for remote in self._remotes]
        let_in = [self._comes_in(remote) for remote in self._remotes]
        if not let_in[_SAME_ENDPOINT]:
            raise NetworkError(f"an answer was not let in: {self._probes[-len(let_in)]}")
        mapping = _mapping(mapped)
        moved = self._moves_after_a_stranger()
        silent = not self._heard_icmp_error()
        if moved and mapping is Mapping.ENDPOINT_INDEPENDENT:
            unsolicited = Unsolicited.ORDER_SENSITIVE
        else:
            unsolicited = Unsolicited.DROP if silent else Unsolicited.REJECT
        return Observation(
            translated=mapped[0] != _endpoint(inside),
            closed_until_sent=not any(unsent_let_in),
            mapping=mapping,
            filtering=_filtering(let_in),
            unsolicited=unsolicited,
            silent=silent,
            probes=tuple(self._probes),
        )

    def _comes_in_unsent(self, remote: socket.socket) -> bool:
        """From where others have sent to, to the port that a NAT would use if it kept ports."""
        inside = self._inside()
        target = Endpoint(self._outside, _endpoint(inside).port)
        return self._send_in("closed until sent", remote, target, inside)

    def _comes_in(self, remote: socket.socket) -> bool:
        inside = self._inside()
        mapped = self._send_out("filtering", inside, self._remotes[_SAME_ENDPOINT])
        return self._send_in("filtering", remote, mapped, inside)

    def _moves_after_a_stranger(self) -> bool:
        """A packet comes to a mapping from where it has not sent; then it sends there."""
        question = "after a stranger"
        inside = self._inside()
        stranger = self._remotes[_BOTH_OTHER]
        mapped = self._send_out(question, inside, self._remotes[_SAME_ENDPOINT])
        self._send_in(question, stranger, mapped, inside)
        return self._send_out(question, inside, stranger) != mapped

    def _inside(self) -> socket.socket:
        opened = self._stack.enter_context(udp_socket(self._host_pid, self._host_address))
        opened.settimeout(_TIMEOUT)
        return opened

    def _send_out(self, question: str, inside: socket.socket, remote: socket.socket) -> Endpoint:
        """Send from the host to the server, which has to arrive. Returns the source seen there."""
        token = secrets.token_bytes(8)
        source, target = _endpoint(inside), _endpoint(remote)
        inside.sendto(token, target.sockaddr)
        seen_as = self._receive(remote, token, f"{question}: {source} -> {target}")
        self._probes.append(Probe(question, source, target, seen_as))
        return seen_as

    def _send_in(
        self, question: str, remote: socket.socket, target: Endpoint, inside: socket.socket
    ) -> bool:
        """Send from the server to `target`. Returns whether it reached `inside`."""
        token = secrets.token_bytes(8)
        remote.sendto(token, target.sockaddr)
        self._settle()
        seen_as = None
        inside.setblocking(False)
        try:
            data, sockaddr = inside.recvfrom(2048)
            if data == token:
                seen_as = Endpoint(*sockaddr)
        except BlockingIOError:
            pass
        inside.settimeout(_TIMEOUT)
        self._probes.append(Probe(question, _endpoint(remote), target, seen_as))
        return seen_as is not None

    def _settle(self) -> None:
        """A round trip of the fence flow: all packets sent before it are where they end."""
        token = secrets.token_bytes(8)
        self._fence_outside.sendto(token, self._fence_target.sockaddr)
        self._receive(self._fence_inside, token, "the fence inwards")
        self._fence_inside.sendto(token, _endpoint(self._fence_outside).sockaddr)
        self._receive(self._fence_outside, token, "the fence outwards")

    @staticmethod
    def _receive(receiver: socket.socket, token: bytes, what: str) -> Endpoint:
        data = b""
        while data != token:
            try:
                data, sockaddr = receiver.recvfrom(2048)
            except TimeoutError:
                raise NetworkError(f"did not arrive in {_TIMEOUT:g} s: {what}") from None
        return Endpoint(*sockaddr)

    def _heard_icmp_error(self) -> bool:
        self._icmp.setblocking(False)
        while True:
            try:
                packet = self._icmp.recv(2048)
            except BlockingIOError:
                return False
            header = 4 * (packet[0] & 0xF)
            if packet[header] == _DESTINATION_UNREACHABLE:
                return True


def _endpoint(opened: socket.socket) -> Endpoint:
    return Endpoint(*opened.getsockname())


def _mapping(mapped: list[Endpoint]) -> Mapping:
    """Of the endpoints seen by address 1 port 1, address 1 port 2, and the same of address 2."""
    if len(set(mapped)) == 1:
        return Mapping.ENDPOINT_INDEPENDENT
    same_for_address_1 = mapped[_SAME_ENDPOINT] == mapped[_SAME_ADDRESS]
    same_for_address_2 = mapped[_OTHER_ADDRESS] == mapped[_BOTH_OTHER]
    if same_for_address_1 and same_for_address_2:
        return Mapping.ADDRESS_DEPENDENT
    return Mapping.ADDRESS_AND_PORT_DEPENDENT


def _filtering(let_in: list[bool]) -> Filtering | None:
    return {
        (True, True, True): Filtering.ENDPOINT_INDEPENDENT,
        (True, False, False): Filtering.ADDRESS_DEPENDENT,
        (False, False, False): Filtering.ADDRESS_AND_PORT_DEPENDENT,
    }.get((let_in[_SAME_ADDRESS], let_in[_OTHER_ADDRESS], let_in[_BOTH_OTHER]))
