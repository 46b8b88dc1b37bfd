"""`analyzer replay INCIDENT` as a user runs it: a cause is proven, refuted, or said to be neither."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.cli import Ended, analyzer
from support.incidents import NOW, finding, incident
from support.messages_api import Wire, calls, fails, messages_api, says
from support.spans import chat, root, trace_id

from analyzer.stores.database import Connection
from analyzer.stores.incidents import SqliteIncidents
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.diagnosis import Diagnosis, Ending, Verdict
from analyzer.types.report import Change, Factor, Incident, Kind
from analyzer.types.trace import FinishReason, Span, Tokens

OLD, NEW = "be brief", "check everything twice"
TOOLS = [{"name": "lookup_order", "description": "Look it up.", "input_schema": {"type": "object"}}]
AGAIN = {"type": "tool_use", "id": "c2", "name": "lookup_order", "input": {"order": "A-1"}}
HISTORY = [
    {"role": "user", "content": "where is A-1?"},
    {"role": "assistant", "content": [{**AGAIN, "id": "c1"}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "in transit"}]},
]
LOOPS, ANSWERS = calls(("lookup_order", {"order": "A-1"})), says("It is in transit.")


def call(number: int, **fields: Any) -> Span:
    """Return a model call after a look-up, that asks for the same look-up again."""
    return chat(
        number,
        2,
        **{
            "system": NEW,
            "tool_definitions": json.dumps(TOOLS),
            "input": json.dumps(HISTORY),
            "output": json.dumps([{"role": "assistant", "content": [AGAIN]}]),
            "finish": FinishReason.TOOL_CALL,
            **fields,
        },
    )


def healthy(number: int, **fields: Any) -> Span:
    """Return the same call of a healthy run from before."""
    answered = json.dumps([{"role": "assistant", "content": "It is in transit."}])
    return call(number, **{"system": OLD, "output": answered, "finish": FinishReason.STOP, **fields})


def looping(category: str = "prompt_change", **fields: Any) -> Incident:
    """Return an incident of a loop that is put down to a changed prompt."""
    told = Diagnosis(
        Verdict.LIKELY, "m1", Ending.ANSWERED, "It loops.", "The prompt.", (), None, (), "", 0, category=category
    )
    return incident(
        **{
            "kind": Kind.LOOP,
            "findings": (finding(Kind.LOOP, agent="shop"),),
            "trace_ids": (trace_id(1),),
            "healthy_trace_ids": (trace_id(2),),
            "changes": (Change("prompt", "v1", "v2", NOW),),
            "diagnosis": told,
            **fields,
        }
    )


def stored(path: Path, one: Incident, spans: Sequence[Span]) -> Path:
    """Return a store with one incident and the given model calls, each in a run of its own."""
    with SqliteTrajectories(path) as trajectories:
        for span in spans:
            number = int(span.trace_id, 16)
            trajectories.add((root(number), span))
        SqliteIncidents(trajectories.connection).save_incidents([one], run_trace_id="r")
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a store with a loop, the run that loops, and a healthy one with the prompt of before."""
    return stored(tmp_path / "store.db", looping(), (call(1), healthy(2)))


def prove(
    store: Path, answer: Callable[[dict[str, Any]], Wire], *arguments: str, **env: str
) -> tuple[Ended, list[dict[str, Any]]]:
    """Run `analyzer replay inc-...` against a loopback Messages API; return how it ended and what was sent."""
    with messages_api([answer]) as api:
        given = {"ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": "sk-ant-test", **env}
        ended = analyzer("replay", "inc-0123456789", *arguments, "--store", str(store), env=given)
        return ended, api.requests


def kept(store: Path) -> Incident:
    """Return the incident as the store has it now."""
    connection = Connection(store)
    try:
        return SqliteIncidents(connection).incident("inc-0123456789")
    finally:
        connection.close()


def system_of(body: dict[str, Any]) -> str:
    """Return the system prompt of a request."""
    return str(body["system"][0]["text"])


def by_prompt(body: dict[str, Any]) -> Wire:
    """Answer as a model that goes round with the new prompt alone."""
    return LOOPS if system_of(body) == NEW else ANSWERS


