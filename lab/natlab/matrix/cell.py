"""One cell: a pair of NATs, the real server and clients, a real DNS service, and the evidence.

The verdict comes from the packets, and the programs' word is checked against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from natlab.errors import LabError
from natlab.evidence.captions import comments
from natlab.evidence.check import LINKS_KEPT, REGIONS_KEPT, Check
from natlab.evidence.explain import explain
from natlab.evidence.journey import CAPTURE_POINTS, TURN_POINTS
from natlab.evidence.result import Beside, CellResult, broken, conclude
from natlab.evidence.trace import Trace, reconstruct
from natlab.matrix.conversation import PRELOADED, PREPARED, Say, converse, programs_agree
from natlab.matrix.coturn import coturn
from natlab.matrix.course import Course, unwritable
from natlab.matrix.jobs import CellJob
from natlab.matrix.payloads import frames_of, payloads
from natlab.network.base import made_by
from natlab.network.loading import load
from natlab.network.network import Topology
from natlab.probe.observe import Observation
from natlab.sandbox.zygote import Prepared, preload
from natlab.testbed.bed import Bed, bed
from natlab.testbed.files import CAPTURE_FILE, KEYS_FILE, LINKS_FILE, RULES_SUFFIX
from natlab.topologies.two_nats import TwoNats


def run_cell(job: CellJob) -> CellResult:
    """Run one cell, inside `natlab.sandbox.sandbox.call`. Its `error` tells the lab's own failures."""
    course = Course(job.directory, verbose=job.verbose)
    case = job.case
    try:
        course.make_directory()
        trace, beside = _gather(job, course.say)
    except LabError as error:
        return broken(case, str(error), course.seconds)
    return conclude(case, trace, beside, course.seconds)


def _gather(job: CellJob, say: Say) -> tuple[Trace, Beside]:
    """Let the programs talk in the lab, and keep the evidence."""
    try:
        (job.directory / KEYS_FILE).unlink(missing_ok=True)  # an earlier run's opens nothing here
    except OSError as error:
        raise unwritable(job.directory, error) from None
    preload(*PRELOADED)

    def keep(name: str, text: str) -> None:
        if name.endswith(RULES_SUFFIX):
            say(f"{name.removesuffix(RULES_SUFFIX)} has its rules")
        elif name == LINKS_FILE:
            say(f"links: {text.rstrip()}")

    with ExitStack() as ready:
        spares = [ready.enter_context(Prepared()) for _ in range(PREPARED)]
        entered = bed(
            made_by(_topology(job), job.firewall),
            job.directory,
            lambda _: TURN_POINTS if job.turn else CAPTURE_POINTS,
            job.links,
            keep,
        )
        stands = ready.enter_context(entered)
        for node, observed in stands.probes.items():
            say(f"{node} is probed: {observed}")
        turned = None
        if job.turn is not None:
            turned = ready.enter_context(coturn(job.turn, stands.network, stands.programs))
            say("coturn is ready")
        conversation = converse(
            stands.network,
            stands.programs,
            job.felt,
            spares=spares,
            methods=job.methods,
            key_log=job.keys,
            server_options=job.server_options,
            turn=turned,
            say=say,
        )
        stands.end()
        kept = tuple(links_kept(stands))
        trace = reconstruct(stands.capture.packets)
        stands.capture.write(job.directory / CAPTURE_FILE, comments(trace))
        agreed = programs_agree(
            conversation, trace.path, heard=not trace.unheard, turned=trace.turned_by is not None
        )
        beside = Beside(
            conversation.method,
            (*agreed, *kept, *_regions_kept(job, trace)),
            {node: evidence(observed) for node, observed in stands.probes.items()},
            stands.rules,
            conversation.said,
            str(Path(job.directory.name) / CAPTURE_FILE),
            payloads(frames_of(trace), job.keys) if job.keys else {},
        )
        say(explain(trace, job.nat_a, job.nat_b))
        if job.keep_open:
            stands.network.prompt()
        return trace, beside


def _topology(job: CellJob) -> Topology:
    turn = int(job.turn is not None)
    if job.regions is not None:
        return load(f"{job.regions.topology(job.nat_a, job.nat_b)},turn={turn}")
    return TwoNats(nat_a=job.nat_a, nat_b=job.nat_b, routers=job.routers, turn=turn)


def _regions_kept(job: CellJob, trace: Trace) -> Iterator[Check]:
    """The packets' times against the delays that the topology has: no frame is early."""
    if job.regions is None:
        return
    out, back = (
        job.links.out.delay - job.links.out.jitter,
        job.links.back.delay - job.links.back.jitter,
    )
    least = (job.regions.to_server(out), job.regions.to_peer(out, back))
    words, kept = [], True
    for what, due, seen in zip(
        ("to the server", "to the peer"), least, trace.shortest_ways, strict=True
    ):
        if seen is not None:
            kept &= seen >= due
            words.append(f"{what} {1000 * seen:.1f} ms, {1000 * due:g} at least")
    took, round_ = trace.connect_seconds, trace.connected_round
    if took is not None and round_ is not None and round_.number == 1:
        due = job.regions.connect(out, back)
        kept &= took >= due
        words.append(f"both had proof after {1000 * took:.1f} ms, {1000 * due:g} at least")
    yield Check(REGIONS_KEPT, kept, "; ".join(words) or "nothing arrived")


def links_kept(stands: Bed) -> Iterator[Check]:
    if stands.links is not None:
        untruths = stands.untruths()
        yield Check(LINKS_KEPT, not untruths, "; ".join([str(stands.links), *untruths]))


def evidence(observed: Observation) -> str:
    return "\n".join([str(observed), *map(str, observed.probes)])
