"""The command `check` as a process: its report, its refusals, its end."""

from __future__ import annotations

import asyncio
import signal
import socket

import pytest

from nat_traversal import Endpoint, serve
from nat_traversal.aio import checking
from nat_traversal.aio.checking import check_nat
from nat_traversal.check.verdict import Udp
from nat_traversal.cli.main import main
from nat_traversal.settings import CheckSettings
from nat_traversal.wire.endpoint import HostPort
from tests.loopback.command import Command
from tests.loopback.support import DEADLINE

CHECK = ("python3", "-m", "nat_traversal", "check")
QUICK = CheckSettings(rate=1000, interval=0.02, first_interval=0.1)
OTHER = Endpoint("127.0.0.2", 0)


@pytest.fixture(autouse=True)
def _no_router(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing leaves this host."""
    monkeypatch.setattr(checking, "router", lambda: None)


async def test_this_host_has_no_nat_towards_itself_and_the_report_says_so_as_json() -> None:
    async with await serve("127.0.0.1", 0, alternate=OTHER) as server:
        async with Command.run(*CHECK, str(server.endpoint), "--json") as command:
            assert await command.end() == 0
        (told,) = command.events
        assert (told["event"], told["udp"], told["nat"]) == ("check", "passes", False)
        assert told["mapping"] == told["filtering"] == "endpoint-independent"
        assert told["not_told"]["allocation"] == "there is no NAT"
        assert {each["rung"] for each in told["peers"]} == {"ordered-hello", "relay-tcp"}
        assert command.told == []


async def test_over_ipv6_alone_it_tells_the_same() -> None:
    async with await serve("::1", 0) as server:
        found = await check_nat(HostPort("::1", server.endpoint.port), settings=QUICK)
        assert (found.udp, found.nat, found.mapping) == (Udp.PASSES, False, None)
        assert found.ipv6 == "untranslated"
        assert "one address only" in found.not_told["filtering"]


async def test_a_port_where_nobody_listens_ends_in_one_line_that_names_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    async with Command.run(*CHECK, f"127.0.0.1:{port}") as command:
        assert await command.end() == 3
    (line,) = command.told
    assert f"UDP port {port} of 127.0.0.1" in line
    assert command.events == []


async def test_ctrl_c_ends_it_in_one_line() -> None:
    """A server that never answers keeps it busy for seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        async with Command.run(*CHECK, f"127.0.0.1:{silent.getsockname()[1]}") as command:
            async with asyncio.timeout(DEADLINE):
                await asyncio.get_running_loop().sock_recv(silent, 2048)
            assert await command.end(signal.SIGINT) == 0
        assert command.told == ["stopped: nothing is told"]


async def test_blocked_udp_is_told_from_a_server_that_is_not_there() -> None:
    """TCP is open at that port, and UDP is silent."""
    with socket.socket() as listener, socket.socket(type=socket.SOCK_DGRAM) as silent:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        silent.bind(listener.getsockname())
        found = await check_nat(HostPort(*listener.getsockname()), settings=QUICK)
    assert found.udp in (Udp.BLOCKED, Udp.NO_UDP), "it depends on whether this host may ping"
    assert found.mapping is None


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["server.example:0"], "the port must be a number"),
        (["--lifetime", "1s", "server.example"], "1s"),
        (["one", "two"], "unrecognized arguments: two"),
        (["--alternate", "x", "one"], "--alternate"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["check", *words])
    assert ended.value.code == 2
    assert what in capsys.readouterr().err
