"""A pair's wish for a relay: when it gets one, of this server or by TURN, and what its hosts are told if it gets none."""

from __future__ import annotations

import random
from dataclasses import replace

from nat_traversal.machine import actions as do
from nat_traversal.machine.timers import Timers
from nat_traversal.server.member import Member
from nat_traversal.server.relays import Relays
from nat_traversal.server.turning import Turning
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import TOKEN_BYTES
from nat_traversal.wire import messages as m

SET_UP = 4.5
"""Round trips to the server that a relay takes: half for the order, two for BIND, two for LINK there and back."""
BEFORE = 2.0
"""Round trips that the contract takes, before a relay is any use."""


class Relaying:
    """Of one session. Sets one timer in `timers`, under the name `self`, while a relay is due."""

    def __init__(
        self,
        members: tuple[Member, Member],
        *,
        relays: Relays,
        timers: Timers,
        rng: random.Random,
        settings: ServerSettings,
    ) -> None:
        self._members = members
        self._turning = Turning(members)
        self._relays = relays
        self._timers = timers
        self._rng = rng
        self._settings = settings
        self._number: int | None = None
        """Of the relay that the pair has."""
        self._began_at = 0.0
        self._is_due = False
        """A direct path is missed: a relay begins as soon as both hosts are ready for one."""
        self._is_sought = False
        """An attempt goes on."""
        self._is_connected = False
        """The newest attempt has opened a direct path."""

    def attempt_began(self, now: float, *, was_connected: bool) -> list[do.Action]:
        """A direct path is looked for. A pair that has just lost one needs the relay at once."""
        self._turning.attempt_began()
        self._is_connected, self._is_sought = False, True
        if self._has_relay:
            return []
        has_lost = self._is_due and self._turning.host is not None
        self._began_at, self._is_due = now, False
        is_early = all(each.relaying is not m.Relaying.NEVER for each in self._members) and any(
            each.relaying is m.Relaying.EARLY for each in self._members
        )
        if was_connected or is_early or has_lost:
            return self._missed(now)
        self._wait(now)
        return []

    def _wait(self, now: float) -> None:
        """Look again when a round trip has been measured, as a rule."""
        self._timers.set(self, now + self._settings.relay_after / 2)

    def timed_out(self, now: float) -> list[do.Action]:
        """The timer is due: perhaps only to look at the round trips."""
        due_at = self._due_at()
        if now < due_at:
            self._timers.set(self, due_at)
            return []
        return self._missed(now)

    def connected(self) -> None:
        """A direct path stands: no relay is wanted any more. One that stands serves until the hosts have moved."""
        self._is_due, self._is_connected, self._is_sought = False, True, False
        self._timers.cancel(self)

    def attempt_failed(self, verdict: m.Verdict, now: float) -> list[do.Action]:
        """No direct path is looked for any more."""
        self._is_sought = False
        # A relay has no other keys.
        return [] if verdict is m.Verdict.KEYS_DIFFER else self._missed(now)

    def _missed(self, now: float) -> list[do.Action]:
        """There is no direct path: begin a relay, or tell the hosts that want one why there is none."""
        self._timers.cancel(self)
        if self._has_relay:
            return []
        self._is_due = True
        return self._begin(now)

    def ready(self, member: Member, relay: int, public: bytes, now: float) -> list[do.Action]:
        """A host has done with that relay, and has a key for another."""
        member.relay_public = public
        turned = self._turning.done(relay, member, now)
        if turned is not None:
            # It may have failed: where no direct path stands, the other host's TURN server is next.
            self._is_due = not self._is_connected
            return turned + (self._begin(now) if self._is_due else [])
        actions = self._relays.done(relay, member)
        if relay == self._number:
            self._number = None
            if self._is_sought and not self._is_due:
                # It has died under an attempt that counted on it, and that may last.
                self._began_at = now
                self._wait(now)
        return actions + (self._begin(now) if self._is_due else [])

    def turned(self, member: Member, address: m.TurnAddress) -> list[do.Action]:
        """A host's TURN server relays for the pair."""
        return self._turning.told(member, address)

    def over(self) -> None:
        """The session has ended. Its relay serves on until it is idle: the hosts may come back."""
        self._timers.cancel(self)

    @property
    def _has_relay(self) -> bool:
        has_own = self._number is not None and self._relays.has(self._number)
        return has_own or self._turning.is_open

    def _due_at(self) -> float:
        """So that the relay stands where the contract has had its time."""
        settings = self._settings
        measured = [each.round_trip for each in self._members if each.is_measured]
        round_trip = max(measured, default=0.0)
        earliest = self._began_at + settings.relay_after / 2
        return max(earliest, self._began_at + settings.relay_after + (BEFORE - SET_UP) * round_trip)

    def _refusal(self) -> tuple[m.RelayCode, str] | None:
        if not self._settings.relay_pairs:
            return m.RelayCode.OFF, "the server relays nothing"
        for member in self._members:
            if member.relaying is m.Relaying.NEVER:
                return m.RelayCode.UNWANTED, f"{member.id} takes no relay"
        obstacle = self._relays.obstacle(self._members)
        return (m.RelayCode.OFF, obstacle) if obstacle else None

    def _begin(self, now: float) -> list[do.Action]:
        """The server's relay, if it has one for the pair; else a host's TURN server; else a word why there is none."""
        refusal = self._refusal()
        if refusal is not None and self._turning.host is None:
            self._is_due = False
            return self._tell(*refusal)
        if not all(each.relay_public for each in self._members):
            return []
        relay = None if refusal else self._relays.begin(self._members, now)
        if relay is None and self._turning.host is not None:
            self._is_due = False
            token = self._rng.randbytes(TOKEN_BYTES)
            return self._turning.begin(self._relays.number(), token, now)
        if relay is None:
            text = f"all {self._settings.relay_pairs} relays of the server are in use"
            return self._tell(m.RelayCode.FULL, text)
        self._number, self._is_due = relay.number, False
        token = self._rng.randbytes(TOKEN_BYTES)
        offers = [replace(each.offer, public=each.relay_public) for each in self._members]
        actions: list[do.Action] = []
        for member, leg, offer in zip(self._members, relay.legs, reversed(offers), strict=True):
            member.relay_public = b""
            order = m.OpenRelay(relay.number, token, leg.ticket, offer)
            actions.append(do.SendMessage(order, member.connection))
        return actions

    def _tell(self, code: m.RelayCode, text: str) -> list[do.Action]:
        return [
            do.SendMessage(m.RelayNews(0, code, text), member.connection)
            for member in self._members
            if member.relaying is not m.Relaying.NEVER
        ]
