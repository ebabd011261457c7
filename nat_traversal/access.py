"""The clients that a server takes: an operator's list of pairs, and tokens. Pure.

Nothing that a refused client hears depends on other ids, but on what it has said itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from nat_traversal.crypto.access import is_shown, name_of
from nat_traversal.crypto.keyfile import SERVER_TOKEN, parse_key
from nat_traversal.errors import UsageError
from nat_traversal.wire import TOKEN_NAME_BYTES
from nat_traversal.wire import messages as m
from nat_traversal.wire.ids import check_id

ANY = "*"
"""At the end of a name in a file: any rest."""


@dataclass(frozen=True, slots=True)
class AllowedPairs:
    """The pairs of an access list. The order of the two does not count."""

    peers: Mapping[str, frozenset[str]]
    """By each name that begins a line: those with whom it may pair. A name may end with `ANY`."""

    def allows(self, host_id: str, peer_id: str) -> bool:
        """Whether these two may pair. It takes no longer with a long list: anybody may ask, again and again."""
        hosts, peers = _names_of(host_id), _names_of(peer_id)
        return any(
            not self.peers[name].isdisjoint(others)
            for names, others in ((hosts, peers), (peers, hosts))
            for name in names
            if name in self.peers
        )


@dataclass(frozen=True, slots=True)
class KnownToken:
    """A token, 32 octets, and who may use it."""

    token: bytes = field(repr=False)
    ids: tuple[str, ...] = ()
    """Each may end with `ANY`; none: any id."""


_NO_TOKEN = KnownToken(bytes(32))


@dataclass(frozen=True, slots=True)
class Access:
    """An operator's demands of clients."""

    pairs: AllowedPairs | None = None
    """None: any pair."""
    tokens: Mapping[bytes, KnownToken] | None = None
    """By their names; None: no client needs one."""

    def refusal(self, register: m.Register) -> m.Refused | None:
        """Why that registration is not taken; None if it is."""
        return self._token_refusal(register) or self._pair_refusal(register)

    def _token_refusal(self, register: m.Register) -> m.Refused | None:
        if self.tokens is None:
            return None
        known = self.tokens.get(register.access[:TOKEN_NAME_BYTES], _NO_TOKEN)
        is_right = is_shown(known.token, register) and known is not _NO_TOKEN
        if not register.access:
            return _TOKEN_NEEDED
        if not is_right:
            return _BAD_TOKEN
        if known.ids and not any(_fits(name, register.id) for name in known.ids):
            text = f"the client's token is not for the id {register.id!r}: ask the operator"
            return m.Refused(m.ErrorCode.BAD_TOKEN, text)
        return None

    def _pair_refusal(self, register: m.Register) -> m.Refused | None:
        if self.pairs is None or self.pairs.allows(register.id, register.peer):
            return None
        text = (
            f"the server's list does not let {register.id!r} pair with {register.peer!r}: "
            "ask its operator for a line"
        )
        return m.Refused(m.ErrorCode.NOT_ALLOWED, text)


_TOKEN_NEEDED = m.Refused(
    m.ErrorCode.TOKEN_NEEDED,
    "the server takes clients with a token only: ask its operator for one, and give it by --server-token FILE "
    "or in $NAT_TRAVERSAL_SERVER_TOKEN",
)
_BAD_TOKEN = m.Refused(
    m.ErrorCode.BAD_TOKEN,
    "the server does not know the client's token: ask its operator for another",
)
OPEN = Access()
"""Anybody may register, for anybody."""


def parse_allow(text: str, where: str) -> AllowedPairs:
    """An access list: on each line an id, then those with whom it may pair. ``#`` begins a comment.

    Raises `UsageError` with the line's number.
    """
    found: dict[str, set[str]] = {}
    for place, (name, *peers) in _lines(text, where):
        if not peers:
            raise UsageError(
                f"{place}: write after {name!r} with whom it may pair, or * for anybody"
            )
        found.setdefault(_name(name, place), set()).update(_name(each, place) for each in peers)
    if not found:
        raise UsageError(f"{where}: no pair stands there, so nobody could register: write one")
    return AllowedPairs(MappingProxyType({name: frozenset(found[name]) for name in found}))


def parse_tokens(text: str, where: str) -> Mapping[bytes, KnownToken]:
    """Tokens: one a line, then the ids that may use it; without any, each may. ``#`` begins a comment.

    Raises `UsageError` with the line's number, whose text never repeats a token.
    """
    found: dict[bytes, KnownToken] = {}
    for place, (word, *ids) in _lines(text, where):
        token = parse_key(SERVER_TOKEN, word, place)
        if name_of(token) in found:
            raise UsageError(f"{place}: this token stands there twice: keep one line")
        names = tuple(_name(each, place) for each in ids)
        found[name_of(token)] = KnownToken(token, names)
    if not found:
        raise UsageError(
            f"{where}: no token stands there, so nobody could register: add one, made by: nat-traversal gentoken"
        )
    return MappingProxyType(found)


def _lines(text: str, where: str) -> Iterator[tuple[str, list[str]]]:
    for number, raw in enumerate(text.splitlines(), 1):
        words = raw.partition("#")[0].split()
        if words:
            yield f"{where}, line {number}", words


def _name(text: str, place: str) -> str:
    """An id, or the beginning of some before `ANY`."""
    try:
        if text != ANY:
            check_id(text.removesuffix(ANY))
    except UsageError as error:
        raise UsageError(f"{place}: {error}; a * may stand at the end") from None
    return text


def _names_of(host_id: str) -> tuple[str, ...]:
    """Every name that fits the id."""
    return host_id, *(host_id[:length] + ANY for length in range(len(host_id) + 1))


def _fits(name: str, host_id: str) -> bool:
    return name == host_id or (name.endswith(ANY) and host_id.startswith(name[:-1]))
