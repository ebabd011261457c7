"""QUIC connections of `aioquic` for the inside of a path: who shows which certificate, which limits hold.

The path has authenticated both hosts and moves between addresses by itself. So there is one address, no
time-out for silence, and exactly one certificate that a client takes: the one that came in CONTROL.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, cast

from aioquic._buffer import Buffer
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from aioquic.quic.recovery import QuicPacketPacer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from nat_traversal.errors import KeyRefusedError, WireError
from nat_traversal.streams import bbr
from nat_traversal.streams.credit import MOST_WINDOW, WINDOWS
from nat_traversal.streams.round_trips import RoundTrips

NAME = "peer.nat-traversal.invalid"
"""In every certificate: a name of no host (RFC 6761 section 6.4)."""
ALPN = "nat-traversal-tcp/1"
ADDRESS = ("path", 0)
"""Of the other side: paths change below QUIC."""
SMALLEST = SMALLEST_MAX_DATAGRAM_SIZE
"""Octets of a datagram (RFC 9000 section 14.1); a path cuts it into fragments where it must."""
MOST_STREAMS = 2_048
"""Open at a time. QUIC's own limit is twice that: a stream that has ended counts until both sides know it."""
_NEVER = 365 * 86_400.0
"""Seconds of silence. The path tells whether the other side lives."""
_STREAM_WINDOW, _WINDOW = 2 * MOST_WINDOW, 4 * WINDOWS
"""Octets of QUIC's own windows at first. It doubles them as octets come: `credit` is what bounds."""
_CID_OCTETS = 8
_MOST_OF_TLS, _MOST_PIECES = 65_536, 64
"""Octets of one message of TLS, and pieces of it that have come before others."""
logging.getLogger("quic").addHandler(
    logging.NullHandler()
)  # what people need to know comes in actions


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """This process towards its peers' QUIC."""

    certificate: x509.Certificate
    key: Any = field(repr=False)
    """The private key, Ed25519."""

    @property
    def octets(self) -> bytes:
        """The certificate as CONTROL carries it (DER)."""
        return self.certificate.public_bytes(Encoding.DER)


def client(certificate: bytes, size: int) -> QuicConnection:
    """Towards the process that has that certificate. `size`: octets of a datagram. Raises `KeyRefusedError`."""
    try:
        known = x509.load_der_x509_certificate(certificate).public_bytes(Encoding.PEM)
    except (ValueError, x509.InvalidVersion):  # the latter is no kind of the former
        raise KeyRefusedError("the other side's certificate cannot be read") from None
    configuration = _configuration(size, is_client=True)
    configuration.server_name = NAME
    configuration.load_verify_locations(cadata=known)  # aioquic's client takes no other certificate
    return _with_streams(QuicConnection(configuration=configuration))


def server(identity: StreamIdentity, first: bytes, size: int) -> QuicConnection:
    """For a client whose datagram `first` is. Raises `WireError` if it is none that begins a connection."""
    try:
        header = pull_quic_header(Buffer(data=first), host_cid_length=_CID_OCTETS)
    except ValueError:
        raise WireError("no datagram of QUIC") from None
    if header.packet_type is not QuicPacketType.INITIAL:
        raise WireError("no datagram that begins a QUIC connection")
    configuration = _configuration(size, is_client=False)
    configuration.certificate, configuration.private_key = identity.certificate, identity.key
    return _with_streams(
        QuicConnection(
            configuration=configuration,
            original_destination_connection_id=header.destination_cid,
        )
    )


def resize(quic: QuicConnection, size: int) -> None:
    """Let its datagrams have `size` octets from now on."""
    quic._max_datagram_size = max(SMALLEST, size)  # noqa: SLF001 - as in `_with_streams`
    control_of(quic).resize(max(SMALLEST, size))


def control_of(quic: QuicConnection) -> bbr.Bbr:
    """Its congestion control."""
    control = quic._loss._cc  # noqa: SLF001
    assert isinstance(control, bbr.Bbr), "as configured"
    return control


def restart(quic: QuicConnection) -> None:
    """Its datagrams take another way from now on (RFC 9000 section 9.4)."""
    control_of(quic).restart()
    recovery = quic._loss  # noqa: SLF001
    assert isinstance(recovery, RoundTrips), "adopted below"
    recovery.restart(quic._packet_number)  # noqa: SLF001


def end_of(quic: QuicConnection) -> ConnectionTerminated | None:
    """Why it is over, as soon as either side has said so. aioquic's own event waits until late datagrams are gone."""
    return quic._close_event  # noqa: SLF001


def is_stopped(quic: QuicConnection, stream: int) -> bool:
    """The other side takes nothing in it: aioquic lets nothing more be sent."""
    at = quic._streams.get(stream)  # noqa: SLF001
    return at is not None and at.sender._reset_error_code is not None  # noqa: SLF001


def hoards(quic: QuicConnection) -> bool:
    """The other side has begun a message of TLS that no handshake needs: aioquic would copy up to 16 MiB for each packet of it."""
    crypto = quic._crypto_streams.values()  # noqa: SLF001
    if any(len(each.receiver._ranges) > _MOST_PIECES for each in crypto):  # noqa: SLF001
        return True
    return bool(crypto) and len(quic.tls._receive_buffer) > _MOST_OF_TLS  # noqa: SLF001


def _configuration(size: int, *, is_client: bool) -> QuicConfiguration:
    return QuicConfiguration(
        alpn_protocols=[ALPN],
        congestion_control_algorithm=bbr.NAME,  # aioquic's own take each loss for a full queue
        connection_id_length=_CID_OCTETS,
        idle_timeout=_NEVER,
        is_client=is_client,
        max_data=_WINDOW,
        max_datagram_size=max(SMALLEST, size),
        max_stream_data=_STREAM_WINDOW,
    )


def _with_streams(quic: QuicConnection) -> QuicConnection:
    # aioquic's interface has no word for this, nor for what the functions above need. Its release is pinned, and tests
    # see to it that they work.
    limit = quic._local_max_streams_bidi  # noqa: SLF001
    limit.value = limit.sent = 2 * MOST_STREAMS
    RoundTrips.adopt(quic._loss)  # noqa: SLF001
    quic._loss._pacer = cast(QuicPacketPacer, control_of(quic).pacer)  # noqa: SLF001 - as it is used
    return quic
