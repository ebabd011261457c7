"""Transport addresses, and the forms in which users write them."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from nat_traversal.errors import UsageError
from nat_traversal.wire.endpoint import Endpoint, HostPort, parse_host_port, useless


def test_address_is_canonical() -> None:
    assert Endpoint("2001:DB8:0:0::1", 53) == Endpoint("2001:db8::1", 53)
    assert str(Endpoint("2001:DB8::1", 53)) == "[2001:db8::1]:53"
    assert str(Endpoint("192.0.2.1", 53)) == "192.0.2.1:53"


def test_family_and_sockaddr() -> None:
    v4, v6 = Endpoint("192.0.2.1", 0), Endpoint("::1", 65_535)
    assert (v4.family, v6.family) == (4, 6)
    assert v4.sockaddr == ("192.0.2.1", 0)


def test_endpoints_are_ordered_values() -> None:
    first, second = Endpoint("192.0.2.1", 1), Endpoint("192.0.2.1", 2)
    assert first < second
    assert len({first, Endpoint("192.0.2.1", 1)}) == 1


@pytest.mark.parametrize("address", ["", "localhost", "192.0.2", "192.0.2.256", "1.2.3.4:5", "::g"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"is not an IP address \(such as 192\.0\.2\.1 or"):
        Endpoint(address, 1)


@pytest.mark.parametrize("port", [-1, 65_536])
def test_port_out_of_range_is_refused(port: int) -> None:
    with pytest.raises(UsageError, match=rf"^port {port} is out of range: 0 to 65535$"):
        Endpoint("192.0.2.1", port)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("192.0.2.1:53", "192.0.2.1", 53),
        ("example.org:1", "example.org", 1),
        ("example.org.:65535", "example.org.", 65_535),
        ("_dns.my-host:53", "_dns.my-host", 53),
        ("[::1]:53", "::1", 53),
        ("[192.0.2.1]:53", "192.0.2.1", 53),
        ("x:053", "x", 53),
    ],
)
def test_host_and_port(text: str, host: str, port: int) -> None:
    assert parse_host_port(text) == HostPort(host, port)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("5300", "0.0.0.0", 5300),
        ("127.0.0.1:5300", "127.0.0.1", 5300),
        ("[::]:5300", "::", 5300),
    ],
)
def test_lone_number_is_a_port_where_a_host_is_given(text: str, host: str, port: int) -> None:
    assert parse_host_port(text, default_host="0.0.0.0") == HostPort(host, port)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("example.org", "example.org", 6545),
        ("192.0.2.1", "192.0.2.1", 6545),
        ("2001:db8::1", "2001:db8::1", 6545),
        ("[2001:db8::1]", "2001:db8::1", 6545),
        ("[2001:db8::1]:1", "2001:db8::1", 1),
        ("2001:db8::1:6545", "2001:db8::1:6545", 6545),
    ],
)
def test_lone_word_is_a_host_where_a_port_is_given(text: str, host: str, port: int) -> None:
    assert parse_host_port(text, default_port=6545) == HostPort(host, port)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' has no port: write HOST:PORT"),
        ("host", "'host' has no port: write HOST:PORT"),
        ("53", "'53' has no port: write HOST:PORT"),
        ("::1", "'::1' has no port: write HOST:PORT"),
        (":53", "':53' has no usable host: write HOST:PORT"),
        ("[]:53", "'[]:53' has no usable host: write HOST:PORT"),
        ("-x:53", "'-x:53': '-x' is no name, which has labels of 1 to 63 letters, digits and hyphens, 253 octets in all"),
        ("a b:53", "'a b:53' has no usable host: write HOST:PORT"),
        ("192.0.2:53", "'192.0.2:53' has no usable host: write HOST:PORT"),
        ("192.0.2.300:53", "'192.0.2.300:53' has no usable host: write HOST:PORT"),
        ("x" * 64 + ":53", f"'{'x' * 64}:53': '{'x' * 64}' is no name, which has labels of 1 to 63 letters, digits and hyphens, 253 octets in all"),
        *(
            (f"host:{port}", f"'host:{port}': the port must be a number from 1 to 65535: write HOST:PORT")
            for port in ("", "0", "65536", "-1", "1.5", "x", " 1", "1_0", "٣", "9" * 5000)
        ),
    ],
    ids=lambda value: value[:30],
)  # fmt: skip
def test_unusable_form_is_quoted_with_a_usable_one(text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_host_port(text)
    assert str(caught.value) == complaint


def test_complaint_names_every_form_that_would_do() -> None:
    with pytest.raises(UsageError, match=r"write HOST:PORT or PORT or HOST$"):
        parse_host_port("-", default_host="0.0.0.0", default_port=1)


@given(st.text(max_size=40))
def test_any_text_parses_or_raises_usage_error(text: str) -> None:
    try:
        parsed = parse_host_port(text, default_host="h", default_port=1)
    except UsageError:
        return
    assert parsed.host
    assert 1 <= parsed.port <= 65_535


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_what_is_printed_can_be_typed(address: object, port: int) -> None:
    assume(not useless(str(address)))
    typed = HostPort(str(address), port)
    assert parse_host_port(str(typed)) == typed
