"""The socket by which a user asks a running client: who may, what it takes, and what two instances do."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nat_traversal.aio.local_socket import AT_A_TIME, MOST_OCTETS, Answer, LocalSocket, Request
from nat_traversal.cli.local import ask, sockets
from nat_traversal.errors import InstanceRunsError, UsageError
from tests.features import linux_only


async def echo(request: Request) -> Answer:
    return {"asked": dict(request)}


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[LocalSocket]:
    local = LocalSocket(tmp_path / "run" / "hub.sock", echo)
    await local.open()
    yield local
    await local.close()


async def answer_to(path: Path, octets: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(octets)
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_it_answers_one_line_with_one_line(local: LocalSocket) -> None:
    answer = await answer_to(local.path, b'{"ask": "status"}\n')
    assert json.loads(answer) == {"asked": {"ask": "status"}}
    assert answer.count(b"\n") == 1


@pytest.mark.parametrize(
    "octets", [b"\n", b"no\n", b"[]\n", b"[" * 9000 + b"\n", b" " * (MOST_OCTETS + 9)]
)
async def test_nonsense_gets_one_line_that_says_what_a_request_is(
    local: LocalSocket, octets: bytes
) -> None:
    answer = json.loads(await answer_to(local.path, octets))
    assert answer["error"].startswith("one JSON object in a line")


async def test_many_that_only_connect_keep_nobody_out(local: LocalSocket) -> None:
    idle = [await asyncio.open_unix_connection(str(local.path)) for _ in range(150)]
    for _ in range(3):
        assert json.loads(await answer_to(local.path, b"{}\n")) == {"asked": {}}
    still_open = [reader for reader, _ in idle if not reader.at_eof()]
    assert len(still_open) <= AT_A_TIME
    for _, writer in idle:
        writer.close()


async def test_those_whose_answers_are_being_made_are_not_ended_for_others(tmp_path: Path) -> None:
    all_there, goes_on = asyncio.Event(), asyncio.Event()
    asked: list[Request] = []

    async def slow(request: Request) -> Answer:
        asked.append(request)
        if len(asked) == AT_A_TIME:
            all_there.set()
        await goes_on.wait()
        return {"asked": dict(request)}

    local = LocalSocket(tmp_path / "run" / "hub.sock", slow)
    await local.open()
    first = [asyncio.ensure_future(answer_to(local.path, b"{}\n")) for _ in range(AT_A_TIME)]
    await all_there.wait()
    with pytest.raises(UsageError, match=r"gave no answer|does not answer"):
        await asyncio.to_thread(ask, local.path, ask="status")
    goes_on.set()
    assert await asyncio.gather(*first) == [b'{"asked": {}}\n'] * AT_A_TIME
    await local.close()


async def test_a_mistake_of_this_program_is_one_line_too(tmp_path: Path) -> None:
    async def fail(request: Request) -> Answer:
        return {"asked": request["lacking"]}

    local = LocalSocket(tmp_path / "run" / "hub.sock", fail)
    await local.open()
    says = "this is a mistake in nat-traversal: KeyError: report it"
    try:
        answer = json.loads(await answer_to(local.path, b"{}\n"))
        with pytest.raises(UsageError, match=f"^{says}$"):
            await asyncio.to_thread(ask, local.path, ask="status")
    finally:
        await local.close()
    assert answer == {"error": says}


async def test_only_its_owner_finds_and_opens_it(local: LocalSocket) -> None:
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (local.path.parent, local.path)]
    assert modes == [0o700, 0o600]


@linux_only
@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_another_user_gets_no_answer_even_where_the_modes_would_let_it(
    tmp_path: Path, local: LocalSocket
) -> None:
    for path, mode in ((tmp_path, 0o755), (local.path.parent, 0o755), (local.path, 0o777)):
        path.chmod(mode)
    for folder in tmp_path.parents:
        if folder.stat().st_uid == os.getuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    code = (
        "import os, socket, sys; os.setgid(65534); os.setuid(65534); s = socket.socket(socket.AF_UNIX); "
        "s.connect(sys.argv[1]); s.sendall(b'{}\\n'); print(s.recv(9))"
    )
    asking = await asyncio.create_subprocess_exec(
        "/usr/bin/python3",
        "-c",
        code,
        str(local.path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await asking.communicate()
    assert out == b"b''\n" or b"ConnectionResetError" in err or b"BrokenPipe" in err, (out, err)


async def test_a_second_instance_is_told_and_a_dead_one_s_remains_are_replaced(
    tmp_path: Path,
) -> None:
    path = tmp_path / "run" / "hub.sock"
    first, second = LocalSocket(path, echo), LocalSocket(path, echo)
    await first.open()
    with pytest.raises(
        InstanceRunsError, match="another client named hub runs already: end that one"
    ):
        await second.open()
    assert await answer_to(path, b"{}\n") == b'{"asked": {}}\n'
    await first.close()
    assert list(path.parent.iterdir()) == []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    await second.open()
    assert await answer_to(path, b"{}\n") == b'{"asked": {}}\n'
    await second.close()


@pytest.mark.parametrize(("mode", "says"), [(0o755, "chmod 700"), (0o770, "chmod 700")])
async def test_a_folder_that_others_can_enter_is_refused(
    tmp_path: Path, mode: int, says: str
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(UsageError, match=says):
        await LocalSocket(folder / "hub.sock", echo).open()
    assert list(folder.iterdir()) == []


@linux_only
@pytest.mark.skipif(os.getuid() != 0, reason="only root can make what belongs to another user")
async def test_a_link_that_another_user_has_made_is_not_followed(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    link = tmp_path / "run"
    link.symlink_to(there)
    os.chown(link, 65534, 65534, follow_symlinks=False)
    with pytest.raises(UsageError, match="belongs to another user"):
        await LocalSocket(link / "hub.sock", echo).open()
    assert list(there.iterdir()) == []


async def test_nobody_asks_where_another_user_may_answer(
    local: LocalSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = local.path.parent.rename(local.path.parent.with_name("nat-traversal"))
    where = {"XDG_RUNTIME_DIR": str(folder.parent)}
    assert folder / "hub.sock" in sockets(where)
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    with pytest.raises(UsageError, match="belongs to another user"):
        list(sockets(where))


async def test_a_path_that_is_too_long_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with pytest.raises(UsageError, match="too long"):
        await LocalSocket(folder / f"{'x' * 120}.sock", echo).open()
    assert list(folder.iterdir()) == []
