from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.alerts import RULE, SOURCE, body, entry, told

from analyzer.server import webhook as module
from analyzer.server.refusal import RefusalError
from analyzer.server.webhook import Notified, read_webhook

CAPTURED = Path(__file__).parents[2] / ".." / "shared" / "data" / "dialects" / "alertmanager_webhook.json"
NOW = datetime.now(UTC)
LABELS = ("agent", "gen_ai_agent_name")


def read(content: bytes, labels: tuple[str, ...] = LABELS) -> Notified:
    """Read a body as the receiver does, with a masker that takes one word."""
    return read_webhook(content, labels=labels, mask=lambda text: text.replace("s3cret", "[KEY_1]"), now=NOW)


def test_a_webhook_of_a_real_alertmanager_is_read() -> None:
    """What was captured from Alertmanager 0.25 becomes an alert with its agent, times and addresses."""
    if not CAPTURED.exists():
        pytest.skip(f"no captured webhooks at {CAPTURED}")
    first, _ = json.loads(CAPTURED.read_text("utf-8"))
    [one] = read(json.dumps(first).encode()).alerts
    assert (one.name, one.agent, one.summary) == ("AgentErrorRatioHigh", "rca", "rca error ratio 50%")
    assert one.starts_at == datetime(2026, 11, 22, 23, 19, 15, 11_000, tzinfo=UTC)
    assert one.ends_at is None
    assert one.url.startswith("http://vm:19090/graph?g0.expr=sum+by")
    assert (one.alertmanager_url, one.fingerprint) == ("http://vm:19093", "53c9dfc1093686c7")


def test_the_first_label_that_is_given_names_the_agent() -> None:
    """Labels are tried in the order of the setting; blank ones count for nothing, and none means the fleet."""
    either = entry(agent=" ", gen_ai_agent_name="reviewer")
    assert [one.agent for one in read(body(either, entry())).alerts] == ["reviewer", "triage"]
    assert [one.agent for one in read(body(entry()), ("service",)).alerts] == [None]


def test_a_resolved_alert_ends_where_it_says_and_never_before_it_began() -> None:
    """Go's year 1 stands for no end; what is resolved without a usable end is over now."""
    begun = NOW - timedelta(hours=1)
    ends = [(NOW - timedelta(minutes=3)).isoformat(), "0001-01-01T00:00:00Z", "2020-01-01T00:00:00Z", None]
    over = [{**entry(number, starts=begun), "status": "resolved", "endsAt": end} for number, end in enumerate(ends)]
    found = [one.ends_at for one in read(body(*over)).alerts]
    assert found == [NOW - timedelta(minutes=3), NOW, begun, NOW]


def test_what_this_program_told_alertmanager_is_not_looked_into() -> None:
    """A receiver that sends everything here would have us investigate our own incidents for ever."""
    ours = entry(alertname="AgentIncident", incident="inc-0123456789")
    found = read(body(ours, entry()))
    assert (len(found.alerts), found.own, found.refused) == (1, 1, 0)


def test_texts_are_masked_before_they_are_cut() -> None:
    """No secret is kept, and no half of one."""
    found = read(body({**entry(agent="s3cret"), "annotations": {"summary": "x" * 997 + "s3cret"}}))
    [one] = found.alerts
    assert one.agent == "[KEY_1]"
    assert len(one.summary) == module.SUMMARY_CHARACTERS_MAX
    assert one.summary.endswith("x[KE")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "http://user:pw@evil.example/",
        "http://evil.example/<script>",
        "http://evil.example/a|b",
        'http://evil.example/"onmouseover=x',
        "http://evil.example/\u202egpj",
        "http:///nowhere",
        "http://evil.example:port/",
        "http://evil.example/" + "x" * 2_000,
        7,
        None,
    ],
)
def test_an_address_that_must_not_become_a_link_is_left_out(url: Any) -> None:
    """The alert is taken all the same."""
    [one] = read(body({**entry(), "generatorURL": url}, externalURL=url)).alerts
    assert (one.url, one.alertmanager_url) == ("", "")


def test_an_address_with_a_secret_in_it_is_left_out() -> None:
    """What masking breaks leads nowhere, and the secret is not kept."""
    [one] = read(body({**entry(), "generatorURL": "http://p.example/?token=s3cret"})).alerts
    assert "s3cret" not in repr(one)


def test_one_bad_entry_does_not_cost_the_others() -> None:
    """Entries without labels or a usable time are counted, and their neighbours are taken."""
    late = (NOW + timedelta(days=1)).isoformat()
    bad = [7, {}, {"labels": 3}, {**entry(), "startsAt": "yesterday"}, {**entry(), "startsAt": late}]
    found = read(body(*bad, entry()))
    assert (len(found.alerts), found.refused) == (1, 5)
    assert (found.alerts[0].url, found.alerts[0].alertmanager_url) == (RULE, SOURCE)


@pytest.mark.parametrize(
    ("content", "status", "why"),
    [
        (b"", 400, "no JSON"),
        (b"[1]", 400, "no webhook"),
        (b'{"alerts": {}}', 400, "no webhook"),
        (json.dumps(told(version="3")).encode(), 400, "version is '3'"),
        (json.dumps(told(*[{}] * (module.ALERTS_MAX + 1))).encode(), 413, "more than 2,000"),
    ],
)
def test_what_is_no_webhook_is_refused_with_a_sentence(content: bytes, status: int, why: str) -> None:
    """The sender's log says what is wrong."""
    with pytest.raises(RefusalError, match=why) as refused:
        read(content)
    assert refused.value.status == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"])
LABELLED = st.sampled_from(["alertname", "agent", "incident"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(FIELDS, JSON, max_size=4), st.dictionaries(LABELLED, JSON, max_size=3), JSON)
def test_any_entry_is_taken_counted_or_refused_and_never_an_error(fields, labels, source) -> None:
    """Every entry of any JSON is an alert, one of ours, or counted; what is kept is bounded and can be kept."""
    made = {**entry(), **fields}
    if isinstance(made["labels"], dict):
        made["labels"] = {**made["labels"], **labels}
    found = read(body(made, entry(1), externalURL=source))
    assert len(found.alerts) + found.own + found.refused == 2
    for one in found.alerts:
        assert len(one.name) <= module.NAME_CHARACTERS_MAX
        assert one.starts_at.year >= module.YEAR_MIN
        assert one.ends_at is None or one.ends_at >= one.starts_at
        assert one.url in {"", RULE} or one.url.startswith("http")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_read(content: bytes) -> None:
    """Nothing but RefusalError comes of a body that is anything."""
    statuses = []
    try:
        read(content)
    except RefusalError as refused:
        statuses.append(refused.status)
    assert set(statuses) <= {400, 413}
