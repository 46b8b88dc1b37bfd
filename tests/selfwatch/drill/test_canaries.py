"""Canaries stand where agents leak secrets, none passes the masker, and one that comes out is named."""

from __future__ import annotations

import pytest
from support.spans import chat, root

from analyzer.masking import Masker
from analyzer.selfwatch.drill.canaries import FORMATS, PLACES, canaries
from analyzer.types.trace import Operation, Status

SPANS = (
    root(1),
    chat(1, 2, input='[{"role": "user", "content": "hello"}]'),
    chat(1, 3, operation=Operation.TOOL, tool="t", output="done", input=None),
    chat(1, 4, operation=Operation.TOOL, tool="t", status=Status.ERROR, status_message="broken"),
)


def test_every_format_stands_in_every_place() -> None:
    """Result, first prompt and error message hold each format once, and each is seen there."""
    made = canaries("one")
    laced = repr(made.laced(SPANS))
    assert len(made.secrets) == len(FORMATS) * len(PLACES)
    assert made.seen_in(laced) == frozenset(made.secrets.values())
    assert made.seen_in(repr(SPANS)) == frozenset()


@pytest.mark.parametrize("place", PLACES)
def test_the_masker_lets_none_through(place) -> None:
    """Of the text that goes into a place nothing secret is left once it is masked."""
    made = canaries("two")
    assert made.seen_in(Masker(b"k" * 32).text(made.sentences[place])) == frozenset()


def test_one_that_comes_out_is_named_by_format_and_place() -> None:
    """A single secret in the bytes of a file is reported as what and where it was, and as nothing else."""
    made = canaries("three")
    secret, where = next(iter(made.secrets.items()))
    assert made.seen_in(b"\x00noise" + secret.encode() + b"noise") == {where}


def test_other_seeds_have_other_secrets() -> None:
    """What a drill puts in stands in no store before it: each has secrets of its own, and the same seed the same."""
    assert not set(canaries("one").secrets) & set(canaries("two").secrets)
    assert canaries("one") == canaries("one")
