"""The cause that the rules name: that of the incident, and of nothing that merely stands beside it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from agent.cases import AGENT, HEALTHY, NOW, ONSET, SECOND, WORST, chat, incident, looping, tool, trajectory, well

from analyzer.agent.case import build_case
from analyzer.agent.facts import facts_of
from analyzer.agent.rules import explain
from analyzer.types.diagnosis import Verdict
from analyzer.types.place import Place
from analyzer.types.report import (
    Affected,
    Change,
    Factor,
    Finding,
    Incident,
    Kind,
    MetricEvidence,
    SpanEvidence,
    Subject,
)
from analyzer.types.trace import FinishReason, Operation
from analyzer.types.trajectory import Trajectory

BROKEN = 'relation "orders" does not exist'


def seen(kind: Kind, *, tool: str | None = None, **changes: object) -> Finding:
    """Return what a detector of this kind saw."""
    return replace(incident().findings[0], kind=kind, subject=Subject(AGENT, tool=tool), **changes)


def failing(kind: Kind = Kind.TOOL_ERRORS, **changes: object) -> Incident:
    """Return an incident of failing calls of run_sql, without anything that changed."""
    subject = Subject(agent=AGENT, tool="run_sql" if kind is Kind.TOOL_ERRORS else None)
    given = {
        "kind": kind,
        "subject": subject,
        "observed": 0.72,
        "expected": 0.006,
        "unit": "calls",
        "account": (),
        "changes": (),
        "excess_usd": None,
        "affected": Affected(35, 53),
        "findings": (seen(kind, tool=subject.tool, unit="calls"),),
    }
    return incident(**(given | changes))


def polling(trace_id: str = WORST, *, failures: int = 1) -> Trajectory:
    """Return a run that waits for an export by asking for its status, and whose queries then fail."""
    spans = [chat(1, "I start the export.", trace_id=trace_id)]
    spans += [
        tool(number, '{"job_id": "7"}', '{"status": "running"}', trace_id=trace_id, name="get_export_status")
        for number in range(2, 12)
    ]
    spans += [
        tool(number, f'{{"table": "orders", "row": {number}}}', "", trace_id=trace_id, name="run_sql", error=BROKEN)
        for number in range(12, 12 + failures)
    ]
    spans.append(chat(12 + failures, "I could not read the orders.", trace_id=trace_id))
    return trajectory(spans, trace_id)


def test_polling_beside_a_failing_tool_is_not_the_cause():
    """A critical incident of a failing tool names the tool and its error, not the ordinary polling in the same runs."""
    diagnosis = explain(failing(), [polling(), polling(SECOND)], [well()]).diagnosis
    assert diagnosis.cause == (
        f'run_sql fails with "{BROKEN}": 2 of 2 failed calls in the trajectories looked at read alike, '
        "first at step 12 of trajectory aaaaaaaaaaaa."
    )
    assert "get_export_status" not in str(diagnosis)
    assert (diagnosis.category, diagnosis.verdict) == ("tool_failure", Verdict.LIKELY)
    assert diagnosis.responsible is not None
    assert diagnosis.responsible.step == 12


def test_polling_is_no_loop_in_the_case_file_either():
    """What the model reads calls no poll the start of a loop; a true loop it does."""
    assert "loop" not in build_case(failing(), trajectories=[polling()], healthy=[]).text
    assert "a loop starts here" in build_case(incident(), trajectories=[looping()], healthy=[]).text


def test_a_loop_beside_a_failing_tool_is_not_the_cause():
    """Even a true loop over another tool does not explain why a tool fails."""
    spans = [tool(n, '{"q": "x"}', "nothing found for x in the whole index", name="search") for n in range(1, 8)]
    spans += [tool(9, "{}", "", name="run_sql", error=BROKEN)]
    diagnosis = explain(failing(), [trajectory(spans)], [well()]).diagnosis
    assert diagnosis.cause.startswith("run_sql fails with")
    assert "search" not in str(diagnosis)


def test_the_error_of_another_tool_is_not_the_cause():
    """Of a tool's incident only the calls of that tool are read, however loudly another one fails."""
    spans = [tool(n, f'{{"n": {n}}}', "", name="fetch_page", error="404 page not found") for n in range(1, 9)]
    spans += [tool(9, "{}", "", name="run_sql", error=BROKEN)]
    diagnosis = explain(failing(), [trajectory(spans)], []).diagnosis
    assert BROKEN in diagnosis.cause
    assert "404" not in str(diagnosis)


