"""A TOML file: what it says, and where each mistake is."""

from __future__ import annotations

import os
import time
from bisect import bisect_left
from pathlib import Path

import pytest

from nat_traversal.arguments.config import MAX_SIZE, Config, parse, read
from nat_traversal.arguments.near import near
from nat_traversal.errors import UsageError

TEXT = '''# a comment
server = "192.0.2.2"
listen = [
  1,  # not the end ]
  2,
]

motd = """
fake = 1
[fake]
"""
point = { x = 1, y = { z = 2 } }
dotted.key.here = 1

[tls]
cert = "a.pem"

[[peer]]
id = "one"
  [[peer.service]]
  name = "dns"
  [[peer.service]]
  name = "web"

[[peer]]
id = "two"
  [[peer.service]]
  name = "game"
  [peer.extra."a.b"]
  x = 1
'''


def config(text: str = TEXT) -> Config:
    return parse(text, "f.toml")


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (("server",), 2),
        (("listen",), 3),
        (("listen", 1), 3),
        (("motd",), 8),
        (("point", "x"), 12),
        (("point", "y", "z"), 12),
        (("dotted", "key", "here"), 13),
        (("tls",), 15),
        (("tls", "cert"), 16),
        (("peer", 0), 18),
        (("peer", 0, "id"), 19),
        (("peer", 0, "service", 0, "name"), 21),
        (("peer", 0, "service", 1, "name"), 23),
        (("peer", 1, "id"), 26),
        (("peer", 1, "service", 0, "name"), 28),
        (("peer", 1, "extra", "a.b", "x"), 30),
        (("peer", 1, "id", "unheard"), 26),
        (("fake",), None),
    ],
)
def test_each_key_has_its_line(key: tuple[str | int, ...], line: int | None) -> None:
    assert config().line(*key) == line


def test_a_problem_is_one_line_with_its_place() -> None:
    assert str(config().problem("no such id", "peer", 1, "id")) == "f.toml:26: no such id"
    assert str(config("").problem("it lacks a server", "server")) == "f.toml: it lacks a server"


def test_options_that_do_not_go_together_are_told_at_the_first_of_them() -> None:
    error = UsageError("--state is for --tls: give it")
    assert str(config('a = 1\ntls = true\nstate = "x"').blamed(error)) == f"f.toml:3: {error}"
    assert config("a = 1").blamed(error) is error


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = \n", "f.toml:2: no TOML: invalid value"),
        ("a = 1\na = 2\n", "f.toml:2: no TOML: cannot overwrite a value"),
        ('a = 1\nb = "x', "f.toml:2: no TOML: "),
        ("host = 192.0.2.2\n", "f.toml:1: no TOML: "),
        ("x = " + "[" * 5000, "f.toml:1: no TOML: "),
    ],
)
def test_a_file_that_is_no_toml_is_told_with_the_line(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        config(text)
    told = str(caught.value)
    assert told.startswith(said)
    assert told.endswith("; write NAME = VALUE, text in quotes")
    assert "\n" not in told


def test_a_number_that_is_too_long_is_told_with_its_line() -> None:
    with pytest.raises(UsageError) as caught:
        config(f"a = 1\nb = {'9' * 5000}\n")
    assert str(caught.value) == "f.toml:2: a number is too long: shorten it"


@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ("{a=", "}")])
def test_a_value_nested_however_deep_is_read_or_told(opened: str, closed: str) -> None:
    def told(depth: int) -> str:
        try:
            parse(f"x = {opened * depth}1{closed * depth}", "f.toml")
        except UsageError as error:
            return str(error)
        return ""

    too_deep = bisect_left(range(1000), 1, key=lambda depth: bool(told(depth)))
    said = {told(depth) for depth in (*range(too_deep - 5, too_deep + 30), 10_000)}
    assert [
        each
        for each in said - {""}
        if "f.toml:1: no TOML: maximum recursion depth exceeded" not in each
    ] == []
    assert said > {""}, "some are read"


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ("[" + "1,\n" * 20_000 + "]", 20_000),
        ('"""' + "\n" * 100_000 + '"""', 100_000),
        ("'''" + "[#'\n" * 50_000 + "'''", 50_000),
    ],
)
def test_a_value_of_many_lines_is_read_once(value: str, lines: int) -> None:
    before = time.process_time()
    text = f'# ends \u2028[not] a table\na = {value}\nb = 2 # {{\n[c]\nd = "#"\n'
    found = config(text)
    assert found.line("a") == 2
    below = [found.line(*key) for key in (("b",), ("c",), ("c", "d"))]
    assert below == [lines + each for each in (3, 4, 5)]
    assert time.process_time() - before < 5.0


@pytest.mark.parametrize(
    "value",
    [
        '"""a\\""""""',
        '"""""a""b\n"""""',
        "'''''a''b\\\n'''''",
        "'\\' # ' [",
        '"\\\\" # " [',
        '"\\"[{#"',
        "[\n'[', \"]\", # ]\n'''\n]''', {a = '}'}]",
    ],
)
def test_the_next_statement_is_found_behind_any_text(value: str) -> None:
    assert config(f"a = {value}\n\nb = 2").line("b") == value.count("\n") + 3


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    absent, folder, odd, long, pipe = (tmp_path / name for name in "abcde")
    os.mkfifo(pipe)
    folder.mkdir()
    odd.write_bytes(b"a = 1\nb = '\xff'\n")
    long.write_bytes(b"#" * (MAX_SIZE + 1))
    for path, said in [
        (absent, f"{absent}: No such file or directory"),
        (folder, f"{folder}: Is a directory"),
        (pipe, f"{pipe}: this is no regular file: name one"),
        (odd, f"{odd}:2: not in UTF-8: save it in that form"),
        (long, f"{long}: more than {MAX_SIZE} octets are no configuration"),
    ]:
        with pytest.raises(UsageError) as caught:
            read(str(path))
        assert str(caught.value) == said


def test_the_mark_of_windows_editors_is_no_mistake(tmp_path: Path) -> None:
    file = tmp_path / "f.toml"
    file.write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read(str(file)).values == {"a": 1}


def test_a_name_that_is_none_gets_the_nearest_or_all() -> None:
    assert near("max_conections", ["max-connections", "host"]) == "did you mean max-connections?"
    assert near("zzz", ["port", "host"]) == "there are host, port"
