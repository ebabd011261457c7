"""A real coturn relays where the traversal server does not: for either host's TURN server, and for both."""

# ruff: noqa: PLC0415 - only a sandbox imports Mininet, whose code is full of warnings

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from natlab.network.addressing import SERVER_SECOND
from tests.certificates import Authority, Issued
from tests.lab import warm
from tests.lab.pairs import PYTHON, READY_WITHIN, Pair, events, prepare, start_server, tunnels, ways

if TYPE_CHECKING:
    from natlab.programs.program import Program

PAIR = Pair("host_a", "host_b")
_PORT = 3478
_TURN = f"turn:{SERVER_SECOND.ip}"
_OPTIONS = ("--methods", "ordered-hello,turn", "--set", "hello-interval=0.1")
_COTURN = (
    *("turnserver", "-n", "-L", str(SERVER_SECOND.ip), "-E", str(SERVER_SECOND.ip)),
    *("-p", str(_PORT), "--lt-cred-mech", "--realm", "lab", "--user", "lab:secret"),
    *("--no-dtls", "--no-cli", "--log-file", "stdout", "--simple-log", "-v"),
)
_PLAIN = ("--no-tls",)
_PAYLOAD = b"by the TURN server"


@dataclass(frozen=True, slots=True)
class Seen:
    verdicts: set[str]
    carried: bool
    methods: list[object]
    problems: list[object]
    through: int
    """Frames to or from the TURN server's address."""
    in_clear: int
    """Frames with the payload in them."""


def _run(
    own: Mapping[str, tuple[str, ...]],
    directory: Path,
    nats: tuple[str, str] = ("symmetric", "symmetric"),
    more: tuple[str, ...] = _PLAIN,
) -> Seen:
    """A pair at a server that relays nothing, and what the packets and coturn say of it. The allocation is given back."""
    from natlab.capture.taps import Capture, Tap
    from natlab.evidence.journey import CAPTURE_POINTS
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    prepare()
    with (
        two_nats_network(*nats) as network,
        Programs(directory) as programs,
        Capture([Tap(network.pid(node), name) for name, node in CAPTURE_POINTS.items()]) as taken,
    ):
        coturn = programs.start("turnserver", (*_COTURN, *more), network.pid("server"))
        coturn.wait_until_bound("udp", _PORT, timeout=READY_WITHIN)
        start_server(network, programs, "--no-relay")
        with tunnels(network, programs, PAIR, options=_OPTIONS, own=own) as found:
            tunnel = found[PAIR]
            verdicts = tunnel.verdicts()
            carried = verdicts == {"path-established"} and tunnel.carries(_PAYLOAD)
            for client in tunnel.clients.values():
                client.terminate()
            said = [event for each in tunnel.clients.values() for event in events(each)]
        methods = [each["method"] for each in said if each["event"] == "path-established"]
        if "turn" in methods:
            coturn.wait_for_line(r"refreshed, .*lifetime=0", timeout=READY_WITHIN)
    frames = [bytes(each) for each in taken.frames]
    turn = SERVER_SECOND.ip.packed
    return Seen(
        verdicts,
        carried,
        methods,
        [each["reason"] for each in said if each["event"] == "turn-failed"],
        sum(turn in (each[26:30], each[30:34]) for each in frames),
        sum(_PAYLOAD in each for each in frames),
    )


class _Later(Pair):
    """Other clients on the same hosts."""

    @property
    def clients(self) -> tuple[str, str]:
        return "later_a", "later_b"


