"""Bodies: unpacked in pieces, bounded whatever they announce."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.server.bodies import Budget, read_body
from analyzer.server.limits import Limits
from analyzer.server.refusal import RefusalError


async def arriving(pieces: Sequence[bytes], pause_s: float = 0) -> AsyncIterator[bytes]:
    """Yield pieces as a connection would."""
    for piece in pieces:
        await asyncio.sleep(pause_s)
        yield piece


def read(pieces: Sequence[bytes], *, encoding: str = "", budget: Budget | None = None, **limits: float) -> bytes:
    """Read a body to its end."""
    bounds = Limits(**limits)  # type: ignore[arg-type]

    async def whole() -> bytes:
        with (budget or Budget(bounds.held_bytes_max)).share() as share:
            return await read_body(arriving(pieces), encoding=encoding, length=None, share=share, limits=bounds)

    return asyncio.run(whole())


def cut(body: bytes, sizes: Sequence[int]) -> list[bytes]:
    """Cut a body at any places; empty pieces stay."""
    pieces, at = [], 0
    for size in sizes:
        pieces.append(body[at : at + size])
        at += size
    return [*pieces, body[at:]]


@given(
    body=st.binary(max_size=400),
    again=st.binary(max_size=50),
    sizes=st.lists(st.integers(0, 60), max_size=12),
    packing=st.sampled_from(["", "gzip", "deflate"]),
)
def test_any_cutting_gives_the_same_body(body: bytes, again: bytes, sizes: list[int], packing: str) -> None:
    """However the network cuts a body, and however many members its gzip has, the same bytes come out."""
    sent = {
        "": body + again,
        "gzip": gzip.compress(body) + gzip.compress(again),
        "deflate": zlib.compress(body + again),
    }
    assert read(cut(sent[packing], sizes), encoding=packing) == body + again


@given(size=st.integers(0, 5000), limit=st.integers(0, 5000), packing=st.sampled_from(["", "gzip", "deflate"]))
def test_the_limit_is_exact(size: int, limit: int, packing: str) -> None:
    """A body of just the limit passes, one byte more is 413, packed or not."""
    plain = b"x" * size
    body = {"": plain, "gzip": gzip.compress(plain), "deflate": zlib.compress(plain)}[packing]
    if size <= limit:
        assert read([body], encoding=packing, body_bytes_max=limit) == plain
        return
    with pytest.raises(RefusalError) as caught:
        read([body], encoding=packing, body_bytes_max=limit)
    assert caught.value.status == 413


def test_what_unpacks_to_nothing_has_an_end_too() -> None:
    """Empty gzip members without end are 413 once more bytes arrived than a body may have, and not held meanwhile."""
    member = gzip.compress(b"")
    with pytest.raises(RefusalError) as caught:
        read([member * 400] * 100, encoding="gzip", body_bytes_max=1 << 16)
    assert caught.value.status == 413
    assert read([member * 400, gzip.compress(b"x")], encoding="gzip", body_bytes_max=1 << 16) == b"x"


def test_a_bomb_costs_no_more_than_the_limit() -> None:
    """A gibibyte of zeros in a megabyte stops at the limit: memory stays near it."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(1024)) + packer.flush()
    assert len(bomb) < 2 << 20
    tracemalloc.start()
    try:
        with pytest.raises(RefusalError) as caught:
            read([bomb], encoding="gzip", body_bytes_max=4 << 20)
        assert caught.value.status == 413
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


def test_what_all_requests_hold_is_bounded_and_given_back() -> None:
    """Beyond the common budget a request is put off; afterwards the budget is whole again."""
    budget = Budget(1000)
    with budget.share() as share:
        share.take(600)
        with pytest.raises(RefusalError) as caught:
            read([b"x" * 500], budget=budget)
        assert caught.value.status == 503
        assert budget.held == 600
    assert budget.held == 0
    assert read([b"x" * 1000], budget=budget) == b"x" * 1000


def test_a_client_that_stops_sending_is_let_go() -> None:
    """A body that does not arrive in its time is 408."""
    bounds = Limits(body_s=0.05)

    async def slow() -> bytes:
        with Budget(1000).share() as share:
            return await read_body(arriving([b"x"] * 9, 0.03), encoding="", length=None, share=share, limits=bounds)

    with pytest.raises(RefusalError) as caught:
        asyncio.run(slow())
    assert caught.value.status == 408
