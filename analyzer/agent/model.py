"""What the investigator asks of a model, in values of our own: no SDK type walks through the house."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from analyzer.types.trace import Tokens

PROVIDER = "anthropic"
"""Of every model that is asked, in the words of the GenAI conventions: prices go by it too."""


def _unheld(lost: int) -> None:
    """Let every try pass: nobody pays for it."""


class Stop(StrEnum):
    """Why the model stopped."""

    DONE = "done"
    TOOLS = "tools"
    LENGTH = "length"
    """`max_tokens` of the request was reached: the reply is cut."""
    CONTEXT = "context"
    """The model's context window is full."""
    REFUSAL = "refusal"
    CUT = "cut"
    """The reply ended without saying why: the connection broke or a gateway cut it."""


@dataclass(frozen=True, slots=True)
class Text:
    """A block of text."""

    text: str
    cache: bool = False
    """Worth a cache breakpoint after it: later requests repeat everything up to here."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool to be run."""

    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolReturn:
    """What a tool call gave, for the model."""

    call_id: str
    text: str
    is_error: bool = False


Block = Text | ToolCall | ToolReturn


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of the history."""

    role: Literal["user", "assistant"]
    blocks: tuple[Block, ...]
    echo: tuple[Mapping[str, Any], ...] = ()
    """An assistant's blocks in the provider's own form, to be sent back unchanged (signed thinking must be)."""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model is told about it."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """JSON schema of the arguments: an object, every property required, nothing additional."""


class Listener(Protocol):
    """Hears a reply while it is written. What it hears is unproven, and may be cut or taken back."""

    def begin(self) -> None:
        """Take note that a try begins: what was heard of an earlier one is void."""

    def hear(self, block: int, tool: str, piece: str) -> None:
        """Take in the next piece of a block: of its text, or (`tool` is not empty) of the JSON of its arguments."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request: the whole history, because nothing is kept on the server's side."""

    system: str
    messages: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...]
    max_tokens: int
    """Of the reply."""
    timeout_s: float
    """Everything together, retries and waiting included."""
    schema: Mapping[str, Any] | None = None
    """JSON schema that the reply's text shall have, where it has no tool to hand in an answer with."""
    must_answer: bool = False
    """No tool is run any more: only an answer is read. The messages say so."""
    verbatim: Mapping[str, Any] | None = None
    """The parameters of a request that somebody else made: it is sent with these, and with nothing of ours."""
    about: str = ""
    """The id of what is investigated: whose conversation this is. The provider is not told."""
    again: Callable[[int], None] = field(default=_unheld, compare=False, repr=False)
    """To be called before another try of this request, with how many before it may be billed although no reply came.
    Raises ModelError (its ending is the limit) where another one no longer fits, StoreError."""
    listener: Listener | None = field(default=None, compare=False, repr=False)
    """Hears the reply while it is written, where the model can do that; the reply is the same with and without."""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One reply."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop: Stop = Stop.DONE
    usage: Tokens = field(default_factory=Tokens)
    """`input` includes what was read from and written to the cache."""
    response_id: str = ""
    model: str = ""
    """The model that answered, as it names itself."""
    echo: tuple[Mapping[str, Any], ...] = ()
    """See `Turn.echo`."""
    lost_tries: int = 0
    """Tries of this request before it that may be billed although no reply came of them."""


class Model(Protocol):
    """Something that answers requests."""

    @property
    def name(self) -> str:
        """The model's id, for reports and prices."""

    def reply(self, request: ModelRequest) -> ModelReply:
        """Answer one request within `request.timeout_s`. Raises ModelError; its `ending` says how it went wrong."""
