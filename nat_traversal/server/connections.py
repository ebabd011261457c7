"""How control connections come, live and end, and what ends with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nat_traversal.access import OPEN, Access
from nat_traversal.crypto.keyfile import PUBLIC, as_text
from nat_traversal.machine import actions as do
from nat_traversal.machine import events as e
from nat_traversal.machine import notices as note
from nat_traversal.machine.counters import Counters
from nat_traversal.machine.timers import Timers
from nat_traversal.server.challenge import Challenges
from nat_traversal.server.gate import Gate
from nat_traversal.server.hidden import HiddenClients
from nat_traversal.server.rate import Allowance
from nat_traversal.server.registry import Host, Registration, Registry
from nat_traversal.server.session import numbers
from nat_traversal.server.store import Claim, Holder, PeerLeft, Publish, Release, StoreRequest
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.source import source_of

ServerAction = do.Action | StoreRequest


QUIET_HEARTBEATS = 1.5
"""Silence until a ping, for a host that has been heard: in time for two before the silence is too long."""


@dataclass(frozen=True, slots=True)
class LivenessDue:
    """The timer's name: look whether this connection lives."""

    connection: e.ConnectionId


class Connections:
    """Opens, watches and ends the connections of `registry`. Challenges are its affair: they end ids."""

    def __init__(
        self, registry: Registry, timers: Timers, settings: ServerSettings, counters: Counters
    ) -> None:
        self._registry = registry
        self._timers = timers
        self._settings = settings
        self._counters = counters
        self._transactions: Iterator[int] = numbers()
        self.gate = Gate(settings, counters)
        self.access = OPEN
        self._hidden = HiddenClients()
        self.challenges = Challenges(timers, settings.spared_for, self.ping)
        counters.gauge(
            "connections",
            "control connections, registered or not",
            lambda: len(registry),
            lambda: self._settings.connections,
        )

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other settings hold for what begins from now on."""
        self._settings = settings
        self.gate.reconfigure(settings)
        self.challenges.spared_for = settings.spared_for

    def here(self, connection: e.ConnectionId) -> Host:
        """The host at a connection that has not gone: what refers to it goes when it goes."""
        host = self._registry.get(connection)
        assert host is not None
        return host

    def ping(self, connection: e.ConnectionId) -> do.Action:
        """Ask whether the host lives."""
        return do.SendMessage(m.Heartbeat(next(self._transactions)), connection)

    def opened(
        self, connection: e.ConnectionId, remote: Endpoint | None, now: float
    ) -> list[ServerAction]:
        """A connection has come: it has some seconds to register."""
        actions: list[ServerAction] = []
        most = self._settings.connections
        if len(self._registry) >= most or self.gate.unregistered >= self._settings.unregistered:
            # Those that have not registered yet make room, the oldest first; others keep their place.
            oldest = self._registry.oldest_unregistered()
            text = f"the server is full: {most} connections"
            if oldest is None:
                return [
                    do.SendMessage(m.Refused(m.ErrorCode.SERVER_FULL, text), connection),
                    do.CloseControl(connection),
                ]
            actions = self.refuse(oldest, m.ErrorCode.SERVER_FULL, text)
        allowance = Allowance(self._settings.burst, self._settings.rate, now)
        source = source_of(remote.address) if remote else ""
        self.gate.came(source)
        self._registry.add(Host(connection, allowance, heard_at=now, source=source))
        self._timers.set(LivenessDue(connection), now + self._settings.register_within)
        return actions

    def registers(self, host: Host, registration: Registration, now: float) -> list[ServerAction]:
        """The host has said its wish."""
        self._registry.registered(host, registration)
        self.gate.registered(host.source)
        self.registered(host, now)
        register = registration.register
        hidden = self._hidden.registered(register.id, host.source, register.via)
        return [] if hidden is None else [do.Tell(hidden)]

    def registered(self, host: Host, now: float) -> None:
        """From now on the host has to show signs of life."""
        self._timers.set(LivenessDue(host.connection), now + self._settings.heartbeat)

    def joined(self, host: Host) -> None:
        """The connection serves a relay from now on, and is no host's control connection."""
        self._registry.remove(host)
        self.gate.gone(host.source, was_registered=False)
        self._timers.cancel(LivenessDue(host.connection))

    def must_answer(self, host: Host, now: float) -> None:
        """The host is asked for proof, and has as much time as it had to register."""
        self._timers.set(LivenessDue(host.connection), now + self._settings.register_within)

    def check_alive(self, host: Host, now: float) -> list[ServerAction]:
        """The timer is due: end a silent connection, ping a quiet one, renew the lease of its id."""
        if host.registration is None:
            text = f"no registration within {self._settings.register_within:g} s"
            return self.refuse(host, m.ErrorCode.TOO_SLOW, text)
        if host.question is not None:
            text = f"no proof within {self._settings.register_within:g} s"
            return self.refuse(host, m.ErrorCode.TOO_SLOW, text)
        heartbeat = self._settings.heartbeat
        silence = now - host.heard_at
        if silence >= self._settings.silence_heartbeats * heartbeat:
            return self.refuse(host, m.ErrorCode.TOO_SLOW, f"silent for {silence:.0f} s")
        if silence >= heartbeat:
            self._timers.set(LivenessDue(host.connection), now + heartbeat / 2)
            return [self.ping(host.connection)]
        quiet = min(QUIET_HEARTBEATS, self._settings.silence_heartbeats)
        self._timers.set(LivenessDue(host.connection), host.heard_at + quiet * heartbeat)
        return [] if host.member is None else [self.claim(host.registration.holder)]

    def denied(self, host: Host, register: m.Register) -> list[ServerAction] | None:
        """The refusal of a host that may not register so; None if it may. A guest's own server has seen to it."""
        refusal = None if host.connection < 0 else self.objection(register)
        return None if refusal is None else self.refuse(host, refusal.code, refusal.text)

    def objection(self, register: m.Register) -> m.Refused | None:
        """Why nobody may register so; None if somebody may."""
        if register.id == register.peer:
            text = f"{register.id!r} cannot be its own peer: give the two hosts different ids"
            return m.Refused(m.ErrorCode.BAD_ID, text)
        return self.access.refusal(register)

    def restrict(self, access: Access) -> list[ServerAction]:
        """From now on `access` counts, also for those that are here."""
        self.access = access
        actions: list[ServerAction] = []
        for host in list(self._registry):
            if host.registration is not None:
                actions += self.denied(host, host.registration.register) or []
        return actions

    def refuse(self, host: Host, code: str, text: str) -> list[ServerAction]:
        """Say no, and end the connection."""
        self._counters.counter("refused", "a connection was refused", code=code).value += 1
        return [
            do.SendMessage(m.Refused(code, text), host.connection),
            do.CloseControl(host.connection),
            do.Tell(note.HostRefused(host.id, code, text, host.source)),
            *self.forget(host),
        ]

    def forget(self, host: Host) -> list[ServerAction]:
        """The connection has ended, and with it its session; its id is free for those that wait."""
        self._registry.remove(host)
        self.gate.gone(host.source, was_registered=host.registration is not None)
        self._timers.cancel(LivenessDue(host.connection))
        if host.registration is None:
            return []
        if host.member is None:
            self.challenges.withdraw(host.connection)
            return []
        actions: list[ServerAction] = [
            Release(host.registration.holder),
            do.Tell(note.HostLeft(host.member.id, host.source)),
        ]
        if host.session is not None:
            host.session.member_left()
            peer = host.session.peer_of(host.member)
            self.here(peer.connection).session = None
            actions.append(Publish(peer.id, PeerLeft(host.member.id)))
        contenders = self.challenges.gone(host.connection)
        return [*actions, *(each for waiting in contenders for each in self._again(waiting))]

    def unsent(self, action: object, reason: str) -> list[ServerAction]:
        """An action failed. A host that could not be told something is let go: it may come back."""
        connection = action.connection if isinstance(action, do.SendMessage) else 0
        host = self._registry.get(connection)
        if host is None:
            return []
        self._counters.counter("messages-unsent", "a message had no form to be sent in").value += 1
        told = note.HostRefused(host.id, "unsent", reason, host.source)
        return [do.CloseControl(host.connection), do.Tell(told), *self.forget(host)]

    def dismiss(self, host: Host, goodbye: m.GoAway) -> list[ServerAction]:
        """End a connection that is to come back, here or elsewhere: its peer need not know."""
        if host.session is not None and host.member is not None:
            host.session.member_left()
            self.here(host.session.peer_of(host.member).connection).session = None
            host.session = None
        return [
            do.SendMessage(goodbye, host.connection),
            do.CloseControl(host.connection),
            *self.forget(host),
        ]

    def end_all(self) -> list[ServerAction]:
        """The server stops."""
        actions: list[ServerAction] = []
        for host in self._registry:
            if host.registration is not None and host.member is not None:
                actions.append(Release(host.registration.holder))
            actions.append(do.CloseControl(host.connection))
        return actions

    def claim(self, holder: Holder) -> StoreRequest:
        """Ask for an id, or for its lease to go on."""
        return Claim(holder, self._settings.lease)

    def _again(self, contender: e.ConnectionId) -> list[ServerAction]:
        """The holder that `contender` has waited for is gone; others of the same client may have the id still."""
        host = self.here(contender)
        assert host.registration is not None
        if not (rivals := self._registry.rivals(host)):
            return [self.claim(host.registration.holder)]
        holder = rivals[0].registration
        return self.refuse_id(host, holder.register if holder else None)

    def lives(self, holder: Host, now: float) -> list[ServerAction]:
        """The holder has shown that it lives: those that want its id have to wait."""
        actions: list[ServerAction] = []
        for contender in self.challenges.lives(holder.connection, now):
            register = holder.registration.register if holder.registration else None
            actions += self.refuse_id(self.here(contender), register)
        return actions

    def is_mute(self, holder: Host) -> list[ServerAction]:
        """The holder has not answered: its id goes to the first that wants it."""
        text = "this client did not answer in time, and another one has come with its id"
        others = [each for each in self._registry.with_id(holder.id or "") if each is not holder]
        mute = [*others, holder]  # all on one connection: the holder goes last, when the id is free
        return [act for each in mute for act in self.refuse(each, m.ErrorCode.REPLACED, text)]

    def refuse_id(self, host: Host, holder: m.Register | None) -> list[ServerAction]:
        """The id that the host wants is another one's. `holder`: its registration, if it is at this server."""
        text = f"the id {host.id!r} is in use by {_named(holder)}: end that one, or choose another --id"
        return self.refuse(host, m.ErrorCode.ID_IN_USE, text)


def _named(holder: m.Register | None) -> str:
    """The holder of an id, by what is public of it."""
    if holder is None:
        return "a client at another server"
    if not holder.offer.identity:
        return "another client, which has no identity"
    return f"a client that shows the identity {as_text(PUBLIC, holder.offer.identity)}"
