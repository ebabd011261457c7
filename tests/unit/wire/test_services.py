"""Lists of services as octets."""

from __future__ import annotations

import pytest

from nat_traversal.errors import UsageError, WireError
from nat_traversal.wire.services import (
    MAX_SERVICE_NAME,
    ServiceKind,
    ServiceOffer,
    Side,
    check_service_name,
    decode_services,
    encode_services,
)

DNS = ServiceOffer(1, "dns", Side.CONNECT)
SSH = ServiceOffer(127, "ssh", Side.LISTEN, ServiceKind.TCP, refuses=True)


def test_a_list_has_its_documented_octets() -> None:
    (body,) = encode_services(7, [DNS, SSH], 400)
    assert body == b"\0\7\0" + b"\1\1\1\3dns" + b"\x7f\2\2\3ssh"
    part = decode_services(body)
    assert (part.revision, part.more, part.offers) == (7, False, (DNS, SSH))


def test_an_empty_list_is_one_message() -> None:
    assert encode_services(1, [], 400) == [b"\0\1\0"]


def test_a_long_list_is_cut_between_services() -> None:
    offers = [ServiceOffer(n, f"{n:0{MAX_SERVICE_NAME}}", Side.LISTEN) for n in range(1, 128)]
    bodies = encode_services(3, offers, 100)
    assert max(map(len, bodies)) <= 100
    parts = [decode_services(each) for each in bodies]
    assert [offer for part in parts for offer in part.offers] == offers
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"\0\1",
        b"\0\1\1",  # without an end and without services: such parts could come for ever
        b"\0\1\0\1",
        b"\0\1\0\1\1\0\4dns",
        b"\0\1\0\1\1\0\0",
        b"\0\1\0\0\1\0\3dns",
        b"\0\1\0\x80\1\0\3dns",
        b"\0\1\0\1\1\0\3d\ns",
        b"\0\1\0\1\1\0\3d\xc3s",
        b"\0\1\0" + b"\1\1\0\3dns" + b"\2\1\0\3dns",
        b"\0\1\0" + b"\1\1\0\3dns" + b"\1\1\0\3ssh",
    ],
)
def test_what_is_no_list_is_refused(octets: bytes) -> None:
    with pytest.raises(WireError):
        decode_services(octets)


def test_a_kind_of_a_later_version_is_kept_as_unknown() -> None:
    (offer,) = decode_services(b"\0\1\0\1\x63\0\3dns").offers
    assert offer == ServiceOffer(1, "dns", Side.LISTEN, None)


def test_a_name_that_is_too_long_says_the_rule() -> None:
    assert check_service_name("a" * MAX_SERVICE_NAME)
    with pytest.raises(UsageError, match="1 to 32 letters"):
        check_service_name("a" * (MAX_SERVICE_NAME + 1))
