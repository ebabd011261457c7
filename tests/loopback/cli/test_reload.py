"""A server with a configuration file reads it anew at SIGHUP, and goes on."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
from hashlib import sha256
from pathlib import Path

from nat_traversal.wire import messages as m
from nat_traversal.wire.endpoint import Endpoint
from tests.certificates import Authority, Issued
from tests.loopback.command import Command
from tests.loopback.scripted import Wire, register
from tests.unit.counterpart import some_keys

SERVER = ("python3", "traversal_server.py", "--json", "--config")
START = 'port = 0\nhost = "127.0.0.1"\n'


async def listening(server: Command) -> Endpoint:
    where = str((await server.event("listening"))["endpoint"])
    address, _, port = where.rpartition(":")
    return Endpoint(address, int(port))


async def registered(wire: Wire, host: str) -> m.Registered:
    wire.send(register(host, "host_b", some_keys(host)[0]))
    return await wire.until(m.Registered)


async def test_what_can_change_does_and_the_rest_is_told(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(START)
    async with Command.run(*SERVER, str(file)) as server:
        at = await listening(server)
        async with await Wire.to(at) as before:
            assert (await registered(before, "host_a")).heartbeat == 20.0
            file.write_text('port = 6545\nhost = "127.0.0.1"\n[set]\nheartbeat = "7s"\n')
            server.process.send_signal(signal.SIGHUP)
            reloaded = await server.event("reloaded")
            assert (reloaded["changed"], reloaded["restart"]) == (["heartbeat"], ["port"])
            async with await Wire.to(at) as after:
                assert (await registered(after, "host_c")).heartbeat == 7.0
            before.send(m.Heartbeat(3))
            assert await before.until(m.HeartbeatAnswer) == m.HeartbeatAnswer(3)
        assert await server.end(signal.SIGTERM) == 0
    assert "reloaded: heartbeat; a restart is needed for port" in server.told


async def test_a_signal_before_the_server_runs_counts_once_it_does(tmp_path: Path) -> None:
    """It has read its file already, and still waits for its port."""
    file = tmp_path / "server.toml"
    held = socket.create_server(("127.0.0.1", 0))
    start = f'port = {held.getsockname()[1]}\nhost = "127.0.0.1"\n'
    file.write_text(start)
    async with Command.run(*SERVER, str(file)) as server:
        with held:
            await server.event("waiting")
            file.write_text(f'{start}[set]\nheartbeat = "7s"\n')
            server.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(0.2)  # so that it comes before the port is free
        await listening(server)
        assert (await server.event("reloaded"))["changed"] == ["heartbeat"]
        assert await server.end(signal.SIGTERM) == 0


async def test_a_file_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text(START)
    async with Command.run(*SERVER, str(file)) as server:
        at = await listening(server)
        file.write_text(START + "[set]\nheartbeet = 7\n")
        server.process.send_signal(signal.SIGHUP)
        failed = await server.event("reload-failed")
        assert failed["text"].startswith(f"{file}:4: there is no setting 'heartbeet'")
        async with await Wire.to(at) as wire:
            assert (await registered(wire, "host_a")).heartbeat == 20.0
        assert await server.end(signal.SIGTERM) == 0
    assert f"error: {failed['text']}; the server goes on as before" in server.told


async def test_new_connections_see_the_new_certificate(tmp_path: Path) -> None:
    authority = Authority.new()
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"

    def put(issued: Issued) -> str:
        issued.certificate_file(certificate)
        issued.key_file(key)
        return issued.fingerprint

    file = tmp_path / "server.toml"
    file.write_text(f'{START}tls-cert = "{certificate}"\ntls-key = "{key}"\n')
    old = put(authority.issue("localhost"))
    async with Command.run(*SERVER, str(file)) as server:
        at = await listening(server)
        assert await seen(at) == old
        new = put(authority.issue("localhost"))
        server.process.send_signal(signal.SIGHUP)
        assert (await server.event("reloaded"))["changed"] == ["certificate"]
        assert await seen(at) == new != old
        certificate.write_text("nothing")
        server.process.send_signal(signal.SIGHUP)
        await server.event("reload-failed")
        assert await seen(at) == new
        assert await server.end(signal.SIGTERM) == 0


async def seen(server: Endpoint) -> str:
    """The fingerprint of the certificate that a new connection gets."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    reader, writer = await asyncio.open_connection(*server.sockaddr, ssl=context)
    del reader
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return sha256(certificate).hexdigest()
