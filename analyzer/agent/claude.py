"""Claude, through the official SDK: the only module that imports `anthropic`.

Facts about `anthropic` 2.x that this rests on (each was run against a loopback server): the key travels as a Bearer
token; `temperature` no longer exists; `usage.input_tokens` leaves out what came from and went to the cache; a cut
stream gives `stop_reason` None and no exception; an error in the middle of a stream has status 200; `Retry-After` is
honoured without an upper bound, so the SDK's own retries are switched off and `retry.retrying` does it within the time
that is left; a timeout bounds one read, not a reply that trickles, so a reply is waited for with a deadline (`within`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, NoReturn

import anthropic
from anthropic.types import Message

from analyzer.agent.body import EPHEMERAL, messages_body, tool_body
from analyzer.agent.deadline import AbandonedError, within
from analyzer.agent.model import ModelReply, ModelRequest, Stop, ToolCall
from analyzer.errors import ModelError
from analyzer.retry import retrying
from analyzer.types.diagnosis import Ending
from analyzer.types.trace import Tokens

DEFAULT_MODEL = "claude-sonnet-5-5"
REPLY_TOKENS_MAX = 21_000
"""The SDK refuses more without streaming."""
RETRIED = frozenset({408, 409, 429})
SERVER_ERRORS = 500
_STOPS = {
    "end_turn": Stop.DONE,
    "stop_sequence": Stop.DONE,
    "pause_turn": Stop.DONE,
    "tool_use": Stop.TOOLS,
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.CONTEXT,
    "refusal": Stop.REFUSAL,
}
_Piece = tuple[int, str, str]
"""What `Listener.hear` is told."""
_STREAMED_ERRORS = {
    "invalid_request_error": 400,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What an error that comes in the middle of a stream, under status 200, would have been at its beginning."""
_NOT_SENT = frozenset({"ConnectError", "ConnectTimeout", "UnsupportedProtocol"})
"""Errors of the SDK's transport that come before a byte of the request is sent."""
_NEXT_STEPS = {
    400: "the request was not understood; check that ANALYZER_MODEL fits this API or gateway",
    401: "the key was refused; check ANTHROPIC_API_KEY",
    402: "the account has no credit; check billing",
    403: "the key may not do this; check its workspace and permissions",
    404: "model or address not found; check ANALYZER_MODEL and ANTHROPIC_BASE_URL",
    413: "the request is too large; lower the tokens of the case file",
    429: "the rate limit was reached; run less often or raise the limit",
    529: "the API is overloaded; the next run will try again",
}


def available(api_key: str | None = None, base_url: str | None = None) -> bool:
    """Tell whether the SDK finds credentials (argument, environment, profile). Sends nothing."""
    try:
        client = anthropic.Anthropic(api_key=api_key, base_url=base_url, open_telemetry={"traces": {"enabled": False}})
    except Exception:  # noqa: BLE001 - a broken profile on disk is no credential, whatever it raises
        return False
    with client:
        return any(value for value in (client.api_key, client.auth_token, client.credentials))


