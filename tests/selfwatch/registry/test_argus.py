"""The Argus Catalog, by a stand-in over HTTP: what is sent, what is made of its answers, and what a bad one costs."""

from __future__ import annotations

import json
import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.argus import TOKEN, catalogue
from support.http import Answer, loopback
from support.incidents import NOW, incident, report

from analyzer.errors import DeliveryError, RefusedError
from analyzer.selfwatch.registry.argus import Argus
from analyzer.selfwatch.registry.base import Registration, Skill
from analyzer.selfwatch.registry.enrolment import EVENTS_MAX, Enrolment
from analyzer.types.report import Gap, State, Subject
from analyzer.types.terms import Terms

OWN = Registration(
    "analyzer",
    description="watches",
    version="0.1.0",
    model="claude-sonnet-5-5",
    url="https://a.example.org",
    needs_token=True,
    tools=("span", "search"),
    skills=(Skill("s", "Skill", "does it", ("x",)),),
)
ENTRY = {
    "description": "watches",
    "version": "0.1.0",
    "base_model": "claude-sonnet-5-5",
    "model_provider": "anthropic",
    "endpoint": "https://a.example.org",
    "protocol": "REST",
    "auth_method": "bearer token",
    "capabilities": ["span", "search"],
    "use_cases": ["does it"],
}


def enrolment(url: str, *, seconds: float = 5.0, token: str | None = TOKEN, **fields) -> Enrolment:
    """Return a place in a catalogue."""
    return Enrolment(Argus(url, token=token), OWN, seconds=seconds, enters=token is not None, **fields)


def of_now(*incidents):
    """Return a report of a run at NOW."""
    made = report(*incidents)
    return replace(made, run=replace(made.run, at=NOW))


@contextmanager
def dripping() -> Iterator[str]:
    """Serve an answer that comes a byte at a time and never ends."""
    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            with suppress(OSError):
                peer, _ = server.accept()
                with peer:
                    peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                    while not stopping.wait(0.05):
                        peer.sendall(b" ")

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        stopping.set()
        thread.join(5)


def test_the_analyst_enters_itself_once_and_then_says_what_is_new_of_it() -> None:
    """The first process is entered; the second one is told 409, which is as good, and brings the entry up to date."""
    with catalogue() as there:
        assert enrolment(there.url).begin() == Terms(version="2026-06-13T00:00:00")
        assert there.agents["analyzer"] == {"created_by": "analyst", "name": "analyzer", "status": "active", **ENTRY}
        there.agents["analyzer"].update(version="0.0.9", status="staging", max_steps=3)
        again = enrolment(there.url)
        assert again.begin().steps_max == 3
    assert again.gaps == ()
    assert there.agents["analyzer"]["version"] == "0.1.0"
    assert there.agents["analyzer"]["status"] == "staging"
    assert there.calls == [
        ("POST", ""), ("GET", "/analyzer/policy"),
        ("POST", ""), ("PATCH", "/analyzer"), ("GET", "/analyzer/policy"),
    ]  # fmt: skip


def test_an_entry_of_somebody_else_is_left_alone_and_its_terms_hold() -> None:
    """Who may not change the entry says so as a gap, and keeps to what the catalogue lays down all the same."""
    with catalogue() as there:
        there.enter("analyzer", max_steps=2)
        place = enrolment(there.url)
        assert place.begin().steps_max == 2
        assert place.ran(of_now()) == ()
    [gap] = place.gaps
    assert gap.why == "the entry was not brought up to date: the Argus Catalog refused the message (403)"
    assert [name for name, _ in there.invocations] == ["analyzer"]


def test_without_a_token_the_analyst_enters_nothing() -> None:
    """Terms need no token; where nobody entered the analyst, that is a gap and nothing more is asked."""
    with catalogue() as there:
        lost = enrolment(there.url, token=None)
        assert lost.begin() == Terms()
        assert lost.ran(of_now()) == ()
        assert there.calls == [("GET", "/analyzer/policy")]
        there.enter("analyzer", budget_limit=0.5)
        found = enrolment(there.url, token=None)
        assert found.begin().usd_max == 0.5
    assert [gap.why for gap in lost.gaps] == ["'analyzer' is not entered there, which needs a token"]
    assert found.gaps == ()


