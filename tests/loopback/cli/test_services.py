"""`--service`: several services of one peer by two commands."""

from __future__ import annotations

import signal

from tests.loopback.cli.words import CLIENT
from tests.loopback.command import Command
from tests.loopback.hosts import a_server
from tests.loopback.programs import Program, Service
from tests.loopback.support import unused


async def test_two_commands_carry_what_both_name_and_say_what_one_lacks() -> None:
    with Service() as dns, Service() as game, Program() as program:
        at_dns, at_game, at_ssh = unused(), unused(), unused()
        async with a_server() as (server, _):
            common = (*CLIENT, "--json", "--server", str(server.endpoint))
            a_words = (f"dns:listen={at_dns}", f"game:listen={at_game}", f"ssh:listen={at_ssh}")
            b_words = (f"game:connect={game.endpoint}", f"dns:connect={dns.endpoint}")
            a_options = [word for each in a_words for word in ("--service", each)]
            b_options = [word for each in b_words for word in ("--service", each)]
            async with (
                Command.run(*common, "--id", "host_a", "-r", "host_b", *a_options) as a,
                Command.run(*common, "--id", "host_b", "-r", "host_a", *b_options) as b,
            ):
                await a.line("host_b has no service ssh")
                assert (await a.event("services-ready"))["names"] == ["dns", "game"]
                await b.line("host_a has the service ssh, which this side has not")
                assert (await b.event("services-ready"))["names"] == ["dns", "game"]
                assert await program.ask(b"1", at_dns) == b"1"
                assert await program.ask(b"2", at_game) == b"2"
                assert [each for each, _ in dns.asked] == [b"1"]
                assert [each for each, _ in game.asked] == [b"2"]
                assert await b.end(signal.SIGTERM) == 0
                assert await a.end(signal.SIGTERM) == 0


async def test_services_that_do_not_go_together_end_in_one_line_before_anything_starts() -> None:
    words = (
        "--server",
        "192.0.2.1",
        "-r",
        "b",
        "--service",
        "x:listen=1",
        "--service",
        "x:listen=2",
    )
    async with Command.run(*CLIENT, *words) as command:
        assert await command.end() == 2
    assert command.told == [
        "error: --service x:listen=127.0.0.1:1 and --service x:listen=127.0.0.1:2 have one name: rename one"
    ]
