"""Claims about TCP behind a NAT (RFC 5382): mapping, filtering, and SYNs that cross on the way.

Inside are the kernel's own sockets. Outside are they too, but for the crossing: there the segments are made
by hand, since no call makes a kernel send its SYN at a given moment.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import NatBehavior
from natlab.errors import NetworkError
from natlab.probe.finding import Finding
from natlab.probe.sockets import TIMEOUT, Exchange, Host, Outside, endpoint, internet_checksum
from natlab.sandbox.netns import NFT, Command, in_namespace, run_together
from natlab.terms import CrossingSyn, TcpFiltering, TcpMapping

_FIN, SYN, _RST, ACK = 0x01, 0x02, 0x04, 0x10
_HEADER = 20
RESET = struct.pack("ii", 1, 0)
"""`SO_LINGER`, so that closing resets."""
Segment = tuple[Endpoint, int, int, int, bytes]
"""Source, flags, both numbers, payload."""
_SEQUENCE = 0x0101_0101
_SILENT = """table ip nat_lab_probe {}
delete table ip nat_lab_probe
"""
_MAPPINGS = {
    TcpMapping.ENDPOINT_INDEPENDENT: "the internal port, for all",
    TcpMapping.FRESH: "another port for each connection",
}
_FILTERS = {
    TcpFiltering.ENDPOINT_INDEPENDENT: "open to all",
    TcpFiltering.ADDRESS_DEPENDENT: "open to its addresses",
    TcpFiltering.ADDRESS_AND_PORT_DEPENDENT: "open to no other",
}
_CROSSING = {CrossingSyn.LET_IN: "a connection", CrossingSyn.DROPPED: "the SYN does not come in"}


def findings(exchange: Exchange, outside: Outside, behavior: NatBehavior) -> Iterator[Finding]:
    """To be used within `one_cpu`, once the NAT's fence is open, or where it lets no UDP through."""
    with ExitStack() as stack:
        settle = exchange.settle_by_tcp if behavior.blocks_udp else exchange.settle
        tcp = Tcp(exchange.host, outside, stack, settle)
        if behavior.tcp_sessions:
            # First, while the NAT knows no other.
            claim, wanted = f"TCP connection {behavior.tcp_sessions + 1}", "refused until one ends"
            yield Finding(claim, wanted, tcp.beyond(behavior.tcp_sessions))
        yield Finding("TCP mapping", _MAPPINGS[behavior.tcp_mapping], tcp.mapping())
        yield Finding("TCP filtering", _FILTERS[behavior.tcp_filtering], tcp.filtering())
        yield Finding("SYNs that cross", _CROSSING[behavior.crossing_syn], tcp.crossing())


