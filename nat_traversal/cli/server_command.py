"""The command `server`, from its options to its exit status."""

from __future__ import annotations

import asyncio
import datetime
import os
from pathlib import Path

from nat_traversal.aio.server import Server, serve
from nat_traversal.cli import certificate
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.options import ServerOptions
from nat_traversal.cli.state import state_directory
from nat_traversal.cli.stop import stop_signal
from nat_traversal.cli.teller import Teller
from nat_traversal.cli.tls import SelfSigned
from nat_traversal.cli.waiting import acquired
from nat_traversal.machine import notices as note
from nat_traversal.tls import ServerTlsSettings, fingerprint_text


async def run(options: ServerOptions, console: Console) -> Exit:
    stop = stop_signal(console)
    settings = options.settings
    quiet = Teller(asyncio.get_running_loop().time, settings.tell_again)

    def told(notice: note.Notice) -> None:
        if isinstance(notice, note.HostRefused) and notice.id is None:  # anybody can cause these
            console.told_now_and_then(notice, quiet, notice.code)
        else:
            console.told(notice)

    tls = _tls(options)

    async def start() -> Server:
        return await serve(options.host, options.port, settings=settings, tls=tls, on_notice=told)

    started = await acquired(start, stop, console, settings)
    if isinstance(started, Exit):
        return started
    async with started as server:
        _tell(server, console)
        status = await stop
    console.event("stopped")
    return status


def _tell(server: Server, console: Console) -> None:
    if server.fingerprint is None:
        console.event("listening", endpoint=server.endpoint)
        console.say(f"listening on {server.endpoint}, TCP and UDP")
        return
    fingerprint = fingerprint_text(server.fingerprint)
    console.event("listening", endpoint=server.endpoint, fingerprint=fingerprint)
    console.say(f"listening on {server.endpoint}, TLS and UDP")
    console.say(f"clients know this server by --server-fingerprint {fingerprint}")


def _tls(options: ServerOptions) -> ServerTlsSettings | None:
    if not isinstance(options.tls, SelfSigned):
        return options.tls
    given = options.tls.directory
    directory = Path(given) if given else state_directory(os.environ)
    return certificate.kept(directory, datetime.datetime.now(datetime.UTC))
