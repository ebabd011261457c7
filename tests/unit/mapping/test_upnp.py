"""UPnP-IGD in words: where a router's service is, what it is told, and that nothing leads elsewhere."""

from __future__ import annotations

import pytest

from nat_traversal.mapping import upnp
from nat_traversal.mapping.upnp import MappingService, Place

ROUTER = "10.0.1.1"
AT = Place(ROUTER, 5000, "/desc.xml")
IP = "urn:schemas-upnp-org:service:WANIPConnection:1"


def found(location: str) -> Place | None:
    return upnp.description(
        f"HTTP/1.1 200 OK\r\nST: x\r\nLocation: {location}\r\n\r\n".encode(), ROUTER
    )


def described(control: str, type_: str = IP) -> MappingService | None:
    other = (
        "<service><serviceType>urn:x:Layer3:1</serviceType><controlURL>/l3</controlURL></service>"
    )
    own = f"<service><serviceType>{type_}</serviceType><controlURL>{control}</controlURL></service>"
    return upnp.mapping_service(f"<root>{other}{own}</root>", AT)


def test_a_routers_service_is_found() -> None:
    assert found("http://10.0.1.1:5000/desc.xml") == AT
    assert described("/ctl/IPConn?a=1&amp;b=2") == MappingService(
        Place(ROUTER, 5000, "/ctl/IPConn?a=1&b=2"), IP
    )
    assert described("http://10.0.1.1:81/c") == MappingService(Place(ROUTER, 81, "/c"), IP)
    assert described("/c", "urn:schemas-upnp-org:service:Other:1") is None


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.9:80/x", "https://10.0.1.1/x", "http://10.0.1.1@192.0.2.9/x", "http://10.0.1.1:99999/x",
        "ftp://10.0.1.1/x", "http://[::1/x", "file:///etc/passwd", "http://10.0.1.1/a\x7f",
    ],
)  # fmt: skip
def test_nothing_is_fetched_from_anywhere_but_the_router(url: str) -> None:
    assert found(url) is None
    assert described(url) is None


def test_a_request_says_what_is_wanted() -> None:
    service = MappingService(Place(ROUTER, 5000, "/ctl"), IP)
    said = upnp.add(service, "10.0.1.2", 40_000, 50_000, 600).decode()
    head, _, body = said.partition("\r\n\r\n")
    assert head.startswith("POST /ctl HTTP/1.0\r\nHost: 10.0.1.1:5000\r\n")
    assert f"Content-Length: {len(body)}" in head
    assert f'SOAPAction: "{IP}#AddPortMapping"' in head
    assert "<NewExternalPort>50000</NewExternalPort><NewProtocol>UDP</NewProtocol>" in body
    assert "<NewInternalPort>40000</NewInternalPort><NewInternalClient>10.0.1.2<" in body


def test_an_answer_is_a_status_and_perhaps_a_code() -> None:
    fault = b"HTTP/1.1 500 x\r\nA: b\r\n\r\n<errorCode> 718 </errorCode>"
    assert upnp.body(fault)[0] == 500
    assert upnp.error(upnp.body(fault)[1]) == upnp.CONFLICT
    assert upnp.body(b"\xff\xfe nonsense") == (0, "")
