"""Plays a script on a clock: turns what an agent means to do into inferences and tool calls with times and tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

from analyzer.simulation.agents import Agent, geometric, run_size
from analyzer.simulation.faults import OVERLOADED, RATE_LIMITED, Breakage, Effects, LoopPattern
from analyzer.simulation.run import REPLY_TOKENS_MAX, AgentRun, Inference, ToolUse
from analyzer.simulation.script import Call, Failure, Script, Tool, chance, dumps
from analyzer.simulation.texts import Texts, texts_of

CALLS_MAX = 120
"""Tool calls of one script: a steps factor must not make one run fill a disk."""

_AGAIN = ("Let me try that once more.", "I will look it up again.", "That should work now; trying again.", "Once more.")
_GAVE_UP = "I could not finish: {result}. I have tried {times} times. A human should look at this."
_CUT_TOKENS_MAX = 48
"""`max_tokens` of the requests whose reply is cut: somebody set it far too low."""
_CUT_AT = 40
"""Characters kept of a cut reply's text: the span shows that it breaks off in mid-sentence."""
_CONTEXT_LINES = 12


class _RunBrokenError(Exception):
    """A fatal failure ends the script; never leaves this module."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def play(
    agent: Agent, effects: Effects, level: float, start_ns: int, rng: random.Random, *, full_texts: bool = False
) -> AgentRun:
    """Return one run of the agent that starts at `start_ns` under these effects.

    `level` scales the tokens with the hour's drift. The same arguments and generator state give the same run; with
    `full_texts` it differs in what it says, and in nothing else.
    """
    calls_n = min(CALLS_MAX, max(1, round(geometric(agent.calls, rng, CALLS_MAX) * effects.steps_factor)))
    script = agent.played.plan(rng, calls_n)
    breakages = (*effects.breakages, *_background(agent, rng))
    size = run_size(agent, rng) * level
    texts, own = None, random.Random(f"{agent.name}/{start_ns}")
    if full_texts:
        texts = texts_of(agent.role, agent.prompt_tokens)
        script = texts.filled(script, agent.step_tokens * size, own)
    player = _Player(agent, replace(effects, breakages=breakages), size, start_ns, rng)
    return player.run(script, texts, own)


def _background(agent: Agent, rng: random.Random) -> Iterator[Breakage]:
    """Yield what breaks without any fault: half of it at the provider, half at the role's main tool."""
    role = agent.played
    for share, fatal, provider in ((agent.error_share, True, OVERLOADED), (agent.retry_share, False, RATE_LIMITED)):
        hit, at_provider = chance(rng, share), chance(rng, 0.5)
        if hit:
            tool, failure = (None, provider) if at_provider else (role.main_tool, Failure("TimeoutError", "timed out"))
            yield Breakage(-1, tool, failure, fatal=fatal)


