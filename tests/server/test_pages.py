"""The pages as a browser asks for them: what they show, who sees them, and what cannot happen."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.hostile import ATTACKS, hostile_incident
from support.incidents import cost_incident
from support.receiver import ask
from support.site import Shown, Structure, showing
from support.spans import chat, history, root, tool, trace_id

from analyzer.errors import StoreError
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.report import Incident, SpanEvidence
from analyzer.types.trace import Span, Status
from analyzer.types.word import Said

TOKEN = "correct-horse-battery"
QUOTE = "order not found"
DIFFERENT, LOOPING = 1, 2


def spans(text: str = "") -> list[Span]:
    """Return two small runs: one that says a text in every field, one that repeats itself."""
    named = {"agent": text or "shop", "agent_version": text or "1.0", "model": text or "gpt-4o"}
    first = [
        root(DIFFERENT, input=history(f"Where is it? {text}"), output=text, user_id=text or None, **named),
        chat(DIFFERENT, 2, **named, input=history("Where is it?", text), output=history(text or "I look."), system=text,
             tool_definitions=text, attributes={text or "key": text}, resource={"service.name": text}),
        tool(DIFFERENT, 3, tool=text or "lookup", name=text or "lookup", input=text or "{}", output=f"{QUOTE} {text}",
             status=Status.ERROR, status_message=text or "no such order", error_type=text or "LookupError"),
    ]  # fmt: skip
    calls = [
        tool(LOOPING, number, at_s=number, tool="lookup", input='{"order": 7}', output=QUOTE) for number in range(2, 32)
    ]
    return [*first, root(LOOPING, lasts_s=60), *calls]


def incident(one: Incident) -> Incident:
    """Return an incident that cites the first run."""
    quote = SpanEvidence("E1", trace_id(DIFFERENT), f"{3:016x}", "output", QUOTE)
    return replace(one, evidence=(quote,), trace_ids=(trace_id(DIFFERENT),), healthy_trace_ids=(trace_id(LOOPING),))


def filled(path: Path, one: Incident, text: str = "") -> Path:
    """Fill a store."""
    with SqliteTrajectories(path) as store:
        store.add(spans(text))
        memory = SqliteIncidents(store.connection)
        memory.save_incidents([one], run_trace_id="f" * 32)
    return path


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Pages over a small store, without a token."""
    with showing(filled(tmp_path_factory.mktemp("pages") / "store.db", incident(cost_incident()))) as served:
        yield served


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Shown]:
    """The same behind a token."""
    with showing(filled(tmp_path / "store.db", incident(cost_incident())), token=TOKEN) as served:
        yield served


def paths(one: Incident) -> list[str]:
    """Return the address of every page."""
    run, other = f"/trajectories/{trace_id(DIFFERENT)}", f"/trajectories/{trace_id(LOOPING)}"
    return [
        "/",
        "/?days=28",
        "/incidents",
        "/incidents?state=all&severity=high&kind=cost&agent=shop",
        f"/incidents/{one.id}",
        "/trajectories",
        "/trajectories?q=order",
        "/trajectories?errors=1&order=cost&page=2&version=1",
        run,
        other,
        f"{other}?open={2:016x}",
        f"{run}/spans/{2:016x}",
        f"{run}/spans/{3:016x}?incident={one.id}&evidence=E1",
        f"{run}/spans/{3:016x}?mark=ORDER&whole=1",
        "/compare",
        f"/compare?a={trace_id(DIFFERENT)}&b={trace_id(LOOPING)}",
        "/analyst",
        "/settings",
    ]


def leads_away(place: str) -> bool:
    """Tell whether a place on a page is not one of this server."""
    return not place.startswith(("/", "#")) or place.startswith("//")


def test_every_page_answers_with_nothing_inline_and_nothing_from_elsewhere(shown: Shown) -> None:
    """Each page is drawn, forbids whatever is not its own, has one h1, and leads to this server alone."""
    for path in paths(cost_incident()):
        told = shown.get(path)
        assert told.status == 200, path
        assert "default-src 'none'" in told.headers["content-security-policy"]
        assert "unsafe" not in told.headers["content-security-policy"]
        assert (told.headers["x-content-type-options"], told.headers["cache-control"]) == ("nosniff", "no-store")
        page = Structure(told.body)
        names = {name for _, attributes in page.tags for name in attributes}
        assert not {name for name in names if name.startswith("on")} | ({"style"} & names)
        assert [tag for tag, _ in page.tags].count("h1") == 1
        assert {place for place in page.places if leads_away(place)} == set()
    assert shown.said == []


Tags = set[tuple[str, tuple[str, ...]]]


