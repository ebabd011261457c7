"""Find out what a NAT of the lab really does, before anything relies on its name.

Four remote endpoints (two addresses outside, two ports each) and sockets of an inside host, fresh for
every question. `natlab.probe.network` says where both are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nat_traversal.wire.behavior import Filtering, Mapping
from nat_traversal.wire.endpoint import Endpoint
from natlab.behavior import Protocols, Unsolicited, usual_behavior
from natlab.errors import NatMismatchError, NetworkError
from natlab.presets import Preset
from natlab.probe.sockets import (
    BOTH_OTHER,
    OTHER_ADDRESS,
    SAME_ADDRESS,
    SAME_ENDPOINT,
    Exchange,
    Probe,
    endpoint,
)

if TYPE_CHECKING:  # so that an observation can be read where Mininet is not installed
    import socket


@dataclass(frozen=True, slots=True)
class Observation:
    """The findings of the probes of one NAT."""

    translated: bool
    """The inside host's packets leave from another address or port than its own."""
    closed_until_sent: bool
    """Nothing reaches an inside endpoint that has not sent, even from where others have sent to."""
    mapping: Mapping | None
    """None if no UDP passes."""
    filtering: Filtering | None
    """None if no RFC 4787 term fits what was let in."""
    unsolicited: Unsolicited
    silent: bool
    """No ICMP error came back for a packet that was not let in."""
    probes: tuple[Probe, ...]
    echo_passes: bool = True
    """ICMP echo is answered. Asked only where no UDP passes."""

    def __str__(self) -> str:
        if self.mapping is None:
            return "no UDP passes" if self.echo_passes else "no UDP and no ICMP echo passes"
        if not self.translated and not self.closed_until_sent:
            return "no NAT"
        parts = [
            str(replace(usual_behavior(self.mapping, self.filtering), unsolicited=self.unsolicited))
            if self.filtering
            else f"{self.mapping} mapping with a filter that RFC 4787 has no name for",
            "" if self.translated else "without translation",
            "" if self.closed_until_sent else "open before sending",
            "" if self.silent or self.unsolicited is Unsolicited.REJECT else "answering with ICMP",
        ]
        return ", ".join(filter(None, parts))


def check(preset: Preset, observed: Observation) -> None:
    """Raise `NatMismatchError`, with the probes, unless `observed` is what `preset` names."""
    behavior = preset.behavior
    if behavior is None:
        agrees = (
            observed.mapping is not None
            and not observed.translated
            and not observed.closed_until_sent
        )
    elif behavior.blocks_udp:
        echo = behavior.protocols is Protocols.NO_UDP
        agrees = observed.mapping is None and observed.echo_passes is echo
    else:
        agrees = (
            observed.translated
            and observed.closed_until_sent
            and (observed.mapping, observed.filtering) == (behavior.mapping, behavior.filtering)
            and observed.unsolicited is behavior.unsolicited
        )
    if not agrees:
        wanted = str(behavior) if behavior else "no NAT"
        evidence = "".join(f"\n  {probe}" for probe in observed.probes)
        raise NatMismatchError(
            f"this NAT is not {preset.name}: it should be {wanted} and is {observed}{evidence}"
        )


def observe(exchange: Exchange, preset: Preset, outside: Sequence[str]) -> Observation:
    """Ask everything that shows the two axes of a NAT that is called `preset`.

    `outside` are the addresses that its packets may leave from.

    Raises `NatMismatchError` if they leave from another, and `NetworkError` if what has to arrive
    behind any NAT (a packet out, the answer to it) does not.
    """
    if preset.behavior and preset.behavior.blocks_udp and not exchange.udp_passes().arrived:
        echo = exchange.echo_passes()
        probes = tuple(exchange.probes)
        return Observation(False, True, None, None, Unsolicited.DROP, True, probes, echo)
    leaves_from = exchange.open_fence().address
    if leaves_from not in outside:
        raise NatMismatchError(
            f"this NAT is not {preset.name}: packets leave it from"
            f" {leaves_from} and should from {' or '.join(outside)}"
        )
    return _Prober(exchange, leaves_from).ask()


@dataclass(frozen=True, slots=True)
class _Prober:
    exchange: Exchange
    outside: str

    def ask(self) -> Observation:
        exchange = self.exchange
        inside = exchange.inside()
        mapped = [exchange.send_out("mapping", inside, remote) for remote in exchange.remotes]
        unsent_let_in = [self._comes_in_unsent(remote) for remote in exchange.remotes]
        let_in = [self._comes_in(remote) for remote in exchange.remotes]
        if not let_in[SAME_ENDPOINT]:
            raise NetworkError(f"an answer was not let in: {exchange.probes[-len(let_in)]}")
        mapping = _mapping(mapped)
        moved = self._moves_after_a_stranger()
        silent = not exchange.heard_icmp_error()
        if moved and mapping is Mapping.ENDPOINT_INDEPENDENT:
            unsolicited = Unsolicited.ORDER_SENSITIVE
        else:
            unsolicited = Unsolicited.DROP if silent else Unsolicited.REJECT
        return Observation(
            translated=mapped[0] != endpoint(inside),
            closed_until_sent=not any(unsent_let_in),
            mapping=mapping,
            filtering=_filtering(let_in),
            unsolicited=unsolicited,
            silent=silent,
            probes=tuple(exchange.probes),
        )

    def _comes_in_unsent(self, remote: socket.socket) -> bool:
        """From where others have sent to, to the port that a NAT would use if it kept ports."""
        inside = self.exchange.inside()
        target = Endpoint(self.outside, endpoint(inside).port)
        return self.exchange.send_in("closed until sent", remote, target, inside).arrived

    def _comes_in(self, remote: socket.socket) -> bool:
        inside = self.exchange.inside()
        first = self.exchange.remotes[SAME_ENDPOINT]
        mapped = self.exchange.send_out("filtering", inside, first)
        return self.exchange.send_in("filtering", remote, mapped, inside).arrived

    def _moves_after_a_stranger(self) -> bool:
        """A packet comes to a mapping from where it has not sent; then it sends there."""
        question, exchange = "after a stranger", self.exchange
        inside = exchange.inside()
        stranger = exchange.remotes[BOTH_OTHER]
        mapped = exchange.send_out(question, inside, exchange.remotes[SAME_ENDPOINT])
        exchange.send_in(question, stranger, mapped, inside)
        return exchange.send_out(question, inside, stranger) != mapped


def _mapping(mapped: list[Endpoint]) -> Mapping:
    """Of the endpoints seen by address 1 port 1, address 1 port 2, and the same of address 2."""
    if len(set(mapped)) == 1:
        return Mapping.ENDPOINT_INDEPENDENT
    same_for_address_1 = mapped[SAME_ENDPOINT] == mapped[SAME_ADDRESS]
    same_for_address_2 = mapped[OTHER_ADDRESS] == mapped[BOTH_OTHER]
    if same_for_address_1 and same_for_address_2:
        return Mapping.ADDRESS_DEPENDENT
    return Mapping.ADDRESS_AND_PORT_DEPENDENT


def _filtering(let_in: list[bool]) -> Filtering | None:
    return {
        (True, True, True): Filtering.ENDPOINT_INDEPENDENT,
        (True, False, False): Filtering.ADDRESS_DEPENDENT,
        (False, False, False): Filtering.ADDRESS_AND_PORT_DEPENDENT,
    }.get((let_in[SAME_ADDRESS], let_in[OTHER_ADDRESS], let_in[BOTH_OTHER]))