def _beside(
    own: tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]],
    directory: Path,
    server_options: tuple[str, ...],
    more: tuple[str, ...] = _PLAIN,
) -> tuple[list[list[str]], list[str]]:
    """The ways of a client that has come first, and of both that come later; and what these say of TURN servers.

    `own`: the options of the first pair's hosts, and of the later one's.
    """
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    later = _Later("host_a", "host_b")
    methods = ("--methods", "ordered-hello,relay,turn", *_OPTIONS[2:])
    prepare(2)
    with (
        two_nats_network("symmetric", "symmetric") as network,
        Programs(directory) as programs,
    ):
        coturn = programs.start("turnserver", (*_COTURN, *more), network.pid("server"))
        coturn.wait_until_bound("udp", _PORT, timeout=READY_WITHIN)
        start_server(network, programs, *server_options)
        with tunnels(network, programs, PAIR, options=methods, own=own[0]) as first:
            assert first[PAIR].verdicts() == {"path-established"}
            with tunnels(network, programs, later, options=methods, own=own[1]) as second:
                last = list(second[later].clients.values())
                if second[later].verdicts() == {"path-established"}:
                    assert second[later].carries(_PAYLOAD)
                assert first[PAIR].carries(_PAYLOAD)
                said = [event for each in last for event in events(each)]
                problems = [str(each["reason"]) for each in said if each["event"] == "turn-failed"]
                return [ways(each) for each in (first[PAIR].clients["host_a"], *last)], problems


def _paired(own: tuple[str, ...], directory: Path) -> dict[str, list[str]]:
    """What `invite` with these options and `accept` say, by event, where only a TURN server carries: host_a invites."""
    from natlab.programs.programs import Programs
    from natlab.topologies.two_nats import two_nats_network

    invite = (
        *PYTHON,
        "invite",
        "--server",
        "192.0.2.2",
        "--connect",
        "127.0.0.1:9",
        "--json",
        *own,
    )
    accept = (*PYTHON, "accept", "--listen", "5300", "--json")
    with (
        two_nats_network("symmetric", "symmetric") as network,
        Programs(directory) as programs,
    ):
        coturn = programs.start("turnserver", (*_COTURN, *_PLAIN), network.pid("server"))
        coturn.wait_until_bound("udp", _PORT, timeout=READY_WITHIN)
        start_server(network, programs, "--no-relay")

        def start(host: str, *argv: str) -> Program:
            places = {name: str(directory / host) for name in ("XDG_STATE_HOME", "XDG_RUNTIME_DIR")}
            (directory / host).mkdir(mode=0o700)
            pid = network.pid(host)
            return programs.start(host, argv, pid, environment=places, interactive=True)

        inviter = start("host_a", *invite)
        invited = '"event": "invitation".*"line": "([^"]+)"'
        line = inviter.wait_for_line(invited, timeout=READY_WITHIN, stream="stdout").group(1)
        guest = start("host_b", *accept)
        guest.send(f"{line}\n")
        for each in (inviter, guest):
            each.wait_for_line('"event": "path-established".*has the key', timeout=READY_WITHIN)
        guest.terminate()
        inviter.terminate()
        said = {each.name: list(events(each)) for each in (inviter, guest)}
    return {
        name: [str(each["event"]) for each in told if each["event"] == "paired"]
        + [str(each["method"]) for each in told if each["event"] == "path-established"]
        for name, told in said.items()
    }


def _credentials(
    directory: Path, password: str = "secret", transport: str = "udp", name: str = "lab"
) -> tuple[str, ...]:
    file = directory / f"{name}.credentials"
    file.write_text(f"{name}\n{password}\n", encoding="ascii")
    file.chmod(0o600)
    uri = f"{_TURN}?transport={transport}" if transport != "tls" else _TURN.replace(":", "s:", 1)
    return "--turn", uri, "--turn-credentials", str(file)


@pytest.mark.parametrize(
    ("hosts", "transport"),
    [(("host_a",), "udp"), (("host_b",), "tcp"), (("host_a", "host_b"), "udp")],
)
def test_two_symmetric_nats_are_relayed_by_a_turn_server_of_either_host(
    hosts: tuple[str, ...], transport: str, tmp_path: Path
) -> None:
    own = dict.fromkeys(hosts, _credentials(tmp_path, transport=transport))
    seen = warm.call(60.0, _run, own, tmp_path)
    assert (seen.verdicts, seen.carried) == ({"path-established"}, True), seen
    assert (seen.methods, seen.problems) == (["turn", "turn"], [])
    assert (seen.through > 0, seen.in_clear) == (True, 0)