def structures(folder: Path, text: str) -> list[Structure]:
    """Return every page over a store that holds a text in every field."""
    one = incident(hostile_incident(text))
    with showing(filled(folder / "store.db", one, text)) as served:
        pages = [Structure(served.get(path).body) for path in paths(one)]
        assert served.said == []
    return pages


@pytest.fixture(scope="module")
def harmless(tmp_path_factory: pytest.TempPathFactory) -> Tags:
    """The tags of all pages over a plain word; backticks make code, and a text may be none."""
    pages = structures(tmp_path_factory.mktemp("harmless"), "word")
    return {tag for page in pages for tag in page.tags} | {("code", ()), ("p", ()), ("a", ("href",))}


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_of_spans_and_incidents_is_never_markup(tmp_path: Path, harmless: Tags, attack: str) -> None:
    """With an attack in every field the pages have no tag and attribute but those of a plain word's, and lead here."""
    pages = structures(tmp_path, attack)
    assert {tag for page in pages for tag in page.tags} <= harmless
    assert {place for page in pages for place in page.places if leads_away(place)} == set()
    assert not any(char in page.text for page in pages for char in "\x1b\u202e\u200b")


def test_a_foreign_name_that_leads_here_is_turned_away(shown: Shown) -> None:
    """DNS rebinding: a page asked for under another site's name is not shown, whatever the address."""
    for host in (
        "evil.example",
        "evil.example:4318",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "",
    ):
        told = shown.get("/", Host=host)
        assert told.status == 421, host
        assert b"support-triage" not in told.body
    for host in ("localhost", "localhost:4318", "127.0.0.1:1", "[::1]:4318", "LOCALHOST."):
        assert shown.get("/", Host=host).status == 200, host


def test_the_start_page_leads_to_the_incident_and_it_to_the_marked_quote(shown: Shown) -> None:
    """Fleet, incident and span are linked, and the quote is marked where it stands."""
    assert f'href="/incidents/{cost_incident().id}"' in shown.get("/").body.decode()
    page = shown.get(f"/incidents/{cost_incident().id}").body.decode()
    place = re.search(r'class="open" href="([^"#]+)#quote"', page)
    assert place
    span = shown.get(place.group(1).replace("&amp;", "&")).body.decode()
    assert f'<mark id="quote">{QUOTE}</mark>' in span
    assert span.count("<mark") == 1


def test_evidence_that_is_not_there_any_more_is_said(shown: Shown) -> None:
    """A link with an unknown evidence or a text that is nowhere shows the span and says so."""
    span = f"/trajectories/{trace_id(DIFFERENT)}/spans/{3:016x}"
    assert b"has no such evidence" in shown.get(f"{span}?incident={cost_incident().id}&evidence=E99").body
    assert b"does not stand in this span" in shown.get(f"{span}?mark=unheard-of").body
    assert shown.get(f"{span}?incident=inc-none&evidence=E1").status == 200


def test_a_repeat_is_one_row_and_opens_into_its_steps(shown: Shown) -> None:
    """Thirty equal calls are one line; asked to open, they stand row by row."""
    address = f"/trajectories/{trace_id(LOOPING)}"
    folded = shown.get(address).body.decode()
    assert "\u00d730" in folded
    assert folded.count("<tr") < 8
    opened = shown.get(f"{address}?open={2:016x}").body.decode()
    assert opened.count('class="what') == 30


def test_a_long_trajectory_comes_in_pages_that_hold_every_span_once(tmp_path: Path) -> None:
    """All spans of 1,000 different ones stand on the pages, in order, none twice."""
    path = tmp_path / "store.db"
    with SqliteTrajectories(path) as store:
        store.add([root(1), *(tool(1, n, at_s=n, tool=f"tool-{n}", input=f"{n}") for n in range(2, 1001))])
    with showing(path) as served:
        first = served.get(f"/trajectories/{trace_id(1)}").body.decode()
        assert "page=3" in first
        assert "page=4" not in first
        found: list[str] = []
        for page in (1, 2, 3):
            text = served.get(f"/trajectories/{trace_id(1)}?page={page}").body.decode()
            found += re.findall(r'class="span" href="[^"]*/spans/([0-9a-f]{16})"', text)
    assert found == [f"{n:016x}" for n in range(1, 1001)]


