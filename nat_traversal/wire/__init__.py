"""The bytes on the wire: `control` (lines over TCP) and `datagrams` (over UDP). `docs/protocol.md` is the prose."""

PROTOCOL_VERSION = 1
"""The only version there is. Negotiated at registration; carried by every datagram
except DATA and FRAGMENT, which come only on a path that was established with it."""

DEFAULT_PORT = 6545
"""The server's TCP and UDP port unless told otherwise."""

TOKEN_BYTES = 16
"""Length of every token: 128 random bits cannot be guessed by somebody off the path."""

TRANSACTION_BYTES = 8
"""Length of a datagram's transaction id: it pairs an answer with its request (RFC 8489 section 5)."""
