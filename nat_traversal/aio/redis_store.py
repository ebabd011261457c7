"""The store that several servers share, in Redis or Valkey (the extra ``redis``).

One connection carries commands, written as they come and answered in order; another hears what other
servers publish. Each row names its server, and counts while the lease of that server lasts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Any

from nat_traversal.errors import UsageError, WireError
from nat_traversal.server.cluster import words as w
from nat_traversal.server.cluster.form import decode_card, decode_signal, encode_card, encode_signal
from nat_traversal.server.cluster.trust import Trust
from nat_traversal.settings import ServerSettings

try:
    import redis
    from redis.asyncio.connection import AbstractConnection, ConnectionPool
    from redis.exceptions import RedisError
except ImportError:  # an extra
    _is_new_enough = False
else:
    _is_new_enough = int(redis.__version__.partition(".")[0]) >= 5
if not _is_new_enough:  # Debian 12 has 4.3
    raise UsageError(
        "--store takes the package redis, 5.0 or newer: pip install 'nat-traversal[redis]'"
    )

log = logging.getLogger(__name__)

CLOSED_WITHIN = 1.0
"""Seconds that the end of a server waits for the connections to its store."""
ROW_KEPT = 3600
"""Seconds. By then a row that nobody has renewed goes, whatever its server did."""
_KEY = "nat-traversal:"
# KEYS: the id's row, the peer's row. ARGV: prefix, server, connection, card, seconds.
_CLAIM = """
local function row(key)
  local r = redis.call('HMGET', key, 'server', 'connection', 'card');
  if r[1] and redis.call('EXISTS', ARGV[1] .. 'server:' .. r[1]) == 1 then return r end;
  return false;
end;
local mine = row(KEYS[1]);
if mine and mine[1] ~= ARGV[2] then return {0, mine[1]} end;
local is_news = not mine or mine[2] ~= ARGV[3] or mine[3] ~= ARGV[4];
redis.call('HSET', KEYS[1], 'server', ARGV[2], 'connection', ARGV[3], 'card', ARGV[4]);
redis.call('EXPIRE', KEYS[1], ARGV[5]);
local peer = row(KEYS[2]);
if not peer then return {1} end;
if is_news and peer[1] ~= ARGV[2] then
  local said = '{"kind":"arrived","connection":' .. ARGV[3] .. ',"card":' .. ARGV[4] .. '}';
  redis.call('PUBLISH', ARGV[1] .. 'to:' .. peer[1], ARGV[2] .. ' ' .. said);
