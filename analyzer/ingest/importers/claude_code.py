"""Claude Code's session logs (`~/.claude/projects/*/*.jsonl`): a line a record, read as a stream.

A reply is spread over several lines, one a content block, each with the same message id and usage: it counts once.
Results of parallel calls may stand between those lines. Subagents are side chains in the same file or, in newer
versions, files of their own with the same session id: they hang below the session's agent. A resumed session's file
may begin with a copy of the one before: its lines carry the old session id and give the old spans again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from analyzer.ingest.folds import finish_reason
from analyzer.ingest.importers.base import Context, Found, Importer, Value
from analyzer.ingest.importers.entries import Call, Reply, Run
from analyzer.ingest.importers.transcript import Transcript
from analyzer.ingest.importers.turns import USER, Turn, turn_of
from analyzer.ingest.importers.usage import cost_of, tokens_of
from analyzer.ingest.importers.values import json_of, name_of, object_of, objects_of, text_of, time_of, word_of
from analyzer.ingest.reads import Noted
from analyzer.types.trace import Tokens

NAME = "claude-code"
_SPOKEN = frozenset({"user", "assistant"})
_OTHER = frozenset({"system", "summary", "file-history-snapshot", "queue-operation", "progress", "attachment"})
_SYNTHETIC = "<synthetic>"
"""The model of messages that Claude Code wrote itself, such as that of a failed request: no inference took place."""


@dataclass(slots=True)
class _Open:
    """The reply whose lines are being collected."""

    id: str | None
    reply: Reply
    blocks: list[Any]
    waiting: list[tuple[Turn, int | None]] = field(default_factory=list)
    """Results that arrived between its lines."""


@dataclass(slots=True)
class _Chain:
    """The main conversation of a session, or one subagent's."""

    transcript: Transcript
    open: _Open | None = None
    last_ns: int | None = None
    """When the record before was written: what the next reply answers."""
    seen: set[str] = field(default_factory=set)
    """Ids of lines and of finished replies: what is copied within a file counts once."""
    goal: str | None = None
    answer: str | None = None
    version: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def recognises(value: Any) -> bool:
    """Whether a value is a record of a session log."""
    record = object_of(value)
    kind = word_of(record.get("type"))
    if kind in _SPOKEN:
        return isinstance(record.get("message"), dict) and "sessionId" in record
    return kind in _OTHER and ("sessionId" in record or "leafUuid" in record or "messageId" in record)


def read(values: Iterator[Value], context: Context) -> Iterator[Found]:
    """Yield the spans of every session; what is finished goes out while the file is read."""
    reader = _Reader(context)
    for one in values:
        record = object_of(one.value)
        if word_of(record.get("type")) in _SPOKEN and isinstance(record.get("message"), dict):
            yield from reader.take(record, one.position)
        elif not record or ("type" not in record and "sessionId" not in record):
            yield context.refused(one.position, "is no record of a Claude Code session")
    yield from reader.end()


