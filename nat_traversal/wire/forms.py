"""How fields of the control protocol look in JSON: each is read strictly, or refused with what it must be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nat_traversal.errors import UsageError, WireError
from nat_traversal.wire import ACCESS_BYTES, INSTANCE_BYTES, KEY_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.ids import MAX_ID, is_id
from nat_traversal.wire.offers import Offer, Suite, Trust

_SUITE = re.compile(r"[a-z0-9-]{1,32}")
_HEX = re.compile(r"(?:[0-9a-f]{2})*")


NEEDED: Any = object()
"""In the place of a default: the field may not be missing."""


@dataclass(frozen=True, slots=True)
class Form:
    """How one field looks in JSON. `load` raises `WireError` with what the field must be."""

    load: Callable[[Any], Any]
    dump: Callable[[Any], Any] = lambda value: value
    default: Any = NEEDED
    """The value of a field that may be missing, and is left out where it has this value."""


def integer(low: int, high: int) -> Form:
    """A whole number in that range, both ends included."""

    def load(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise WireError(f"must be a whole number from {low} to {high}")
        return value

    return Form(load)


def text(most: int) -> Form:
    """A string; one to be sent is cut where it is longer."""

    def load(value: Any) -> str:
        if not isinstance(value, str) or len(value) > most:
            raise WireError(f"must be a string of at most {most} characters")
        return value

    return Form(load, lambda value: value[:most])


def member(enum: type[StrEnum]) -> Form:
    """A word of the enumeration."""

    def load(value: Any) -> StrEnum:
        try:
            return enum(value)
        except ValueError:
            raise WireError(f"must be one of {', '.join(enum)}") from None

    return Form(load, str)


def _load_serves(value: Any) -> m.Serves:
    word = text(16).load(value)
    return m.Serves(word) if word in set(m.Serves) else m.Serves.UNTOLD


def _load_address(value: Any) -> str:
    address = text(45).load(value)
    try:
        return Endpoint(address, 0).address if address else ""
    except UsageError as error:
        raise WireError(f"must be empty or an address: {error}") from None


def _load_known_address(value: Any) -> str:
    address = _load_address(value)
    if not address:
        raise WireError("must be an address")
    return address


def _load_flag(value: Any) -> bool:
    if type(value) is not bool:
        raise WireError("must be true or false")
    return value


def list_of(item: Form, most: int, least: int = 1) -> Form:
    """A list of so many items."""

    def load(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise WireError(f"must be a list of {least} to {most} items")
        return tuple(item.load(element) for element in value)

    return Form(load, lambda values: [item.dump(value) for value in values])


def _load_id(value: Any) -> str:
    if not isinstance(value, str) or not is_id(value):
        raise WireError(f"must be a host id of at most {MAX_ID} characters")
    return value


def octets(length: int, *, or_none: bool = False) -> Form:
    """So many octets, in hexadecimal digits. `or_none`: an empty string is allowed."""

    def load(value: Any) -> bytes:
        digits = len(value) if isinstance(value, str) and _HEX.fullmatch(value) else -1
        if digits != 2 * length and not (or_none and digits == 0):
            none = ", or an empty string" if or_none else ""
            raise WireError(f"must be {2 * length} hexadecimal digits{none}")
        return bytes.fromhex(value)

    return Form(load, bytes.hex)


def seconds(low: float) -> Form:
    """Seconds, up to an hour."""

    def load(value: Any) -> float:
        if type(value) not in (int, float) or not low <= value <= 3600:
            raise WireError(f"must be a number of seconds from {low:g} to 3600")
        return float(value)

    return Form(load)


PORT = integer(1, 65_535)
FLAG = Form(_load_flag, default=False)


def _load_endpoint(value: Any) -> Endpoint:
    if not isinstance(value, dict):
        raise WireError("must be objects")
    if "%" in str(value.get("address")):
        raise WireError("must hold addresses: an interface means nothing to another host")
    address, port = text(45).load(value.get("address")), PORT.load(value.get("port"))
    try:
        return Endpoint(address, port)
    except UsageError as error:
        raise WireError(f"must hold addresses: {error}") from None


def _dump_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    return {"address": endpoint.address, "port": endpoint.port}


def _load_candidate(value: Any) -> m.Candidate:
    endpoint, kind = _load_endpoint(value), text(16).load(value.get("kind"))
    return m.Candidate(kind, endpoint, load_field(FLAG, value, "validated"))


def _dump_candidate(candidate: m.Candidate) -> dict[str, Any]:
    fields = {"kind": candidate.kind, **_dump_endpoint(candidate.endpoint)}
    return {**fields, "validated": True} if candidate.validated else fields


def _load_suite(value: Any) -> str:
    if not isinstance(value, str) or not _SUITE.fullmatch(value):
        raise WireError("must be names of 1 to 32 lower-case letters, digits and hyphens")
    # One of a later version is no mistake; it is just not chosen.
    return Suite(value) if value in set(Suite) else value


PUBLIC = octets(KEY_BYTES, or_none=True)
OFFER = {
    "instance": octets(INSTANCE_BYTES),
    "public": PUBLIC,
    "identity": octets(KEY_BYTES, or_none=True),
    "trust": member(Trust),
    "suites": list_of(Form(_load_suite, str), most=8),
}


def _load_offer(value: Any) -> Offer:
    if not isinstance(value, dict):
        raise WireError("must be an object")
    return Offer(**{name: load_field(form, value, name) for name, form in OFFER.items()})


def load_field(form: Form, fields: dict[str, Any], name: str) -> Any:
    """The value of the field `name`. Raises `WireError`, which names it."""
    if form.default is not NEEDED and name not in fields:
        return form.default
    try:
        return form.load(fields.get(name))
    except WireError as error:
        raise WireError(f"{name} {error}") from None


def _dump_offer(offer: Offer) -> dict[str, Any]:
    return {name: form.dump(getattr(offer, name)) for name, form in OFFER.items()}


HOST_ID = Form(_load_id)
OFFERED = Form(_load_offer, _dump_offer)
SERVES = Form(_load_serves, str, default=m.Serves.UNTOLD)
ADDRESS = Form(_load_known_address)
VIA = Form(_load_address, default="")
ASKED_BY = Form(lambda value: value and _load_id(value), default="")
CANDIDATE = Form(_load_candidate, _dump_candidate)
ENDPOINT = Form(_load_endpoint, _dump_endpoint, default=None)
KEY_OR_NONE = Form(PUBLIC.load, bytes.hex, default=b"")
ACCESS = Form(octets(ACCESS_BYTES, or_none=True).load, bytes.hex, default=b"")