class Tcp:
    """Sockets inside and outside one NAT; three remotes listen. `settle` ends when what was sent is where it ends."""

    def __init__(
        self, host: Host, outside: Outside, stack: ExitStack, settle: Callable[[], None]
    ) -> None:
        self._host, self._outside, self._stack, self.settle = host, outside, stack, settle
        first, second = outside.first, outside.second
        self.remotes = [self._listening(outside.pid, each) for each in (first, first, second)]

    def mapping(self) -> str:
        """One inside port connects to three endpoints outside."""
        port, seen = 0, []
        for remote in self.remotes:
            inside = self._socket(self._host.pid, self._host.address, port)
            port = endpoint(inside).port
            seen.append(self._connect(inside, remote))
        ports = {each.port for each in seen}
        if ports == {port}:
            return "the internal port, for all"
        return "another port for each connection" if len(ports) == len(seen) else str(seen)

    def filtering(self) -> str:
        """An inside endpoint connects to the first remote; then the others' addresses connect to it."""
        first, second = self._outside.first, self._outside.second
        unsent = self._comes_in(first, self.remotes[0], sends=False)
        if unsent:
            return "open before it has sent"
        let_in = (self._comes_in(first, self.remotes[0]), self._comes_in(second, self.remotes[0]))
        return {
            (True, True): "open to all",
            (True, False): "open to its addresses",
            (False, False): "open to no other",
        }.get(let_in, "open to other addresses alone")

    def _comes_in(self, source: str, remote: socket.socket, *, sends: bool = True) -> bool:
        """From `source` to an inside endpoint that has connected to `remote`, if it `sends`."""
        inside = self._socket(self._host.pid, self._host.address)
        listener = self._socket(self._host.pid, *inside.getsockname())
        mapped = Endpoint(self._leaves_from, endpoint(inside).port)
        if sends:
            mapped = self._connect(inside, remote)
        listener.listen()
        stranger = self._socket(self._outside.pid, source)
        stranger.setblocking(False)
        stranger.connect_ex(mapped.sockaddr)
        for _ in range(2):  # a handshake crosses the NAT three times
            self.settle()
        if not select.select([listener], [], [], 0)[0]:
            return False
        accepted, seen_as = listener.accept()
        self._stack.enter_context(accepted)
        if Endpoint(*seen_as) != endpoint(stranger) or not select.select([], [stranger], [], 0)[1]:
            raise NetworkError(f"a TCP connection from {endpoint(stranger)} came as {seen_as}")
        return True

    @property
    def _leaves_from(self) -> str:
        inside = self._socket(self._host.pid, self._host.address)
        return self._connect(inside, self.remotes[0]).address

    def crossing(self) -> str:
        """SYN out, SYN in, SYN and ACK out, SYN and ACK in: then data. A kernel may say each again on a busy machine."""
        remote = endpoint(self.held())
        with self.by_hand(remote) as raw, ExitStack() as stack:
            inside = stack.enter_context(self._socket(self._host.pid, self._host.address))
            inside.setblocking(False)
            inside.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            inside.connect_ex(remote.sockaddr)
            out = self.heard(raw, remote)
            if {flags for _, flags, *_ in out} != {SYN}:
                return f"{len(out)} segments came out, and not a SYN alone"
            mapped, _, sequence, *_ = out[0]
            expected = (sequence + 1) & 0xFFFF_FFFF
            send_segment(raw, remote, mapped, SYN, (_SEQUENCE, 0))
            answers = {flags for _, flags, *_ in self.heard(raw, remote)} - {SYN}
            if answers != {SYN | ACK}:
                return "a reset" if _RST in {each & _RST for each in answers} else _CROSSING_DROPPED
            send_segment(raw, remote, mapped, SYN | ACK, (_SEQUENCE, expected))
            # Old kernels answer this with a challenge, which the ACK ends.
            send_segment(raw, remote, mapped, ACK, (_SEQUENCE + 1, expected))
            self.settle()
            inside.send(b"through")
            came = {payload for *_, payload in self.heard(raw, remote)}
            return "a connection" if b"through" in came else "the SYN comes in, and no data out"

    def beyond(self, most: int) -> str:
        """As many connections as there may be; one more; and again after one has ended. Then all end."""
        listener = self._socket(self._outside.pid, self._outside.first)
        listener.listen(most + 1)
        target = endpoint(listener).sockaddr

        def connected() -> tuple[socket.socket, bool]:
            opened = self.socket_inside()
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            opened.setblocking(False)
            opened.connect_ex(target)
            for _ in range(2):
                self.settle()
            return opened, bool(select.select([], [opened], [], 0)[1])

        held = [connected() for _ in range(most)]
        if not all(came for _, came in held):
            return f"{sum(came for _, came in held)} come out"
        one_more, too_many = connected()
        one_more.close()
        held[0][0].close()
        self.settle()
        last, _ = connected()
        # Linux looks for closed ones once a tick; the SYN comes again after a second.
        again = bool(select.select([], [last], [], TIMEOUT)[1])
        for opened in (last, *(each for each, _ in held)):
            opened.close()
        if too_many:
            return "there is room"
        return "refused until one ends" if again else "refused, also when one has ended"

    @contextmanager
    def by_hand(self, remote: Endpoint) -> Iterator[socket.socket]:
        """A raw socket, while the kernel there does not reset what comes to `remote`."""
        quiet = f"tcp sport {remote.port} tcp flags & rst == rst drop"
        hook = "type filter hook output priority filter;"
        rules = f"{_SILENT}table ip nat_lab_probe {{ chain output {{ {hook} {quiet}; }}; }}\n"
        run_together([Command(NFT, rules, self._outside.pid)])
        try:
            with in_namespace(self._outside.pid):
                raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
            with raw:
                raw.bind((remote.address, 0))
                raw.setblocking(False)
                yield raw
        finally:
            run_together([Command(NFT, _SILENT, self._outside.pid)])

    def heard(self, raw: socket.socket, remote: Endpoint) -> list[Segment]:
        """Source, flags, both numbers and payload of all that has come to `remote` by now."""
        for _ in range(2):
            self.settle()
        return [segment for segment, target in self.segments(raw) if target.port == remote.port]

    @staticmethod
    def segments(raw: socket.socket) -> list[tuple[Segment, Endpoint]]:
        """All that has come by now, and where it went."""
        heard: list[tuple[Segment, Endpoint]] = []
        while True:
            try:
                packet = raw.recv(2048)
            except BlockingIOError:
                return heard
            segment = packet[4 * (packet[0] & 0xF) :]
            source, target, sequence, acknowledged, offset, flags = struct.unpack_from(
                "!HHIIBB", segment
            )
            sender = Endpoint(socket.inet_ntoa(packet[12:16]), source)
            payload = segment[4 * (offset >> 4) :]
            wanted = flags & (_FIN | SYN | _RST | ACK)
            heard.append(
                (
                    (sender, wanted, sequence, acknowledged, payload),
                    Endpoint(socket.inet_ntoa(packet[16:20]), target),
                )
            )

    def socket_inside(self) -> socket.socket:
        """A fresh one of the inside host, bound."""
        return self._socket(self._host.pid, self._host.address)

    def held(self) -> socket.socket:
        """A remote port that nobody else gets, and where nobody listens."""
        return self._socket(self._outside.pid, self._outside.first)

    def keep(self, opened: socket.socket) -> None:
        """Close it when this ends."""
        self._stack.enter_context(opened)

    def _connect(self, inside: socket.socket, remote: socket.socket) -> Endpoint:
        """Connect, and tell from which endpoint that came. Raises `NetworkError` if it does not."""
        try:
            inside.connect(endpoint(remote).sockaddr)
            accepted, seen_as = remote.accept()
        except OSError as error:
            where = f"{endpoint(inside)} to {endpoint(remote)}"
            raise NetworkError(f"no TCP connection from {where}: {error}") from None
        self._stack.enter_context(accepted)
        return Endpoint(*seen_as)

    def _listening(self, pid: int, address: str) -> socket.socket:
        opened = self._socket(pid, address)
        opened.listen()
        return opened

    def _socket(self, pid: int, address: str, port: int = 0) -> socket.socket:
        """One of several that may share a port."""
        with in_namespace(pid):
            opened = socket.socket()
        self._stack.enter_context(opened)
        opened.settimeout(TIMEOUT)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        opened.bind((address, port))
        return opened


_CROSSING_DROPPED = _CROSSING[CrossingSyn.DROPPED]


def send_segment(
    raw: socket.socket, source: Endpoint, target: Endpoint, flags: int, numbers: tuple[int, int]
) -> None:
    """One TCP segment without data and options. `numbers` are those of the segment and of what it acknowledges."""
    head = struct.pack(
        "!HHIIBBHHH", source.port, target.port, *numbers, 5 << 4, flags, 65_535, 0, 0
    )
    addresses = socket.inet_aton(source.address) + socket.inet_aton(target.address)
    pseudo = addresses + struct.pack("!BBH", 0, socket.IPPROTO_TCP, _HEADER)
    checksum = struct.pack("!H", internet_checksum(pseudo + head))
    raw.sendto(head[:16] + checksum + head[18:], (target.address, 0))
