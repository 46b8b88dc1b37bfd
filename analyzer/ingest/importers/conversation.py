"""Conversations in any spelling to spans: what the chat formats share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from analyzer.ingest.importers.base import Context, Found, Value
from analyzer.ingest.importers.beside import outcome_of
from analyzer.ingest.importers.entries import Reply, Run
from analyzer.ingest.importers.logged import Thread, Threads
from analyzer.ingest.importers.responses import asked_of, is_response, joined, replied
from analyzer.ingest.importers.transcript import Transcript
from analyzer.ingest.importers.turns import (
    ASSISTANT,
    SYSTEM,
    TOOL,
    USER,
    Turn,
    is_message,
    is_talk_of_agents,
    named,
    turn_of,
)
from analyzer.ingest.importers.usage import cost_of, tokens_of
from analyzer.ingest.importers.values import (
    first_name,
    hex_id,
    json_of,
    list_of,
    object_of,
    objects_of,
    text_of,
    time_of,
)
from analyzer.ingest.reads import Noted
from analyzer.types.trace import Outcome

_MESSAGES = ("messages", "traj", "history", "conversation", "conversations", "trajectory", "dialog", "turns", "input")
"""Keys under which collections of runs keep the messages of one."""
_GOALS = ("question", "goal", "task", "instruction", "problem_statement", "query", "prompt")
_VERDICTS = ("outcome", "reward", "resolved", "success", "passed", "is_correct", "is_corrected", "correct", "score")
"""Keys of a judgement on the whole run; `is_corrected` is how Who&When spells `is_correct` in half of its logs."""
_IDS = ("trace_id", "run_id", "session_id", "conversation_id", "thread_id", "id", "uuid")
_GROUPS = ("conversation_id", "session_id", "thread_id", "trace_id", "run_id")
_TASKS = ("instance_id", "task_id", "question_ID", "trial", "task_name", "trial_name")
_UNIQUE_CHARS_MIN = 20
"""Ids shorter than this count the rows of one file; UUIDs and hashes are longer."""
_MESSAGES_BYTES_MAX = 256 << 20
"""Most bytes of a file of bare messages: they are one conversation and must be held together."""
_START = ("start_time", "started_at", "start", "created_at", "created", "timestamp", "date")
_END = ("end_time", "finished_at", "ended_at", "end", "completed_at")


def messages_of(value: Any) -> tuple[Mapping[str, Any], list[Any]] | None:
    """Return what stands around the messages of one conversation, and the messages; None where it is none.

    Takes a list of messages, an object that holds one, and a logged request with its response.
    """
    if isinstance(value, list):
        return ({}, value) if _are_messages(value) else None
    if not isinstance(value, dict):
        return None
    logged = logged_of(value)
    if logged is not None:
        around, asked, replies = logged
        return around, [*asked, *replies]
    for key in _MESSAGES:
        if _are_messages(value.get(key)):
            replies = _replies(value["response"]) if isinstance(value.get("response"), dict) else []
            return value, [*value[key], *replies]
    return None


def logged_of(value: Any) -> tuple[Mapping[str, Any], list[Any], list[Any]] | None:
    """Return what stands around a logged request, its messages and those of the response; None where it is none.

    The usage beside a response is the reply's, and not that of a whole run: it is left out around it.
    """
    if not isinstance(value, dict):
        return None
    request = object_of(value.get("request")) or object_of(value.get("body"))
    reply = object_of(value.get("response"))
    # Results of batches wrap it once more: OpenAI's `response.body`, Anthropic's `result.message`.
    reply = object_of(reply.get("body")) or reply or object_of(object_of(value.get("result")).get("message"))
    if _are_messages(request.get("messages")):
        return {**request, **value}, request["messages"], _replies(reply)
    if is_response(reply):
        return {**request, **value, "input": None, "usage": None}, asked_of(request) or [], replied(reply)
    if is_response(value):
        return {**value, "usage": None}, asked_of(value) or [], replied(value)
    if not request and not any(_are_messages(value.get(key)) for key in _MESSAGES):
        replies = _replies(reply or value)
        return ({**value, "usage": None}, [], replies) if replies else None
    return None


def read_conversations(values: Iterator[Value], context: Context, form: str) -> Iterator[Found]:
    """Yield the spans of every conversation: one a value, or one of all values where these are bare messages.

    Bare messages that name their conversation are gathered by it.
    Logged requests of one run are put back together. Both are known in full only at the end of the file.
    """
    loose: dict[str, list[Any]] = {}
    threads = Threads()
    held = 0
    seen: Counter[str] = Counter()
    for one in values:
        if is_message(one.value):
            held += one.size
            if held > _MESSAGES_BYTES_MAX:
                yield context.refused(one.position, "more messages than are held at once (256 MiB): split the file")
                break
            group = first_name(*(one.value.get(key) for key in _GROUPS)) or ""
            loose.setdefault(group, []).append(one.value)
        elif (logged := logged_of(one.value)) is not None:
            for thread in threads.add(*logged, one.position):
                yield from _of_thread(thread, form, context, seen)
        else:
            yield from _of_value(one.value, form, context, one.position, seen)
    for thread in threads.rest():
        yield from _of_thread(thread, form, context, seen)
    for group, messages in loose.items():
        around = {"conversation_id": group} if group else {}
        yield from _conversation(around, messages, form, context, "", seen)


def _of_value(value: Any, form: str, context: Context, position: str, seen: Counter[str]) -> Iterator[Found]:
    """Yield the spans of one conversation, or of each conversation of a list."""
    found = messages_of(value)
    if found is not None:
        yield from _conversation(*found, form, context, position, seen)
        return
    inner = [messages_of(entry) for entry in value] if isinstance(value, list) else []
    if not any(inner):
        yield context.refused(position, "holds no conversation")
        return
    for index, one in enumerate(inner):
        place = f"{position}[{index}]"
        if one is None:
            yield context.refused(place, "holds no conversation")
        else:
            yield from _conversation(*one, form, context, place, seen)


def identity(around: Mapping[str, Any], content: Any, seen: Counter[str]) -> str:
    """Return what tells one run from all others: its own id where that is unique, else its content.

    `seen` counts the keys of a file: a second run with the very same content is another run, not a copy.
    """
    own = next((name for key in _IDS if (name := text_of(around.get(key))) and len(name) >= _UNIQUE_CHARS_MIN), None)
    names = [text_of(around.get(key)) for key in _TASKS]
    key = f"id:{own}" if own else hex_id(32, *names, json_of(content))
    seen[key] += 1
    return key if seen[key] == 1 else f"{key}#{seen[key]}"


def converse(turns: Sequence[Turn], transcript: Transcript, prompts: Mapping[str, Any], position: str) -> None:
    """Put turns into a transcript: replies are steps, everything else is history."""
    talk = is_talk_of_agents(turns)
    for index, turn in enumerate(turns):
        place = f"{position} message {index}".strip()
        for result in turn.results:
            transcript.returned(result)
        if turn.role == ASSISTANT or (talk and turn.role == USER):
            transcript.reply(reply_of(turn, place, index, prompts, transcript.run))
        else:
            transcript.hear(turn.message, turn.at_ns)


def reply_of(turn: Turn, position: str, index: int, prompts: Mapping[str, Any], run: Run) -> Reply:
    """Return the reply that a turn is."""
    attributes: dict[str, Any] = {"analyzer.import.message": index}
    if turn.remark:
        attributes |= {"analyzer.import.remark": turn.remark}
    return Reply(
        message=turn.message,
        position=position,
        calls=turn.calls,
        agent=turn.speaker,
        model=turn.model or run.model,
        provider=turn.provider,
        tokens=turn.tokens,
        cost_usd=turn.cost_usd,
        service_tier=turn.service_tier,
        finish=turn.finish,
        response_id=turn.id,
        start_ns=turn.at_ns,
        attributes=attributes,
        system=text_of(prompts.get(turn.speaker)) or None if turn.speaker else None,
    )


def turns_of(messages: Sequence[Any], note: Callable[[str, str], None], position: str) -> list[Turn]:
    """Return the messages as turns; what is no message is noted and left out."""
    turns = []
    for index, entry in enumerate(joined(messages)):
        place = f"{position} message {index}".strip()
        turn = turn_of(entry, place)
        if turn is None:
            note(place, "is no message: left out")
        else:
            turns.append(turn)
    return named(turns)


def first_time(turns: Sequence[Turn], *others: int | None) -> int | None:
    """Return the earliest moment that a log gives, or None."""
    return min((time for time in (*others, *(turn.at_ns for turn in turns)) if time is not None), default=None)


def goal_of(turns: Sequence[Turn]) -> str | None:
    """Return the first words of a user: what the run was asked for."""
    return next((turn.text for turn in turns if turn.role == USER and turn.text), None)


def answer_of(turns: Sequence[Turn]) -> str | None:
    """Return the last words of an agent that are no mere call."""
    return next((turn.text for turn in reversed(turns) if turn.role not in (SYSTEM, TOOL) and turn.text), None)


def verdict_of(around: Mapping[str, Any]) -> Outcome | None:
    """Return what the judgements around a run say, or None where there is none."""
    return next((verdict for key in _VERDICTS if (verdict := outcome_of(around.get(key))) is not None), None)


def _of_thread(thread: Thread, form: str, context: Context, seen: Counter[str]) -> Iterator[Found]:
    key = identity(thread.around, thread.opening, seen)
    return _conversation(thread.around, thread.messages, form, context, thread.position, seen, key=key)


def _conversation(
    around: Mapping[str, Any],
    messages: list[Any],
    form: str,
    context: Context,
    position: str,
    seen: Counter[str],
    *,
    key: str = "",
) -> Iterator[Found]:
    remarks: list[Noted] = []

    def note(place: str, why: str) -> None:
        remarks.append(context.noted(place or position, why))

    turns = turns_of(messages, note, position)
    key = key or identity(around, messages, seen)
    run = _run(around, turns)
    transcript = Transcript(
        form, key, note=note, pricer=context.pricer, first_ns=first_time(turns, run.start_ns), run=run
    )
    system = around.get("system") or around.get("instructions")
    if system:
        transcript.hear({"role": SYSTEM, "content": system})
    converse(turns, transcript, object_of(around.get("system_prompt")), position)
    transcript.finish()
    yield from transcript.take()
    yield from remarks


def _run(around: Mapping[str, Any], turns: Sequence[Turn]) -> Run:
    agent = object_of(around.get("agent"))
    metadata = object_of(around.get("metadata"))
    talk = is_talk_of_agents(turns)
    goal = next((text for key in _GOALS if isinstance(text := around.get(key), str) and text), None)
    tools = around.get("tools") or around.get("functions")
    wanted = ("task_id", "trial", "instance_id", "question_ID", "level")
    task = {f"analyzer.import.{key}": name for key in wanted if (name := first_name(around.get(key)))}
    return Run(
        agent=first_name(agent.get("name"), around.get("agent"), around.get("agent_name"), metadata.get("agent_name")),
        agent_version=first_name(agent.get("version"), around.get("agent_version"), around.get("version")),
        model=first_name(agent.get("model"), around.get("model"), around.get("model_name"), metadata.get("model")),
        goal=goal or (None if talk else goal_of(turns)),
        answer=answer_of(turns),
        outcome=verdict_of(around) or Outcome.UNKNOWN,
        start_ns=next((time for key in _START if (time := time_of(around.get(key))) is not None), None),
        end_ns=next((time for key in _END if (time := time_of(around.get(key))) is not None), None),
        tokens=tokens_of(around.get("usage")),
        cost_usd=cost_of(around.get("total_cost_usd"), around.get("cost_usd"), around.get("total_cost")),
        conversation_id=first_name(*(around.get(key) for key in _GROUPS[:3])),
        user_id=first_name(around.get("user_id")),
        tool_definitions=json_of(tools) if isinstance(tools, list) and tools else None,
        attributes=task,
    )


def _are_messages(value: Any) -> bool:
    """Whether a list holds a conversation: most of its first entries are messages, and the first one is."""
    entries = list_of(value)[:_LOOKED_AT]
    return bool(entries) and isinstance(entries[0], dict) and 2 * sum(map(is_message, entries)) > len(entries)


_LOOKED_AT = 20


def _replies(response: Mapping[str, Any]) -> list[Any]:
    """Return the messages of a response: OpenAI's choices, or Anthropic's message itself."""
    shared = {key: response[key] for key in ("usage", "model", "id", "created", "service_tier") if key in response}
    for choice in objects_of(response.get("choices"))[:1]:
        if isinstance(choice.get("message"), dict):
            return [{**shared, "finish_reason": choice.get("finish_reason"), **choice["message"]}]
    return [response] if is_message(response) and response.get("type") == "message" else replied(response)
