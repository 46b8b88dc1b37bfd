"""The writer: groups what waits, answers after the commit, outlives everything."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager

import pytest
from support.otlp_requests import request, span, to_proto

from analyzer.errors import StoreBusyError
from analyzer.server.committer import Committer
from analyzer.server.decode import Decoded, Encoding, Signal
from analyzer.server.limits import Limits
from analyzer.server.refusal import RefusalError
from analyzer.stores.base import Added
from analyzer.types.trace import Span


class Gate:
    """A store whose first commit waits until it is let go, so that requests gather behind it."""

    def __init__(self, poison: str = "") -> None:
        self.commits: list[list[str]] = []
        self.entered = threading.Event()
        self.free = threading.Event()
        self.poison = poison

    def add(self, spans: Sequence[Span]) -> Added:
        """Keep the names; a batch that holds the poison fails as a whole."""
        self.entered.set()
        assert self.free.wait(10)
        names = [one.name for one in spans]
        if self.poison in names:
            raise ValueError(self.poison)
        self.commits.append(names)
        return Added(len(names), 0, 1)


@contextmanager
def gathering(gate: Gate, **limits: int) -> Iterator[Committer]:
    """Give a committer that is busy with a first request."""
    committer = Committer(gate.add, pricer=None, limits=Limits(**limits), say=lambda _line: None)
    with closing(committer):
        committer.submit(Signal.TRACES, Encoding.PROTO, body("first"))
        assert gate.entered.wait(10)
        try:
            yield committer
        finally:
            gate.free.set()


def body(name: str) -> bytes:
    """Return a request of one span."""
    return to_proto(request(span(1, name=name)))


def send(committer: Committer, name: str) -> Future[Decoded]:
    """Submit a request of one span."""
    return committer.submit(Signal.TRACES, Encoding.PROTO, body(name))


def test_what_waits_is_committed_together() -> None:
    """Requests that arrive during a commit share the next one, and none is answered before it."""
    gate = Gate()
    with gathering(gate) as committer:
        answers = [send(committer, name) for name in "abc"]
        assert not any(answer.done() for answer in answers)
        gate.free.set()
        assert not wait(answers, 10).not_done
        assert gate.commits == [["first"], ["a", "b", "c"]]
        assert (committer.tally.commits, committer.tally.requests) == (2, 4)


def test_a_group_has_a_size() -> None:
    """A group ends where its bodies would be larger than allowed, and always holds one."""
    gate = Gate()
    with gathering(gate, group_bytes_max=2 * len(body("a"))) as committer:
        answers = [send(committer, name) for name in "abcde"]
        gate.free.set()
        assert not wait(answers, 10).not_done
        assert gate.commits == [["first"], ["a", "b"], ["c", "d"], ["e"]]


def test_a_request_that_cannot_be_stored_does_not_cost_the_others() -> None:
    """Where a group fails, each request is committed for itself, and only the bad one is put off."""
    gate = Gate(poison="b")
    with gathering(gate) as committer:
        answers = [send(committer, name) for name in "abc"]
        gate.free.set()
        assert not wait(answers, 10).not_done
        assert gate.commits == [["first"], ["a"], ["c"]]
        with pytest.raises(RefusalError) as caught:
            answers[1].result()
        assert caught.value.status == 503


def test_a_span_that_cannot_be_stored_does_not_cost_its_request() -> None:
    """Where one span of a request makes the store fail, it is counted as rejected and the others are kept."""
    gate = Gate(poison="bad")
    with gathering(gate) as committer:
        mixed = to_proto(request(span(1, name="a"), span(2, name="bad"), span(3, name="c")))
        answer = committer.submit(Signal.TRACES, Encoding.PROTO, mixed)
        gate.free.set()
        decoded = answer.result(10)
    assert (decoded.rejected, decoded.why) == (1, "1 spans could not be stored")
    assert gate.commits == [["first"], ["a"], ["c"]]
    assert (committer.tally.spans_new, committer.tally.rejected) == (3, 1)


def test_a_broken_request_is_refused_beside_good_ones() -> None:
    """A body that cannot be decoded is refused, and its neighbours are committed."""
    gate = Gate()
    with gathering(gate) as committer:
        good = send(committer, "a")
        bad = committer.submit(Signal.TRACES, Encoding.PROTO, b"\xff")
        gate.free.set()
        assert good.result(10).rejected == 0
        with pytest.raises(RefusalError) as caught:
            bad.result(10)
        assert caught.value.status == 400


def test_the_line_has_an_end() -> None:
    """Beyond the number that may wait, a request is put off at once."""
    gate = Gate()
    with gathering(gate, waiting_max=2) as committer:
        answers = [send(committer, name) for name in "ab"]
        with pytest.raises(RefusalError) as caught:
            send(committer, "c")
        assert caught.value.status == 503
        gate.free.set()
        assert not wait(answers, 10).not_done


def test_who_went_away_is_passed_over() -> None:
    """A request that was put off before its turn is not written: its client sends it again."""
    gate = Gate()
    with gathering(gate) as committer:
        gone, here = send(committer, "gone"), send(committer, "here")
        assert gone.cancel()
        gate.free.set()
        here.result(10)
        assert gate.commits == [["first"], ["here"]]


def test_closing_finishes_what_waits() -> None:
    """What was accepted before the end is committed; what comes after it is put off."""
    gate = Gate()
    with gathering(gate) as committer:
        answer = send(committer, "last")
        gate.free.set()
    assert answer.result(0).rejected == 0
    assert gate.commits[-1][-1] == "last"
    with pytest.raises(RefusalError):
        send(committer, "late")


def test_a_busy_store_puts_everybody_off_and_the_writer_lives() -> None:
    """After a commit that failed for a lock, the next one works."""
    states = iter([StoreBusyError("held"), None])

    def add(spans: Sequence[Span]) -> Added:
        if (error := next(states)) is not None:
            raise error
        return Added(len(spans), 0, 1)

    with closing(Committer(add, pricer=None, limits=Limits(), say=lambda _line: None)) as committer:
        with pytest.raises(RefusalError, match="the store is busy"):
            send(committer, "a").result(10)
        assert send(committer, "a").result(10).rejected == 0
        assert committer.alive