class _Player:
    """The state of one run while it is played. Times advance with `_now`."""

    def __init__(self, agent: Agent, effects: Effects, size: float, start_ns: int, rng: random.Random) -> None:
        self._agent, self._effects, self._rng = agent, effects, rng
        self._start = self._now = start_ns
        self._input_size = size * effects.input_factor
        self._output_size = size * effects.output_factor
        self._context_tokens = agent.prompt_tokens + agent.step_tokens * rng.lognormvariate(0, 0.3)
        self._read_tokens = 0
        self._messages: list[str] = []
        self._steps: list[Inference | ToolUse] = []
        self._pending = list(effects.breakages)
        self._struck = set(effects.struck)
        self._retries = 0

    def run(self, script: Script, texts: Texts | None, own: random.Random) -> AgentRun:
        """Play the script to its end or to its first fatal failure. `own` draws texts, where they are to be full."""
        rng, effects = self._rng, self._effects
        trace_id, span_id = f"{rng.getrandbits(128):032x}", self._id()
        conversation, user = f"conv_{rng.getrandbits(48):012x}", f"user-{rng.randrange(500)}"
        judged, missed = chance(rng, self._agent.evaluated_share), chance(rng, self._agent.missed_share)
        self._messages.append(_message("user", _text(script.goal + self._attached(texts, own))))
        failure, answer = None, script.answer
        try:
            answer = self._work(script)
        except _RunBrokenError as broken:
            failure, answer = broken.failure, ""
        self._pause(0.01)
        judged = judged and failure is None
        if judged and effects.missed is not None:
            self._struck.add(effects.missed)
        passed = not missed and effects.missed is None and not effects.loops and effects.confused is None
        return AgentRun(
            trace_id=trace_id,
            span_id=span_id,
            agent=self._agent,
            version=effects.version,
            model=effects.model,
            prompt_version=effects.prompt_version,
            system=" ".join(filter(None, (texts.system if texts else self._agent.played.system, effects.prompt))),
            definitions=texts.definitions if texts else "",
            start_ns=self._start,
            end_ns=self._now,
            goal=script.goal,
            answer=answer,
            steps=tuple(self._steps),
            retries=self._retries,
            struck=frozenset(self._struck),
            conversation_id=conversation,
            user_id=user,
            failure=failure,
            passed=passed if judged else None,
        )

    def _work(self, script: Script) -> str:
        """Play the rounds and return the answer. Raises _RunBrokenError."""
        rounds = _rounds(self._confuse(call) for call in script.calls)
        answer = script.answer
        self._pause(0.02)
        first = next(rounds)
        self._round(first)
        if self._effects.loops:
            answer = self._loop(first[:1])
        else:
            for calls in rounds:
                self._round(calls)
        if self._effects.truncated:
            answer = answer[:_CUT_AT]
        self._infer(answer, [], "length" if self._effects.truncated else "stop")
        return answer

    def _loop(self, first: list[Call]) -> str:
        """Try the dead end again and again, in the pattern of the fault, and return how the agent gives up."""
        stuck, times = self._agent.played.dead_end(self._rng), self._effects.loops
        for _ in range(times):
            noisy = self._effects.pattern == LoopPattern.NOISY
            self._round([replace(stuck, result=self._with_noise(stuck.result)) if noisy else stuck])
            if self._effects.pattern == LoopPattern.CYCLE:
                self._round(first)
            stuck = replace(stuck, thought=self._rng.choice(_AGAIN))
        return _GAVE_UP.format(result=stuck.result, times=times)

    def _with_noise(self, result: str) -> str:
        """Return a result with a request id, as a member where it is a JSON object."""
        request = f"req_{self._rng.getrandbits(48):012x}"
        return f'{result[:-1]},"request_id":"{request}"}}' if result.startswith("{") else f"{result} [{request}]"

    def _round(self, calls: list[Call]) -> None:
        """Play one model reply and the tool calls it asks for; a failed fatal call is tried twice."""
        identified = [(call, f"toolu_{self._rng.getrandbits(64):016x}") for call in calls]
        self._pause(max(call.wait_s for call in calls))
        self._infer(calls[0].thought, identified, "tool_call")
        parts: list[dict[str, object]] = []
        broken = None
        for call, call_id in identified:
            result, fatal = self._execute(call, call_id)
            parts.append({"response": result, "id": call_id, "type": "tool_call_response"})
            if fatal is not None:
                broken = (call, fatal)
                break
        self._messages.append(_message("user", parts))
        self._context_tokens += self._agent.step_tokens * len(parts) * self._rng.lognormvariate(0, 0.5) * self._weight()
        if broken is not None:
            self._give_up(*broken)

    def _give_up(self, call: Call, fatal: Breakage) -> None:
        """Try a fatally failing call once more, then break the run."""
        call_id = f"toolu_{self._rng.getrandbits(64):016x}"
        again = replace(call, thought="That failed. I will try again.")
        self._infer(again.thought, [(again, call_id)], "tool_call")
        self._use(again, call_id, fatal.failure)
        self._retries += 1
        raise _RunBrokenError(fatal.failure)

    def _weight(self) -> float:
        """Return how heavy a tool's reply is: the refusals that a loop collects are short."""
        return 0.3 if self._effects.loops else 1.0

    def _infer(self, thought: str, calls: list[tuple[Call, str]], finish: str) -> None:
        """Add one inference, and before it the failed tries that the effects ask for."""
        breakage = self._breakage(None)
        for attempt in range(breakage.times if breakage else 0):
            assert breakage is not None  # noqa: S101 - narrows the type: the range is empty without one
            self._fail_inference(breakage.failure)
            if breakage.fatal:
                raise _RunBrokenError(breakage.failure)
            self._retries += 1
            self._pause(min(8.0, 0.5 * 2**attempt))
        rng, agent = self._rng, self._agent
        fresh = max(1, round(self._context_tokens * self._input_size))
        most = _CUT_TOKENS_MAX if finish == "length" else REPLY_TOKENS_MAX
        output = min(most, max(1, round(agent.output_tokens * self._output_size * rng.lognormvariate(0, 0.35))))
        output = most if finish == "length" else output
        read, written = self._cache(fresh)
        parts = [*(_text(thought) if thought else []), *(_tool_call(call, call_id) for call, call_id in calls)]
        span_id, response_id = self._id(), f"msg_{rng.getrandbits(64):016x}"
        seconds = (0.6 + 0.012 * output) * rng.lognormvariate(0, 0.25) * self._effects.model_seconds_factor
        messages, begun = self._conversation(), self._now
        self._pause(seconds)
        self._steps.append(
            Inference(
                span_id=span_id,
                start_ns=begun,
                end_ns=self._now,
                model=self._effects.model,
                messages=messages,
                reply=f"[{_message('assistant', parts, finish)}]",
                finish=finish,
                response_id=response_id,
                input_tokens=fresh,
                output_tokens=output,
                cache_read_tokens=read,
                cache_write_tokens=written,
                max_tokens=most,
            )
        )
        self._messages.append(_message("assistant", parts))
        self._context_tokens += agent.output_tokens * 0.5
        self._pause(0.002)

    def _cache(self, tokens: int) -> tuple[int, int]:
        """Return how many input tokens were read from and written to the cache; both 0 without one."""
        if not self._agent.cached:
            return 0, 0
        prompt = min(tokens, round(self._agent.prompt_tokens * self._input_size))
        if self._read_tokens:
            read = min(tokens, self._read_tokens)
        else:
            read = prompt if chance(self._rng, self._agent.cached) else 0
        self._read_tokens = tokens
        return read, tokens - read

    def _fail_inference(self, failure: Failure) -> None:
        begun = self._now
        self._pause(0.2 + self._rng.random())
        self._steps.append(
            Inference(
                self._id(), begun, self._now, self._effects.model, self._conversation(), "", "error", failure=failure
            )
        )

    def _execute(self, call: Call, call_id: str) -> tuple[str, Breakage | None]:
        """Add a tool call with its failed tries; return what the model is told, and the failure if it is fatal."""
        breakage = self._breakage(call.tool)
        if breakage is None:
            return self._use(call, call_id, call.failure), None
        if breakage.fatal:
            return self._use(call, call_id, breakage.failure), breakage
        told = ""
        for _ in range(breakage.times):
            told = self._use(call, call_id, breakage.failure)
            self._pause(0.3)
        if not breakage.once:
            return told, None
        self._retries += breakage.times
        return self._use(call, call_id, None), None

    def _use(self, call: Call, call_id: str, failure: Failure | None) -> str:
        """Add one execution of a tool and return what the model is told."""
        tool = self._tool(call.tool)
        factor = 1.0
        if call.tool in self._effects.tool_seconds:
            fault, factor = self._effects.tool_seconds[call.tool]
            self._struck.add(fault)
        begun = self._now
        self._pause(tool.seconds * self._rng.lognormvariate(0, 0.5) * factor)
        result = f"Error: {failure.message}" if failure else call.result
        self._steps.append(
            ToolUse(
                span_id=self._id(),
                start_ns=begun,
                end_ns=self._now,
                tool=tool.name,
                description=tool.description,
                call_id=call_id,
                arguments=dumps(call.arguments),
                result=result,
                failure=failure,
            )
        )
        self._pause(0.001)
        return result

    def _tool(self, name: str) -> Tool:
        return self._agent.played.tool(name)

    def _breakage(self, tool: str | None) -> Breakage | None:
        """Return what strikes this call, and forget it where it strikes once a run."""
        for breakage in self._pending:
            if breakage.tool != tool or (not breakage.once and not chance(self._rng, breakage.per_call)):
                continue
            if breakage.once:
                self._pending.remove(breakage)
            if breakage.fault >= 0:
                self._struck.add(breakage.fault)
            return breakage
        return None

    def _confuse(self, call: Call) -> Call:
        """Replace a call by the role's wrong choice where the run is confused."""
        wrong = self._agent.played.confusion
        if self._effects.confused is None or call.tool != wrong.tool:
            return call
        arguments = {
            key.replace(wrong.right, wrong.wrong): value.replace(wrong.right, wrong.wrong)
            if isinstance(value, str)
            else value
            for key, value in call.arguments.items()
        }
        self._struck.add(self._effects.confused)
        return replace(call, tool=wrong.wrong_tool, arguments=arguments, result=wrong.result)

    def _attached(self, texts: Texts | None, own: random.Random) -> str:
        """Return what stands below the goal: what a fault loads into the first message, and in full texts the rest."""
        told = self._effects.context
        if texts is not None:
            return texts.attached(self._context_tokens * self._input_size - texts.prompt_tokens, told, own)
        lines = (told.replace("{n}", str(number + 1)) for number in range(_CONTEXT_LINES))
        return "\n\n" + "\n".join(lines) if told else ""

    def _conversation(self) -> str:
        return f"[{','.join(self._messages)}]"

    def _id(self) -> str:
        # An id of zeros is invalid in OTLP.
        return f"{self._rng.getrandbits(64) or 1:016x}"

    def _pause(self, seconds: float) -> None:
        self._now += max(1, int(seconds * 1e9))


def _rounds(calls: Iterator[Call]) -> Iterator[list[Call]]:
    """Group calls by the model reply that issues them."""
    together: list[Call] = []
    for call in calls:
        if together and not call.same_round:
            yield together
            together = []
        together.append(call)
    if together:
        yield together


def _message(role: str, parts: list[dict[str, object]], finish: str | None = None) -> str:
    """Return one message as opentelemetry-util-genai writes it."""
    message: dict[str, object] = {"role": role, "parts": parts}
    if finish is not None:
        message["finish_reason"] = finish
    return dumps({**message, "name": None})


def _text(content: str) -> list[dict[str, object]]:
    return [{"content": content, "type": "text"}]


def _tool_call(call: Call, call_id: str) -> dict[str, object]:
    return {"arguments": call.arguments, "name": call.tool, "id": call_id, "type": "tool_call"}
