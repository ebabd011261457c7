"""The options of `config check`."""

from __future__ import annotations

from nat_traversal.arguments.parser import Parser


def config_options(parser: Parser) -> None:
    """Add the commands of `config`."""
    parser.description = "Looks at a client's configuration file, and begins nothing."
    check = parser.add_subparsers(required=True, metavar="check").add_parser(
        "check",
        help="tell every mistake of the file",
        description="Tells every mistake of a client's configuration file, each with its line. "
        "The status is 2 if there is one.",
    )
    check.add_argument(
        "file",
        metavar="FILE|NAME",
        nargs="?",
        help="the file, or its name as nat-traversal client --config takes it (default: client)",
    )
    check.set_defaults(command="config-check")
