"""The words in the source: docstrings and messages are as plain as the documents."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from scripts.rooms import nodes, statements, syntax
from tests import ROOT
from tests.unit.project.test_documents import HEADLESS, LONGEST_SENTENCE, sentences

MODULES = sorted([*(ROOT / "nat_traversal").rglob("*.py"), *(ROOT / "lab").rglob("*.py")])
NAMES = [str(path.relative_to(ROOT)) for path in MODULES]
_HEADLESS_MESSAGE = re.compile(
    r"(?:^|(?<=[.:;] ))(?:who|whom|whoever|what|whatever)\b", re.IGNORECASE
)
_FEWEST_WORDS = 4
"""Of a text that counts as a message to people."""


def docstrings(tree: ast.Module) -> list[ast.Constant]:
    """Every string that stands by itself: of modules, classes, functions, and below a value."""
    found = []
    for each in statements(tree):
        match each:
            case ast.Expr(ast.Constant(str()) as text):
                found.append(text)
    return found


def paragraphs(text: ast.Constant) -> list[str]:
    """Each on one line, without its code."""
    apart = str(text.value).strip().split("\n\n")
    return [re.sub(r"``?[^`]*``?", "CODE", " ".join(each.split())) for each in apart]


def messages(tree: ast.Module) -> Iterator[str]:
    """Every other text of some words, with an X for each value in it."""
    apart = {id(text) for text in docstrings(tree)}
    for node in nodes(tree):
        if isinstance(node, ast.JoinedStr):
            apart |= {id(part) for part in node.values}
    for node in nodes(tree):
        match node:
            case ast.JoinedStr(parts):
                text = "".join(str(p.value) if isinstance(p, ast.Constant) else "X" for p in parts)
            case ast.Constant(str(text)) if id(node) not in apart:
                pass
            case _:
                continue
        if len(text.split()) >= _FEWEST_WORDS:
            yield " ".join(text.split())


def parsed(name: str) -> ast.Module:
    return syntax(ROOT / name)


def test_modules_and_their_messages_are_in_short_sentences_that_have_a_head() -> None:
    wrong = {name: list(not_plain(parsed(name))) for name in NAMES}
    assert {name: found for name, found in wrong.items() if found} == {}


def not_plain(tree: ast.Module) -> Iterator[str]:
    """The texts that break a rule: a job in one line, sentences with a head, and short ones."""
    first = (ast.get_docstring(tree) or "").split("\n")[0]
    if not re.search(r"[.?)…]$|``$", first):
        yield f"{first} goes on in the next line"
    every = [paragraphs(text) for text in docstrings(tree)]
    yield from (found for text in every for each in text for found in HEADLESS.findall(each))
    yield from (s for first, *_ in every for s in sentences(first) if is_long(s))
    told = list(messages(tree))
    yield from (each for each in told if _HEADLESS_MESSAGE.search(each))
    yield from (s for each in told for s in re.split(r"(?<=[.?!:;])\s+", each) if is_long(s))


def is_long(sentence: str) -> bool:
    return len(sentence.split()) > LONGEST_SENTENCE


def test_a_word_that_had_several_meanings_is_one_class() -> None:
    once = ("Attempt", "Counters", "Fate", "Round", "Run", "Session", "Side")
    classes = [
        each.name
        for name in NAMES
        for each in statements(parsed(name))
        if isinstance(each, ast.ClassDef)
    ]
    assert {word: classes.count(word) for word in once} == dict.fromkeys(once, 1)


def test_the_rules_find_what_they_are_about() -> None:
    tree = ast.parse("""def f() -> None:
    '''Drop it.

    What comes late is dropped.
    '''
    raise ValueError(f"stop: whoever {f} is gone")
""")
    assert [HEADLESS.findall(each) for text in docstrings(tree) for each in paragraphs(text)] == [
        [],
        ["What comes late is dropped."],
    ]
    assert [bool(_HEADLESS_MESSAGE.search(each)) for each in messages(tree)] == [True]
