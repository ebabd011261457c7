"""`--config`: the options of a file, those of the command line over them, and every mistake with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from nat_traversal.arguments.parser import Parser
from nat_traversal.cli import main as cli
from nat_traversal.cli.config_file import merged, request_of
from nat_traversal.cli.options import ServerOptions
from nat_traversal.cli.server_arguments import server_options, server_options_of
from nat_traversal.cli.tls import SelfSigned
from nat_traversal.errors import UsageError
from nat_traversal.settings import ServerSettings


def server(file: Path, text: str, *arguments: str) -> ServerOptions:
    file.write_text(text, encoding="utf-8")
    given = server_options(Parser()).parse_args([*arguments, "--config", str(file)])
    return request_of(merged(given), server_options_of)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "server.toml"


def test_a_file_has_the_names_of_the_options(file: Path) -> None:
    text = """
        host = ["192.0.2.2", "2001:db8::2"]
        port = 7000
        max-connections = 9
        tls = true
        state = "/var/lib/x"
        [set]
        heartbeat = "5s"
        burst = 7
    """
    assert server(file, text) == ServerOptions(
        ("192.0.2.2", "2001:db8::2"),
        7000,
        ServerSettings(connections=9, heartbeat=5.0, burst=7),
        SelfSigned("/var/lib/x"),
    )
    assert server(file, "") == ServerOptions(("0.0.0.0",), 6545, ServerSettings())
    assert server(file, 'host = "192.0.2.2"').hosts == ("192.0.2.2",)


def test_the_command_line_counts_more(file: Path) -> None:
    text = """
        host = ["192.0.2.2", "192.0.2.3"]
        port = 7000
        [set]
        heartbeat = "5s"
        burst = 7
    """
    options = server(file, text, "--host", "192.0.2.4", "--port", "6545", "--set", "burst=8")
    settings = ServerSettings(heartbeat=5.0, burst=8)
    assert options == ServerOptions(("192.0.2.4",), 6545, settings)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("\nmax_connections = 1", 2, "there is no option 'max_connections': did you mean max-connections?"),
        ('config = "x"', 1, "there is no option 'config': there are allow, alternate, hash-ids, host, json, "),
        ("tls = 1", 1, "tls must be true or false, without quotes"),
        ('tls = "true"', 1, "tls must be true or false, without quotes"),
        ("port = true", 1, "port must be a text in quotes or a number"),
        ("port = [1]", 1, "port must be a text in quotes or a number"),
        ("port = 70000", 1, "port: '70000' must be a whole number from 0 to 65535"),
        ("port = 6545.5", 1, "port: '6545.5' must be a whole number"),
        ('host = ["192.0.2.2", "nas"]', 1, "host: 'nas' is not an IP address (such as "),
        ('host = ["192.0.2.2", "192.0.2.2"]', 1, "--host 192.0.2.2 is given twice: give each address once"),
        ("set = 1", 1, "set must be a table: write [set], then NAME = VALUE"),
        ("[set]\nbrust = 1", 2, "there is no setting 'brust': did you mean burst?"),
        ("[set]\nburst = 0", 2, "burst must be a whole number from 1 to "),
        ('[set]\nheartbeat = "5 s"', 2, "heartbeat: '5 s' is no duration: write it like "),
        ("[set]\nburst = [1]", 2, "burst must be a text in quotes or a number"),
        ('port = 1\nstate = "x"', 2, "--state is for the certificate of --tls: give --tls as well"),
        ("json = true\nquiet = true\nverbose = true", 2, "--quiet and --verbose exclude each other"),
    ],
)  # fmt: skip
def test_every_mistake_is_one_line_with_its_place(
    file: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(UsageError) as caught:
        server(file, text)
    told = str(caught.value)
    assert told.startswith(f"{file}:{line}: {said}")
    assert "\n" not in told


def test_the_command_ends_with_the_line_and_status_2(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("prot = 1")
    assert cli.server_main(["--config", str(file)]) == 2
    assert capsys.readouterr().err.endswith(
        f"error: {file}:1: there is no option 'prot': did you mean port?\n"
    )
