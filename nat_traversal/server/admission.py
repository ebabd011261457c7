"""The way of a host into the registry: its REGISTER, checked, and its id, once the store has given it."""

from __future__ import annotations

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.server.claims import Claims
from nat_traversal.server.connections import Connections, ServerAction
from nat_traversal.server.member import Member
from nat_traversal.server.registry import Host, Registration, Registry
from nat_traversal.server.store import Holder, LookUp
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire import messages as m


class Admission:
    """Registers hosts, and admits those that get their id."""

    def __init__(
        self,
        registry: Registry,
        connections: Connections,
        claims: Claims,
        settings: ServerSettings,
        counters: Counters,
    ) -> None:
        self._registry, self._connections, self._claims = registry, connections, claims
        self._settings = settings
        self._registrations = counters.counter("registrations", "a host has got its id")

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other settings hold for what comes from now on."""
        self._settings = settings

    def register(self, host: Host, register: m.Register, now: float) -> list[ServerAction]:
        """`host` wants an id: claim it, or refuse the host."""
        if host.registration is not None:
            return self._connections.refuse(
                host, m.ErrorCode.BAD_MESSAGE, "a connection registers once"
            )
        if PROTOCOL_VERSION not in register.versions:
            text = f"the server speaks version {PROTOCOL_VERSION} only: update the older side"
            return self._connections.refuse(host, m.ErrorCode.UNSUPPORTED_VERSION, text)
        if (refusal := self._connections.denied(host, register)) is not None:
            return refusal
        registration = Registration(register, Holder(register.id, register.peer, host.connection))
        if self._registry.has_seen(registration.handle):
            text = "this registration has been made before: each connection needs a key of its own"
            return self._connections.refuse(host, m.ErrorCode.KEY_USED, text)
        if not self._connections.gate.may_register(host.source):
            most = self._settings.registered_per_source
            text = f"the server takes {most} hosts from one address"
            return self._connections.refuse(host, m.ErrorCode.SERVER_FULL, text)
        registered = self._connections.registers(host, registration, now)
        return [*registered, *self._claims.begin(host, now)]

    def admit(self, host: Host) -> list[ServerAction]:
        """The id is `host`'s from now on."""
        registration = host.registration
        assert registration is not None
        register = registration.register
        longest = self._settings.longest_round_trip
        member = Member.of(register, host.connection, host.source, longest)
        self._registry.admit(host, member)
        self._registrations.value += 1
        accepted = m.Registered(register.transaction, PROTOCOL_VERSION, self._settings.heartbeat)
        return [
            do.Tell(note.HostRegistered(register.id, register.peer, host.source)),
            do.SendMessage(accepted, host.connection),
            LookUp(register.peer, registration.holder),
        ]
