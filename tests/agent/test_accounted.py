"""Every call is paid for and written down before it is made; where it cannot be, it is not made."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from agent.cases import WORST, answer, looping, means, the_case
from agent.scripting import look, run, submit

from analyzer.agent.ask import trajectory_topic
from analyzer.agent.investigate import investigate
from analyzer.agent.limits import Limits
from analyzer.agent.model import ModelReply, ModelRequest, Stop, ToolCall
from analyzer.agent.scripted import ScriptedModel
from analyzer.agent.session import Session
from analyzer.errors import ModelError, StoreBusyError
from analyzer.types.audit import Act, Head, digest
from analyzer.types.diagnosis import Ending
from analyzer.types.spending import Amount, Exhausted, Left, Scope
from analyzer.types.trace import Tokens

ABOUT = the_case().incident.id


@dataclass
class Notes:
    """A journal and a purse that note what they are told, in one list; `broken` fails, `full` refuses."""

    told: list[tuple[str, Any]] = field(default_factory=list)
    broken: str = ""
    full: bool = False
    room: int = 1_000
    """Calls after which it refuses."""

    def write(self, act: Act) -> None:
        """Note an act."""
        if act.action.value == self.broken:
            raise StoreBusyError("the store s.db is held by another process; try again in a moment")
        self.told.append((act.action.value, act))

    def head(self) -> Head | None:
        """Have none."""

    def refusal(self, about: str, most: Amount) -> Exhausted | None:
        """Refuse nothing in advance."""

    def reserve(self, about: str, most: Amount) -> int | Exhausted:
        """Note what is reserved."""
        if self.full or self.order.count("reserve") >= self.room:
            return Exhausted(Scope.DAY, "usd", 5.0, 4.98, 0.04)
        self.told.append(("reserve", (about, most)))
        return len(self.told)

    def settle(self, reservation: int, used: Amount) -> None:
        """Note what is settled."""
        self.told.append(("settle", used))

    def left(self) -> Left | None:
        """Hold nothing."""

    @property
    def order(self) -> list[str]:
        """What was told, in its order."""
        return [name for name, _ in self.told]


def price(usage: Tokens) -> float:
    """Return 1 USD a million tokens."""
    return usage.total / 1e6


def accounted(notes: Notes, *replies: Any, **options: Any):
    """Investigate with the notes as journal and purse."""
    return run(*replies, journal=notes, purse=notes, price=price, **options)


def test_each_call_is_paid_for_and_written_down_before_it_is_made():
    """Reserve, log, send, settle, log for each request; a tool call stands between asking for it and reading it."""
    notes = Notes()
    found, _ = accounted(notes, look("outline", trace_id=WORST, page=1), submit(answer()))
    assert found.diagnosis.ending is Ending.ANSWERED
    call = ["reserve", "model.request", "settle", "model.reply"]
    assert notes.order == [*call, "tool.call", *call]
    assert {about for name, (about, _) in ((n, t) for n, t in notes.told if n == "reserve")} == {ABOUT}
    reserved = [most for name, most in ((n, t[1]) for n, t in notes.told if n == "reserve")]
    settled = [used for name, used in notes.told if name == "settle"]
    assert settled == [Amount(1_100, 0.0011)] * 2
    assert all(most.tokens > used.tokens and most.usd > used.usd for most, used in zip(reserved, settled, strict=True))


def test_the_log_holds_the_conversation_once():
    """The first request has the prompt and the case, later ones what is new; a tool's return is named by its hash."""
    notes = Notes()
    _, model = accounted(notes, look("outline", trace_id=WORST, page=1), submit(answer()))
    first, second = [act for name, act in notes.told if name == "model.request"]
    [tool] = [act for name, act in notes.told if name == "tool.call"]
    assert first.given["system"] == model.requests[0].system
    assert [turn["role"] for turn in first.given["messages"]] == ["user"]
    assert "system" not in second.given
    [turn] = second.given["messages"]
    assert turn["blocks"][0]["text"] == {"sha256": digest(tool.returned)}
    assert (tool.name, dict(tool.arguments)) == ("outline", {"trace_id": WORST, "page": 1})
    assert tool.returned.startswith("Outline of")


def test_every_question_of_a_session_is_paid_for_and_the_log_holds_the_conversation_once():
    """A later question is reserved, settled and logged as the first was; its entry has only what it adds."""
    notes = Notes()
    replies = [
        ModelReply(
            tool_calls=(ToolCall("s", "submit_answer", {"summary": "It repeats.", "claims": []}),),
            stop=Stop.TOOLS,
            usage=Tokens(input=1000, output=100),
        )
        for _ in range(2)
    ]
    given = means(ScriptedModel(replies), journal=notes, purse=notes, price=price)
    asked = Session(trajectory_topic(looping(), given), given)
    for question in ("why did it fail?", "which step?"):
        assert asked.ask(question).ending is Ending.ANSWERED
    assert notes.order == ["reserve", "model.request", "settle", "model.reply"] * 2
    assert {about for name, told in notes.told if name == "reserve" for about in told[:1]} == {f"question-{WORST}"}
    first, second = [act.given for name, act in notes.told if name == "model.request"]
    assert "system" in first
    assert "system" not in second
    [turn] = second["messages"]
    assert "which step?" in turn["blocks"][-1]["text"]


