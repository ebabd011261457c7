"""Lists of pairs and tokens: what they let in, what they say, and that a refusal depends on no other id."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from nat_traversal.access import OPEN, Access, AllowedPairs, parse_allow, parse_tokens
from nat_traversal.crypto.access import shown
from nat_traversal.crypto.keyfile import SERVER_TOKEN, as_text
from nat_traversal.errors import UsageError
from nat_traversal.wire import control
from nat_traversal.wire import messages as m
from tests.unit.counterpart import some_keys
from tests.unit.server.rig import offer_of

TOKEN, OTHER, KEY = some_keys("token", "other token", "connection")
LINES = f"""
# the operator's
{as_text(SERVER_TOKEN, TOKEN)}
{as_text(SERVER_TOKEN, OTHER)}  cam-* host_b   # for these alone
"""


def register(host_id: str, peer: str, token: bytes | None = None) -> m.Register:
    wish = m.Register(1, (2,), host_id, peer, KEY, 1, offer_of(1))
    return wish if token is None else replace(wish, access=shown(token, wish))


def refused(access: Access, wish: m.Register) -> str | None:
    refusal = access.refusal(wish)
    return None if refusal is None else refusal.code


class TestPairs:
    ALLOWED = parse_allow(
        "host_a host_b host_c  # both ways\n\ncam-* viewer\nadmin *\n", "allow.txt"
    )

    @pytest.mark.parametrize(
        ("one", "other", "is_allowed"),
        [
            ("host_a", "host_b", True),
            ("host_a", "host_c", True),
            ("host_b", "host_c", False),
            ("host_a", "viewer", False),
            ("cam-1", "viewer", True),
            ("cam-", "viewer", True),
            ("cam", "viewer", False),
            ("cam-1", "cam-2", False),
            ("admin", "nobody", True),
            ("nobody", "somebody", False),
        ],
    )
    def test_a_line_holds_for_both(self, one: str, other: str, is_allowed: bool) -> None:
        assert self.ALLOWED.allows(one, other) is is_allowed
        assert self.ALLOWED.allows(other, one) is is_allowed

    def test_lines_of_one_name_add_up_and_names_may_overlap(self) -> None:
        allowed = parse_allow("a b\na c\na* d\nab* e\n* f", "f")
        assert [each for each in "bcdf" if not allowed.allows("a", each)] == []
        assert [allowed.allows("abc", each) for each in "bdef"] == [False, True, True, True]
        assert not allowed.allows("x", "y")

    def test_a_question_about_a_long_list_takes_no_longer(self) -> None:
        allowed = parse_allow("\n".join(f"host{i} peer{i}\ncam{i}* v" for i in range(30_000)), "f")
        before = time.process_time()
        for number in range(1000):
            assert not allowed.allows(f"host{number}", "nobody")
        assert allowed.allows("peer29999", "host29999")
        assert allowed.allows("v", "cam29999-x")
        assert time.process_time() - before < 1.0, "by looking at each line it takes 14 s"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "f: no pair stands there, so nobody could register: write one"),
            ("# a b\n\nhost_a\n", "f, line 3: write after 'host_a' with whom it may pair, or *"),
            ("host_a b!", "f, line 1: 'b!' cannot be an id"),
            ("c*m host_a", "f, line 1: 'c\\*m' cannot be an id"),
        ],
    )
    def test_mistakes_have_their_line(self, text: str, said: str) -> None:
        with pytest.raises(UsageError, match=said):
            parse_allow(text, "f")

    def test_refusal_is_the_same_whoever_else_is_in_the_list(self) -> None:
        wish = register("host_x", "host_b")
        short = Access(AllowedPairs({"one": frozenset({"other"})}))
        assert Access(self.ALLOWED).refusal(wish) == short.refusal(wish)
        assert refused(short, wish) == m.ErrorCode.NOT_ALLOWED


class TestTokens:
    ACCESS = Access(tokens=parse_tokens(LINES, "tokens"))

    def test_a_known_token_lets_in_and_is_not_on_the_wire(self) -> None:
        wish = register("host_a", "host_b", TOKEN)
        assert self.ACCESS.refusal(wish) is None
        line = control.encode(wish)
        assert TOKEN.hex().encode() not in line
        assert control.decode(line.rstrip()) == wish
        assert OPEN.refusal(wish) is None, "a server without tokens looks at none"

    def test_what_was_shown_is_worth_nothing_for_another_wish(self) -> None:
        wish = register("host_a", "host_b", TOKEN)
        others = (
            replace(wish, id="host_c"),
            replace(wish, peer="host_c"),
            replace(wish, key=OTHER),
            replace(wish, owner=OTHER),
            replace(wish, access=wish.access[:-1] + bytes([wish.access[-1] ^ 1])),
            replace(wish, access=register("host_a", "host_b", KEY).access),
            replace(wish, access=register("host_a", "host_b", bytes(32)).access),
        )
        for other in others:
            assert refused(self.ACCESS, other) == m.ErrorCode.BAD_TOKEN

    def test_a_missing_one_is_told_with_the_remedy(self) -> None:
        refusal = self.ACCESS.refusal(register("host_a", "host_b"))
        assert refusal is not None
        assert refusal.code == m.ErrorCode.TOKEN_NEEDED
        assert "--server-token FILE" in refusal.text

    def test_a_token_may_be_for_some_ids_alone(self) -> None:
        assert refused(self.ACCESS, register("cam-7", "viewer", OTHER)) is None
        assert refused(self.ACCESS, register("host_b", "viewer", OTHER)) is None
        refusal = self.ACCESS.refusal(register("host_a", "viewer", OTHER))
        assert refusal is not None
        assert refusal.text.startswith("the client's token is not for the id 'host_a'")

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("# none", "f: no token stands there, so nobody could register"),
            ("\npassword", "f, line 2: no such key stands there"),
            (LINES + LINES, "f, line 7: this token stands there twice"),
            (f"{as_text(SERVER_TOKEN, TOKEN)} -", "f, line 1: '-' cannot be an id"),
            (as_text("nt-shared-1:", TOKEN), "f, line 1: another kind of key stands there"),
        ],
    )
    def test_mistakes_have_their_line_and_never_the_token(self, text: str, said: str) -> None:
        with pytest.raises(UsageError, match=said) as caught:
            parse_tokens(text, "f")
        assert as_text("", TOKEN) not in str(caught.value)

    def test_no_repr_has_a_token(self) -> None:
        shows = repr(self.ACCESS) + repr(register("host_a", "host_b", TOKEN))
        assert repr(TOKEN) not in shows
        assert TOKEN.hex() not in shows
        assert repr(register("host_a", "host_b", TOKEN).access) not in shows


def test_both_are_demanded_and_the_token_first() -> None:
    both = Access(TestPairs.ALLOWED, TestTokens.ACCESS.tokens)
    assert refused(both, register("host_b", "host_c")) == m.ErrorCode.TOKEN_NEEDED
    assert refused(both, register("host_b", "host_c", TOKEN)) == m.ErrorCode.NOT_ALLOWED
    assert refused(both, register("host_b", "host_a", TOKEN)) is None