def test_a_cause_is_proven_where_the_fault_goes_with_the_factor(store: Path) -> None:
    """Only the prompt differs between the two sides; the verdict becomes confirmed, and `incidents show` says why."""
    ended, sent = prove(store, by_prompt, "--yes", "--json")
    assert ended.code == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert (found["schema"], found["verdict"], found["problems"]) == ("analyzer.replay-proof/1", "confirmed", [])
    proof = found["proof"]
    assert (proof["factor"], proof["outcome"]) == ("prompt", "proven")
    assert proof["steps"] == [{"trace_id": trace_id(1), "step": 1}]
    assert (proof["unchanged"], proof["restored"]) == ({"shown": 5, "of": 5}, {"shown": 0, "of": 5})
    assert proof["chance"] == pytest.approx(1 / 252)
    assert [system_of(body) for body in sent] == [NEW] * 5 + [OLD] * 5
    assert len({json.dumps({**body, "system": ""}, sort_keys=True) for body in sent}) == 1
    shown = analyzer("incidents", "show", "inc-0123456789", "--store", str(store))
    assert "cause confirmed" in shown.stdout
    line = (
        "Replayed: prompt, proven: a call made before in 5 of 5 replies to 1 affected step as recorded, and in 0 of 5"
        " with the prompt of before; it goes with the factor, by luck with a chance of 0.004"
    )
    assert line in " ".join(shown.stdout.split())
    document = json.loads(analyzer("incidents", "show", "inc-0123456789", "--store", str(store), "--json").stdout)
    assert document["diagnosis"]["proof"] == proof


def test_a_cause_is_refuted_where_the_fault_stays_without_the_factor(store: Path) -> None:
    """A model that goes round with either prompt takes the cause away: inconclusive, exit code 1."""
    ended, _ = prove(store, lambda _: LOOPS, "--yes")
    assert ended.code == 1, ended.stderr
    assert "prompt, refuted: " in " ".join(ended.stdout.split())
    assert "The verdict is inconclusive." in " ".join(ended.stdout.split())
    told = kept(store).diagnosis
    assert told is not None
    assert told.verdict is Verdict.INCONCLUSIVE


def test_a_second_proof_starts_from_the_explanation_itself(store: Path) -> None:
    """What an earlier proof made of the verdict is undone before the next one is kept."""
    prove(store, lambda _: LOOPS, "--yes")
    ended, _ = prove(store, lambda _: ANSWERS, "--yes", "--json")
    found = json.loads(ended.stdout)
    assert (ended.code, found["proof"]["outcome"], found["verdict"]) == (4, "cannot reproduce", "likely")


def test_without_replies_nothing_is_said_of_the_cause(store: Path) -> None:
    """Errors are no replies: cannot reproduce, exit code 4, each error named, and the verdict stays."""
    ended, _ = prove(store, lambda _: fails(400, "invalid_request_error"), "--yes", "--times", "2", "--json")
    found = json.loads(ended.stdout)
    assert (ended.code, found["proof"]["outcome"], found["verdict"]) == (4, "cannot reproduce", "likely")
    assert (found["proof"]["chance"], len(found["problems"])) == (None, 4)


def test_too_few_replies_decide_nothing(store: Path) -> None:
    """Of two replies a side the best is a chance of one in six: cannot judge, exit code 3."""
    ended, _ = prove(store, by_prompt, "--yes", "--times", "2", "--json")
    found = json.loads(ended.stdout)
    assert (ended.code, found["proof"]["outcome"], found["verdict"]) == (3, "cannot judge", "likely")


def test_the_price_is_agreed_to_and_the_budget_holds(store: Path) -> None:
    """Without --yes nothing is sent and the worst case is said; what the day's limit does not allow is not sent."""
    ended, sent = prove(store, by_prompt)
    assert (ended.code, ended.stdout, sent) == (2, "", [])
    assert "10 calls of claude-sonnet-5-5, half with the prompt of before: at most " in ended.stderr
    ended, sent = prove(store, by_prompt, "--yes", "--json", ANALYZER_BUDGET_USD_PER_DAY="0")
    found = json.loads(ended.stdout)
    assert (ended.code, found["proof"]["outcome"], sent) == (4, "cannot reproduce", [])
    assert found["problems"][0].startswith("stopped: the day's $0 are taken")


def test_without_a_model_it_says_so(store: Path) -> None:
    """One line, exit code 2, and nothing is kept."""
    ended, sent = prove(store, by_prompt, "--yes", ANALYZER_LLM="off")
    assert (ended.code, ended.stdout, sent) == (2, "", [])
    assert "no model can be asked, so nothing can be proven" in ended.stderr
    told = kept(store).diagnosis
    assert told is not None
    assert told.proof is None


def test_an_old_model_is_asked_where_the_model_changed(tmp_path: Path) -> None:
    """The model of before is what is asked on the other side, and nothing else differs."""
    one = looping("model_change", changes=(Change("model", "claude-haiku-4-5", "claude-sonnet-5-5", NOW),))
    path = stored(tmp_path / "s.db", one, (call(1), healthy(2, model="claude-haiku-4-5")))
    ended, sent = prove(path, lambda body: LOOPS if "sonnet" in body["model"] else ANSWERS, "--yes", "--json")
    assert ended.code == 0, ended.stderr
    assert [body["model"] for body in sent] == ["claude-sonnet-5-5"] * 5 + ["claude-haiku-4-5"] * 5
    assert {system_of(body) for body in sent} == {NEW}


