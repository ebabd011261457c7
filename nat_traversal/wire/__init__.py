"""The bytes on the wire: `control` (lines over TCP) and `datagrams` (over UDP). `docs/protocol.md` is the prose."""

PROTOCOL_VERSION = 2
"""The only version there is. Negotiated at registration; carried by every datagram but frames, which
come only on a path that was established with it."""

DEFAULT_PORT = 6545
"""The server's TCP and UDP port unless told otherwise."""

TOKEN_BYTES = 16
"""Length of a round's token: 128 random bits cannot be guessed by somebody off the path."""

TRANSACTION_BYTES = 8
"""Length of a ping's transaction id: it pairs an answer with its request (RFC 8489 section 5)."""

KEY_BYTES = 32
"""Length of every key: X25519's public halves, and the key of a client's announces."""

INSTANCE_BYTES = 16
"""Length of the random name of a process."""

CHALLENGE_BYTES = 16
"""Length of the nonce that a proof of possession answers."""

TOKEN_NAME_BYTES = 8
"""Length of the name by which a server finds one of its tokens."""

ACCESS_BYTES = 40
"""Length of a token as a client shows it: its name, then a MAC."""

PROOF_BYTES = 32
"""Length of a proof of possession."""