class ClaudeModel:
    """Answers requests with a Claude model. Safe to use from several threads."""

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout_s: float = 90.0,
        max_retries: int = 2,
        effort: str | None = "medium",
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model = model
        self._timeout_s = timeout_s
        self._tries = max(max_retries, 0) + 1
        self._effort = effort
        self._sleep = sleep
        self._plain = False
        self._whole = False
        """Whether replies are asked for whole, because a gateway streamed nothing."""
        try:
            self._client = anthropic.Anthropic(
                api_key=api_key,
                base_url=base_url,
                timeout=timeout_s,
                max_retries=0,
                open_telemetry={"traces": {"enabled": False}},
            )
        except Exception as error:
            raise ModelError(f"the SDK cannot be set up ({type(error).__name__}); check the credentials") from error

    @property
    def name(self) -> str:
        """The model's id."""
        return self._model

    def reply(self, request: ModelRequest) -> ModelReply:
        """Answer one request. Raises ModelError: "seconds" when `request.timeout_s` is used up, "unavailable" when the
        API cannot be reached or refuses (after retries), "invalid" when what came back is no message.
        """  # noqa: D205 - the summary is one sentence
        deadline = time.monotonic() + request.timeout_s
        lost: list[Exception] = []
        try:
            reply = self._plainer(request, deadline, lost)
        except ModelError as error:
            error.lost_tries = len(lost)
            raise
        return replace(reply, lost_tries=len(lost))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _plainer(self, request: ModelRequest, deadline: float, lost: list[Exception]) -> ModelReply:
        try:
            return self._tried(request, deadline, lost)
        except anthropic.BadRequestError as error:
            if self._plain:
                _refuse(error)
            # Gateways and older models refuse effort, output formats or strict tools; a request without them may pass.
            self._plain = True
        try:
            return self._tried(request, deadline, lost)
        except anthropic.BadRequestError as error:
            _refuse(error)

    def _tried(self, request: ModelRequest, deadline: float, lost: list[Exception]) -> ModelReply:
        attempt = retrying(
            lambda: self._counted(request, deadline, lost),
            worth_it=lambda error: _worth_it(error, deadline),
            wait_s=_retry_after,
            tries=self._tries,
            sleep=lambda seconds: self._sleep(max(min(seconds, deadline - time.monotonic()), 0.0)),
        )
        try:
            return attempt()
        except (ModelError, anthropic.BadRequestError):
            raise
        except anthropic.APITimeoutError as error:
            if deadline - time.monotonic() <= 0.05:  # noqa: PLR2004 - the clock's own slack
                raise ModelError("no reply within the seconds allowed", ending=Ending.SECONDS) from error
            raise ModelError(f"no reply within {self._timeout_s:.0f} s; check the network and the gateway") from error
        except anthropic.APIStatusError as error:
            _refuse(error)
        except anthropic.APIResponseValidationError as error:
            raise ModelError("the reply is no message of the API; check the gateway", ending=Ending.INVALID) from error
        except (anthropic.APIConnectionError, _CutError) as error:
            lost_it = "the reply broke off" if isinstance(error, _CutError) else "the API cannot be reached"
            raise ModelError(f"{lost_it}; check ANTHROPIC_BASE_URL and the network") from error
        except TypeError as error:
            raise ModelError("no credentials were found; set ANTHROPIC_API_KEY") from error
        except anthropic.AnthropicError as error:
            raise ModelError(f"the SDK failed ({type(error).__name__}); check credentials and versions") from error
        except ValueError as error:
            raise ModelError("the reply is cut or no JSON; check the gateway", ending=Ending.INVALID) from error

    def _counted(self, request: ModelRequest, deadline: float, lost: list[Exception]) -> ModelReply:
        """Try once; a try that gave no reply and may be billed all the same is added to `lost`."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise ModelError("no time is left for another try", ending=Ending.SECONDS)
        if lost:
            request.again(len(lost))
        try:
            return self._once(request, left)
        except Exception as error:
            if _may_be_billed(error):
                lost.append(error)
            raise

    def _once(self, request: ModelRequest, left: float) -> ModelReply:
        body = self._body(request)
        timeout = min(left, self._timeout_s)
        if request.listener is None or self._whole:
            box = within(timeout, lambda _emit: self._client.messages.create(**body, timeout=timeout), _unheard)
        else:
            listener = request.listener
            listener.begin()
            box = within(timeout, partial(self._streamed, body, timeout), lambda piece: listener.hear(*piece))
        if not box.done:
            ending = Ending.SECONDS if timeout >= left else Ending.UNAVAILABLE
            raise ModelError(
                f"no complete reply within {timeout:.0f} s; check the network and the gateway", ending=ending
            )
        if box.error is not None:
            raise box.error
        return _read(box.value)

    def _streamed(self, body: dict[str, Any], timeout: float, emit: Callable[[_Piece], None]) -> Message:
        """Read a reply as it is written. Raises what reading it whole raises, and _CutError where it breaks off."""
        kinds: set[str] = set()
        tools: dict[int, str] = {}
        try:
            with self._client.messages.stream(**body, timeout=timeout) as stream:
                for event in stream:
                    kinds.add(event.type)
                    piece = _piece(event, tools)
                    if piece is not None:
                        emit(piece)
                if kinds >= {"message_start", "message_stop"}:
                    return stream.get_final_message()
        except (anthropic.AnthropicError, AbandonedError, TypeError):
            raise
        except Exception as error:
            # Once a stream has begun, errors of the transport pass through the SDK unchanged.
            if type(error).__module__.startswith("httpx"):
                raise _CutError from error
            raise ValueError("a stream of events that is none") from error
        # A gateway that streams nothing is asked for the whole reply the next time.
        self._whole = self._whole or not kinds
        raise _CutError

    def _body(self, request: ModelRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "max_tokens": min(request.max_tokens, REPLY_TOKENS_MAX),
            "messages": messages_body(request.messages),
        }
        if request.system:
            body["system"] = [{"type": "text", "text": request.system, **EPHEMERAL}]
        if request.verbatim is not None:
            tools = [tool_body(tool, strict=False) for tool in request.tools]
            return {**body, **({"tools": tools} if tools else {}), "extra_body": dict(request.verbatim)}
        if request.tools:
            body["tools"] = [tool_body(tool, strict=not self._plain) for tool in request.tools]
            # Tools, their choice and the form of the output are what the cache is keyed by: another choice loses the
            # messages, another form everything. So none of them changes when the model must answer; the words of the
            # request close the tools, and what is handed in has its form by the strict schema of the submit tool.
            body["tool_choice"] = {"type": "auto"}
        config: dict[str, Any] = {}
        if self._effort is not None:
            config["effort"] = self._effort
        if request.schema is not None and not request.tools:
            config["format"] = {"type": "json_schema", "schema": dict(request.schema)}
        if config and not self._plain:
            body["output_config"] = config
        return body


class _CutError(Exception):
    """A stream ended before its end. Never leaves this module."""


def _piece(event: Any, tools: dict[int, str]) -> _Piece | None:
    """Return what an event adds to a text or to the arguments of a call, or None; `tools` remembers the calls."""
    block, index = getattr(event, "content_block", None), getattr(event, "index", None)
    if not isinstance(index, int):
        return None
    if event.type == "content_block_start" and getattr(block, "type", None) == "tool_use":
        tools[index] = str(getattr(block, "name", ""))
    delta = getattr(event, "delta", None)
    kind = getattr(delta, "type", None) if event.type == "content_block_delta" else None
    if kind == "text_delta":
        return index, "", str(getattr(delta, "text", ""))
    if kind == "input_json_delta" and tools.get(index):
        return index, tools[index], str(getattr(delta, "partial_json", ""))
    return None


def _unheard(_piece: Any) -> None:
    """Let it pass: a reply that is read whole emits nothing."""


def _read(message: Any) -> ModelReply:
    """Return a message as a reply. Raises ModelError, ending "invalid", where it is none."""
    if not isinstance(message, Message) or not isinstance(getattr(message, "content", None), list):
        raise ModelError("what came back is no message of the API; check the gateway", ending=Ending.INVALID)
    texts: list[str] = []
    calls: list[ToolCall] = []
    echo: list[Mapping[str, Any]] = []
    for block in message.content:
        kind = getattr(block, "type", None)
        if kind == "text" and isinstance(block.text, str):  # type: ignore[union-attr]
            texts.append(block.text)  # type: ignore[union-attr]
        elif kind == "tool_use":
            given = block.input  # type: ignore[union-attr]
            calls.append(ToolCall(str(block.id), str(block.name), given if isinstance(given, Mapping) else {}))  # type: ignore[union-attr]
        if isinstance(block, anthropic.BaseModel):
            echo.append(block.to_dict(mode="json", exclude_unset=True, exclude_none=True))
    stop = _STOPS.get(str(getattr(message, "stop_reason", None)), Stop.CUT)
    kept = tuple(block for block in echo if block.get("type") != "text" or block.get("text"))
    return ModelReply(
        text="\n".join(texts),
        tool_calls=tuple(calls),
        stop=stop,
        usage=_usage(getattr(message, "usage", None)),
        response_id=str(getattr(message, "id", "") or ""),
        model=str(getattr(message, "model", "") or ""),
        echo=kept,
    )


def _usage(usage: Any) -> Tokens:
    """Return the tokens with `input` including the cache. Missing or odd values count as 0."""
    read = _count(usage, "cache_read_input_tokens")
    write = _count(usage, "cache_creation_input_tokens")
    return Tokens(
        input=_count(usage, "input_tokens") + read + write,
        output=_count(usage, "output_tokens"),
        cache_read=read,
        cache_write=write,
        cache_write_1h=_count(getattr(usage, "cache_creation", None), "ephemeral_1h_input_tokens"),
        reasoning=_count(getattr(usage, "output_tokens_details", None), "thinking_tokens"),
    )


def _count(holder: Any, name: str) -> int:
    value = getattr(holder, name, None)
    return value if isinstance(value, int) and value > 0 else 0


def _worth_it(error: BaseException, deadline: float) -> bool:
    """Tell whether another try could help, and whether there is time for it: never when asked to wait beyond that."""
    left = deadline - time.monotonic()
    if left <= 0 or (_retry_after(error) or 0.0) >= left:
        return False
    if isinstance(error, anthropic.APIStatusError):
        if error.response.headers.get("x-should-retry") == "false":
            return False
        return _status(error) in RETRIED or _status(error) >= SERVER_ERRORS
    return isinstance(error, anthropic.APIConnectionError | _CutError)


def _status(error: anthropic.APIStatusError) -> int:
    """Return the status of an error; of one in the middle of a stream that of its name."""
    if error.status_code >= 400:  # noqa: PLR2004 - the first status that is an error
        return error.status_code
    return _STREAMED_ERRORS.get(str(error.type), SERVER_ERRORS)


def _may_be_billed(error: Exception) -> bool:
    """Tell whether the API may have answered, and counted, what did not arrive.

    A status that is an error costs nothing, and what never left the machine does not either: no connection, no key.
    An error in the middle of a stream comes after a part of the reply.
    """
    if isinstance(error, anthropic.APIStatusError):
        return error.status_code < 400  # noqa: PLR2004 - the first status that is an error
    if isinstance(error, TypeError):
        return False
    return type(error.__cause__).__name__ not in _NOT_SENT


def _retry_after(error: BaseException) -> float | None:
    """Return the seconds the server asks to wait, from either form of the header, or None."""
    if not isinstance(error, anthropic.APIStatusError):
        return None
    value = error.response.headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max(parsedate_to_datetime(value).timestamp() - time.time(), 0.0)
    except (TypeError, ValueError):
        return None


def _refuse(error: anthropic.APIStatusError) -> NoReturn:
    """Raise the ModelError of a status: its number, the API's name for it, and what to do next."""
    step = _NEXT_STEPS.get(_status(error), "the next run will try again")
    named = f" {error.type}" if isinstance(error.type, str) else ""
    asked = _retry_after(error)
    wait = f", asked to wait {asked:.0f} s" if asked else ""
    raise ModelError(f"HTTP {error.status_code}{named[:60]}{wait}: {step}") from error
