"""Runs of programs' datagrams across two clients: whole, in order, each flow's own, with the kernel's help and without."""

from __future__ import annotations

import random

import pytest

from nat_traversal import ClientSettings
from tests.loopback.hosts import two_hosts
from tests.loopback.programs import Program, Service
from tests.loopback.support import eventually, unused

SIZES = [1, 64, 512, 1_200]
OFFLOAD = [ClientSettings(offload=0), ClientSettings(offload=1)]


@pytest.mark.parametrize("settings", OFFLOAD, ids=["one by one", "runs"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_program_s_runs_and_the_answers_to_them_arrive_whole_and_in_order(
    settings: ClientSettings, size: int
) -> None:
    rng = random.Random(size)
    runs = [[rng.randbytes(size) for _ in range(rng.randrange(2, 50))] for _ in range(12)]
    for run in runs:
        run[-1] = run[-1][: rng.randrange(1, size + 1)]
    with Program() as service, Program() as program:
        async with two_hosts(connect=[service.endpoint], settings=settings) as (a, _):
            program.send(b"begin", a.port)
            _, source = await service.receive()
            service.send(b"begun", source)
            await program.receive()
            for run in runs:
                program.send_run(b"".join(run), size, a.port)
                assert [(await service.receive())[0] for _ in run] == run
                service.send_run(b"".join(run), size, source)
                assert [(await program.receive())[0] for _ in run] == run


@pytest.mark.parametrize("settings", OFFLOAD, ids=["one by one", "runs"])
async def test_runs_of_many_programs_at_once_stay_apart(settings: ClientSettings) -> None:
    programs = [Program() for _ in range(20)]
    with Service(answer=lambda payload, source: payload + b" %5d" % source.port) as service:
        async with two_hosts(connect=[service.endpoint], settings=settings) as (a, _):
            for turn in range(3):
                for number, program in enumerate(programs):
                    run = b"".join(b"%02d %02d %02d" % (number, turn, n) for n in range(5))
                    program.send_run(run, 8, a.port)
            ports = set[bytes]()
            for number, program in enumerate(programs):
                answers = [(await program.receive())[0] for _ in range(15)]
                assert [each[:8] for each in answers] == [
                    b"%02d %02d %02d" % (number, turn, n) for turn in range(3) for n in range(5)
                ]
                assert len({each[8:] for each in answers}) == 1
                ports.add(answers[0][8:])
            assert len(ports) == len(programs)
    for program in programs:
        program.sock.close()


async def test_a_run_to_a_service_that_has_gone_is_counted_as_its_datagrams() -> None:
    target = unused()
    with Program() as program:
        async with two_hosts(connect=[target]) as (a, b):
            with Service(*target.sockaddr):
                await program.ask(b"x", a.port)
            program.send_run(b"0123456789", 1, a.port)
            await eventually(lambda: b.counters["refused"] == 10, "each of them is counted")


async def test_a_run_goes_on_whole_where_the_service_listens_on_its_other_address() -> None:
    first, second = unused(), unused()
    with Program(*second.sockaddr) as service, Program() as program:
        async with two_hosts(connect=[first, second]) as (a, b):
            program.send_run(b"0123456789", 1, a.port)
            assert [(await service.receive())[0] for _ in range(10)] == [
                b"%d" % number for number in range(10)
            ]
            assert b.counters.counted() == {"received": 10}
