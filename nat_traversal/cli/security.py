"""The client's demands of its peer, out of the keys that its options name."""

from __future__ import annotations

from nat_traversal.cli.keys import Keyring
from nat_traversal.client.security import Security
from nat_traversal.crypto import NEEDS_PACKAGE
from nat_traversal.errors import UsageError


def security_of(keys: Keyring, peer: str) -> Security:
    """For a path to the host with the id `peer`.

    Raises `UsageError` without the package that seals, and for this host's own key as the peer's.
    """
    if keys.plaintext:
        return Security.plaintext()
    if keys.identity is None:
        return Security.sealed(psk=keys.shared)
    try:
        from nat_traversal.crypto.dh import KeyPair  # noqa: PLC0415 - needs the package
    except ImportError:
        raise UsageError(NEEDS_PACKAGE) from None
    identity = KeyPair(keys.identity)
    if keys.known.get(peer) == identity.public:
        raise UsageError(
            f"the public key given for {peer} is this host's own: give the one that "
            "nat-traversal identity printed on the other host"
        )
    return Security.sealed(psk=keys.shared, identity=identity, known=keys.known)
