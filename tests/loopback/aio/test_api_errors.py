"""`nat_traversal.connect` where it fails: an error of its kind, with words, and everything is freed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nat_traversal import (
    Connection,
    ConnectionLostError,
    Endpoint,
    RegistrationRefusedError,
    ServerSettings,
    ServerUnreachableError,
    TraversalFailedError,
    UsageError,
    connect,
)
from nat_traversal.machine import notices as note
from nat_traversal.wire import messages as m
from tests.loopback.aio.connections import fails, received
from tests.loopback.hosts import Host, a_server
from tests.loopback.programs import Program
from tests.loopback.scripted import Wire, announce, register
from tests.loopback.support import eventually, unused

if TYPE_CHECKING:
    pass


class TestErrors:
    """Every documented error."""

    @pytest.mark.parametrize(
        ("server", "local_id", "remote_id", "text"),
        [
            ("", "host_a", "host_b", "no usable host"),
            ("192.0.2.2:0", "host_a", "host_b", "number from 1 to 65535"),
            ("[fe80::1%lo]:6545", "host_a", "host_b", "is link-local: hosts meet only"),
            ("192.0.2.2", "host a", "host_b", "'host a' cannot be an id"),
            ("192.0.2.2", "host_a", "", "'' cannot be an id"),
            ("192.0.2.2", "host_a", "host_a", "'host_a' cannot be its own peer"),
        ],
    )
    async def test_a_wrong_argument(
        self, server: str, local_id: str, remote_id: str, text: str
    ) -> None:
        with pytest.raises(UsageError, match=text):
            async with connect(server, local_id=local_id, remote_id=remote_id):
                pass

    async def test_a_server_that_is_not_there(self) -> None:
        error = await fails(unused())
        assert isinstance(error, ServerUnreachableError)
        assert "Connection refused" in str(error)

    async def test_an_id_that_is_in_use(self) -> None:
        async with (
            a_server() as (server, _),
            Host(server.endpoint, "host_a", "host_b", listen="127.0.0.1") as holder,
        ):
            await holder.notices.wait(note.RegisteredAtServer)
            error = await fails(server.endpoint)
            assert isinstance(error, RegistrationRefusedError)
            assert error.code == m.ErrorCode.ID_IN_USE

    async def test_a_server_that_is_full(self) -> None:
        async with (
            a_server(settings=ServerSettings(connections=2, registered_per_source=1)) as (
                server,
                _,
            ),
            Host(server.endpoint, "host_c", "host_d", listen="127.0.0.1") as other,
        ):
            await other.notices.wait(note.RegisteredAtServer)
            error = await fails(server.endpoint)
            assert isinstance(error, RegistrationRefusedError)
            assert error.code == m.ErrorCode.SERVER_FULL

    async def test_a_peer_that_does_not_take_part(self) -> None:
        settings = ServerSettings(step_within=1.0, longest_round_trip=0.0)
        async with (
            a_server(settings=settings) as (server, _),
            await Wire.to(server.endpoint) as mute,
        ):
            mute.send(register("host_b", "host_a"))
            await mute.until(m.Registered)
            with Program() as program:
                program.send(announce(), server.endpoint)
                error = await fails(server.endpoint)
            assert isinstance(error, TraversalFailedError)
            assert error.code == "peer-silent"
            assert str(error) == "host_b did not obey the order to send HELLO 2"

    async def test_a_server_that_ends_while_this_side_waits(self) -> None:
        async with a_server() as (server, notices):
            failing = asyncio.create_task(fails(server.endpoint))
            await notices.wait(note.HostRegistered)
            await server.close()
            error = await failing
            assert isinstance(error, ServerUnreachableError)
            assert str(error) == "the other end closed the connection"

    async def test_a_deadline_of_the_caller_frees_everything(self) -> None:
        async with a_server() as (server, _):
            with pytest.raises(TimeoutError):
                async with (
                    asyncio.timeout(0.05),
                    connect(str(server.endpoint), local_id="host_a", remote_id="host_b"),
                ):
                    pass
            await eventually(lambda: not server.rendezvous.registered, "it has left")
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_a_path_that_stands_just_when_the_caller_gives_up_is_no_error(self) -> None:
        connection = Connection()
        waiting = asyncio.create_task(connection.wait_established())
        await asyncio.sleep(0)
        waiting.cancel()
        connection.told(note.PathEstablished(1, 1, "x", Endpoint("127.0.0.1", 9), 1, "sealed"))
        connection.told(note.AttemptFailed("no-path", "no path", None))
        with pytest.raises(asyncio.CancelledError):
            await waiting

    async def test_the_first_of_two_reasons_stays(self) -> None:
        connection = Connection()
        connection.told(note.PathEstablished(1, 1, "x", Endpoint("127.0.0.1", 9), 1, "sealed"))
        connection.told(note.PathLost("the other side never confirmed the path"))
        connection.path_down()
        connection.told(note.AttemptFailed("no-path", "no path", None))
        with pytest.raises(ConnectionLostError, match="never confirmed"):
            await received(connection)

    async def test_a_path_that_only_this_side_had_proof_of_is_no_end(self) -> None:
        connection = Connection()
        old, new = Endpoint("127.0.0.1", 9), Endpoint("127.0.0.1", 10)
        connection.told(note.PathEstablished(1, 1, "x", old, 1, "sealed"))
        connection.told(note.PathLost("the other side had no proof of it", attempt_goes_on=True))
        connection.path_down()
        connection.send(b"lost, as UDP may")
        assert connection.counters["unsendable"] == 1
        connection.told(note.PathEstablished(1, 2, "x", new, 2, "sealed"))
        await connection.wait_established()
        assert connection.remote == new
        waiting = asyncio.create_task(received(connection))
        await asyncio.sleep(0)
        assert not waiting.done()
        connection.closed()
        with pytest.raises(ConnectionLostError, match="the path has ended"):
            await waiting
        with pytest.raises(ConnectionLostError, match="the path has ended"):
            connection.send(b"")

    async def test_an_attempt_that_fails_after_its_first_proof_is_a_connection_lost(self) -> None:
        connection = Connection()
        connection.told(note.PathEstablished(1, 1, "x", Endpoint("127.0.0.1", 9), 1, "sealed"))
        connection.told(note.PathLost("the other side had no proof of it", attempt_goes_on=True))
        connection.told(note.AttemptFailed("no-path", "no path", None))
        with pytest.raises(ConnectionLostError, match="no path"):
            await received(connection)

    async def test_an_error_of_the_caller_s_own_passes_through_and_says_goodbye(self) -> None:
        async with (
            a_server() as (server, _),
            Host(server.endpoint, "host_b", "host_a", listen="127.0.0.1") as b,
        ):

            async def fail() -> None:
                async with connect(str(server.endpoint), local_id="host_a", remote_id="host_b"):
                    await b.connected()
                    raise ZeroDivisionError

            with pytest.raises(ZeroDivisionError):
                await fail()
            await b.notices.wait(note.PathLost)