def test_a_wrong_password_is_one_line_and_the_attempt_ends_as_without(tmp_path: Path) -> None:
    seen = warm.call(60.0, _run, {"host_a": _credentials(tmp_path, "wrong")}, tmp_path)
    assert (seen.verdicts, seen.methods) == ({"attempt-failed"}, [])
    (problem,) = seen.problems
    assert str(problem).endswith(
        "refuses the name or the password: check the file of --turn-credentials"
    )


def test_a_pair_that_is_direct_asks_no_turn_server(tmp_path: Path) -> None:
    own = dict.fromkeys(("host_a", "host_b"), _credentials(tmp_path))
    seen = warm.call(60.0, _run, own, tmp_path, ("full-cone", "port-restricted-cone"))
    assert (seen.methods, seen.through) == (["ordered-hello", "ordered-hello"], 0)


def test_a_turn_server_carries_where_the_relays_of_the_server_are_all_in_use(
    tmp_path: Path,
) -> None:
    own = {"host_b": _credentials(tmp_path)}
    seen = warm.call(60.0, _beside, ({}, own), tmp_path, ("--relay-pairs", "1"))
    assert seen == ([["relay"], ["turn"], ["turn"]], [])


@pytest.mark.parametrize("has_other", [True, False])
def test_a_name_with_all_its_allocations_is_one_line_and_the_other_host_s_turn_server_is_next(
    has_other: bool, tmp_path: Path
) -> None:
    own = {"host_a": _credentials(tmp_path)}
    later = {**own, "host_b": _credentials(tmp_path, name="other")} if has_other else own
    more = (*_PLAIN, "--user-quota=1", "--user=other:secret")
    seen, problems = warm.call(90.0, _beside, (own, later), tmp_path, ("--no-relay",), more)
    assert seen == [["turn"], *[["turn"] * has_other] * 2]
    (problem,) = problems
    assert "gives no further allocation (486): end other clients with this name" in problem


@pytest.mark.parametrize("host", ["host_a", "host_b"])
def test_a_turn_server_by_tls_with_a_certificate_of_a_ca_of_one_s_own(
    host: str, tmp_path: Path
) -> None:
    authority = Authority.new()
    issued = authority.issue(str(SERVER_SECOND.ip))
    ca = authority.issued.certificate_file(tmp_path / "ca.pem")
    more = _with(issued, tmp_path)
    own = {host: (*_credentials(tmp_path, transport="tls"), "--turn-ca", ca)}
    seen = warm.call(60.0, _run, own, tmp_path, more=more)
    assert (seen.verdicts, seen.carried) == ({"path-established"}, True), seen
    assert (seen.methods, seen.problems) == (["turn", "turn"], [])
    assert (seen.through > 0, seen.in_clear) == (True, 0)


def test_a_certificate_that_is_not_to_be_trusted_is_one_line(tmp_path: Path) -> None:
    issued = Authority.new().issue(str(SERVER_SECOND.ip))
    other = Authority.new().issued.certificate_file(tmp_path / "ca.pem")
    own = {"host_a": (*_credentials(tmp_path, transport="tls"), "--turn-ca", other)}
    seen = warm.call(60.0, _run, own, tmp_path, more=_with(issued, tmp_path))
    assert (seen.verdicts, seen.methods) == ({"attempt-failed"}, [])
    (problem,) = seen.problems
    assert problem == (
        f"turns:{SERVER_SECOND.ip}:5349?transport=tcp cannot be trusted: its certificate is signed by no CA that this "
        "side trusts: give --turn-ca FILE with the certificate of its CA"
    )


def _with(issued: Issued, directory: Path) -> tuple[str, ...]:
    """coturn's options for TLS."""
    certificate = issued.certificate_file(directory / "turn.pem")
    return "--cert", certificate, "--pkey", issued.key_file(directory / "turn.key")


def test_invite_and_accept_pair_and_connect_by_a_turn_server_of_one_of_them(tmp_path: Path) -> None:
    said = warm.call(60.0, _paired, _credentials(tmp_path), tmp_path)
    assert said == {host: ["paired", "turn"] for host in ("host_a", "host_b")}
