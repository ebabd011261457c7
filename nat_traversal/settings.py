"""Every timing and limit that a user, an operator or a test may change: one frozen value each for server and client.

Times are in seconds. A value out of its range is a `UsageError`, when the value is made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from nat_traversal.arguments.durations import DAY
from nat_traversal.arguments.ranges import check, number, seconds


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """The settings that a user may change. Raises `UsageError` for a value out of its range."""

    answer_within: float = seconds(10.0, 0.001)
    """For the server to accept the connection, then to answer the registration, or a ping in doubt at most.
    Two round trips of 5 s, or the third repetition of what TCP lost."""
    answer_in_doubt: float = seconds(1.0)
    """For the answer to a ping in doubt, above three round trips: TCP repeats what it lost after one, and a fifth of a second."""
    reconnect_first: float = seconds(1.0, 0.001)
    """Pause after the first broken connection; doubling, each shortened by up to half."""
    reconnect_most: float = seconds(60.0, 0.001)
    """The longest such pause."""
    reconnect_soon: float = seconds(2.0, 0.001)
    """The longest such pause while no direct path stands, for `reconnect_soon_for`: a server that restarts finds its clients at once."""
    reconnect_soon_for: float = seconds(60.0)
    """For so long after the server was lost."""
    wait_first: float = seconds(0.5, 0.001)
    """Pause until the address of ``--listen`` is tried again, which this host lacks; doubling."""
    wait_most: float = seconds(5.0, 0.001)
    """The longest such pause."""
    port_within: float = seconds(5.0)
    """For another program to give the port of ``--listen`` up: a restart takes less."""
    name_kept: float = seconds(2.0)
    """Age of a look-up of the service's name up to which it will do for a new flow."""
    name_within: float = seconds(0.5)
    """For such a look-up, after which a new flow takes the addresses that were known before."""
    nat64_within: float = seconds(1.0, 0.001)
    """For the resolver to tell the prefix of the network's NAT64."""
    accept_again: float = seconds(0.2, 0.001)
    """Until programs' TCP connections are taken again after one for which this process had no room."""
    tcp_patience: float = seconds(60.0)
    """Without a path to the other side, until TCP connections through it end."""
    tell_again: float = seconds(60.0)
    """Between two words about the same trouble."""
    wake_interval: float = seconds(5.0, 0.001)
    """Between two looks at whether this host was suspended, or its network has changed."""
    silence_heartbeats: float = number(2.5, 1.0, 100.0)
    """Silence that ends a connection, in heartbeats: a ping goes out after one, so two went unanswered."""
    backlog: int = number(64 * 1024, 1, 1 << 30)
    """Octets that may wait for a server that does not read, before the connection is cut."""
    close_within: float = seconds(2.0)
    """For the last octets to leave after a close."""

    announce_first: float = seconds(0.5, 0.001)
    """Pause after an unanswered announce; doubling (RFC 8489 section 6.2.1)."""
    announce_most: float = seconds(4.0, 0.001)
    """The longest such pause."""
    announce_keepalive: float = seconds(15.0, 0.001)
    """Between announces while waiting for the peer (RFC 8445 section 11): keeps the mapping."""
    socket_again: float = seconds(0.5, 0.001)
    """Between two tries to get a socket for which this host has no room: descriptors come free at any moment."""
    udp_silence: float = seconds(5.0)
    """Of unanswered announces, after which the user is told that UDP seems blocked."""
    missing_after: float = seconds(30.0, 0.001)
    """Until the user is told that nobody has registered the peer's id."""

    retry_first: float = seconds(5.0, 0.001)
    """Pause after the first failed attempt; doubling, each shortened by up to half."""
    retry_most: float = seconds(300.0, 0.001)
    """The longest such pause."""
    pair_again: float = seconds(2.0, 0.001)
    """Until ``invite`` and ``accept`` try again to reach the server or the other host."""

    hello_interval: float = seconds(0.3, 0.001)
    """Between repetitions of a HELLO. Above most round trips between peers, so that a loss costs little and
    no loss costs nothing. RFC 8489 section 6.2.1 has 0.5 s, but a round here has only some seconds."""
    hello_repeats: int = number(20, 0, 1000)
    """Repetitions in one state of a round, for the case that the server never ends the round."""
    relay_within: float = seconds(10.0, 0.001)
    """For a relay of the server to carry the peer's words, until this side gives it up."""
    turn_within: float = seconds(15.0, 0.001)
    """For a TURN server to carry the peer's words, its allocation included, until this side gives it up."""
    relay_tcp_after: float = seconds(1.0)
    """Without an answer over UDP, until a relay is tried by TCP as well; at once where UDP has been silent before."""
    explain_after: float = seconds(10.0)
    """Of a relayed path, after which this side finds out how its NAT behaves, to say why; 0: never. A round of the
    contract and its swap take less, so pairs that become direct ask nothing."""
    router_look: float = seconds(60.0, 1.0)
    """Between two questions of a relayed client to its router: whether it has begun to map ports. They are a few datagrams in
    this host's own network."""
    path_linger: float = seconds(3.0)
    """For which a path that datagrams have left goes on to receive: some are on their way."""
    early_hellos: int = number(4, 1, 1000)
    """HELLOs kept until the start of the round that they overtook; the oldest makes room."""

    ping_interval: float = seconds(5.0, 0.001)
    """Between pings on a path (RFC 7675 section 5.1), each jittered by a fifth. Far below the shortest mapping
    timeout that RFC 4787 section 4.3 allows (120 s) and the 30 s of stock Linux."""
    idle_ping: float = seconds(60.0, 0.001)
    """The longest pause between pings on a direct path that programs do not use; it is reached step by step. Half of the 120 s of
    RFC 4787 section 4.3, since a ping may be lost."""
    idle_after: float = seconds(30.0, 0.001)
    """Without a program's datagram, after which a path counts as idle."""
    ping_repeat: float = seconds(1.0, 0.001)
    """Between pings while none is answered. Where a fifth of all packets is lost, five unanswered ones are
    no proof of death (one path in a hundred ended falsely within a minute); thirty are."""
    consent: float = seconds(30.0, 0.001)
    """Without an answered ping, after which the path has ended (RFC 7675 section 5.1)."""
    silent_after: float = seconds(6.0, 0.001)
    """Of unanswered pings, after which the client asks whether the server still answers. Above a round trip
    of 5 s; early enough to have reconnected before consent expires."""
    quiet_after: float = seconds(1.0, 0.004)
    """Without anything authentic, while programs send, after which pings go out quickly."""
    quick_ping: float = seconds(0.3, 0.001)
    """Between such pings: as between HELLOs."""
    quick_for: float = seconds(3.0, 0.001)
    """For which they go on after a program's last datagram: an idle path has keepalives only."""
    leave_after: float = seconds(0.9)
    """Above a round trip, without an answer to them, until another path is looked for. Datagrams leave this one as soon
    as another stands. At a loss of a fifth, one in twenty such looks is in vain, and costs an attempt."""
    doubt_interval: float = seconds(0.5, 0.001)
    """Between pings once the server says that the peer has left."""
    doubt_within: float = seconds(3.0)
    """Above a round trip, without an answered ping, until such a path ends."""
    replaced_within: float = seconds(1.0)
    """The same where another process of the peer has begun a round, and a TURN server relays to the earlier one."""
    mapping_age: float = seconds(0.0, 0.0, DAY)
    """At which a NAT on the way ends a mapping whatever flows through it: the next path opens before. 0: learned, where
    two paths die at the same age."""
    kept_pings: int = number(16, 1, 10_000)
    """The newest pings whose answer counts: in doubt, those of a round trip of more than 5 s."""

    flow_idle: float = seconds(120.0, 0.001)
    """Silence after which a local program's flow is forgotten (RFC 4787 section 4.3: at least 2 minutes)."""
    follow_within: float = seconds(1.0)
    """For a port from which the service has answered, and to which the program's datagrams then go, to answer.
    After that they go to the service's own port again. Above most round trips to a service."""
    flows: int = number(4096, 1, 1_000_000)
    """Flows at a time in each direction. The longest idle one that was answered makes room: one that still waits
    for its answer would lose it."""
    flows_per_source: int = number(1024, 1, 1_000_000)
    """Flows of one address to ``--listen``: a quarter of all, so that no host of this network takes them all. The
    same address's longest idle one makes room."""
    new_flows: int = number(500, 1, 1_000_000)
    """Flows to a service that may begin in a second, and twice as many at once: each takes two sockets."""
    parked_for: float = seconds(10.0)
    """For an answer to come late to a flow that made room: services and resolvers give up earlier."""
    parked_ports: int = number(256, 0, 65_535)
    """Ports of such flows that stay bound. Each takes a file descriptor, so the one parked longest ago makes room."""
    queue: int = number(1024, 1, 1_000_000)
    """Datagrams that wait for `Connection.receive`, or for a service's address; those that come then are dropped."""
    queue_octets: int = number(8 << 20, 65_536, 1 << 40)
    """The same in octets: 1,024 datagrams of 8 KiB, where the longest ones would be eight times as much."""
    batch: int = number(128, 1, 65_536)
    """Datagrams read before the event loop looks after the others again."""
    offload: int = number(1, 0, 1)
    """1: hand runs of datagrams to the kernel at once (GSO, GRO) where it takes them; 0: one by one always."""
    mtu: int = number(0, 576, 65_535, or_zero=True)
    """Octets of the longest IP packet that this side sends on a path, headers and all; 0: search for what passes.
    Every network carries 576 (RFC 1122 section 3.3.3), and IP has no longer ones than 65,535."""
    local_port: int = number(0, 0, 65_528)
    """The first of eight UDP ports that the sockets of paths take in turn, other ones only while all eight are in use;
    0: any. A round needs a fresh socket, and two rounds go on at a time."""
    reassembly_octets: int = number(1 << 20, 65_536, 1 << 30)
    """Octets of datagrams that wait for their other parts; the oldest datagram makes room."""
    reassembly_within: float = seconds(2.0, 0.001)
    """For all parts of a datagram to come."""
    early_frames: int = number(16, 0, 32)
    """Frames kept that overtook the proof of their path; the oldest makes room."""
    socket_buffer: int = number(4 << 20, 2048, 1 << 30)
    """Octets asked of the kernel for each direction; it grants what ``net.core.rmem_max`` allows."""

    def __post_init__(self) -> None:
        check(self)

    def with_consent(self, consent: float) -> ClientSettings:
        """The same with another `consent`, and with pings at least as frequent as six in that time."""
        return replace(
            self,
            consent=consent,
            ping_interval=min(self.ping_interval, consent / 6.0),
            idle_ping=min(self.idle_ping, consent / 6.0),
            ping_repeat=min(self.ping_repeat, consent / 30.0),
            silent_after=min(self.silent_after, consent / 5.0),
            quiet_after=min(self.quiet_after, consent / 3.0),
            quick_ping=min(self.quick_ping, consent / 30.0),
            leave_after=min(self.leave_after, consent / 3.0),
            doubt_interval=min(self.doubt_interval, consent / 6.0),
            doubt_within=min(self.doubt_within, consent),
        )


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The settings of a server, for its operator. Raises `UsageError` for a value out of its range."""

    connections: int = number(4096, 2, 1_000_000)
    """Control connections at a time. An unregistered one makes room for a newcomer."""
    heartbeat: float = seconds(20.0, 0.1, 3600.0)
    """Silence after which either side sends a ping. Most NATs keep TCP for hours, RFC 5382 asks for two."""
    silence_heartbeats: float = number(2.5, 1.0, 100.0)
    """Silence that ends a connection, in heartbeats: a ping goes out after one, so two went unanswered."""
    register_within: float = seconds(10.0, 0.001)
    """For a new connection to register."""
    challenge_within: float = seconds(5.0, 0.001)
    """For the holder of an id to answer, above its round trip, where no key tells whose the id is."""
    proven_within: float = seconds(2.0, 0.001)
    """The same where the newcomer has proven the holder's own key."""
    spared_for: float = seconds(5.0, 0.001)
    """After its answer, until the holder is asked again."""
    kept_handles: int = number(16_384, 0, 1_000_000)
    """Of connections that have gone: a registration with one of them is a recorded one."""
    early_announces: int = number(1024, 0, 1_000_000)
    """Announces kept whose registration is still on its way over TCP."""
    early_within: float = seconds(2.0)
    """How long such an announce is kept: TCP repeats a lost first segment after 1 s (RFC 6298 section 2)."""
    burst: int = number(100, 1, 1_000_000_000)
    """Control messages of one client at once. An attempt takes about ten."""
    rate: float = number(20.0, 0.001, 1e9)
    """Control messages of one client a second, in the long run."""
    longest_round_trip: float = seconds(5.0)
    """A host's round trip to the server, as long as none of its answers has been measured."""
    gather_within: float = seconds(6.0, 0.001)
    """For both hosts to show their sockets once both are registered (several announces long), more by the
    round trip of a host that has to be ordered to open one."""
    ask_after: float = seconds(0.5, 0.001)
    """Of gathering, until a host that has not shown its socket is asked whether it lives."""
    step_within: float = seconds(3.0)
    """Above the round trip, for a host to say that it sent the HELLO it was ordered to send."""
    swap_within: float = seconds(0.4)
    """Above both hosts' round trips, from the order of HELLO 3 until the next round begins beside this one, which
    goes on: one repetition of each HELLO. As many after each sign that proof is on its way."""
    verdict_within: float = seconds(3.0)
    """Above both hosts' round trips, from the order of HELLO 3 until both have proof: ten repetitions of
    each HELLO. As many after each sign that proof is on its way."""
    further_within: float = seconds(1.5)
    """The same in the last round, where a further method follows that both hosts have: five repetitions. It is a
    round as well, and may open what this one did not."""
    verdict_most: float = seconds(30.0)
    """From the order of HELLO 2 until the round ends in any case."""
    drain_within: float = seconds(10.0)
    """For attempts that go on to end, once the server is asked to stop."""
    return_first: float = seconds(1.0, 0.0, 3600.0)
    """Until the first client comes back that a stopping server has sent away: a restart takes less."""
    return_rate: float = number(500.0, 0.001, 1e9)
    """Such clients a second: a third of what a server takes in that time."""
    relay_pairs: int = number(256, 0, 65_535)
    """Pairs that have a relay at a time; 0: no relay at all."""
    relay_datagrams: float = number(2_000.0, 1.0, 1e9)
    """Datagrams a second that a pair's relay hands on, both directions together; as many at once."""
    relay_octets: float = number(1_250_000.0, 65_536.0, 1e12)
    """The same in octets of UDP payload: 10 Mbit/s."""
    relay_all_datagrams: float = number(20_000.0, 1.0, 1e9)
    """Datagrams a second that all relays together hand on."""
    relay_all_octets: float = number(12_500_000.0, 65_536.0, 1e12)
    """The same in octets."""
    relay_idle: float = seconds(60.0, 0.001)
    """Without a datagram, after which a pair's relay ends: clients ping every 5 s."""
    relay_most: float = seconds(DAY, 1.0, 30 * DAY)
    """After which a pair's relay ends in any case; the next attempt gives another."""
    relay_after: float = seconds(1.0)
    """From the moment that both hosts are here until a relay stands, where no direct path does, above two round
    trips."""
    backlog: int = number(64 * 1024, 1, 1 << 30)
    """Octets that may wait for a client that does not read, before its connection is cut."""
    close_within: float = seconds(2.0)
    """For the last octets to leave after a close."""
    wait_first: float = seconds(0.5, 0.001)
    """Pause until the address to listen on is tried again, which this host lacks; doubling."""
    wait_most: float = seconds(5.0, 0.001)
    """The longest such pause."""
    port_within: float = seconds(5.0)
    """For another program to give the port up: a restart takes less."""
    accept_backlog: int = number(1024, 1, 65_535)
    """Connections that wait in the kernel (it takes no more than ``net.core.somaxconn``)."""
    accept_burst: int = number(8, 1, 1024)
    """Connections taken before the event loop looks after the others again. Taking all that wait would use
    up the open files before the cap on connections could act."""
    accept_again: float = seconds(0.2, 0.001)
    """Until connections are taken again after one for which this process had no room."""
    monitor_within: float = seconds(5.0, 0.001)
    """For a request at ``--metrics`` to come, and for its answer to go."""
    status_every: float = seconds(5.0, 0.001)
    """Between two status lines to the service manager."""
    datagram_burst: int = number(64, 1, 65_536)
    """Datagrams read before the event loop looks after the others again."""
    sources: int = number(65_536, 16, 10_000_000)
    """Sources (IPv4 addresses, /64 of IPv6) whose budgets are remembered; the one seen longest ago makes room."""
    unregistered: int = number(1024, 1, 1_000_000)
    """Connections at a time that have not registered; the oldest makes room."""
    unregistered_per_source: int = number(64, 1, 1_000_000)
    """The same, of one source."""
    registered_per_source: int = number(256, 1, 1_000_000)
    """Registered connections of one source at a time."""
    pairs: int = number(64, 1, 65_535)
    """Registrations that one connection carries: a client's peers. Each counts as a connection in all other bounds."""
    reserved: int = number(512, 0, 1_000_000)
    """Connections kept for sources that have none, at most an eighth of `connections`."""
    connects_burst: int = number(128, 1, 1_000_000)
    """Connections that one source may make at once: all hosts of a company come back after a restart."""
    connects_per_source: float = number(16.0, 0.001, 1e9)
    """Connections that one source may make a second, in the long run."""
    connects_in_all: float = number(200.0, 0.001, 1e9)
    """Connections a second of all sources that make more than one in 5 s."""
    control_burst: float = number(60.0, 1.0, 1e9)
    """Units of control messages of one source that come before those of sources which say more. A message is
    one, a registration five, a retry three."""
    control_per_source: float = number(4.0, 0.001, 1e9)
    """The same, a second in the long run."""
    control_share: float = number(0.8, 0.01, 1.0)
    """Of the processor's time for all control messages beyond that. They wait, source by source, unread."""
    attempts_burst: int = number(3, 1, 1_000_000)
    """Attempts of one pair at once: the first, and two more after a restart or a change of networks."""
    attempt_every: float = seconds(5.0, 0.001)
    """Between two attempts of one pair in the long run."""
    attempts_per_source: float = number(16.0, 0.1, 1e9)
    """Attempts of all hosts of one source a second, in the long run; four times as many at once."""
    attempts_in_all: float = number(2000.0, 1.0, 1e9)
    """Attempts a second."""
    log_burst: int = number(20, 1, 1_000_000)
    """Lines at once about what one source causes for one reason."""
    log_every: float = seconds(1.0, 0.0)
    """Between two such lines in the long run; the next one tells how many were kept back."""
    log_most: int = number(100, 1, 1_000_000)
    """Pairs of source and reason told of in that time."""
    stun_per_source: float = number(10.0, 1.0, 1e9)
    """STUN requests of one source answered a second."""
    unproven_per_source: float = number(64.0, 1.0, 1e9)
    """Other answers over UDP a second to one source at which the host has not shown yet that it receives; four times as
    many at once. That is four for each attempt that one source may begin."""
    stun_in_all: float = number(1000.0, 1.0, 1e9)
    """STUN requests answered a second."""
    store_lease: float = seconds(5.0, 0.1)
    """Until the rows in a shared store count no longer whose server has gone, or is cut off from it. The same at all servers."""
    store_renew: float = seconds(1.0)
    """Between two renewals of this server's lease."""
    store_within: float = seconds(2.5, 0.001)
    """For the store to answer, else the connection is over: well within the lease."""
    store_asked: int = number(256, 1, 1_000_000)
    """Requests that the store has at a time. Further ones wait here: all clients' at once are no reason to take it for late."""
    store_waiting: int = number(100_000, 1, 100_000_000)
    """Requests that may wait; with more the store is too slow."""
    store_retry_first: float = seconds(0.5, 0.001)
    """Between two tries to reach the store; doubling while it answers late."""
    store_retry_most: float = seconds(4.0, 0.001)
    """The longest such pause."""
    store_trial_first: float = seconds(2.0)
    """For which a store that was late has to answer in time before it counts as back, within the lease; doubling with each loss."""
    store_trial_most: float = seconds(30.0)
    """The longest such trial."""
    store_steady: float = seconds(60.0)
    """After which a store that answers is trusted as one that was never late."""

    def __post_init__(self) -> None:
        check(self)

    @property
    def lease(self) -> float:
        """For how long an id is claimed of the store: past the silence that ends a connection."""
        return (self.silence_heartbeats + 1.0) * self.heartbeat


@dataclass(frozen=True, slots=True)
class CheckSettings:
    """The settings of a check of this host's NAT. Raises `UsageError` for a value out of its range."""

    rate: int = number(9, 1, 100_000)
    """Requests to a server in any second. Servers of this package answer 10 a second and source."""
    tries: int = number(5, 1, 100)
    """Of a question whose silence says something: where a fifth of all packets is lost, one in 165 goes unheard."""
    interval: float = seconds(0.2, 0.001)
    """Between two tries, at least; else 1.5 round trips."""
    first_interval: float = seconds(0.5, 0.001)
    """The same, until a round trip has been measured (RFC 8489 section 6.2.1)."""
    tcp_within: float = seconds(3.0, 0.001)
    """For a TCP connection to open, where nothing comes over UDP."""

    def __post_init__(self) -> None:
        check(self)