def test_what_does_not_exist_is_a_page_for_browsers_and_a_status_for_exporters(shown: Shown) -> None:
    """An unknown address or id is a 404 in the language of whoever asks."""
    for path in ("/nothing", "/incidents/inc-none", f"/trajectories/{'e' * 32}", "/assets/site.py"):
        told = shown.get(path)
        assert (told.status, told.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
        assert b"<h1>Not shown</h1>" in told.body
    told = ask(shown.url, "POST", "/v1/nothing", b"{}", {"Content-Type": "application/json"})
    assert (told.status, told.document["code"]) == (404, 5)


def test_assets_are_kept_until_they_change(shown: Shown) -> None:
    """An asset under its mark is kept for a year; without it, or known already, it is asked for again and not sent."""
    page = shown.get("/").body.decode()
    for place in re.findall(r'(?:href|src)="(/assets/[^"]+)"', page):
        told = shown.get(place)
        assert told.status == 200
        assert "immutable" in told.headers["cache-control"]
        again = shown.get(place, If_None_Match=told.headers["etag"])
        assert (again.status, again.body) == (304, b"")
        assert shown.get(place.partition("?")[0]).headers["cache-control"] == "no-cache"


def test_no_page_waits_for_a_writer_or_takes_its_lock(shown: Shown) -> None:
    """Every page answers while another connection holds the write lock."""
    writer = sqlite3.connect(shown.store.connection.path)
    try:
        writer.execute("BEGIN IMMEDIATE")
        assert {shown.get(path).status for path in paths(cost_incident())} == {200}
    finally:
        writer.rollback()
        writer.close()


def test_a_store_opened_for_reading_cannot_write(shown: Shown) -> None:
    """Neither spans nor words go in by a reader's connection."""
    with SqliteTrajectories(shown.store.connection.path, read_only=True) as reader:
        with pytest.raises(StoreError, match="readonly"):
            reader.add([root(9)])
        assert reader.summaries(limit=9)


def test_a_word_is_kept_masked_and_takes_the_incident_off_the_list(tmp_path: Path) -> None:
    """Dismissed with a reason, an incident is gone from the open ones; a secret in the reason is not kept."""
    one = incident(cost_incident())
    with showing(filled(tmp_path / "store.db", one)) as served:
        place = f"/incidents/{one.id}"
        secret = "ghp_" + "x7Kq2mVd9RtYb4LsWz8NcPf3HgJa6EuT0oQi"
        fields = {"mark": served.mark(place), "said": "dismissed", "reason": f"known, {secret}", "by": "ann <b>"}
        told = served.post(f"{place}/words", fields)
        assert (told.status, told.headers["location"]) == (303, place)
        assert f'href="{place}"' not in served.get("/incidents").body.decode()
        assert f'href="{place}"' in served.get("/incidents?state=dismissed").body.decode()
        page = served.get(place).body.decode()
        assert "Dismissed by ann &lt;b&gt;" in page
        assert secret not in page
        assert 'value="reopened"' in page
        assert 'value="dismissed"' not in page
        [word] = served.memory.words(one.id)
        assert (word.said, word.by) == (Said.DISMISSED, "ann <b>")
        assert secret not in word.reason


def test_a_mute_ends_when_the_form_says(tmp_path: Path) -> None:
    """Muted for twelve hours ends twelve hours after it was said; a length that is not offered is a day."""
    one = incident(cost_incident())
    with showing(filled(tmp_path / "store.db", one)) as served:
        mark = served.mark(f"/incidents/{one.id}")
        for length, hours in (("12h", 12), ("1000d", 24)):
            served.post(f"/incidents/{one.id}/words", {"mark": mark, "said": "muted", "length": length})
            word = served.memory.words(one.id)[-1]
            assert word.until is not None
            assert word.until - word.at == timedelta(hours=hours)


def test_a_form_from_elsewhere_says_nothing(tmp_path: Path) -> None:
    """Without the page's mark, with a wrong one, from another site, or too large, no word is kept."""
    one = incident(cost_incident())
    with showing(filled(tmp_path / "store.db", one)) as served:
        place = f"/incidents/{one.id}/words"
        good = {"mark": served.mark(f"/incidents/{one.id}"), "said": "dismissed"}
        assert served.post(place, {"said": "dismissed"}).status == 403
        assert served.post(place, {**good, "mark": "0" * 64}).status == 403
        assert served.post(place, {**good, "mark": "é"}).status == 403
        assert served.post(place, good, Origin="https://evil.example").status == 403
        assert served.post(place, good, Origin="null").status == 403
        assert served.post(place, good, Sec_Fetch_Site="cross-site").status == 403
        assert served.post(place, good, Sec_Fetch_Site="same-site").status == 403
        assert served.post(place, good, Host="evil.example").status == 421
        assert served.post(place, {**good, "reason": "x" * 20_000}).status == 403
        assert served.post(place, {**good, "said": "deleted"}).status == 400
        assert served.get(f"{place}?said=dismissed&mark={good['mark']}").status == 405
        assert served.memory.words(one.id) == []
        assert served.post(place, good, Origin=served.url, Sec_Fetch_Site="same-origin").status == 303


def test_behind_a_token_every_page_asks_for_it(guarded: Shown) -> None:
    """Without a session each page leads to the login and shows nothing; no word is taken."""
    for path in paths(cost_incident()):
        told = guarded.get(path)
        assert (told.status, told.headers["location"][:6], told.body) == (303, "/login", b""), path
    told = guarded.post(f"/incidents/{cost_incident().id}/words", {"said": "dismissed"})
    assert (told.status, told.headers["location"]) == (303, "/login")
    assert guarded.get("/login", Host="analyzer.example").status == 200
    assert b"Incidents" not in guarded.get("/login").body


def login(served: Shown, **headers: str) -> str:
    """Log in and return the Set-Cookie header."""
    fields = {"mark": served.mark("/login"), "token": f" {TOKEN}\n", "to": "/incidents?state=all"}
    told = served.post("/login", fields, **headers)
    assert (told.status, told.headers["location"]) == (303, "/incidents?state=all")
    return told.headers["set-cookie"]


def test_the_right_token_opens_a_session_that_only_this_server_can_make(guarded: Shown) -> None:
    """The cookie is closed to scripts and other sites, and a changed, expired or foreign one is none."""
    cookie = login(guarded)
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert "secure" not in cookie.lower()
    assert "secure" in login(guarded, X_Forwarded_Proto="https").lower()
    pair = cookie.partition(";")[0]
    assert guarded.get("/", Cookie=pair).status == 200
    name, _, value = pair.partition("=")
    ends, nonce, signature = value.split(".")
    for forged in (
        f"{int(ends) + 1}.{nonce}.{signature}",
        f"1.{nonce}.{signature}",
        f"{ends}.{nonce}.{'0' * 64}",
        "",
        "a.b.c",
    ):
        assert guarded.get("/", Cookie=f"{name}={forged}").status == 303, forged
    # What a form carried before the login counts no more.
    assert guarded.post("/logout", {"mark": guarded.mark("/login")}, Cookie=pair).status == 403
    page = guarded.get(f"/incidents/{cost_incident().id}", Cookie=pair).body.decode()
    own = re.search(r'name="mark" value="([0-9a-f]+)"', page)
    assert own
    left = guarded.post("/logout", {"mark": own.group(1)}, Cookie=pair)
    assert left.status == 303
    assert "Max-Age=0" in left.headers["set-cookie"]


def test_a_wrong_token_opens_nothing(guarded: Shown) -> None:
    """A wrong token is said to be wrong, and no cookie is given."""
    told = guarded.post("/login", {"mark": guarded.mark("/login"), "token": "guess"})
    assert told.status == 403
    assert b"not the token" in told.body
    assert "set-cookie" not in told.headers


@pytest.mark.parametrize(
    "to", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb"]
)
def test_the_login_leads_to_our_own_pages_only(guarded: Shown, to: str) -> None:
    """After the login nobody is sent to another site."""
    told = guarded.post("/login", {"mark": guarded.mark("/login"), "token": TOKEN, "to": to})
    assert (told.status, told.headers["location"]) == (303, "/")


def test_the_receiver_takes_no_session_for_a_token(guarded: Shown) -> None:
    """A browser's cookie does not let spans in: only the token does."""
    pair = login(guarded).partition(";")[0]
    headers = {"Content-Type": "application/json", "Cookie": pair}
    assert ask(guarded.url, "POST", "/v1/traces", b"{}", headers).status == 401


def test_an_empty_store_has_pages_too(tmp_path: Path) -> None:
    """Before the first span each list says what to do."""
    path = tmp_path / "store.db"
    SqliteTrajectories(path).close()
    with showing(path) as served:
        assert b"analyzer ingest PATH" in served.get("/").body
        assert b"No incidents are open." in served.get("/incidents").body
        assert {served.get(place).status for place in ("/trajectories", "/analyst", "/compare", "/settings")} == {200}


def test_the_bill_is_of_the_clocks_days(tmp_path: Path) -> None:
    """A run of now over history of long ago is on the analyst's page with its cost."""
    now_ns = time.time_ns() - 10**9
    own = root(7, agent="analyzer", start_ns=now_ns - 10**9, end_ns=now_ns)
    paid = chat(7, 2, agent="analyzer", start_ns=now_ns - 10**9, end_ns=now_ns, cost_usd=0.25)
    path = filled(tmp_path / "store.db", incident(cost_incident()))
    with showing(path) as served:
        served.store.add([own, paid])
        text = Structure(served.get("/analyst").body).text
        assert "$0.25" in text.partition("Its bill by day")[0]
        assert "$0.25" in text.partition("Its bill by day")[2]
        assert "analyzer" not in Structure(served.get("/trajectories").body).text.partition("Outcome")[2]
