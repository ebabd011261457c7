"""The datagram SAMPLE: shows the server one more port that a client's NAT gives. Nothing answers it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from nat_traversal.errors import WireError
from nat_traversal.wire import PROTOCOL_VERSION
from nat_traversal.wire.octets import HANDLE_BYTES, MAC_BYTES, NO_MAC, check_version, exactly

SAMPLE_KIND = 0xCE
"""Its first octet."""
MOST_SAMPLES = 8
"""That a server may order for one socket."""
_SAMPLE = struct.Struct("!BBHHI16s16s")


@dataclass(frozen=True, slots=True)
class Sample:
    """Client to server, from a socket that is for nothing else."""

    handle: bytes
    """Of the registration's key, as in ANNOUNCE."""
    number: int
    """Counted up together with those of announces."""
    generation: int
    """The socket of the announce that it follows."""
    mac: bytes = NO_MAC


def pack_sample(sample: Sample) -> bytes:
    """Its octets."""
    return _SAMPLE.pack(
        SAMPLE_KIND,
        PROTOCOL_VERSION,
        sample.generation,
        sample.number >> 32,
        sample.number & 0xFFFF_FFFF,
        exactly(HANDLE_BYTES, sample.handle),
        exactly(MAC_BYTES, sample.mac),
    )


def unpack_sample(data: bytes) -> Sample:
    """Raises `WireError` for a value out of range, `struct.error` for a wrong length."""
    _, version, generation, high, low, handle, mac = _SAMPLE.unpack(data)
    check_version(version)
    if generation == 0:
        raise WireError("SAMPLE generation 0: sockets count from 1")
    if not (high or low):
        raise WireError("SAMPLE number 0: samples count from 1")
    return Sample(handle, high << 32 | low, generation, mac)