def test_a_version_is_put_down_to_the_one_thing_that_differs(tmp_path: Path) -> None:
    """Of a changed version the one part that healthy runs have otherwise is changed back; of two, one must be named."""
    changes = (Change("version", "1", "2", NOW),)
    path = stored(tmp_path / "a.db", looping("version_change", changes=changes), (call(1), healthy(2)))
    ended, _ = prove(path, by_prompt, "--yes", "--json")
    assert json.loads(ended.stdout)["proof"]["factor"] == "prompt"
    spans = (call(1), healthy(2, model="claude-haiku-4-5"))
    path = stored(tmp_path / "b.db", looping("version_change", changes=changes), spans)
    ended, sent = prove(path, by_prompt, "--yes")
    assert (ended.code, sent) == (2, [])
    assert "model, prompt all differ from the healthy runs; --factor names the one" in ended.stderr
    ended, _ = prove(path, by_prompt, "--yes", "--json", "--factor", "prompt")
    assert ended.code == 0


def test_a_tools_result_is_changed_back(tmp_path: Path) -> None:
    """What a healthy run was given for the same arguments takes the place of what the affected one was given."""
    broken = [*HISTORY[:2], {"role": "user", "content": [{**HISTORY[2]["content"][0], "content": "timeout"}]}]
    path = stored(tmp_path / "s.db", looping("tool_failure"), (call(1, input=json.dumps(broken)),))
    first = call(2, input=json.dumps(HISTORY[:1]), output=json.dumps(HISTORY[1:2]), at_s=0.5)
    with SqliteTrajectories(path) as trajectories:
        trajectories.add((root(2), first, replace(healthy(2), span_id=f"{3:016x}")))
    ended, sent = prove(path, lambda body: LOOPS if "timeout" in json.dumps(body) else ANSWERS, "--yes", "--json")
    assert ended.code == 0, ended.stderr
    assert json.loads(ended.stdout)["proof"]["factor"] == "tool-result"
    assert ["in transit" in json.dumps(body) for body in sent] == [False] * 5 + [True] * 5


def test_a_rise_of_cost_is_proven_by_what_a_reply_costs(tmp_path: Path) -> None:
    """A dear reply with the new prompt and a cheap one with the old prove it; a rise in steps no reply can show."""
    costs = {"kind": Kind.COST, "ratio": 4.0, "findings": (finding(agent="shop"),)}
    one = looping(account=(Factor("output tokens per step", 100.0, 900.0, 0.9),), **costs)
    spans = (call(1, tokens=Tokens(100, 900)), healthy(2, tokens=Tokens(100, 100)))
    path = stored(tmp_path / "a.db", one, spans)

    def long(body: dict[str, Any]) -> Wire:
        return says("x", usage={"input_tokens": 100, "output_tokens": 900 if system_of(body) == NEW else 100})

    ended, _ = prove(path, long, "--yes", "--json")
    proof = json.loads(ended.stdout)["proof"]
    assert (proof["outcome"], proof["measure"]) == ("proven", "more than half of the rise in cost")
    path = stored(tmp_path / "b.db", replace(one, account=(Factor("steps per run", 3.0, 12.0, 0.9),)), spans)
    ended, sent = prove(path, long, "--yes")
    assert (ended.code, sent) == (2, [])
    assert "cannot judge inc-0123456789: most of its rise lies in how many calls there are" in ended.stderr


@pytest.mark.parametrize(
    ("one", "why"),
    [
        (looping(kind=Kind.LATENCY), "no single reply shows a fault of kind latency"),
        (looping(diagnosis=None), "it is not explained yet"),
        (looping("traffic", changes=()), "its cause names no change of a prompt, model, version or tool"),
        (looping(healthy_trace_ids=()), "no healthy run from before the onset is recorded"),
        (looping(trace_ids=(trace_id(2),)), "shows a call made before"),
        (looping(trace_ids=(trace_id(99),)), "none of its trajectories is stored"),
    ],
)
def test_what_cannot_be_judged_is_said_and_not_sent(tmp_path: Path, one: Incident, why: str) -> None:
    """Each reason is one line with exit code 2, and nothing is sent."""
    ended, sent = prove(stored(tmp_path / "s.db", one, (call(1), healthy(2))), by_prompt, "--yes")
    assert (ended.code, ended.stdout, sent) == (2, "", [])
    assert why in ended.stderr


def test_an_incident_and_a_trajectory_take_their_own_options(store: Path) -> None:
    """--step with an incident, and --factor with a trajectory, are refused."""
    assert prove(store, by_prompt, "--step", "1")[0].code == 2
    ended = analyzer("replay", trace_id(1), "--check", "--factor", "model", "--store", str(store))
    assert (ended.code, ended.stdout) == (2, "")
