"""The beginning of an attempt and of its rounds: a fresh socket to be announced, and a method with the round's keys."""

from __future__ import annotations

import random

from nat_traversal.client.announcer import AnnounceKey, Announcer
from nat_traversal.client.control_link import Identity
from nat_traversal.client.phases import Announcing, PathTrigger, Punching
from nat_traversal.client.restraint import Restraint
from nat_traversal.client.rounds import Rounds
from nat_traversal.client.security import KeyPair, Security, public_of
from nat_traversal.machine import actions as do
from nat_traversal.machine.sockets import Sockets
from nat_traversal.paths.budget import ROUND_WITHIN, Surroundings
from nat_traversal.paths.methods.by_name import of_round
from nat_traversal.paths.methods.ordered_hello import OrderedHello
from nat_traversal.settings import ClientSettings
from nat_traversal.wire import KEY_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.octets import CONNECTION_BYTES
from nat_traversal.wire.offers import Offer


class Beginnings:
    """Makes them for the host `identity.peer`. `instance` names this process to it."""

    def __init__(
        self,
        identity: Identity,
        settings: ClientSettings,
        security: Security,
        *,
        instance: bytes,
        sockets: Sockets,
        restraint: Restraint,
        rng: random.Random,
    ) -> None:
        self._identity, self._settings, self._security = identity, settings, security
        self._instance, self._sockets, self._restraint = instance, sockets, restraint
        self._rng = rng
        self.announce_key = AnnounceKey(rng.randbytes(KEY_BYTES))
        """Of the present connection to the server."""
        self._nonce_secret = rng.randbytes(KEY_BYTES)

    def renew_key(self) -> bytes:
        """The announce key of a further connection to the server."""
        self.announce_key = AnnounceKey(self._rng.randbytes(KEY_BYTES))
        return self.announce_key.key

    def present_key(self) -> AnnounceKey:
        """For whoever asks later."""
        return self.announce_key

    def offer(self, pair: KeyPair | None) -> Offer:
        """This side's offer for the round of the socket with these keys."""
        return self._security.offer(self._instance, public_of(pair))

    def socket(self, at_least: int) -> Announcing:
        """The next socket, of that number or a later one, with its keys. It is to be opened and announced."""
        socket = self._sockets.next(at_least)
        announcer = Announcer(self.announce_key, socket, self._settings)
        make_key = self._security.make_key
        pair = None if make_key is None else make_key(self._rng)
        return Announcing(socket, announcer, OrderedHello(socket, self._settings), pair)

    def round(
        self,
        phase: Announcing,
        start: m.StartRound,
        rounds: Rounds,
        server: Endpoint | None,
        now: float,
    ) -> list[do.Action]:
        """Begin the round of `start` on `phase`'s socket, as far as the server at `server` may have it.

        Raises `KeyRefusedError` if the peer's keys are not those that this side demands.
        """
        around = Surroundings(server, phase.announcer.mapped)
        if (granted := self._restraint.round_begins(start, around, now)) is None:
            return []
        ids = self._identity.id, self._identity.peer
        keys = self._security.keys(ids, start, self.offer(phase.pair), phase.pair)
        if (method := of_round(start, phase.method)) is None:
            return []  # not offered
        phase.announcer.round_begins(now)
        method.seen_at = phase.announcer.mapped
        connection, until = self._rng.randbytes(CONNECTION_BYTES), now + ROUND_WITHIN
        shown = phase.socket, phase.announcer
        punching = Punching(*shown, method, start, keys, connection, until)
        rounds.enter(PathTrigger.START, punching)
        handshake = keys.handshake(self._nonce_secret, connection)
        begun = method.start(granted, handshake, self._restraint.budget_of(granted, now), now)
        return rounds.carry(punching, begun, now)
