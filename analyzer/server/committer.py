"""One thread that decodes and commits what waits: requests of the same moment share a transaction.

A durable commit waits for the disk, whatever its size. While one group is being written the next requests arrive and
wait; they are decoded together, written in one transaction, and each is answered after it. With one client that is a
commit a request; with many it is a few a second, and the wait for the disk costs nothing.

Decoding stands in the same thread on purpose. Python runs one thread at a time, and two that compute take turns of
5 ms; the writer gives up its turn at every statement, so a second computing thread makes it wait a thousand times a
second.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace

from analyzer.errors import AnalyzerError, StoreBusyError
from analyzer.ingest.pricing import Pricer
from analyzer.server.decode import Decoded, Encoding, Signal, decode
from analyzer.server.limits import Limits
from analyzer.server.refusal import RefusalError, busy
from analyzer.stores.base import Added
from analyzer.types.trace import Span


@dataclass(slots=True)
class Tally:
    """What has been done since the start."""

    requests: int = 0
    """Requests that were taken, whole or in part."""
    commits: int = 0
    spans_new: int = 0
    spans_known: int = 0
    rejected: int = 0
    ignored: int = 0
    put_off: int = 0
    """Requests answered with 503: their clients were asked to send them again."""


@dataclass(frozen=True, slots=True)
class _Job:
    signal: Signal
    encoding: Encoding
    body: bytes
    answer: Future[Decoded]


class Committer:
    """Takes request bodies and answers each after its spans are on disk."""

    def __init__(
        self,
        add: Callable[[Sequence[Span]], Added],
        *,
        pricer: Pricer | None,
        limits: Limits,
        say: Callable[[str], None],
    ) -> None:
        """Take the store's `add`; `say` gets a line about failures that nobody foresaw."""
        self._add = add
        self._pricer = pricer
        self._limits = limits
        self._say = say
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self.tally = Tally()
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the writer works."""
        return self._thread.is_alive()

    def submit(self, signal: Signal, encoding: Encoding, body: bytes) -> Future[Decoded]:
        """Return the answer to come: after the commit, or a RefusalError. Raises RefusalError (503) where full.

        A future that is cancelled before its turn is passed over.
        """
        job = _Job(signal, encoding, body, Future())
        with self._changed:
            if self._closing:
                raise busy("the receiver is stopping")
            if len(self._waiting) >= self._limits.waiting_max:
                raise busy("too many requests wait to be written")
            self._waiting.append(job)
            self._changed.notify()
        return job.answer

    def close(self) -> None:
        """Finish what waits and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next():
            try:
                self._commit([job for job in group if job.answer.set_running_or_notify_cancel()])
            except Exception as error:  # noqa: BLE001 - the writer must outlive every bug: without it nothing is taken
                self._unforeseen("the receiver", error)
            for job in group:
                if not job.answer.done():
                    job.answer.set_exception(busy("the receiver failed"))

    def _next(self) -> list[_Job]:
        """Wait for requests and return those that go into the next transaction; none when it is time to end."""
        with self._changed:
            while not self._waiting and not self._closing:
                self._changed.wait()
            group: list[_Job] = []
            size = 0
            while self._waiting and (not group or size + len(self._waiting[0].body) <= self._limits.group_bytes_max):
                group.append(self._waiting.popleft())
                size += len(group[-1].body)
            return group

    def _commit(self, group: Sequence[_Job]) -> None:
        ready = [(job, decoded) for job in group if (decoded := self._decoded(job)) is not None]
        if not ready:
            return
        try:
            self._write(ready)
        except StoreBusyError:
            for job, _ in ready:
                job.answer.set_exception(busy("the store is busy"))
        except Exception as error:  # noqa: BLE001 - whatever the store trips over, the client must keep its batch
            if len(ready) == 1:
                self._failed(*ready[0], error)
                return
            # One request that the store cannot take must not cost the others their commit.
            for one in ready:
                self._commit_alone(one)

    def _commit_alone(self, one: tuple[_Job, Decoded]) -> None:
        try:
            self._write([one])
        except StoreBusyError:
            one[0].answer.set_exception(busy("the store is busy"))
        except Exception as error:  # noqa: BLE001 - as above
            self._failed(*one, error)

    def _failed(self, job: _Job, decoded: Decoded, error: Exception) -> None:
        """Answer a request at which the store failed."""
        self._unforeseen("the store", error)
        rest = None if isinstance(error, AnalyzerError) else self._span_by_span(decoded)
        if rest is None:
            job.answer.set_exception(busy("the store failed"))
        else:
            self._answer(job, rest)

    def _span_by_span(self, decoded: Decoded) -> Decoded | None:
        """Keep what can be kept of a request that holds something the store trips over, and count the rest.

        Put off, it would come again until its client drops all of it. None where nothing can be kept: then it is not
        the spans that are wrong, and what comes again later may pass.
        """
        taken: list[Span] = []
        for span in decoded.spans:
            try:
                self._kept([span])
            except AnalyzerError:
                return None
            except Exception:  # noqa: BLE001, S112 - said once for the request
                continue
            taken.append(span)
        if not taken:
            return None
        lost = len(decoded.spans) - len(taken)
        why = "; ".join(part for part in (decoded.why, f"{lost} spans could not be stored") if part)
        return replace(decoded, spans=tuple(taken), rejected=decoded.rejected + lost, why=why)

    def _write(self, ready: Sequence[tuple[_Job, Decoded]]) -> None:
        """Commit what several requests gave in one transaction, then answer them."""
        spans = [span for _, decoded in ready for span in decoded.spans]
        if spans:
            self._kept(spans)
        for job, decoded in ready:
            self._answer(job, decoded)

    def _kept(self, spans: Sequence[Span]) -> None:
        added = self._add(spans)
        self.tally.commits += 1
        self.tally.spans_new += added.spans_new
        self.tally.spans_known += added.spans_known

    def _answer(self, job: _Job, decoded: Decoded) -> None:
        self.tally.requests += 1
        self.tally.rejected += decoded.rejected
        self.tally.ignored += decoded.ignored
        job.answer.set_result(decoded)

    def _decoded(self, job: _Job) -> Decoded | None:
        try:
            return decode(job.signal, job.encoding, job.body, self._pricer)
        except RefusalError as refusal:
            job.answer.set_exception(refusal)
        except Exception as error:  # noqa: BLE001 - a bug of ours must not make the client drop its batch
            self._unforeseen("decoding a request", error)
            job.answer.set_exception(busy("the request could not be decoded"))
        return None

    def _unforeseen(self, where: str, error: Exception) -> None:
        self._say(f"{where} failed: {type(error).__name__}: {error}")