def test_where_the_tool_did_not_fail_nothing_is_made_up():
    """With no failed call of the incident's tool among the trajectories looked at the cause stays open."""
    spans = [tool(n, f'{{"n": {n}}}', "", name="fetch_page", error="404 page not found") for n in range(1, 9)]
    diagnosis = explain(failing(evidence=(), findings=()), [trajectory(spans)], []).diagnosis
    assert diagnosis.verdict is Verdict.INCONCLUSIVE
    assert "404" not in str(diagnosis)


def test_an_error_that_healthy_peers_have_too_is_not_the_cause():
    """What healthy runs live with does not explain those that end in an error."""
    flaky = "cache miss, please retry"
    runs = [
        trajectory(
            [
                *(tool(n, f'{{"n": {n}}}', "", name="cache", error=flaky, trace_id=one) for n in range(1, 6)),
                tool(6, "{}", "", name="pay", error="card declined by issuer", trace_id=one),
            ],
            one,
        )
        for one in (WORST, SECOND)
    ]
    peer = trajectory([tool(1, "{}", "", name="cache", error=flaky, trace_id=HEALTHY)], HEALTHY)
    diagnosis = explain(failing(Kind.ERRORS), runs, [peer]).diagnosis
    assert diagnosis.cause.startswith('pay fails with "card declined by issuer"')


def test_an_error_that_was_overcome_is_not_why_runs_end():
    """Of runs that end in an error the one they did not recover from is named, not the one that worked when retried."""
    spans = [
        *(tool(n, f'{{"n": {n}}}', "", name="search", error="connection reset") for n in range(1, 5)),
        tool(5, '{"n": 4}', "two hits", name="search"),
        tool(6, "{}", "", name="pay", error="card declined by issuer"),
    ]
    diagnosis = explain(failing(Kind.ERRORS), [trajectory(spans)], []).diagnosis
    assert diagnosis.cause.startswith('pay fails with "card declined by issuer"')


def test_the_agent_that_failed_is_named_where_it_is_another():
    """In a run of several agents the sentence and the responsible step name the one whose step failed."""
    spans = [chat(1, "I ask the writer."), replace(tool(2, "{}", "", name="run_sql", error=BROKEN), agent="writer")]
    diagnosis = explain(failing(), [trajectory(spans)], []).diagnosis
    assert diagnosis.cause.startswith(f'run_sql of agent writer fails with "{BROKEN}"')
    assert diagnosis.responsible is not None
    assert diagnosis.responsible.agent == "writer"


