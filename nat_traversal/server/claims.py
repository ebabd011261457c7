"""Two clients want one id: which of them gets it, and who is asked.

A holder with a key is decided by that key: another key is refused, and the holder notices nothing;
the same key has to be proven. Where keys cannot tell, the holder is asked whether it lives.
"""

from __future__ import annotations

from nat_traversal.machine import actions as do
from nat_traversal.server.connections import Connections, ServerAction
from nat_traversal.server.possession import Possession
from nat_traversal.server.registry import Host, Registry
from nat_traversal.server.store import Holder
from nat_traversal.settings import ServerSettings
from nat_traversal.wire import messages as m

_LAPSED = (m.ErrorCode.REPLACED, "its lease ran out, and another client has come with this id")


class Claims:
    """Decides between a holder and those that want its id. Without `possession` no key decides."""

    def __init__(
        self,
        registry: Registry,
        connections: Connections,
        settings: ServerSettings,
        possession: Possession | None,
    ) -> None:
        self._registry = registry
        self._connections = connections
        self._settings = settings
        self._possession = possession

    def reconfigure(self, settings: ServerSettings) -> None:
        """Other settings hold for what begins from now on."""
        self._settings = settings

    def begin(self, host: Host, now: float) -> list[ServerAction]:
        """`host` wants its id. A holder at this server is known without the store, whose lease may have run out while
        nobody could renew it."""
        assert host.registration is not None
        rivals = self._registry.rivals(host)
        if not rivals:
            return [self._connections.claim(host.registration.holder)]
        assert rivals[0].registration is not None
        return self.contend(host, rivals[0].registration.holder, now)

    def settled(self, host: Host) -> list[ServerAction]:
        """The store has given the id to `host`. A holder here has lost it by now."""
        rivals = self._registry.rivals(host)
        return [each for rival in rivals for each in self._connections.refuse(rival, *_LAPSED)]

    def contend(self, host: Host, holder: Holder, now: float) -> list[ServerAction]:
        """The id that `host` wants is `holder`'s."""
        if host.member is not None:
            return self._connections.refuse(host, *_LAPSED)
        rival = self._registry.get(holder.connection)
        if rival is None:
            return self._connections.refuse_id(host, None)
        assert rival.registration is not None
        assert host.registration is not None
        ours, theirs = host.registration.register, rival.registration.register
        if self._possession is None or not theirs.owner:
            return self._ask(host, rival, now)
        if ours.owner != theirs.owner:
            return self._connections.refuse_id(host, theirs)
        if not host.is_proven:
            host.question = self._possession.question(ours)
            self._connections.must_answer(host, now)
            return [do.SendMessage(host.question.message, host.connection)]
        if ours.offer.instance != theirs.offer.instance:
            return self._ask(host, rival, now)  # perhaps somebody started the client twice
        # The same process again: its old connection is dead, whatever TCP thinks.
        actions = self._connections.lives(rival, now)
        for each in self._registry.rivals(host):
            again = "this client has connected again"
            actions += self._connections.refuse(each, m.ErrorCode.REPLACED, again)
        return [*actions, self._connections.claim(host.registration.holder)]

    def proven(self, host: Host, mac: bytes, now: float) -> list[ServerAction]:
        """An answer to the question came. Meanwhile the id may have become free, or another's."""
        assert host.registration is not None
        question, host.question = host.question, None
        if question is None:
            return []
        if not question.is_answered_by(mac):
            text = f"this is no proof that the key of {host.id!r} is this client's"
            return self._connections.refuse(host, m.ErrorCode.BAD_PROOF, text)
        host.is_proven = True
        self._connections.registered(host, now)
        return self.begin(host, now)

    def _ask(self, host: Host, rival: Host, now: float) -> list[ServerAction]:
        """Only the holder itself can tell whether it lives. With its own key nobody can throw it out but its own host, so it
        gets less time: it may have lost power, and its host be back."""
        assert rival.member is not None
        settings = self._settings
        within = settings.proven_within if host.is_proven else settings.challenge_within
        within += rival.member.round_trip
        asked = self._connections.challenges.contend(host.connection, rival.connection, within, now)
        if asked is None:
            assert rival.registration is not None
            return self._connections.refuse_id(host, rival.registration.register)
        return [*asked]
