"""One mapping at a router that speaks PCP or NAT-PMP: asked for, renewed at half its time, given back.

The router is asked by PCP, and by NAT-PMP once it has not answered that at once. Its first answer counts. Its
answers are bounded: none makes this side speak more often than every ten seconds.
"""

from __future__ import annotations

from enum import Enum, auto

from nat_traversal.machine.transitions import StateMachine
from nat_traversal.mapping import nat_pmp, pcp
from nat_traversal.mapping.answers import ASKED_LIFETIME, Answer, Denied, Granted, OtherVersion
from nat_traversal.wire.port_mapping import MappingProtocol

FIRST_PAUSE = 0.25
"""Seconds until a request is repeated; doubling (RFC 6886 section 3.1)."""
TRIES = 3


class LeaseState(Enum):
    """Named by what the mapping is."""

    ASKED = auto()  # wanted, and not answered yet
    HELD = auto()  # there
    RENEWED = auto()  # there, and asked for again
    NONE = auto()  # refused, or nobody answers; it may have been there
    GIVEN_BACK = auto()  # not wanted any more


class LeaseTrigger(Enum):
    """The events of a mapping."""

    GRANTED = auto()
    RENEW = auto()
    FAIL = auto()
    RELEASE = auto()


_S, _T = LeaseState, LeaseTrigger
TABLE = {
    (_S.ASKED, _T.GRANTED): _S.HELD,
    (_S.ASKED, _T.FAIL): _S.NONE,
    (_S.ASKED, _T.RELEASE): _S.GIVEN_BACK,
    (_S.HELD, _T.RENEW): _S.RENEWED,
    (_S.HELD, _T.RELEASE): _S.GIVEN_BACK,
    (_S.RENEWED, _T.GRANTED): _S.HELD,
    (_S.RENEWED, _T.FAIL): _S.NONE,
    (_S.RENEWED, _T.RELEASE): _S.GIVEN_BACK,
    (_S.NONE, _T.RELEASE): _S.GIVEN_BACK,
}
"""All that is not listed is ignored."""


class Lease:
    """The mapping of `port`, a UDP port of this host, which the router sees at the IPv4 address `inside`.

    Send what the calls return to the router, and call `due` at `deadline`. `nonce`: 12 random octets. `suggested`: the
    external port that is wished for.
    """

    def __init__(self, inside: str, port: int, *, nonce: bytes, suggested: int) -> None:
        self._inside = inside
        self._port = port
        self._nonce = nonce
        self._suggested = suggested
        self._machine = StateMachine(f"mapping of port {port}", _S.ASKED, TABLE)
        self._protocols = [MappingProtocol.PCP]
        """Those that are asked."""
        self._left = 0
        self._pause = FIRST_PAUSE
        self.external: int | None = None
        """The router's port while it leads here."""
        self.problem = ""
        """Why there is no mapping, for people who read logs."""
        self.deadline: float | None = None
        """When to call `due` next."""

    @property
    def state(self) -> LeaseState:
        return self._machine.state

    @property
    def protocol(self) -> MappingProtocol:
        """The one that the router has answered, or is asked by first."""
        return self._protocols[0]

    def start(self, now: float) -> list[bytes]:
        """Ask for it."""
        return self._ask_anew(now)

    def arrived(self, data: bytes, now: float) -> list[bytes]:
        """A datagram came from the router. One that answers nothing is ignored."""
        for protocol in self._protocols:
            said = self._answer(protocol, data)
            if said is not None:
                return self._answered(protocol, said, now)
        return []

    def due(self, now: float) -> list[bytes]:
        """The deadline has come: repeat, renew, or give up."""
        match self.state:
            case _S.HELD:
                self._machine.fire(_T.RENEW)
                return self._ask_anew(now)
            case _S.ASKED | _S.RENEWED:
                if not self._left:
                    return self._fail("the router answers neither PCP nor NAT-PMP")
                if self.state is _S.ASKED and len(self._protocols) == 1:
                    self._protocols.append(MappingProtocol.NAT_PMP)
                return self._ask(now)
        self.deadline = None
        return []

    def release(self) -> list[bytes]:
        """Give it back. Nothing is to be done afterwards."""
        was_held = self.external is not None
        self.external = self.deadline = None
        if not self._machine.allows(_T.RELEASE):
            return []
        self._machine.fire(_T.RELEASE)
        return [self._request(self.protocol, 0)] if was_held else []

    def _answered(self, protocol: MappingProtocol, said: Answer, now: float) -> list[bytes]:
        if self.state is _S.GIVEN_BACK or not self._machine.allows(_T.GRANTED):
            return []
        match said:
            case OtherVersion() if protocol is MappingProtocol.PCP and self.state is _S.ASKED:
                self._protocols = [MappingProtocol.NAT_PMP]
                return self._ask_anew(now)
            case Granted(port, lifetime) if lifetime:
                self._protocols = [protocol]
                self._machine.fire(_T.GRANTED)
                self.external = self._suggested = port
                self.deadline = now + lifetime / 2
                return []
            case Denied(reason):
                return self._fail(reason)
        return self._fail("the router does not speak this version")

    def _fail(self, reason: str) -> list[bytes]:
        self._machine.fire(_T.FAIL)
        self.problem = reason
        self.external = self.deadline = None
        return []

    def _ask_anew(self, now: float) -> list[bytes]:
        self._left, self._pause = TRIES, FIRST_PAUSE
        return self._ask(now)

    def _ask(self, now: float) -> list[bytes]:
        self._left -= 1
        self.deadline = now + self._pause
        self._pause *= 2
        return [self._request(each, ASKED_LIFETIME) for each in self._protocols]

    def _request(self, protocol: MappingProtocol, lifetime: int) -> bytes:
        wish = {"suggested": self._suggested, "lifetime": lifetime}
        if protocol is MappingProtocol.PCP:
            return pcp.request(self._inside, self._port, self._nonce, **wish)
        return nat_pmp.request(self._port, **wish)

    def _answer(self, protocol: MappingProtocol, data: bytes) -> Answer | None:
        if protocol is MappingProtocol.PCP:
            return pcp.answer(data, self._port, self._nonce)
        return nat_pmp.answer(data, self._port)
