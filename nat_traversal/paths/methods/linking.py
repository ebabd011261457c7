"""The LINKs of two hosts on a way that others carry: each proves its key, and by its echo that it hears the other."""

from __future__ import annotations

from nat_traversal.crypto.proof import is_nonce, is_signed, nonce, signed
from nat_traversal.paths.methods.method import HandshakeKeys
from nat_traversal.wire.datagrams import Datagram, tag_of
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.octets import NONCE_BYTES
from nat_traversal.wire.relayed import Link


class Linking:
    """This host's LINKs, and its view of the peer's, for the way of `token`."""

    def __init__(self, token: bytes, keys: HandshakeKeys) -> None:
        self._token, self._tag, self._keys = token, tag_of(token), keys
        self._echo = bytes(NONCE_BYTES)
        """The peer's nonce as it came last."""

    @property
    def has_heard(self) -> bool:
        """A LINK of the peer was taken."""
        return any(self._echo)

    def authentic(self, datagram: Datagram) -> Link | None:
        """The datagram, if it is a LINK of the peer on this way."""
        if not isinstance(datagram, Link) or datagram.tag != self._tag:
            return None
        return datagram if is_signed(datagram, self._keys.receiving) else None

    def proves(self, link: Link, source: Endpoint) -> bool:
        """Whether the peer has heard this host, by a LINK from `source`."""
        return is_nonce(self._keys.secret, self._token, source, link.echo)

    def take(self, link: Link) -> None:
        """Echo it from now on."""
        self._echo = link.nonce

    def link(self, remote: Endpoint, *, answer_wanted: bool) -> Link:
        """The next one for `remote`."""
        own = nonce(self._keys.secret, self._token, remote)
        link = Link(self._tag, answer_wanted, own, self._echo, self._keys.connection)
        return signed(link, self._keys.sending)
