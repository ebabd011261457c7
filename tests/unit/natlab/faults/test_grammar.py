"""Faults as text: what is read, and what is refused in words."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nat_traversal.errors import NatTraversalError, UsageError
from natlab.faults.grammar import Action, Fault, Moment, Scheduled, parse_fault, signal_number

READ = {
    "at=2.5s:link-down host_a": Scheduled(Moment(2.5), Fault(Action.LINK_DOWN, ("host_a",))),
    "on=client_a:path-established:nat-reboot nat_a": Scheduled(
        Moment(0.0, "client_a", "path-established"), Fault(Action.NAT_REBOOT, ("nat_a",))
    ),
    "on=client_a:path-established+1s:signal client_b KILL": Scheduled(
        Moment(1.0, "client_a", "path-established"), Fault(Action.SIGNAL, ("client_b", "KILL"))
    ),
    "at=0s:expire nat_a host_a:5000": Scheduled(
        Moment(0.0), Fault(Action.EXPIRE, ("nat_a", "host_a:5000"))
    ),
}


@pytest.mark.parametrize("text", READ)
def test_a_fault_is_read_and_written_the_same(text: str) -> None:
    assert parse_fault(text) == READ[text]
    assert str(parse_fault(text)) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "give at=DURATION:ACTION or on=PROGRAM:EVENT"),
        ("link-down host_a", "give at=DURATION:ACTION"),
        ("at=2.5s", "give at=DURATION:ACTION"),
        ("on=client_a:nat-reboot nat_a", "give at=DURATION:ACTION"),
        ("on=:up:nat-reboot nat_a", "give at=DURATION:ACTION"),
        ("at=2.5x:link-down host_a", "'2.5x' is no duration: write it like 40ms, 2.5s or 2m"),
        ("at=-1s:link-down host_a", "'-1s' is no duration"),
        ("at=99999s:link-down host_a", "'99999s' is out of range: give 0s to 86400s"),
        ("on=a:b+soon:link-down host_a", "'soon' is no duration"),
        ("at=1s:", "unknown action '': choose from link-down, link-up, cut, heal, nat-reboot"),
        ("at=1s:explode host_a", "unknown action 'explode'"),
        ("at=1s:link-down", "link-down takes NODE|INTERFACE, not nothing"),
        ("at=1s:nat-reboot nat_a now", "nat-reboot takes NAT, not nat_a now"),
        ("at=1s:nat-swap nat_a cone", "unknown NAT 'cone': choose from none, full-cone"),
        ("at=1s:wan-address nat_a 203.0.113", "'203.0.113' is no IPv4 address"),
        ("at=1s:expire nat_a host_a:0", "'host_a:0' is no host with a port"),
        ("at=1s:expire nat_a host_a:", "'host_a:' is no host with a port"),
        ("at=1s:block nat_a nat_a", "block takes two nodes, not nat_a twice"),
        ("at=1s:cut nat_a nat_a", "cut takes two nodes, not nat_a twice"),
        ("at=1s:signal client_a USR9", "unknown signal 'USR9': choose from TERM, KILL, STOP"),
    ],
)  # fmt: skip
def test_what_is_no_fault_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_fault(text)
    assert str(caught.value).startswith(f"fault {text!r}: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(alphabet="aton=:.+1s -host_linkupdw", max_size=40))
def test_any_text_is_a_fault_or_a_documented_error(text: str) -> None:
    try:
        fault = parse_fault(text)
    except NatTraversalError:
        return
    assert parse_fault(str(fault)) == fault


def test_signals_have_their_numbers() -> None:
    assert signal_number("KILL") == signal.SIGKILL
    assert signal_number("STOP") == signal.SIGSTOP