def test_a_wrong_token_is_a_gap() -> None:
    """The setting to look at is named; the token is in no text."""
    with catalogue() as there:
        place = enrolment(there.url, token="wrong")
        assert place.begin() == Terms()
    [gap] = place.gaps
    assert gap == Gap(
        "the catalogue of agents",
        "the Argus Catalog refused the message (401)",
        "the limits of the settings hold; check ANALYZER_ARGUS_URL and ANALYZER_ARGUS_TOKEN; the run itself is not"
        " affected",
    )


def test_a_run_is_told_once_with_what_it_found() -> None:
    """One invocation a run; incidents of agents that are entered become events, those of others do not; all once."""
    shop = incident(state=State.OPEN, subject=Subject(agent="shop"), opened_at=NOW, last_seen_at=NOW)
    known = replace(shop, id="inc-known", state=State.ONGOING)
    over = replace(shop, id="inc-over", state=State.RESOLVED, resolved_at=NOW)
    long_over = replace(over, id="inc-long", resolved_at=NOW - timedelta(days=1))
    elsewhere = replace(shop, id="inc-else", subject=Subject(agent="not/entered"))
    with catalogue() as there:
        there.enter("shop")
        place = enrolment(there.url, consumer="night", page=lambda one: f"https://a/{one.id}")
        place.begin()
        made = of_now(shop, known, over, long_over, elsewhere)
        assert place.ran(made) == ()
        assert place.ran(made) == ()
    [(name, told)] = there.invocations
    assert name == "analyzer"
    assert told == {
        "status": "success",
        "consumer": "night",
        "latency_ms": round(made.run.duration_s * 1000),
        "input_tokens": made.run.llm.input_tokens,
        "output_tokens": made.run.llm.output_tokens,
        "cost": made.run.llm.cost_usd,
        "session_id": made.run.trace_id,
    }
    assert [(agent, event["session_id"], event["metadata"]["state"]) for agent, event in there.events] == [
        ("shop", shop.id, "open"),
        ("shop", "inc-over", "resolved"),
    ]
    event = there.events[0][1]
    assert (event["stage"], event["decision"], event["action_type"]) == ("post_exec", "allow", "incident")
    assert (event["reason"], event["metadata"]["url"]) == (shop.title, f"https://a/{shop.id}")


def test_a_run_that_broke_off_is_told_as_an_error() -> None:
    """What ended it is named by its type alone."""
    with catalogue() as there:
        place = enrolment(there.url)
        place.begin()
        place.broke_off("StoreError", "t1")
    assert there.invocations == [("analyzer", {"status": "error", "error_type": "StoreError", "session_id": "t1"})]


def test_events_of_a_run_are_bounded() -> None:
    """A storm of incidents is no storm of requests."""
    many = [incident(id=f"inc-{n}", subject=Subject(agent="shop"), opened_at=NOW, last_seen_at=NOW) for n in range(50)]
    with catalogue() as there:
        there.enter("shop")
        place = enrolment(there.url)
        place.begin()
        place.ran(of_now(*many))
    assert len(there.events) == EVENTS_MAX


def test_the_terms_are_read_as_they_are_meant() -> None:
    """A budget is of the unit that is set; tools are those that were entered, and none entered is no word on tools."""
    with catalogue() as there:
        there.enter("analyzer", max_steps=4, budget_limit=3, status="blocked")
        argus = Argus(there.url, usd_per_unit=7.0)
        assert argus.terms("analyzer") == Terms("2026-06-13T00:00:00", 4, 21.0, None, is_barred=True)
        there.tools["analyzer"] = ["span"]
        there.agents["analyzer"] = {"status": "active"}
        assert argus.terms("analyzer") == Terms("2026-06-13T00:00:00", tools=frozenset({"span"}))
        with pytest.raises(RefusedError):
            argus.terms("nobody")


STRANGE = [
    b"<html>",
    b"[]",
    b"[" * 100_000,
    b'{"max_steps": -1}',
    b'{"max_steps": "many"}',
    b'{"max_steps": true}',
    b'{"budget_limit": NaN}',
    b'{"allowed_tools": "all"}',
    b'{"allowed_tools": [{"name": 3}]}',
    b'{"allowed_tools": [[]]}',
    b'{"max_steps": 1' + b"0" * 5000 + b"}",
]


