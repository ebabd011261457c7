"""One sentence and one JSON value about the path of now, told from the notices of a client."""

from __future__ import annotations

import json

import pytest

from nat_traversal.client.path_status import PathKind, PathStatus, Story, sentence
from nat_traversal.machine import notices as note
from nat_traversal.wire.endpoint import Endpoint
from nat_traversal.wire.messages import PeerState

REMOTE = Endpoint("198.51.100.2", 40_000)


def test_a_direct_path_in_one_sentence() -> None:
    status = PathStatus(
        "host_b", PathKind.DIRECT, "ordered-hello", REMOTE, 12.3, 0.0432, 0.0, 1500, 0.0021
    )
    assert sentence(status) == (
        "datagrams to host_b have gone directly to 198.51.100.2:40000, opened by ordered-hello, for 12 s "
        "(round trip 43 ms, jitter 2.1 ms, nothing lost, packets of up to 1500 octets)"
    )


def test_a_relayed_path_says_why_and_what_would_change_that() -> None:
    status = PathStatus(
        "host_b",
        PathKind.RELAYED,
        "relay-tcp",
        REMOTE,
        7300.0,
        loss=0.25,
        reason="nothing comes back over UDP",
        remedy="a firewall that lets UDP pass would make it direct",
    )
    said = sentence(status)
    assert "by TCP for 2 h (25 % lost), since nothing comes back over UDP: a firewall" in said
    assert "\n" not in said


def test_the_json_has_null_for_what_is_not_known() -> None:
    found = json.loads(json.dumps(PathStatus("host_b", PathKind.NONE, reason="why").as_json()))
    assert found == {
        "peer": "host_b", "path": "none", "method": None, "remote": None, "seconds": None,
        "round_trip": None, "loss": None, "mtu": None, "jitter": None, "reason": "why", "remedy": None,
    }  # fmt: skip


REGISTERED = note.RegisteredAtServer("host_a", "host_b")
HERE = note.PeerSeen("host_b", PeerState.PRESENT)


@pytest.mark.parametrize(
    ("notices", "why"),
    [
        ([], "this host has not registered at the server yet"),
        ([note.ServerLost("connection refused", 1.0)], "connection refused"),
        ([REGISTERED], "host_b is not there yet"),
        ([REGISTERED, HERE], "it is being opened"),
        ([REGISTERED, HERE, note.PeerSeen("host_b", PeerState.LEFT)], "host_b has left"),
        (
            [REGISTERED, HERE, note.AttemptFailed("no-path", "no HELLO arrived", 5.0)],
            "no HELLO arrived",
        ),
        (
            [
                REGISTERED,
                HERE,
                note.RelayTold("off", "the server relays nothing"),
                note.AttemptFailed("no-path", "no HELLO arrived", 5.0),
            ],
            "no HELLO arrived, and no relay: the server relays nothing",
        ),
        ([REGISTERED, note.ServerLost("it has ended", 1.0)], "it has ended"),
    ],
)
def test_without_a_path_it_says_what_is_lacking(notices: list[note.Notice], why: str) -> None:
    story = Story("host_b", "host_a")
    for each in notices:
        story.told(each)
    status = story.status(None, 0.0, 1.0)
    assert (status.path, status.reason) == (PathKind.NONE, why)
    assert sentence(status).startswith(f"there is no path to host_b: {why}")


@pytest.mark.parametrize(
    ("notices", "remedy"),
    [
        ([note.ServerLost("connection refused", 1.0, "start it")], "start it"),
        ([note.ServerLost("connection refused", 1.0, "start it"), note.ServerLost("?", 1.0)], ""),
        ([REGISTERED], "a client there with --id host_b -r host_a would bring one"),
        (
            [REGISTERED, HERE, note.AttemptFailed("no-path", "no HELLO arrived", 5.0)],
            "a port forwarding on either side, or UPnP, would bring one",
        ),
        ([REGISTERED, HERE], ""),
    ],
)
def test_without_a_path_it_says_what_would_bring_one(
    notices: list[note.Notice], remedy: str
) -> None:
    story = Story("host_b", "host_a")
    for each in notices:
        story.told(each)
    status = story.status(None, 0.0, 1.0)
    assert status.remedy == remedy
    assert sentence(status).endswith(remedy)
