"""All that one client needs, read and checked before anything of it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nat_traversal.aio.client_config import ClientConfig
from nat_traversal.aio.tls import ClientTls
from nat_traversal.arguments.user_file import check_readable
from nat_traversal.cli.access import read_token
from nat_traversal.cli.client_arguments import check_can_begin
from nat_traversal.cli.key_log import check_key_log, key_log
from nat_traversal.cli.keys import Keyring, read_keys
from nat_traversal.cli.options import ClientOptions
from nat_traversal.cli.security import security_of
from nat_traversal.cli.turn import read_turn
from nat_traversal.errors import UsageError
from nat_traversal.wire.messages import Serves
from nat_traversal.wire.services import Side
from nat_traversal.wire.turn import TurnServer


@dataclass(frozen=True, slots=True)
class PeerPlan:
    """One client's options, its id among them, and the secrets that these name."""

    options: ClientOptions
    keys: Keyring
    token: bytes | None = field(default=None, repr=False)
    turn: TurnServer | None = None
    may_change: bool = False
    """Its named services may change while it runs."""

    @property
    def peer(self) -> str:
        """The other host's id."""
        return self.options.remote

    def config(self) -> ClientConfig:
        """For the client, without its named services. Opens the key log. Raises `UsageError`."""
        options = self.options
        assert options.id is not None, "plan_of has seen to it"
        return ClientConfig(
            options.server,
            options.id,
            options.remote,
            options.once,
            options.settings,
            # The server hands this on when the peer comes; named services tell theirs themselves.
            serves=Serves.UNTOLD if self.may_change and options.services else _serves(options),
            security=security_of(self.keys, options.remote),
            tls=options.tls,
            relaying=options.relaying,
            log_key=key_log(options.keys.key_log),
            server_token=self.token,
            may_join=options.may_join,
            turn=self.turn,
            takes_turn=options.takes_turn,
            methods=options.methods,
            guesses_without_key=options.methods_are_named,
        )


def plan_of(
    options: ClientOptions, environment: Mapping[str, str], *, may_change: bool = False
) -> PeerPlan:
    """Check `options`, which name this host's id, and read the files that they name. Raises `UsageError`."""
    check_can_begin(options)
    assert options.id is not None, "a random one at least"
    keys = read_keys(options.keys, options.remote, environment)
    security_of(keys, options.remote)
    _check_ca(options)
    check_key_log(options.keys.key_log)
    token, turn = read_token(options.token_file, environment), read_turn(options, environment)
    return PeerPlan(options, keys, token, turn, may_change)


def _check_ca(options: ClientOptions) -> None:
    """See that TLS can begin, which else would fail only once older paths are gone."""
    if options.tls is None or options.tls.ca is None:
        return
    try:
        check_readable(options.tls.ca)
    except UsageError as error:
        raise UsageError(f"--ca {error}") from None
    ClientTls.of(options.tls, options.server.host)


def _serves(options: ClientOptions) -> Serves:
    sides = {service.side for service in options.services}
    if options.listen:
        sides.add(Side.LISTEN)
    if options.connect:
        sides.add(Side.CONNECT)
    if len(sides) > 1:
        return Serves.BOTH
    return Serves.LISTEN if Side.LISTEN in sides else Serves.CONNECT
