"""The words of a client's report about one peer, from its plain values: they may have come from another process. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nat_traversal.client.path_status import duration

_UNITS = ("", "k", "M", "G", "T")


def lines_of(report: Mapping[str, Any]) -> Iterator[str]:
    """One sentence about the path, and a line each for what crossed it, the relay, the server and the services."""
    yield report["text"]
    yield f"programs' datagrams: {_crossed(report)}; {_counted(report['flows'], 'flow')}"
    relay = report["relay"]
    if relay is not None:
        told = f"; the server says: {relay['told']}" if relay["told"] else ""
        yield f"of these through the relay: {_crossed(relay)}{told}"
    yield _server(report["server"])
    for service in report["services"]:
        yield _service(service)


def _crossed(values: Mapping[str, Any]) -> str:
    out, came = _octets(values["sent_octets"]), _octets(values["received_octets"])
    return f"{values['sent']} ({out}) sent, {values['received']} ({came}) received"


def _server(server: Mapping[str, Any]) -> str:
    where = f"server {server['name']}"
    if server["address"] not in (None, server["name"]):
        where += f" at {server['address']}"
    where += " over TLS" if server["tls"] else " without TLS"
    lasted = duration(server["seconds"] or 0.0)
    why = f", since {server['reason']}" if server["reason"] else ""
    why += f": {server['remedy']}" if server["remedy"] else ""
    match server["state"]:
        case "registered":
            return f"{where}: registered as {server['id']} for {lasted}"
        case "connecting":
            return f"{where}: waits for a connection, for {lasted}{why}"
        case "registering":
            return f"{where}: waits for the answer to the registration, for {lasted}{why}"
        case "pausing" if server["retry_in"] is not None:
            return f"{where}: away for {lasted}; the next try is in {server['retry_in']:.0f} s{why}"
    return f"{where}: no connection{why}"


def _service(service: Mapping[str, Any]) -> str:
    name = service["name"] or "service"
    kind = "tcp:" if service["kind"] == "tcp" else ""
    what = f"{name}: {service['side']} {kind}{service['at']}, {service['state']}"
    what += f", {_counted(service['flows'], 'flow')}"
    if service["reason"]:
        what += f"; {service['reason']}"
        what += f": {service['remedy']}" if service["remedy"] else ""
    return what


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _octets(number: float) -> str:
    """With three digits at most, in units of 1000."""
    for unit in _UNITS:
        if number < 1000 or unit == _UNITS[-1]:
            return f"{number:.0f} {unit}B" if number >= 100 or not unit else f"{number:.3g} {unit}B"
        number /= 1000
    raise AssertionError