@pytest.mark.parametrize(
    "texts",
    [
        ("no row 3fa9c21b7e00", "no row 81c2d07aa1ff", "no row 000000000001"),
        ("no row 1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "no row 9c858901-8a57-4791-81fe-4c455b099bc9"),
        ("no ord_268f1fa452 here", "no ord_efe5e1a647 here", "no ord_83ead60d63 here"),
        ("order 17 is gone", "order 1800 is gone"),
        ("no mail <email:1a2b3c4d> known", "no mail <email:12345678> known"),
        ("at 0x7f3a9c21b7e0 crashed hard", "at 0x0012ffab crashed hard"),
    ],
)
def test_errors_that_differ_only_in_ids_are_one(texts: tuple[str, ...]):
    """Numbers, hex ids, uuids and pseudonyms in an error do not make it another one."""
    spans = [tool(n, f'{{"n": {n}}}', "", name="run_sql", error=text) for n, text in enumerate(texts, 1)]
    cause = explain(failing(), [trajectory(spans)], []).diagnosis.cause
    assert f"{len(texts)} of {len(texts)} failed calls" in cause


def test_a_loop_is_the_cause_where_the_account_says_more_steps():
    """The same runs with the same loop: named where steps make the change, not where tokens do."""
    steps = (Factor("steps per run", 3.1, 27.4, 1.0),)
    tokens = (Factor("tokens per step", 1200.0, 5000.0, 1.0),)
    assert "repeats itself" in explain(incident(account=steps), [looping()], [well()]).diagnosis.cause
    assert "repeats itself" not in str(explain(incident(account=tokens), [looping()], [well()]).diagnosis)


def test_of_a_loop_incident_the_loop_over_its_tool_is_named():
    """Two loops in one run: the incident's tool decides which is meant."""
    spans = [tool(n, '{"q": "x"}', "nothing found for x in the whole index", name="search") for n in range(1, 9)]
    spans += [tool(n, '{"id": "1"}', "no such order in this region at all", name="get_order") for n in range(9, 14)]
    looped = failing(Kind.LOOP, subject=Subject(AGENT, tool="get_order"))
    diagnosis = explain(looped, [trajectory(spans)], []).diagnosis
    assert diagnosis.cause == (
        "Trajectory aaaaaaaaaaaa repeats itself from step 9 to step 13: the same call to get_order with the same "
        "result 5 times."
    )
    assert diagnosis.category == "loop"


def test_every_factor_worth_naming_is_named():
    """Where no factor makes half of the change, those that make a fifth or more are named, and it is likely."""
    account = (
        Factor("steps per run", 3.0, 4.5, 0.45),
        Factor("tokens per step", 1200.0, 2000.0, 0.35),
        Factor("runs", 7.0, 7.9, 0.2),
        Factor("price", 2e-6, 2e-6, 0.0),
    )
    calm = trajectory([chat(1, "fine"), tool(2, "{}", "ok then"), chat(3, "done")])
    diagnosis = explain(incident(account=account), [calm], [well()]).diagnosis
    assert diagnosis.cause == (
        "45 % of the change comes from steps per run (from 3 to 4.5), 35 % from tokens per step (from 1,200 to 2,000) "
        "and 20 % from runs (from 7 to 7.9). It coincides with a change of version from 1.4.1 to 1.4.2, first seen "
        "2026-11-20 14:03 UTC."
    )
    assert diagnosis.verdict is Verdict.LIKELY


def test_a_model_change_explains_the_model_mix():
    """Where the mix moved and a model changed at the onset, the model is named before the version it came with."""
    at = ONSET - timedelta(minutes=12)
    changes = (Change("version", "1.4.1", "1.4.2", at), Change("model", "haiku", "opus", at))
    mixed = incident(
        account=(Factor("model mix", 2e-6, 2e-5, 1.02), Factor("price", 2e-6, 2e-6, -0.02)), changes=changes
    )
    assert any(
        fact.text.endswith("makes 102 % of the change, against what other factors took back.")
        for fact in facts_of(mixed, [], [])
    )
    diagnosis = explain(mixed, [], []).diagnosis
    assert diagnosis.cause == (
        "102 % of the change comes from model mix, against what other factors took back: from 2 to 20 USD per million "
        "tokens. "
        "It coincides with a change of model from haiku to opus, first seen 2026-11-20 14:03 UTC, "
        "which is what moved the mix. Also new then: version 1.4.2."
    )
    assert (diagnosis.category, diagnosis.verdict) == ("model_change", Verdict.LIKELY)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("filed", [(), (SpanEvidence("E1", WORST, "a" * 16, "output", "something was said"),)])
def test_nothing_is_likely_without_a_claim(kind: Kind, filed: tuple[SpanEvidence, ...]):
    """Whatever the kind, and whether or not quotes are filed, an explanation without a claim is inconclusive."""
    calm = trajectory([chat(1, "fine"), tool(2, "{}", "ok then"), chat(3, "done")])
    one = incident(kind=kind, findings=(), account=(), evidence=filed)
    for given in ([], [calm]):
        diagnosis = explain(one, given, []).diagnosis
        assert diagnosis.claims or diagnosis.verdict is Verdict.INCONCLUSIVE


def test_errors_on_file_speak_where_the_trajectories_are_gone():
    """With every trajectory pruned, the error that was filed when it was found is still the cause that is named."""
    filed = SpanEvidence("E1", WORST, "a" * 16, "status_message", BROKEN)
    diagnosis = explain(failing(findings=(), evidence=(filed,)), [], []).diagnosis
    assert diagnosis.cause == f'The error on file reads: "{BROKEN}".'
    assert diagnosis.claims[0].evidence == ("E1",)


def test_a_slow_step_is_named_beside_the_longest_of_a_peer():
    """Of a latency incident the step is named that took longer than any of its name in a healthy run."""
    slow = tool(2, '{"order_id": "1"}', "order 1 is on its way")
    slow = replace(slow, end_ns=(slow.start_ns or 0) + 32_000_000_000)
    one = failing(Kind.TOOL_LATENCY, subject=Subject(AGENT, tool="lookup_order"))
    diagnosis = explain(one, [trajectory([chat(1, "fine"), slow])], [well()]).diagnosis
    assert diagnosis.cause == (
        "Step 2 of trajectory aaaaaaaaaaaa, lookup_order, took 32 s; in healthy peers it took 0.32 s at most."
    )


def test_a_tool_called_more_often_than_by_peers_is_named():
    """More steps without a loop: the tool whose calls grew is named, and the first call beyond what peers do."""
    spans = [tool(n, f'{{"order_id": "{n}"}}', f"order {n}: " + "abcdefgh"[n % 8] * 9 * n) for n in range(1, 13)]
    account = (Factor("steps per run", 3.0, 12.0, 1.0),)
    diagnosis = explain(incident(account=account), [trajectory(spans)], [well()]).diagnosis
    assert (
        "Trajectory aaaaaaaaaaaa calls lookup_order 12 times, the healthy peers looked at 1 time at most; "
        "step 2 is the first beyond that." in diagnosis.cause
    )


def test_a_reply_that_was_cut_is_quoted():
    """Of a truncation incident the cut reply is named."""
    cut = replace(chat(2, "And the next thing I wanted to tell you is"), finish=FinishReason.LENGTH)
    assert cut.operation is Operation.CHAT
    diagnosis = explain(failing(Kind.TRUNCATION), [trajectory([chat(1, "fine"), cut])], []).diagnosis
    assert "Step 2 of trajectory aaaaaaaaaaaa was cut at its limit after 50 output tokens." in diagnosis.cause


def test_without_a_prometheus_the_check_is_a_command():
    """Numbers from the store's own series are no queries anyone can run: the check is a command of this program."""
    assert explain(incident(), [looping()], [well()]).diagnosis.check == (
        "analyzer traces diff aaaaaaaaaaaa cccccccccccc"
    )
    bare = incident(trace_ids=(), healthy_trace_ids=())
    assert explain(bare, [], []).diagnosis.check == "analyzer run --at 2026-11-20T18:00:00Z --llm off"


def test_with_a_prometheus_the_check_is_a_query_at_its_time():
    """The query holds the moment it was asked for, so that it gives the stored number whenever it is run."""
    query = f'sum(increase(agent_cost_usd_total{{agent="{AGENT}"}}[13500s]))'
    metric = MetricEvidence("E1", query, ONSET, NOW, 13500.0, 0.26, "prometheus")
    found = explain(incident(findings=(), evidence=(metric,)), [looping()], [well()]).diagnosis.check
    assert found == f'sum(increase(agent_cost_usd_total{{agent="{AGENT}"}}[13500s] @ {int(NOW.timestamp())}))'


def test_a_loops_limit_is_not_what_was_expected():
    """Nobody expects three repeats: the summary calls the rule's limit a limit."""
    looped = failing(Kind.LOOP, observed=20.0, expected=3.0, unit="repeats", ratio=20 / 3)
    summary = explain(looped, [], []).diagnosis.summary
    assert summary.startswith("support-triage: loop of up to 20 repeats, where 3 are the limit, since about")


def sent(trace_id: str, *lines: str) -> Trajectory:
    """Return a run whose inference is sent these lines."""
    return trajectory([chat(1, "fine", trace_id=trace_id, heard="\n".join(lines))], trace_id)


def test_text_of_one_run_alone_does_not_explain_dearer_tokens():
    """Every run has a text of its own: only what most costly runs are sent, and no healthy one, came with the rise."""
    account = (Factor("tokens per step", 1200.0, 5000.0, 1.0),)
    third = "e" * 32
    own = [
        sent(one, f"My dishwasher {name} leaks") for one, name in ((WORST, "Aqua"), (SECOND, "Bosch"), (third, "Miele"))
    ]
    assert "is sent text" not in str(explain(incident(account=account), own, [well()]).diagnosis)
    loaded = [
        sent(one, f"My dishwasher {name} leaks", "Loaded policy: never promise refunds")
        for one, name in ((WORST, "Aqua"), (SECOND, "Bosch"))
    ]
    found = explain(incident(account=account), loaded, [well()]).diagnosis
    assert "Loaded policy: never promise refunds" in found.cause


def test_the_cause_of_a_loop_leads_with_the_loop():
    """An account beside a loop says what it costs: the loop comes first."""
    looped = failing(Kind.LOOP, subject=Subject(AGENT, tool="lookup_order"), account=incident().account)
    cause = explain(looped, [looping()], [well()]).diagnosis.cause
    assert cause.index("repeats itself") < cause.index("83 %")
    assert "83 %" in cause


def test_after_a_change_of_model_the_advice_is_about_the_model():
    """What moved the cost is what to compare with, before the version it came with."""
    at = ONSET - timedelta(minutes=12)
    changes = (Change("version", "1.4.1", "1.4.2", at), Change("model", "haiku", "opus", at))
    mixed = incident(account=(Factor("model mix", 2e-6, 2e-5, 1.0),), changes=changes)
    assert (
        explain(mixed, [], []).diagnosis.actions[0] == "Compare with model haiku; roll back if it does not show this."
    )


def test_the_place_of_a_rise_is_named():
    """Where a slice explains it, the cause says which, that it is new, and what part of the excess comes from it."""
    account = (Factor("input tokens per step", 1200.0, 5000.0, 1.0),)
    place = Place((("version", "1.4.2"),), "rate", 0.92, 40, 1.0, 2.0, new=True)
    placed = incident(account=account, places=(place,), changes=())
    assert explain(placed, [well()], []).diagnosis.cause == (
        "100 % of the change comes from input tokens per step: from 1,200 to 5,000. "
        "Concentrated in version 1.4.2, which is new: 92 % of the excess comes from it."
    )


BESIDE = ", and in the same hours the new one shows it beside the old one"


def test_only_a_comparison_makes_a_change_the_cause():
    """Borne out beside the old one it is a cause; without, it coincides; what was recorded is told by its name."""
    at = ONSET - timedelta(minutes=12)
    change = Change("version", "1.4.1", "1.4.2", at)
    told = Change("deploy", None, "2.4.0", at)
    causes = [
        explain(incident(account=(), changes=(one,)), [well()], []).diagnosis.cause
        for one in (change, replace(change, borne_out=True), told)
    ]
    when = "2026-11-20 14:03 UTC"
    assert [cause[cause.index("It ") :] for cause in causes] == [
        f"It coincides with a change of version from 1.4.1 to 1.4.2, first seen {when}.",
        f"It is caused by a change of version from 1.4.1 to 1.4.2, first seen {when}{BESIDE}.",
        f"It coincides with deploy 2.4.0, recorded for {when}.",
    ]


def answering(trace_id: str, *messages: dict[str, object]) -> Trajectory:
    """Return a run with one inference that is sent this conversation."""
    one = chat(1, "fine", trace_id=trace_id)
    return trajectory([replace(one, input=json.dumps(messages))], trace_id)


def called(name: str, arguments: str) -> dict[str, object]:
    """Return what an agent said when it called a tool."""
    call = {"type": "tool_call", "id": "c1", "name": name, "arguments": {"order_id": arguments}}
    return {"role": "assistant", "parts": [{"type": "text", "content": "I will do it."}, call]}


def result(text: str) -> dict[str, object]:
    """Return what a tool sent back."""
    return {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": text}]}


def dearer(costly: list[Trajectory], healthy: list[Trajectory]) -> str:
    """Return the explanation of a rise of the tokens per step."""
    account = (Factor("tokens per step", 1200.0, 5000.0, 1.0),)
    return str(explain(incident(account=account), costly, healthy).diagnosis)


def test_what_the_agent_wrote_itself_is_not_what_it_was_sent():
    """A call that comes back to the agent in its history is its own words, on whatever line it stands."""
    goal = {"role": "user", "content": "Refund me please"}
    costly = [answering(one, goal, called("issue_refund", "ord_wrong_size_sent")) for one in (WORST, SECOND)]
    assert "is sent text" not in dearer(costly, [answering(HEALTHY, goal)])
    plain = [
        trajectory([replace(chat(1, "fine", trace_id=one), input=text)], one)
        for one in (WORST, SECOND)
        for text in ["user: Refund me please\nassistant: I will.\nI will refund the whole order now\nuser: ok"]
    ]
    assert "is sent text" not in dearer(plain, [answering(HEALTHY, goal)])


def test_another_result_of_the_same_tool_is_not_new_text():
    """What begins as it does in healthy runs, values aside, was sent to them as well."""
    costly = [
        answering(one, result('{"status": "wrong size sent", "carrier": "DHL Express", "days": 12}'))
        for one in (WORST, SECOND)
    ]
    peer = answering(HEALTHY, result('{"status": "late", "carrier": "UPS", "days": 2}'))
    assert "is sent text" not in dearer(costly, [peer])


def test_a_line_that_makes_up_a_hundredth_of_the_growth_is_no_cause():
    """Text beside a rise is not named as its cause; what makes up the most of it is, however long its line is."""
    note = {"role": "system", "content": "Note for agents: be brief today"}
    long = {name: " ".join(f"{name}{n}" for n in range(2000)) for name in ("ash", "oak")}
    costly = [
        answering(one, note, {"role": "user", "content": long[name]}) for one, name in ((WORST, "ash"), (SECOND, "oak"))
    ]
    assert "is sent text" not in dearer(costly, [well()])
    policy = {"role": "user", "content": "Policy archive, loaded whole. " + "Never promise a refund to anybody. " * 200}
    found = dearer([answering(one, note, policy) for one in (WORST, SECOND)], [well()])
    assert 'is sent text that no healthy peer was sent: "Policy archive, loaded whole.' in found
