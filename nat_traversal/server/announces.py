"""Announces and echoes: the server sees a host's socket, and whether the host receives there."""

from __future__ import annotations

from nat_traversal.crypto.proof import is_nonce, is_signed, nonce, signed
from nat_traversal.machine import actions as do
from nat_traversal.machine.counters import Counters
from nat_traversal.server.addresses import obstacle
from nat_traversal.server.reflection import Reflection
from nat_traversal.server.registry import EarlyAnnounce, EarlyAnnounces, Host, Registry
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.datagrams import MAX_CANDIDATES, Announce, Announced, Echo
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.knock import Knock
from nat_traversal.wire.octets import NONCE_BYTES
from nat_traversal.wire.samples import Sample


class Announces:
    """Those of the hosts in `registry`. `secret` makes the nonces of answers, 32 octets."""

    def __init__(
        self,
        registry: Registry,
        settings: ServerSettings,
        counters: Counters,
        secret: bytes,
        reflection: Reflection,
    ) -> None:
        self._registry = registry
        self._reflection = reflection
        self._early = EarlyAnnounces(settings.early_announces, settings.early_within)
        self._secret = secret
        self._unknown_announces = counters.counter(
            "announces-unknown", "an announce or echo with a handle that nobody has registered"
        )
        self._forged_announces = counters.counter(
            "announces-forged", "an announce or echo that the holder of its key has not made"
        )

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other settings hold from now on."""
        self._early.resize(settings.early_announces, settings.early_within)

    def early(self, handle: bytes, now: float) -> list[do.Action]:
        """The host with this handle is registered now: the announce that overtook that, if there was one."""
        kept = self._early.take(handle, now)
        return self.arrived(kept, now) if kept else []

    def overtaken(
        self, host: Host, message: m.Message | m.UnknownMessage, now: float
    ) -> list[do.Action]:
        """A host that wanted no attempt wants one now: its announce may have come first."""
        if not isinstance(message, m.Retry) or host.registration is None:
            return []
        return self.early(host.registration.handle, now)

    def arrived(self, arrived: EarlyAnnounce, now: float) -> list[do.Action]:
        """An announce came: answered if its host has made it, kept if that is yet to come."""
        announce, source = arrived.announce, arrived.source
        host = self._registry.with_handle(announce.handle)
        if host is None or host.member is None or host.registration is None:
            self._unknown_announces.value += 1
            self._early.keep(arrived, now)
            return []
        key = host.registration.register.key
        if not is_signed(announce, key):
            self._forged_announces.value += 1
            return []
        seen = m.Candidate("srflx", source)
        if not host.member.announced(announce.number, announce.generation, seen):
            if host.member.generation == 0:  # its wish for an attempt may be on its way
                self._early.keep(arrived, now)
            return []
        host.member.sightings.add(now, announce.generation, source.port)
        host.member.local = arrived.local
        session = host.session
        known: tuple[Endpoint, ...] = ()
        if session is not None:
            peer = session.peer_of(host.member)
            known = () if obstacle(peer, host.member) else peer.endpoints[:MAX_CANDIDATES]
        question = bytes(NONCE_BYTES)
        is_shown = host.member.is_validated(source)
        if not is_shown:
            question = nonce(self._secret, _question(announce), source)
        actions: list[do.Action] = []
        if is_shown or self._reflection.may_go(source, host.source, now):
            answer = signed(Announced(announce.number, source, known, question), key)
            actions.append(do.SendDatagram(answer, source, local=arrived.local))
        if session is not None:
            actions += session.socket_shown(now)
        return actions

    def sampled(self, sample: Sample, source: Endpoint, now: float) -> list[do.Action]:
        """A host shows one more port that its NAT gives. A recorded one counts no more."""
        host = self._registry.with_handle(sample.handle)
        if host is None or host.member is None or host.registration is None:
            self._unknown_announces.value += 1
            return []
        if not is_signed(sample, host.registration.register.key):
            self._forged_announces.value += 1
            return []
        if not host.member.sampled(sample.number, sample.generation):
            return []
        host.member.sightings.add(now, sample.generation, source.port)
        return [] if host.session is None else host.session.socket_shown(now)

    def echoed(self, echo: Echo, source: Endpoint) -> list[do.Action]:
        """A host shows that it receives where it seems to be: till then its peer sends little there."""
        host = self._registry.with_handle(echo.handle)
        if host is None or host.member is None or host.registration is None:
            self._unknown_announces.value += 1
            return []
        is_genuine = is_nonce(self._secret, _question(echo), source, echo.nonce)
        if not is_genuine or not is_signed(echo, host.registration.register.key):
            self._forged_announces.value += 1
            return []
        if not host.member.validate(source) or host.session is None:
            return []
        return [*host.session.validated(host.member, source.address)]

    def mapped(self, host: Host, said: m.PortMapped) -> list[do.Action]:
        """A host says that a port of its router leads to its socket: a KNOCK that comes by it shows that.

        It goes to the address at which the host has shown that it receives, and so to nobody else.
        """
        member = host.member
        assert member is not None
        assert host.registration is not None
        if said.generation != member.generation or (seen := member.seen) is None:
            return []
        key, way = host.registration.register.key, Endpoint(seen.address, said.port)
        about = b"knock" + host.registration.handle + said.generation.to_bytes(2)
        if not said.nonce:
            knock = Knock(said.generation, nonce(self._secret, about, way))
            return [do.SendDatagram(signed(knock, key), way, local=member.local)]
        if not is_nonce(self._secret, about, way, said.nonce):
            return []
        candidate = member.is_mapped(said.port)
        if candidate is None or host.session is None:
            return []
        return [*host.session.added(member, candidate)]


def _question(asked: Announce | Echo) -> bytes:
    """The announce for which the nonce of an answer is, in octets."""
    return asked.handle + asked.number.to_bytes(6)
