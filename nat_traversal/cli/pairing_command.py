"""The commands `invite` and `accept`: a first connection exchanges the keys, the second one is by them."""

from __future__ import annotations

import asyncio
import random
import shlex
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from nat_traversal.aio.connection import connect
from nat_traversal.aio.pairing import exchange_keys
from nat_traversal.aio.wake import timeout
from nat_traversal.cli import client_command, reload_command
from nat_traversal.cli.access import read_token
from nat_traversal.cli.client_arguments import random_id
from nat_traversal.cli.console import Console
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.keys import KeyOptions
from nat_traversal.cli.local import ask, reading, sockets
from nat_traversal.cli.make_keys import kept_identity, write_line
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.pairing_arguments import PairingOptions
from nat_traversal.cli.peers.saving import Saving
from nat_traversal.cli.qr import draw_qr
from nat_traversal.cli.stop import stop_signal
from nat_traversal.cli.turn import read_turn, turn_words
from nat_traversal.client.security import Security
from nat_traversal.crypto.keyfile import PUBLIC, as_text
from nat_traversal.errors import NatTraversalError, RegistrationRefusedError, UsageError
from nat_traversal.pairing.exchange import Exchange
from nat_traversal.pairing.invitation import KEY_OCTETS, Invitation
from nat_traversal.wire.messages import ErrorCode, Relaying
from nat_traversal.wire.services import ServiceKind, Side
from nat_traversal.wire.turn import TurnServer


async def run(options: PairingOptions, console: Console, environment: dict[str, str]) -> Exit:
    """Pair, then connect. Raises `UsageError`."""
    saving = None if options.save is None else Saving(options.save, environment)
    turn = read_turn(options.then, environment)
    file, public = kept_identity(options.identity, environment)
    then, within = options.then, options.valid
    if options.invitation is None:
        then = replace(
            then,
            id=then.id or random_id("host"),
            remote=then.remote or random_id("guest"),
        )
        invitation = _invitation(then, public, options.valid)
        if saving is not None:
            saving.check(then, file)
        if console.as_json:
            console.event("invitation", line=invitation.url())
        else:
            write_line(invitation.url())
            if options.qr:
                draw_qr(invitation.url(), console.say)
        console.say(
            "copy this line to the other host, and paste it there into: nat-traversal accept "
            + _other_side(then)
            + f"; it works once, for {options.valid:g} s"
        )
        exchange = Exchange(public)
    else:
        invitation = options.invitation
        within = invitation.expires - time.time()
        if invitation.public == public:
            raise UsageError(
                f"this invitation comes from the identity that this host has, {file}: accept it on "
                "another host, or with --identity FILE as somebody else here"
            )
        exchange = Exchange(public, invitation.public)
        if saving is not None:
            saving.check(then, file)
    end = stop_signal(console)
    pairing = asyncio.ensure_future(
        _pair(invitation, exchange, then, console, environment, turn=turn, within=within)
    )
    either: list[asyncio.Future[Any]] = [end, pairing]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not pairing.done():
            return end.result()
        peer = pairing.result()
    except TimeoutError:
        console.fail("the invitation has expired, and nobody came: make a new one")
        return Exit.TRAVERSAL_FAILED
    except RegistrationRefusedError as error:
        console.fail(_refusal(error, options))
        return Exit.REFUSED
    finally:
        pairing.cancel()
        await asyncio.wait([pairing])
    console.event("paired", peer=then.remote, key=as_text(PUBLIC, peer))
    console.say(f"paired with {then.remote}; from now on both know each other by their keys")
    if saving is None or not _is_saved(saving, then, file, peer, console):
        console.say(f"the next time, without an invitation: {_command(then, file, peer)}")
    elif _is_taken_over(saving.path, then.remote, console, environment):
        return Exit.OK
    return await client_command.run(
        replace(then, keys=KeyOptions(identity=file, peer_key=peer)), console
    )


def _refusal(error: RegistrationRefusedError, options: PairingOptions) -> str:
    """In words. `accept` has its id from the invitation."""
    if options.invitation is None or error.code != ErrorCode.ID_IN_USE:
        return str(error)
    return (
        f"somebody else has accepted this invitation, and is {options.then.id!r} now: if that is not you on another "
        "host, ask for a new invitation, and tell its sender that this one was read on its way"
    )


