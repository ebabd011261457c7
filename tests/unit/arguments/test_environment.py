"""Every option has a variable: which one, what it takes, and that the command line counts more."""

from __future__ import annotations

import pytest

from nat_traversal.arguments import environment
from nat_traversal.arguments.configured import filled
from nat_traversal.arguments.parser import Parser, checked
from nat_traversal.errors import UsageError


def port(text: str) -> int:
    if not text.isdigit():
        raise UsageError(f"{text!r} is no port")
    return int(text)


def parser(**variables: str) -> Parser:
    made = Parser("program")
    made.add_argument("--server", required=True)
    made.add_argument("--port", type=checked(port), default=6545, help="the port")
    made.add_argument("--relay", choices=["auto", "never"], default="auto")
    made.add_argument("--host", action="append", default=["0.0.0.0"])
    made.add_argument("--once", action="store_true")
    made.add_argument("--server-token")
    how_much = made.add_mutually_exclusive_group()
    how_much.add_argument("-q", "--quiet", action="store_true")
    how_much.add_argument("-v", "--verbose", action="store_true")
    given = {f"NAT_TRAVERSAL_{name}": text for name, text in variables.items()}
    return environment.use(made, given)


def refusal(made: Parser, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        made.parse_args(words)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_a_variable_stands_in_for_an_option_even_for_one_that_is_needed() -> None:
    options = parser(SERVER="server.example", PORT="7000", RELAY="never").parse_args([])
    assert (options.server, options.port, options.relay) == ("server.example", 7000, "never")


def test_the_command_line_counts_more() -> None:
    made = parser(SERVER="server.example", PORT="7000", HOST="192.0.2.1 ::1")
    options = made.parse_args(["--port", "8000", "--host", "192.0.2.9"])
    assert (options.port, options.host) == (8000, ["192.0.2.9"])


def test_a_file_counts_less() -> None:
    options = parser(SERVER="server.example").parse_args([])
    merged = filled(options, {"server": "other.example", "port": 9000})
    assert (merged.server, merged.port) == ("server.example", 9000)


def test_an_option_that_may_be_given_several_times_takes_words() -> None:
    assert parser(SERVER="s", HOST=" 192.0.2.1  ::1 ").parse_args([]).host == ["192.0.2.1", "::1"]


@pytest.mark.parametrize(
    ("text", "value"), [("1", True), ("Yes", True), ("false", False), ("0", False)]
)
def test_a_switch_takes_yes_and_no(text: str, value: bool) -> None:
    assert parser(SERVER="s", ONCE=text).parse_args([]).once is value


def test_an_empty_variable_is_none() -> None:
    options = parser(SERVER="s", PORT="", ONCE="", HOST="").parse_args([])
    assert (options.port, options.once, options.host) == (6545, False, ["0.0.0.0"])


def test_a_variable_that_holds_a_secret_is_no_files_name() -> None:
    assert parser(SERVER="s", SERVER_TOKEN="a-token").parse_args([]).server_token is None


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"PORT": "x"}, "error: $NAT_TRAVERSAL_PORT: 'x' is no port"),
        ({"RELAY": "sometimes"}, "error: $NAT_TRAVERSAL_RELAY: 'sometimes' must be one of auto, never"),
        ({"ONCE": "maybe"}, "error: $NAT_TRAVERSAL_ONCE: 'maybe' must be 1 or 0, true or false, yes or no"),
        ({"QUIET": "1", "VERBOSE": "1"}, "error: --quiet and --verbose exclude each other: leave all but one out of the environment"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_named_in_one_line(
    variables: dict[str, str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refusal(parser(SERVER="s", **variables), capsys).startswith(line)


def test_an_option_on_the_command_line_silences_the_variable_that_it_excludes() -> None:
    options = parser(SERVER="s", QUIET="1").parse_args(["-v"])
    assert (options.quiet, options.verbose) == (False, True)


def test_a_wrong_variable_of_another_command_does_not_matter() -> None:
    both = Parser("program")
    commands = both.add_subparsers(required=True)
    commands.add_parser("server").add_argument("--port", type=checked(port))
    commands.add_parser("client").add_argument("--listen", type=checked(port))
    environment.use(both, {"NAT_TRAVERSAL_LISTEN": "x", "NAT_TRAVERSAL_PORT": "7000"})
    assert both.parse_args(["server"]).port == 7000


def test_a_variable_of_no_option_is_told_with_the_nearest_one() -> None:
    given = {
        "NAT_TRAVERSAL_PORTS": "1",
        "NAT_TRAVERSAL_KEY": "k",
        "NAT_TRAVERSAL_XYZZY": "",
        "PORT": "1",
    }
    assert environment.unknown(parser, given, ["NAT_TRAVERSAL_KEY"]) == [
        "$NAT_TRAVERSAL_PORTS is the variable of no option: did you mean $NAT_TRAVERSAL_PORT?",
        "$NAT_TRAVERSAL_XYZZY is the variable of no option: --help shows them all",
    ]


def test_help_names_every_variable_once() -> None:
    made = environment.name_in_help(parser())
    text = " ".join(made.format_help().split())
    assert "the port [$NAT_TRAVERSAL_PORT]" in text
    for name in ("SERVER", "RELAY", "HOST", "ONCE", "QUIET", "VERBOSE"):
        assert text.count(f"[$NAT_TRAVERSAL_{name}]") == 1
    assert "[$NAT_TRAVERSAL_SERVER_TOKEN]" not in text
