"""One cell of neighbours: the real server and clients behind one NAT, one carrier's, or with IPv6, and the evidence."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from nat_traversal.errors import UsageError
from natlab.errors import LabError
from natlab.evidence.fates import Fates
from natlab.evidence.neighbours import broken_neighbours, conclude_neighbours, conduct_of
from natlab.evidence.result import Beside, CellResult
from natlab.evidence.times import both_began
from natlab.matrix.cell import evidence, links_kept
from natlab.matrix.conversation import PRELOADED, PREPARED, converse, programs_agree
from natlab.matrix.course import Course
from natlab.matrix.jobs import NeighbourJob
from natlab.network.base import made_by
from natlab.network.loading import load
from natlab.network.network import Network
from natlab.sandbox.zygote import Prepared, preload
from natlab.testbed.bed import bed
from natlab.testbed.environment import scene
from natlab.testbed.files import CAPTURE_FILE


def run_neighbour_cell(job: NeighbourJob) -> CellResult:
    """Run one cell, inside `natlab.sandbox.sandbox.call`. Its `error` tells the lab's own failures."""
    course = Course(job.directory, verbose=job.verbose)
    try:
        return _run(job, course)
    except (LabError, UsageError) as error:
        return broken_neighbours(job.case, str(error), course.seconds)


def _run(job: NeighbourJob, course: Course) -> CellResult:
    case = job.case
    course.make_directory()
    preload(*PRELOADED)
    with ExitStack() as ready:
        spares = [ready.enter_context(Prepared()) for _ in range(PREPARED)]
        topology = made_by(load(job.where.topology(job.nat_a, job.nat_b)), job.firewall)
        entered = bed(topology, job.directory, lambda network: scene(network).points, job.links)
        stands = ready.enter_context(entered)
        conversation = converse(
            stands.network,
            stands.programs,
            job.links,
            spares=spares,
            methods=job.methods,
            hosts=case.hosts,
            servers=job.where.neighbourhood.servers,
            server_options=job.where.neighbourhood.server_options,
            say=course.say,
        )
        stands.end()
        packets, shown = stands.capture.packets, scene(stands.network)
        fates = Fates(packets, shown)
        stands.capture.write(job.directory / CAPTURE_FILE, fates.comments())
        own = {host: _addresses(stands.network, host) for host in case.hosts}
        conduct = conduct_of(fates, case.hosts, own)
        said = programs_agree(conversation, conduct.path.kind, heard=conduct.is_heard)
        beside = Beside(
            conversation.method,
            (*said, *links_kept(stands)),
            {node: evidence(observed) for node, observed in stands.probes.items()},
            stands.rules,
            conversation.said,
            str(Path(job.directory.name) / CAPTURE_FILE),
        )
        began = both_began(packets, shown, case.hosts)
        result = conclude_neighbours(case, conduct, fates, began, beside, seconds=course.seconds)
        course.say(result.reason)
        return result


def _addresses(network: Network, host: str) -> frozenset[str]:
    return frozenset(str(each.ip) for group in network.addresses(host).values() for each in group)