def _is_saved(
    saving: Saving, then: ClientOptions, identity: str, peer: bytes, console: Console
) -> bool:
    """Whether the file has the new peer. The invitation is used up: without the file both connect all the same."""
    try:
        saving.save(then, identity, peer)
    except UsageError as error:
        console.say(f"{then.remote} has not been saved: {error}")
        return False
    console.event("saved", file=str(saving.path))
    console.say(f"saved: from now on nat-traversal client --config {saving.path} connects")
    return True


def _is_taken_over(path: Path, peer: str, console: Console, environment: dict[str, str]) -> bool:
    """Whether a client that runs with this file has the new peer now."""
    try:
        at = next((each for each in sockets(environment) if each.stem == path.stem), None)
        if at is None:
            return False
        reload_command.run(path.stem, environment, console)
        with reading(at):
            return any(each["peer"] == peer for each in ask(at, ask="status")["peers"])
    except UsageError as error:
        console.say(f"the client that runs with that file has not read it again: {error}")
        return False


async def _pair(
    invitation: Invitation,
    exchange: Exchange,
    then: ClientOptions,
    console: Console,
    environment: dict[str, str],
    *,
    turn: TurnServer | None,
    within: float,
) -> bytes:
    """The other host's public key. Tries until the invitation expires, `within` seconds: then `TimeoutError`."""
    assert then.id is not None, "both commands give it one"
    told = ""
    async with timeout(within):
        while True:
            try:
                async with connect(
                    str(then.server),
                    local_id=then.id,
                    remote_id=then.remote,
                    settings=then.settings,
                    security=Security.sealed(psk=invitation.secret),
                    tls=then.tls,
                    relaying=then.relaying,
                    server_token=read_token(then.token_file, environment),
                    turn=turn,
                ) as connection:
                    return await exchange_keys(connection, exchange)
            except (UsageError, RegistrationRefusedError):
                raise
            except NatTraversalError as error:
                if str(error) != told:
                    told = str(error)
                    console.say(f"{told}; trying again")
                await asyncio.sleep(then.settings.pair_again)


def _invitation(then: ClientOptions, public: bytes, valid: float) -> Invitation:
    assert then.id is not None, "named just before"
    return Invitation(
        then.server,
        then.id,
        then.remote,
        public,
        int(time.time() + valid),
        random.SystemRandom().randbytes(KEY_OCTETS),
        then.tls,
    )


def _other_side(then: ClientOptions) -> str:
    """The options that the other host needs to take part in the services of this one."""
    words = ["--listen PORT"] * (then.connect is not None)
    words += ["--connect HOST:PORT"] * (then.listen is not None)
    for end in then.services:
        at = "PORT" if end.side is Side.CONNECT else "HOST:PORT"
        tcp = "tcp:" if end.kind is ServiceKind.TCP else ""
        words.append(f"--service {end.name}:{end.side.other}={tcp}{at}")
    return " ".join(words)


def _command(then: ClientOptions, file: str, peer: bytes) -> str:
    """The whole command for a shell: a file's name may have blanks."""
    words = ["nat-traversal", "client", "--server", str(then.server)]
    words += ["--id", str(then.id), "-r", then.remote]
    words += [] if then.listen is None else ["--listen", str(then.listen)]
    words += [] if then.connect is None else ["--connect", str(then.connect)]
    for end in then.services:
        words += ["--service", str(end)]
    if then.relaying is not Relaying.AUTO:
        words += ["--relay", then.relaying] if then.relaying else ["--no-relay"]
    for name, value in turn_words(then):
        words += [f"--{name}", value]
    if then.tls is not None:
        pin = then.tls.fingerprint
        words += ["--tls"] if pin is None else ["--server-fingerprint", pin]
    if then.token_file is not None:
        words += ["--server-token", then.token_file]
    return shlex.join([*words, "--identity", file, "--peer-key", as_text(PUBLIC, peer)])