class _Reader:
    """The chains of one file."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._chains: dict[tuple[str, str], _Chain] = {}
        self._remarks: list[Noted] = []

    def take(self, record: Mapping[str, Any], position: str) -> Iterator[Found]:
        """Take one line."""
        chain = self._chain(record, position)
        line = text_of(record.get("uuid"))
        if line and line in chain.seen:
            return
        chain.seen.add(line)
        turn = turn_of({"role": record["type"], **record["message"]}, position)
        if turn is None:
            yield self._context.refused(position, "its message holds no content")
            return
        chain.version = name_of(record.get("version")) or chain.version
        at_ns = time_of(record.get("timestamp"))
        if record["type"] == "assistant":
            self._assistant(chain, record, turn, at_ns, position)
        elif chain.open is not None and turn.results:
            chain.open.waiting.append((self._result(turn, record), at_ns))
        else:
            _close(chain)
            if record.get("isCompactSummary") is True:
                # The context was summed up: what follows no longer sees the messages before.
                chain.transcript.drop_history()
            if turn.text and chain.goal is None and not record.get("isMeta"):
                chain.goal = turn.text
            _hear(chain, self._result(turn, record), at_ns)
        yield from chain.transcript.take()
        yield from self._said()

    def end(self) -> Iterator[Found]:
        """Close every chain."""
        for chain in self._chains.values():
            _close(chain)
            chain.transcript.finish(
                replace(
                    chain.transcript.run,
                    agent_version=chain.version,
                    goal=chain.goal,
                    answer=chain.answer,
                    attributes=chain.facts,
                )
            )
            yield from chain.transcript.take()
        yield from self._said()

    def _said(self) -> Iterator[Noted]:
        remarks, self._remarks = self._remarks, []
        yield from remarks

    def _chain(self, record: Mapping[str, Any], position: str) -> _Chain:
        session = text_of(record.get("sessionId")) or "unnamed"
        side = record.get("isSidechain") is True
        # Older versions do not name the subagents of a session: they share one chain.
        part = (name_of(record.get("agentId")) or "sidechain") if side else ""
        chain = self._chains.get((session, part))
        if chain is None:
            main = Transcript(NAME, session, note=lambda *_: None)
            folder, branch = name_of(record.get("cwd")), name_of(record.get("gitBranch"))
            transcript = Transcript(
                NAME,
                session,
                note=lambda place, why: self._remarks.append(self._context.noted(place or position, why)),
                pricer=self._context.pricer,
                part=part,
                parent_id=main.root_id if side else None,
                run=Run(
                    agent=f"{NAME}/{name_of(record.get('agentType')) or 'subagent'}" if side else NAME,
                    agent_version=name_of(record.get("version")),
                    conversation_id=name_of(session),
                ),
            )
            chain = self._chains[session, part] = _Chain(transcript)
            facts = {"cwd": folder, "git_branch": branch, "subagent": part or None}
            chain.facts = {f"analyzer.import.{key}": value for key, value in facts.items() if value}
        return chain

    def _assistant(
        self, chain: _Chain, record: Mapping[str, Any], turn: Turn, at_ns: int | None, position: str
    ) -> None:
        message = record["message"]
        identity = name_of(message.get("id"))
        if identity is not None and chain.open is not None and chain.open.id == identity:
            self._more(chain.open, turn, message, at_ns)
            return
        _close(chain)
        if identity is not None and f"reply {identity}" in chain.seen:
            self._remarks.append(self._context.noted(position, f"repeats the reply {identity}: counted once"))
            return
        model = name_of(message.get("model"))
        failed = record.get("isApiErrorMessage") is True
        if model == _SYNTHETIC and not failed:
            chain.transcript.hear(turn.message, at_ns)
            return
        chain.open = _Open(
            identity,
            Reply(
                message={"role": "assistant"},
                position=position,
                calls=_timed(turn, at_ns),
                agent_version=chain.version,
                model=None if model == _SYNTHETIC else model,
                provider="anthropic" if model and model.startswith("claude") else None,
                tokens=None if model == _SYNTHETIC else tokens_of(message.get("usage")),
                cost_usd=cost_of(record.get("costUSD")),
                service_tier=turn.service_tier,
                finish=finish_reason(message.get("stop_reason")),
                response_id=identity,
                start_ns=chain.last_ns if chain.last_ns is not None else at_ns,
                end_ns=at_ns,
                error_type="api_error" if failed else "",
                error_message=turn.text if failed else "",
            ),
            _blocks(message),
        )
        chain.answer = turn.text or chain.answer

    @staticmethod
    def _more(opened: _Open, turn: Turn, message: Mapping[str, Any], at_ns: int | None) -> None:
        """Add a line of the same reply: its blocks; its usage repeats, or is more complete than the one before."""
        before = opened.reply
        known = {call.id for call in before.calls if call.id}
        there = {json_of(block) for block in opened.blocks}
        opened.blocks += [block for block in _blocks(message) if json_of(block) not in there]
        opened.reply = replace(
            before,
            calls=(*before.calls, *(call for call in _timed(turn, at_ns) if call.id not in known)),
            tokens=_larger(before.tokens, tokens_of(message.get("usage"))),
            finish=finish_reason(message.get("stop_reason")) or before.finish,
            end_ns=at_ns or before.end_ns,
        )

    @staticmethod
    def _result(turn: Turn, record: Mapping[str, Any]) -> Turn:
        """Say which subagent a result comes from, where the record does."""
        agent = name_of(object_of(record.get("toolUseResult")).get("agentId"))
        if agent is None:
            return turn
        marked = tuple(replace(one, attributes={"analyzer.import.subagent": agent}) for one in turn.results)
        return replace(turn, results=marked)


def _close(chain: _Chain) -> None:
    """Write the reply that is open, and the results that came between its lines."""
    opened, chain.open = chain.open, None
    if opened is None:
        return
    if opened.id is not None:
        chain.seen.add(f"reply {opened.id}")
    chain.last_ns = opened.reply.end_ns or chain.last_ns
    words = [block.get("text") for block in objects_of(opened.blocks) if block.get("type") == "text"]
    chain.answer = "\n".join(text_of(word) for word in words if word) or chain.answer
    chain.transcript.reply(replace(opened.reply, message={"role": "assistant", "content": opened.blocks}))
    for turn, at_ns in opened.waiting:
        _hear(chain, turn, at_ns)


def _hear(chain: _Chain, turn: Turn, at_ns: int | None) -> None:
    for result in turn.results:
        chain.transcript.returned(replace(result, at_ns=at_ns))
    chain.transcript.hear(turn.message if turn.role == USER else {**turn.message, "role": USER}, at_ns)
    chain.last_ns = at_ns or chain.last_ns


def _timed(turn: Turn, at_ns: int | None) -> tuple[Call, ...]:
    """Return the calls of a line with the moment at which it was written."""
    return tuple(replace(call, at_ns=at_ns) for call in turn.calls)


def _blocks(message: Mapping[str, Any]) -> list[Any]:
    content = message.get("content")
    return list(content) if isinstance(content, list) else [{"type": "text", "text": text_of(content)}]


def _larger(before: Tokens | None, after: Tokens | None) -> Tokens | None:
    """Return the usage that counts more: lines written while the reply streams show what had come by then."""
    if before is None or after is None:
        return before or after
    return after if after.total >= before.total else before


CLAUDE_CODE = Importer(NAME, recognises, read)