end;
return {1, peer[1], peer[2], peer[3]};
"""
_RELEASE = """
if redis.call('HGET', KEYS[1], 'server') == ARGV[1] then redis.call('DEL', KEYS[1]) end;
return 1;
"""
_Answered = Callable[[Any], None]


class RedisStore:
    """Carries out the requests of the server `name`; `feed` gets the answers. Reaches the store again when it is lost.

    Raises `UsageError` for a `url` that is none.
    """

    def __init__(
        self,
        url: str,
        name: str,
        feed: Callable[[w.StoreAnswer], None],
        settings: ServerSettings | None = None,
    ) -> None:
        try:
            # Without time-outs of its own: they come from `asyncio.wait_for`, which in Python 3.11 loses
            # a cancellation that meets the end of what it waits for. `_renew` watches the time.
            self._pool = ConnectionPool.from_url(url, protocol=2, socket_timeout=None)
        except ValueError:
            raise UsageError(  # it may have a password
                "--store: this is no URL of a store: write redis://HOST[:PORT][/NUMBER], rediss:// with TLS, or unix://PATH"
            ) from None
        self._name = name
        self._feed = feed
        self._settings = settings or ServerSettings()
        self._loop = asyncio.get_running_loop()
        self._commands: deque[tuple[_Answered, list[bytes]]] | None = None
        """Commands to be written; None while the store is away."""
        self._can_write = asyncio.Event()
        self._waiting: deque[tuple[_Answered, float]] = deque()
        """Those that were written, and when."""
        self._scripts: tuple[str, str] = ("", "")
        self._heard_at = 0.0
        """When the store last said something to the connection that hears."""
        self._trust = Trust(self._settings)
        self._is_closed = False
        self._task = self._loop.create_task(self._run())

    def request(self, request: w.StoreRequest) -> None:
        """Carry out one request; nothing comes of it while the store is away."""
        claim, release = self._scripts
        match request:
            case w.ClaimId(connection, card):
                register = card.register
                keys = (f"{_KEY}id:{register.id}", f"{_KEY}id:{register.peer}")
                words = (_KEY, self._name, connection, encode_card(card), ROW_KEPT)

                def claimed(said: Any) -> None:
                    self._feed(_claimed(connection, register.id, said))

                self._put(claimed, "EVALSHA", claim, 2, *keys, *words)
            case w.ReleaseId(id_):
                self._put(_ignore, "EVALSHA", release, 1, f"{_KEY}id:{id_}", self._name)
            case w.Send(server, signal):
                said = f"{self._name} {encode_signal(signal)}"
                self._put(_ignore, "PUBLISH", f"{_KEY}to:{server}", said)

    async def close(self) -> None:
        """Give the lease back, so that nobody waits for its end."""
        if self._commands is not None:
            given_back = asyncio.Event()
            self._put(lambda _: given_back.set(), "DEL", f"{_KEY}server:{self._name}")
            self._is_closed = True  # no renewal comes after it
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await given_back.wait()
        self._is_closed = True
        self._task.cancel()
        await asyncio.wait([self._task], timeout=CLOSED_WITHIN)

    def _put(self, answered: _Answered, *words: Any) -> None:
        if self._commands is not None and len(self._commands) < self._settings.store_waiting:
            self._commands.append((answered, [*map(_octets, words)]))
            self._can_write.set()

    async def _run(self) -> None:
        while True:
            reason, was_late = "it ended", False
            try:
                # In a task of its own: Python 3.11's TaskGroup leaves its own request to cancel its task behind,
                # and in 3.11.2 no time-out ends as one then.
                await self._loop.create_task(self._serve())
            except* (RedisError, OSError, EOFError, WireError, TimeoutError) as group:
                was_late = isinstance(group.exceptions[0], TimeoutError)
                reason = str(group.exceptions[0]) or "no answer in time"
            except* Exception as group:
                # The connections are made anew: a mistake must not cost the store for good, and
                # what is no Redis makes it again and again.
                log.debug("the store's connections failed", exc_info=group)
                kind = type(group.exceptions[0]).__name__
                reason = f"the program there answers as no Redis does ({kind})"
            finally:
                self._commands = None
                self._waiting.clear()
            if self._is_closed or _is_cancelled():  # an error at the same moment hides the latter
                return
            self._feed(w.StoreLost(reason))
            await asyncio.sleep(self._trust.lost(self._loop.time(), was_late=was_late))

    async def _serve(self) -> None:
        make = self._pool.make_connection
        commands, hearing = make(), make()  # type: ignore[no-untyped-call]
        try:
            async with asyncio.timeout(self._settings.store_within):
                await commands.connect()
                await hearing.connect()
            await self._try(commands, hearing)
            async with asyncio.timeout(self._settings.store_within):
                await _call(hearing, "SUBSCRIBE", f"{_KEY}to:{self._name}")
                about = _octets(await _call(commands, "INFO", "server")).decode()
                loaded = [await _call(commands, "SCRIPT", "LOAD", s) for s in (_CLAIM, _RELEASE)]
                await _call(commands, *self._lease())
            self._scripts = (_octets(loaded[0]).decode(), _octets(loaded[1]).decode())
            self._commands = deque()
            self._trust.reached(self._loop.time())
            self._feed(w.StoreReached(_admit_in(about, self._settings.store_lease)))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._write(commands, self._commands))
                tasks.create_task(self._read(commands))
                tasks.create_task(self._hear(hearing))
                tasks.create_task(self._renew(hearing))
        finally:
            for each in (commands, hearing):
                with contextlib.suppress(Exception):
                    await each.disconnect(nowait=True)

    async def _try(self, commands: AbstractConnection, hearing: AbstractConnection) -> None:
        """Raises `TimeoutError` unless the store answers in time, as long as it is on trial."""
        trial = self._trust.trial
        until = self._loop.time() + trial
        while self._loop.time() < until:
            async with asyncio.timeout(self._settings.store_within):
                # Each has to write: `CLIENT PAUSE … WRITE` keeps a store from nothing else. In a long trial the ids of
                # this server are free for those that can serve them.
                if trial < self._settings.store_lease:
                    await _call(commands, *self._lease())
                else:
                    await _call(commands, "DEL", f"{_KEY}trial:{self._name}")
                await _call(hearing, "PING")
            await asyncio.sleep(self._settings.store_renew)

    async def _write(
        self, commands: AbstractConnection, queue: deque[tuple[_Answered, list[bytes]]]
    ) -> None:
        while True:
            await self._can_write.wait()
            self._can_write.clear()
            ready, now = [], self._loop.time()
            while queue and len(self._waiting) < self._settings.store_asked:
                answered, words = queue.popleft()
                self._waiting.append((answered, now))
                ready.append(words)
            if ready:
                packed = commands.pack_commands(ready)
                await commands.send_packed_command(packed, check_health=False)

    async def _read(self, commands: AbstractConnection) -> None:
        while True:
            said = await commands.read_response(timeout=math.inf)
            answered, _ = self._waiting.popleft()
            self._can_write.set()
            answered(said)

    async def _hear(self, hearing: AbstractConnection) -> None:
        while True:
            said = await hearing.read_response(timeout=math.inf)
            self._heard_at = self._loop.time()
            if said[0] != b"message":  # the answer to a PING
                continue
            sender, _, text = _octets(said[2]).partition(b" ")
            try:
                self._feed(w.Heard(sender.decode(), decode_signal(text)))
            except WireError as error:
                log.warning("dropped what the server %r published: %s", sender, error)

    async def _renew(self, hearing: AbstractConnection) -> None:
        """Ask on both connections: a NAT or firewall may forget one, and nothing would ever be heard by it again."""
        self._heard_at = self._loop.time()
        while not self._is_closed:
            if self._commands is not None:
                self._commands.appendleft((_ignore, [*map(_octets, self._lease())]))
                self._can_write.set()
            await hearing.send_command("PING", check_health=False)
            await asyncio.sleep(self._settings.store_renew)
            asked_at = self._waiting[0][1] if self._waiting else math.inf
            within = self._settings.store_within
            if self._loop.time() - min(asked_at, self._heard_at) > within:
                raise TimeoutError(f"no answer within {within:g} s")

    def _lease(self) -> tuple[Any, ...]:
        lease = int(self._settings.store_lease * 1000)
        return "SET", f"{_KEY}server:{self._name}", "1", "PX", lease


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _call(connection: AbstractConnection, *words: Any) -> Any:
    await connection.send_command(*words, check_health=False)
    return await connection.read_response(timeout=math.inf)


def _claimed(connection: int, id_: str, said: Any) -> w.StoreAnswer:
    match said:
        case [0, server]:
            return w.HeldElsewhere(connection, _octets(server).decode(errors="replace"))
        case [1]:
            return w.Granted(connection, id_, None)
        case [1, server, number, card]:
            try:
                found = w.Found(_octets(server).decode(), int(number), decode_card(_octets(card)))
            except (
                WireError,
                ValueError,
            ) as error:  # of another version; it concerns this pair alone
                log.warning("the store's row of the peer of %s is no client's: %s", id_, error)
                return w.Granted(connection, id_, None)
            return w.Granted(connection, id_, found)
    raise WireError("an answer of the store that nobody knows")


def _admit_in(about: str, lease: float) -> float:
    """Seconds until every server has shown its clients, where the store has lost its rows: by what it says of itself. It
    reckons by its wall clock, which may be set."""
    most = lease + 1.0
    return min(max(0.0, most - _uptime(about)), most)


def _uptime(about: str) -> float:
    """Seconds that the store has run."""
    for line in about.splitlines():
        name, _, value = line.partition(":")
        if name == "uptime_in_seconds":
            return float(value)
    return 0.0


def _octets(word: Any) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def _ignore(said: Any) -> None:
    del said
