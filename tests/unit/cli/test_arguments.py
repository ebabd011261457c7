"""What the command line takes, what it refuses, and that it refuses in one clear line."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence

import pytest

from nat_traversal import Endpoint, __version__
from nat_traversal.aio.resolver import resolve
from nat_traversal.arguments.parser import Parser
from nat_traversal.cli import main as cli
from nat_traversal.cli.client_arguments import client_options, client_options_of
from nat_traversal.cli.exit import Exit
from nat_traversal.cli.options import ClientOptions, ServerOptions
from nat_traversal.cli.peers import words
from nat_traversal.cli.server_arguments import server_options, server_options_of
from nat_traversal.machine import notices as note
from nat_traversal.settings import ClientSettings, ServerSettings
from nat_traversal.wire.endpoint import HostPort

Main = Callable[[Sequence[str]], int]
SERVER_AND_PEER = ("--server", "192.0.2.2", "-r", "host_b")
CLIENT = (*SERVER_AND_PEER, "--id", "host_a")


def status(main: Main, arguments: Sequence[str]) -> int:
    """The exit status, whether it is returned or raised."""
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1


def client(*arguments: str) -> ClientOptions:
    words = [*arguments, "-r", "host_b"]
    if "--server" not in words:
        words += ["--server", "192.0.2.2"]
    return client_options_of(client_options(Parser()).parse_args(words))


def server(*arguments: str) -> ServerOptions:
    return server_options_of(server_options(Parser()).parse_args(arguments))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("192.0.2.2", HostPort("192.0.2.2", 6545)),
        ("192.0.2.2:7000", HostPort("192.0.2.2", 7000)),
        ("example.org", HostPort("example.org", 6545)),
        ("example.org:7000", HostPort("example.org", 7000)),
    ],
)
def test_the_server_is_a_name_or_an_address_with_an_optional_port(
    text: str, parsed: HostPort
) -> None:
    assert client("--server", text).server == parsed


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("5300", HostPort("127.0.0.1", 5300)),
        ("0.0.0.0:5300", HostPort("0.0.0.0", 5300)),
        ("[::1]:5300", HostPort("::1", 5300)),
    ],
)
def test_listen_is_a_port_on_loopback_unless_a_host_is_given(text: str, parsed: HostPort) -> None:
    assert client("--listen", text).listen == parsed


def test_connect_takes_a_name_and_a_port() -> None:
    assert client("--connect", "localhost:53").connect == HostPort("localhost", 53)


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("[fe80::1%eth0]:53", "fe80::1%eth0"),
        (f"{'x' * 63}.example:53", f"{'x' * 63}.example"),
        (f"{'x.' * 126}x:53", f"{'x.' * 126}x"),
        (f"{'x.' * 126}x.:53", f"{'x.' * 126}x."),
        ("dns.example.:65535", "dns.example."),
        ("bücher.example:53", "xn--bcher-kva.example"),
    ],
)
def test_names_and_addresses_at_their_limits_are_taken(text: str, host: str) -> None:
    options = client("--connect", text)
    assert options.connect is not None
    assert options.connect.host == host


def test_a_client_has_no_id_and_forwards_nothing_unless_told() -> None:
    options = client()
    assert (options.id, options.remote) == (None, "host_b")
    assert (options.listen, options.connect, options.once) == (None, None, False)
    assert options.settings == ClientSettings()


def test_a_client_s_timings_are_set_by_name_or_by_an_option_of_their_own() -> None:
    assert client("--idle", "60").settings == ClientSettings(flow_idle=60.0)
    assert client("--idle", "2.5m").settings == ClientSettings(flow_idle=150.0)
    assert client("--set", "announce-first=200ms").settings.announce_first == 0.2
    settings = client("--consent", "6", "--set", "hello-repeats=7").settings
    assert settings == ClientSettings(hello_repeats=7).with_consent(6.0)


@pytest.mark.parametrize("octets", [0, 576, 1280, 65_535])
def test_the_size_of_packets_is_set_by_an_option_of_its_own(octets: int) -> None:
    assert client("--mtu", str(octets)).settings == ClientSettings(mtu=octets)


def test_a_server_listens_on_every_address_and_the_documented_port() -> None:
    assert server() == ServerOptions(("0.0.0.0",), 6545, ServerSettings())


def test_a_server_takes_an_address_a_port_and_settings() -> None:
    options = server(
        "--host", "192.0.2.2", "--port", "0", "--set", "heartbeat=5s", "--max-connections", "7"
    )
    assert options == ServerOptions(("192.0.2.2",), 0, ServerSettings(connections=7, heartbeat=5.0))


WRONG: list[tuple[Main, tuple[str, ...], str]] = [
    (cli.client_main, (), "required: --server, -r/--remote"),
    (cli.client_main, ("--server", "192.0.2.2"), "required: -r/--remote"),
    (cli.client_main, ("-r", "host_b"), "required: --server"),
    (cli.client_main, (*CLIENT, "--server", "host:0"), "number from 1 to 65535"),
    (cli.client_main, (*CLIENT, "--server", "host:65536"), "number from 1 to 65535"),
    (cli.client_main, (*CLIENT, "--server", "host:https"), "number from 1 to 65535"),
    (cli.client_main, (*CLIENT, "--server", "192.0.2"), "'192.0.2' has no usable host"),
    (cli.client_main, (*CLIENT, "--server", ""), "'' has no usable host"),
    (cli.client_main, (*CLIENT, "--server", "a b"), "'a b' has no usable host"),
    (cli.client_main, (*CLIENT, "--id", "host a"), "'host a' cannot be an id: 1 to 64 letters"),
    (cli.client_main, (*CLIENT, "--id", "x" * 65), "cannot be an id"),
    (cli.client_main, (*CLIENT, "--id", ""), "'' cannot be an id"),
    (cli.client_main, (*CLIENT, "--id", "höst"), "cannot be an id"),
    (cli.client_main, (*CLIENT, "-r", "_b"), "beginning with a letter or digit"),
    (cli.client_main, (*CLIENT, "--listen", "0"), "number from 1 to 65535"),
    (cli.client_main, (*CLIENT, "--listen", "70000"), "number from 1 to 65535"),
    (cli.client_main, (*CLIENT, "--listen", "127.0.0.1"), "write HOST:PORT or PORT"),
    (cli.client_main, (*CLIENT, "--listen", "localhost:"), "number from 1 to 65535"),
    (cli.client_main, (*CLIENT, "--connect", "53"), "write HOST:PORT"),
    (cli.client_main, (*CLIENT, "--connect", "localhost"), "'localhost' has no port"),
    (cli.client_main, (*CLIENT, "--connect", ":53"), "no usable host"),
    (cli.client_main, (*CLIENT, "--idle", "0"), "'0' is out of range: give 1s to 86400s"),
    (
        cli.client_main,
        (*CLIENT, "--idle", "1.5x"),
        "is no duration: write it like 40ms, 2.5s or 2m",
    ),
    (cli.client_main, (*CLIENT, "--consent", "0"), "'0' is out of range: give 1s to 86400s"),
    (cli.client_main, (*CLIENT, "--set", "consent=0"), "consent must be a number from 0.001"),
    *(
        (cli.client_main, (*CLIENT, *words), f"mtu must be {reason}")
        for words, reason in (
            (("--mtu", "100"), "0 or a whole number from 576 to 65535, not 100"),
            (("--mtu", "575"), "0 or a whole number from 576 to 65535, not 575"),
            (("--mtu", "65536"), "0 or a whole number from 576 to 65535, not 65536"),
            (("--mtu", "1400.5"), "0 or a whole number from 576 to 65535, not 1400.5"),
            (("--mtu", "large"), "a number, not 'large'"),
            (("--set", "mtu=100"), "0 or a whole number from 576 to 65535, not 100"),
        )
    ),
    (cli.client_main, (*CLIENT, "--idle", "9" * 5000), "is no duration"),
    (cli.client_main, (*CLIENT, "--colour"), "unrecognized arguments: --colour"),
    (cli.client_main, (*CLIENT, "extra"), "unrecognized arguments: extra"),
    *(
        (cli.client_main, (*CLIENT, *words), reason)
        for words, reason in (
            (("--server", "[fe80::1%lo]"), "is link-local: hosts meet only at addresses that are"),
            (("--server", "169.254.1.1"), "is link-local: hosts meet only at addresses that are"),
            (("--server", "224.0.0.1"), "224.0.0.1 is a multicast address, but one host"),
            (("--listen", "255.255.255.255:53"), "is the broadcast address, but one host is meant"),
            (("--connect", "255.255.255.255:53"), "is the broadcast address"),
            (("--connect", "[ff02::1]:53"), "ff02::1 is a multicast address"),
            (
                ("--connect", "[fe80::1]:53"),
                "is link-local: name its interface, as in [fe80::1%eth0]",
            ),
            (("--listen", "[2001:db8::1%eth0]:53"), "is not link-local, so it has no interface"),
            (("--connect", "x:65536"), "the port must be a number from 1 to 65535"),
            (("--connect", f"{'x' * 64}:53"), "labels of 1 to 63 letters"),
            (("--connect", f"{'x.' * 127}x:53"), "labels of 1 to 63 letters"),
            (("--connect", "a..b:53"), "labels of 1 to 63 letters"),
            (("--connect", ".:53"), "has no usable host"),
            (("--connect=-a.b:53",), "'-a.b' is no name"),
            (("--connect", "a.-b:53"), "'a.-b' is no name"),
            (("--connect", f"{'ü' * 64}:53"), "labels of 1 to 63 letters"),
        )
    ),
    *(
        (cli.server_main, ("--host", host), reason)
        for host, reason in (
            ("224.0.0.1", "a multicast address, but one host is meant"),
            ("255.255.255.255", "the broadcast address, but one host is meant"),
            ("fe80::1", "link-local: hosts meet only at addresses that are routed"),
            ("fe80::1%lo", "link-local: hosts meet only at addresses that are routed"),
        )
    ),
    (cli.client_main, CLIENT, "nothing to forward: give --listen PORT, --connect HOST:PORT"),
    (
        cli.client_main,
        (*SERVER_AND_PEER, "--listen", "5300", "--id", "host_b"),
        "--id and -r are both 'host_b'",
    ),
    (cli.server_main, ("--port", "65536"), "'65536' must be a whole number from 0 to 65535"),
    (cli.server_main, ("--port", "-1"), "--port"),
    (cli.server_main, ("--port", "http"), "'http' must be a whole number"),
    (cli.server_main, ("--port", "٣"), "must be a whole number"),
    (cli.server_main, ("--host", "localhost"), "'localhost' is not an IP address"),
    (cli.server_main, ("--max-connections", "0"), "from 2 to 1000000"),
    (cli.server_main, ("--set", "heartbeat"), "'heartbeat' must be NAME=VALUE, with one of conn"),
    (cli.server_main, ("--set", "heartbeat=2h"), "heartbeat must be a number from 0.1 to 3600"),
    (cli.server_main, ("6545",), "unrecognized arguments: 6545"),
    *(
        (cli.client_main, (*CLIENT, "--connect", "127.0.0.1:9", *twice), reason)
        for twice, reason in (
            (("--server", "192.0.2.3"), "--server: given twice, but it takes one value"),
            (("--id", "host_c"), "--id: given twice"),
            (("-r", "host_c"), "-r/--remote: given twice"),
            (("--listen", "2456", "--listen", "2457"), "--listen: given twice"),
            (("--conn", "127.0.0.1:8"), "--connect: given twice"),
            (("--idle", "60", "--idle", "60"), "--idle: given twice"),
            (("--consent", "6", "--consent", "7"), "--consent: given twice"),
            (("--set", "flows=1", "--set", "flows=2"), "flows is given twice"),
            (("--idle", "6", "--set", "flow-idle=6"), "--idle and --set flow-idle say the same"),
            (("--mtu", "1400", "--mtu", "1400"), "--mtu: given twice"),
            (("--mtu", "1400", "--set", "mtu=1400"), "--mtu and --set mtu say the same"),
            (("--consent", "6", "--set", "consent=6"), "--consent and --set consent say the same"),
            (("-q", "-v"), "-v/--verbose: not allowed with argument -q/--quiet"),
        )
    ),
    (
        cli.server_main,
        ("--host", "0.0.0.0", "--host", "127.0.0.1"),
        "--host 0.0.0.0 is every such address: leave 127.0.0.1 out",
    ),
    (cli.server_main, ("--port", "6545", "--port", "6546"), "--port: given twice"),
    (cli.server_main, ("--max-connections", "7") * 2, "--max-connections: given twice"),
    (
        cli.server_main,
        ("--max-connections", "7", "--set", "connections=8"),
        "connections is given twice",
    ),
    (cli.main, ("server", "--port", "1", "--port", "2"), "--port: given twice"),
    (cli.main, (), "required: server|client"),
    (cli.main, ("serve",), "invalid choice: 'serve'"),
    (cli.main, ("client", "--server", "host"), "required: -r/--remote"),
]


@pytest.mark.parametrize(("main", "arguments", "reason"), WRONG)
def test_a_wrong_argument_is_one_line_and_status_2(
    main: Main, arguments: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(main, arguments) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert reason in told.err


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (socket.EAI_NONAME, "there is no such name as 'dns.example'"),
        (
            socket.EAI_AGAIN,
            "the name 'dns.example' cannot be looked up now (why not): is this host online?",
        ),
    ],
)
def test_a_service_name_without_an_address_is_no_wrong_usage(
    code: int, reason: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_such_name(*_: object) -> None:
        raise socket.gaierror(code, "why not")

    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    assert status(cli.client_main, (*CLIENT, "--connect", "dns.example:53", "--once")) == 7
    assert capsys.readouterr().err == f"error: --connect dns.example:53: {reason}\n"


@pytest.mark.parametrize(
    "arguments", [("--listen", "{}"), ("--listen", "127.0.0.1:{}")], ids=["port", "host and port"]
)
def test_a_listening_port_that_is_taken_is_a_wrong_argument(
    arguments: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        option, value = arguments
        words = (*CLIENT, option, value.format(port), "--set", "port-within=0s")
        assert status(cli.client_main, words) == 2
    assert capsys.readouterr().err == (
        f"error: cannot use UDP 127.0.0.1:{port}: another program has it: "
        "stop that, or choose another port\n"
    )


def test_an_address_of_another_host_is_no_wrong_usage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """This host may get it yet."""
    assert status(cli.client_main, (*CLIENT, "--listen", "192.0.2.77:5300", "--once")) == 7
    assert "192.0.2.77:5300: this host has no such address" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["TCP", "UDP"])
def test_a_server_port_that_is_taken_is_a_wrong_argument(
    kind: socket.SocketKind, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        arguments = ("--host", "127.0.0.1", "--port", str(port), "--set", "port-within=0s")
        assert status(cli.server_main, arguments) == 2
    transport = "TCP" if kind is socket.SOCK_STREAM else "UDP"
    assert f"cannot use {transport} 127.0.0.1:{port}: another program" in capsys.readouterr().err


@pytest.mark.parametrize("main", [cli.main, cli.server_main, cli.client_main])
def test_version_and_help_are_status_0(main: Main, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(main, ["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert status(main, ["--help"]) == 0
    told = capsys.readouterr()
    assert told.out.startswith("usage: ")
    assert told.err == ""


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert status(cli.main, ["client", "--help"]) == 0
    client_help = capsys.readouterr().out
    for option in ("--server", "--id", "-r ID", "--remote", "--listen", "--connect", "--once"):
        assert option in client_help
    assert status(cli.main, ["server", "--help"]) == 0
    server_help = capsys.readouterr().out
    for option in (
        "--host",
        "--port",
        "--max-connections",
        "--set",
        "--json",
        "--quiet",
        "--verbose",
    ):
        assert option in server_help


def test_the_resolver_puts_ipv4_first_and_no_address_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [
        (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", 53, 0, 0)),
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 53)),
        (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 53)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
    targets = asyncio.run(resolve(HostPort("localhost", 53)))
    assert targets == [Endpoint("127.0.0.1", 53), Endpoint("::1", 53)]


def test_only_a_path_whose_attempt_is_over_ends_a_once_client() -> None:
    lost, between_rounds = note.PathLost("why"), note.PathLost("why", attempt_goes_on=True)
    assert words.exit_status(lost, once=True) is Exit.CONNECTION_LOST
    assert words.exit_status(between_rounds, once=True) is None
    assert words.exit_status(lost, once=False) is None


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("192.0.2.3", "has no port"),
        ("192.0.2.3:53", "others may trust what comes from port 53"),
        ("0.0.0.0:6546", "is every address"),
        ("224.0.0.1:6546", "multicast"),
        ("server.example:6546", "not an IP address"),
    ],
)
def test_an_alternate_is_another_address_and_a_port_that_nobody_trusts(
    text: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        server_options(Parser("server")).parse_args(["--host", "192.0.2.2", "--alternate", text])
    said = capsys.readouterr().err.splitlines()
    assert what in said[-1]
