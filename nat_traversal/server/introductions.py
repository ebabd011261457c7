"""Two hosts are introduced to each other: their session begins, or they are told why there is none."""

from __future__ import annotations

import random

from nat_traversal.machine import actions as do
from nat_traversal.machine import notices as note
from nat_traversal.machine.timers import Timers
from nat_traversal.server.announces import Announces
from nat_traversal.server.attempts import AttemptBudgets
from nat_traversal.server.matching import is_met, match, mismatch, named
from nat_traversal.server.registry import Host, Registry
from nat_traversal.server.relaying import Relaying
from nat_traversal.server.relays import Relays
from nat_traversal.server.session import Session, numbers
from nat_traversal.server.store import Holder
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m


class Introductions:
    """Begins the sessions of pairs. The sessions set their timers in `timers`."""

    def __init__(
        self,
        registry: Registry,
        announces: Announces,
        relays: Relays,
        budgets: AttemptBudgets,
        *,
        timers: Timers,
        rng: random.Random,
        settings: ServerSettings,
    ) -> None:
        self._registry = registry
        self._announces = announces
        self._relays = relays
        self._budgets = budgets
        self._attempts = numbers()
        self._timers = timers
        self._rng = rng
        self._settings = settings

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other settings hold for what begins from now on."""
        self._settings = settings

    def introduce(self, host: Host, found: Holder | None, now: float) -> list[do.Action]:
        """`found` has the id that `host` wants for its peer, or nobody has."""
        assert host.registration is not None
        assert host.member is not None
        actions: list[do.Action] = []
        host.is_mismatched = False
        other = self._registry.get(found.connection) if found else None
        if host.session is not None:
            pass  # the other one's look-up was faster
        elif other is None or other.member is None or not _match(host, other):
            absent = m.PeerStatus(m.PeerState.ABSENT)
            actions.append(do.SendMessage(absent, host.connection))
            if found is None:
                other = _free(self._registry.with_id(host.registration.register.peer))
            if other is not None and other.member is not None and other.session is None:
                actions += _not_matching(host, other)
        else:
            members = (host.member, other.member)
            session = Session(
                members,
                attempts=self._attempts,
                timers=self._timers,
                rng=self._rng,
                settings=self._settings,
                budgets=self._budgets,
                relaying=Relaying(
                    members,
                    relays=self._relays,
                    timers=self._timers,
                    rng=self._rng,
                    settings=self._settings,
                ),
            )
            host.session = other.session = session
            actions += [_present(host, other), _present(other, host)]
            actions += session.begin(now)
        return [*actions, *self._announces.early(host.registration.handle, now)]


def _free(hosts: list[Host]) -> Host | None:
    return next((each for each in hosts if each.session is None), None)


def _match(host: Host, other: Host) -> bool:
    assert host.registration is not None
    assert other.registration is not None
    return match(host.registration.register, other.registration.register)


def _not_matching(host: Host, other: Host) -> list[do.Action]:
    """`host` wants `other`, and they do not fit. Each is told of what it demands itself, and of no more;
    a host that wants another one is told who asks for it."""
    assert host.registration is not None
    assert other.registration is not None
    ours, theirs = host.registration.register, other.registration.register
    if not named(ours, theirs):
        asked = m.PeerStatus(m.PeerState.ABSENT, asked_by=ours.id)
        return [do.SendMessage(asked, other.connection)] if is_met(ours, theirs) else []
    actions: list[do.Action] = []
    for each, own, peer in ((host, ours, theirs), (other, theirs, ours)):
        each.is_mismatched = not is_met(own, peer)
        if each.is_mismatched:
            actions.append(do.SendMessage(mismatch(peer), each.connection))
    first, second = sorted((ours.id, theirs.id))
    text = "their keys do not fit"
    failed = note.PairFailed(first, second, 0, m.Verdict.KEYS_DIFFER, text)
    return [*actions, do.Tell(failed)]


def _present(host: Host, peer: Host) -> do.Action:
    """Tells `host` that its `peer` is here, and what that serves."""
    assert peer.registration is not None
    serves = peer.registration.register.serves
    return do.SendMessage(m.PeerStatus(m.PeerState.PRESENT, serves), host.connection)