@pytest.mark.parametrize("body", STRANGE, ids=lambda body: body[:30].decode())
def test_a_strange_policy_is_a_gap_and_the_settings_hold(body: bytes) -> None:
    """What cannot be understood is not guessed at."""
    with loopback(lambda _asked: Answer(body)) as server:
        place = enrolment(server.url)
        assert place.begin() == Terms()
    [gap] = place.gaps
    assert "not as it should" in gap.why
    assert gap.hint.startswith("the limits of the settings hold")


_JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("max_steps", "budget_limit", "allowed_tools", "status"), _JSON))
)
def test_whatever_a_policy_holds_is_terms_or_an_error_of_ours(policy) -> None:
    """Limits that were understood are finite or absent, and never below nothing."""
    argus = Argus("http://127.0.0.1:9")
    argus._read = lambda _path: policy
    try:
        terms = argus.terms("analyzer")
    except DeliveryError:
        return
    assert terms.steps_max is None or 0 <= terms.steps_max < 2**31
    assert terms.usd_max is None or (terms.usd_max >= 0 and not math.isnan(terms.usd_max))
    assert terms.tools is None or terms.tools


def test_a_catalogue_that_is_not_there_is_a_gap_and_is_not_asked_again() -> None:
    """Whoever did not answer at the beginning is not waited for at the end."""
    place = enrolment("http://127.0.0.1:9")
    assert place.begin() == Terms()
    assert place.ran(of_now()) == ()
    assert [gap.why for gap in place.gaps] == ["the Argus Catalog could not be reached (ConnectionRefusedError)"]


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "a byte a moment"])
def test_a_catalogue_that_hangs_costs_its_time_and_no_more(drips: bool) -> None:
    """Silence, and an answer that never ends, are left behind when the time is over."""
    began = time.monotonic()
    if drips:
        with dripping() as url:
            place = enrolment(url, seconds=0.4)
            assert place.begin() == Terms()
            assert place.ran(of_now()) == ()
    else:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            place = enrolment(f"http://127.0.0.1:{silent.getsockname()[1]}", seconds=0.4)
            assert place.begin() == Terms()
            assert place.ran(of_now()) == ()
    assert time.monotonic() - began < 15
    [gap] = place.gaps
    assert "did not answer within" in gap.why


def test_the_end_of_a_run_has_what_the_beginning_left_of_the_time() -> None:
    """A catalogue that grows slow while a run is at work costs what is left, and is a gap."""
    with catalogue() as there:
        place = enrolment(there.url, seconds=1.0)
        place.begin()
    with loopback(lambda _asked: Answer(delay_s=30)) as slow:
        place._argus._api = f"{slow.url}/api/v1/ai-agents"
        began = time.monotonic()
        [gap] = place.ran(of_now())
    assert time.monotonic() - began < 15
    assert "did not answer within" in gap.why


def test_no_redirect_takes_the_token_elsewhere() -> None:
    """A catalogue that points elsewhere is refused, and nobody else is sent the token."""
    with loopback(lambda _asked: Answer(b"{}")) as other:
        there = loopback(lambda _asked: Answer(b"", 307, {"Location": other.url}))
        with there as server:
            place = enrolment(server.url)
            assert place.begin() == Terms()
        assert other.asked == []
    assert "redirect" in place.gaps[0].why


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a?b#c", "\u2028", "x" * 300])
def test_a_name_from_spans_reaches_no_other_path(name: str) -> None:
    """An agent may be called anything: what is asked stays below the catalogue's own path."""
    with catalogue() as there:
        assert not Argus(there.url, token=TOKEN).happened(name, {"stage": "post_exec", "decision": "allow"})
        assert all(one.path.startswith("/api/v1/ai-agents/") and one.path.count("/") == 5 for one in there.asked)


def test_figures_that_are_no_numbers_are_told_as_unknown() -> None:
    """Infinity has no place in JSON."""
    odd = incident(subject=Subject(agent="shop"), opened_at=NOW, last_seen_at=NOW, observed=math.inf)
    with catalogue() as there:
        there.enter("shop")
        place = enrolment(there.url)
        place.begin()
        assert place.ran(of_now(odd)) == ()
    assert there.events[0][1]["metadata"]["observed"] is None
    assert json.dumps(there.events, allow_nan=False)