def test_a_request_that_cannot_be_written_down_is_not_sent():
    """No log, no call: the explanation is made by rules, and the report says what stood in the way."""
    found, model = accounted(Notes(broken="model.request"), submit(answer()))
    assert (found.diagnosis.ending, len(model.requests)) == (Ending.UNAVAILABLE, 0)
    assert "held by another process" in found.diagnosis.note


def test_a_tool_call_that_cannot_be_written_down_ends_the_conversation():
    """What the model would read must be in the log: else it is asked no more."""
    found, model = accounted(Notes(broken="tool.call"), look(), submit(answer()))
    assert (found.diagnosis.ending, len(model.requests)) == (Ending.UNAVAILABLE, 1)


def test_a_limit_that_another_process_used_up_in_between_is_held():
    """The purse has the last word, at the moment of the call, and its words stand in the report."""
    found, model = accounted(Notes(full=True), submit(answer()))
    assert (found.diagnosis.ending, model.requests) == (Ending.USD, [])
    said = "the day's $5 are taken up to $4.9800, and this call may need $0.0400"
    assert found.diagnosis.note.endswith(said)


def test_tries_that_may_be_billed_are_counted_with_their_worst_case():
    """A call of which no reply came is settled by how many tries may be billed: none costs nothing."""
    for tries in (0, 1, 2):
        notes = Notes()
        accounted(notes, ModelError("no reply", lost_tries=tries))
        [(_, most)] = [told for name, told in notes.told if name == "reserve"]
        [used] = [told for name, told in notes.told if name == "settle"]
        assert (used.tokens, used.usd) == (most.tokens * tries, most.usd * tries)
        assert notes.order[-1] == "model.error"


class Losing:
    """A model that loses tries on the way, each as a real one does: the next is asked for before it is made."""

    name = "scripted"

    def __init__(self, lost: int, *, answers: bool = True) -> None:
        self.tries = 0
        self._lost = lost
        self._answers = answers

    def reply(self, request: ModelRequest) -> ModelReply:
        """Try until one succeeds."""
        for lost in range(self._lost):
            self.tries += 1
            try:
                request.again(lost + 1)
            except ModelError as error:
                error.lost_tries = lost + 1
                raise
        self.tries += 1
        if not self._answers:
            raise ModelError("no reply", lost_tries=self._lost)
        return replace(submit(answer()), lost_tries=self._lost)


def asked_of(model: Losing, notes: Notes, **limits: Any):
    """Investigate the case with a model that loses tries."""
    given = means(model, journal=notes, purse=notes, price=price, limits=Limits(**limits))
    return investigate(the_case().incident, the_case(), given)


def test_every_try_that_may_be_billed_is_paid_for_before_the_next():
    """Three tries reserve three worst cases; each lost one stays spent, and the reply is settled in the last place."""
    for answers, last in ((True, Amount(1_100, 0.0011)), (False, Amount(0, 0.0))):
        notes = Notes()
        found = asked_of(Losing(2, answers=answers), notes)
        assert (found.diagnosis.ending is Ending.ANSWERED) == answers
        assert notes.order[:4] == ["reserve", "model.request", "reserve", "reserve"]
        [most] = {told[1] for name, told in notes.told if name == "reserve"}
        assert [told for name, told in notes.told if name == "settle"] == [most, most, last]


def test_a_try_for_which_nothing_is_left_is_not_made():
    """Where the first try may be billed and a second no longer fits, the conversation ends by that limit."""
    notes = Notes(room=1)
    model = Losing(2)
    found = asked_of(model, notes)
    assert (found.diagnosis.ending, model.tries) == (Ending.USD, 1)
    assert found.diagnosis.note.endswith(
        "a try may be billed although no reply came; "
        "the day's $5 are taken up to $4.9800, and this call may need $0.0400"
    )
    [most] = [told[1] for name, told in notes.told if name == "reserve"]
    assert [told for name, told in notes.told if name == "settle"] == [most]
    small = Losing(2)
    found = asked_of(small, Notes(), tokens=most.tokens * 5 // 2)
    assert (found.diagnosis.ending, small.tries) == (Ending.TOKENS, 2)


def test_limits_of_the_conversation_are_named_too():
    """The note says which limit it was, and how far it was used."""
    found, _ = accounted(Notes(), submit(answer()), limits=Limits(tokens=500))
    assert found.diagnosis.ending is Ending.TOKENS
    assert "this investigation's 500 tokens are taken up to 0, and this call may need" in found.diagnosis.note
