"""What one investigation may use, and the meter that says whether the next call still fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from analyzer.agent.model import ModelReply, ModelRequest, Text, ToolCall, ToolReturn
from analyzer.agent.text import estimate_tokens
from analyzer.errors import ModelError
from analyzer.types.diagnosis import Ending
from analyzer.types.spending import NOTHING, Amount, Exhausted, ModelUse, Purse, Scope, Unlimited
from analyzer.types.trace import Tokens

Price = Callable[[Tokens], float | None]
"""USD of one call, or None where the model has no known price."""

ESTIMATE_MARGIN = 1.3
"""A first request may hold this much more than estimated; later ones are scaled by what the API counted."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Hard bounds of one investigation. Whichever is reached first ends it, under its own name."""

    steps: int = 8
    """Model calls. In the last one the model must answer."""
    repairs: int = 1
    """Calls beyond `steps` to correct an answer that was malformed or had claims struck out."""
    tokens: int = 150_000
    """Input (cached or not) and output of all calls together."""
    seconds: float = 120.0
    """From the first call to the last reply, waiting included."""
    usd: float = 0.50
    """A call is only made when its worst case still fits."""
    reply_tokens: int = 6_000
    """`max_tokens` of one reply, thinking included."""
    tool_calls_per_step: int = 8
    """What a reply asks for beyond this is answered with an error text."""
    parallel_tools: int = 4


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that is not made, because a limit would not hold in its worst case."""

    ending: Ending
    why: str = ""
    """Which limit, for people."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is set aside for a call: its worst case, once for each try that may be billed."""

    most: Amount
    """Of one try."""
    numbers: list[int] = field(default_factory=list)
    """In the purse, a try each; the last one is the try that is being made."""


class Meter:
    """Adds up what was used, and says and pays for beforehand whether another call fits.

    The limits of one conversation are its own; those of the run and of the day are held by the purse, which all
    conversations of all processes share.
    """

    def __init__(
        self, limits: Limits, price: Price, clock: Callable[[], float], *, purse: Purse | None = None, about: str = ""
    ) -> None:
        self._limits = limits
        self._price = price
        self._clock = clock
        self._purse = Unlimited() if purse is None else purse
        self._about = about
        self._started = clock()
        self._scale = ESTIMATE_MARGIN
        self.calls = 0
        self.tokens = Tokens()
        self._usd = 0.0
        self._unpriced = False

    @property
    def seconds_left(self) -> float:
        """Seconds until the limit; negative after it."""
        return self._limits.seconds - (self._clock() - self._started)

    def refusal(self, request: ModelRequest, *, calls: int = 1) -> Refusal | None:
        """Return the limit that this many calls of this size would break in the worst case, or None."""
        if self.seconds_left <= 0:
            return Refusal(Ending.SECONDS)
        most = self._most(request, calls)
        return self._beyond(most) or _refused(self._purse.refusal(self._about, most))

    def reserve(self, request: ModelRequest) -> Reservation | Refusal:
        """Have the worst case of a call set aside; return what to settle it by. Raises StoreError."""
        most = self._most(request, 1)
        reserved = self._purse.reserve(self._about, most)
        return Reservation(most, [reserved]) if isinstance(reserved, int) else Refusal(*_named(reserved))

    def again(self, reservation: Reservation, lost: int) -> None:
        """Have another try set aside beside those that may be billed; see `ModelRequest.again`."""
        if lost < len(reservation.numbers):
            return
        refused = self._beyond(_times(reservation.most, lost + 1))
        if refused is None:
            reserved = self._purse.reserve(self._about, reservation.most)
            if isinstance(reserved, int):
                reservation.numbers.append(reserved)
                return
            refused = Refusal(*_named(reserved))
        raise ModelError(f"a try may be billed although no reply came; {refused.why}", ending=refused.ending)

    def lose(self, reservation: Reservation, tries: int) -> None:
        """Settle a call of which no reply came: tries that may be billed count with their worst case."""
        self._settle(reservation, NOTHING, tries)

    def _settle(self, reservation: Reservation, used: Amount, lost: int) -> None:
        """Settle what a reply used, and tries that were lost: each in its own place, what is over in the last."""
        *before, last = reservation.numbers
        for number in before:
            self._purse.settle(number, reservation.most)
        over = _times(reservation.most, lost - len(before))
        usd = None if used.usd is None or over.usd is None else used.usd + over.usd
        self._purse.settle(last, Amount(used.tokens + over.tokens, usd))

    def cost(self, usage: Tokens) -> float | None:
        """Return what a reply cost, or None where that is not known."""
        return self._price(usage)

    def add(self, reservation: Reservation, request: ModelRequest, reply: ModelReply) -> None:
        """Count one reply, and settle its call."""
        used = reply.usage
        usd = self._price(used)
        self._settle(reservation, Amount(used.total, usd), reply.lost_tries)
        self.calls += 1
        self.tokens = Tokens(
            input=self.tokens.input + used.input,
            output=self.tokens.output + used.output,
            cache_read=self.tokens.cache_read + used.cache_read,
            cache_write=self.tokens.cache_write + used.cache_write,
        )
        self._usd += usd or 0.0
        self._unpriced = self._unpriced or (usd is None and used.total > 0)
        estimate = size_of(request)
        if used.input and estimate:
            self._scale = min(max(used.input / estimate, 1.0), 4.0)

    def _most(self, request: ModelRequest, calls: int) -> Amount:
        """Return what calls use at most: all of the input new to the cache, every reply as long as it may be."""
        size = int(size_of(request) * self._scale)
        most = Tokens(
            input=size * calls + request.max_tokens * (calls - 1),
            output=request.max_tokens * calls,
            cache_write=size * calls,
        )
        return Amount(most.total, self._price(most))

    def _beyond(self, most: Amount) -> Refusal | None:
        """Return the limit of this conversation that an amount would break."""
        limits = self._limits
        if self.tokens.total + most.tokens > limits.tokens:
            over = Exhausted(Scope.INVESTIGATION, "tokens", limits.tokens, self.tokens.total, most.tokens)
        elif most.usd is not None and self._usd + most.usd > limits.usd:
            over = Exhausted(Scope.INVESTIGATION, "usd", limits.usd, self._usd, most.usd)
        else:
            return None
        return Refusal(*_named(over))

    @property
    def use(self) -> ModelUse:
        """What was used, as the report tells it."""
        return ModelUse(
            calls=self.calls,
            input_tokens=self.tokens.input,
            output_tokens=self.tokens.output,
            cost_usd=None if self._unpriced else self._usd,
            budget_usd=self._limits.usd,
            cache_read_tokens=self.tokens.cache_read,
            cache_write_tokens=self.tokens.cache_write,
        )


def _times(amount: Amount, tries: int) -> Amount:
    if tries <= 0:
        return NOTHING
    return Amount(amount.tokens * tries, None if amount.usd is None else amount.usd * tries)


def _refused(over: Exhausted | None) -> Refusal | None:
    return None if over is None else Refusal(*_named(over))


def _named(over: Exhausted) -> tuple[Ending, str]:
    return Ending.USD if over.unit == "usd" else Ending.TOKENS, str(over)


def size_of(request: ModelRequest) -> int:
    """Return the estimated input tokens of a request."""
    texts = [request.system]
    texts += [f"{tool.name} {tool.description} {tool.schema}" for tool in request.tools]
    for turn in request.messages:
        for block in turn.blocks:
            if isinstance(block, Text | ToolReturn):
                texts.append(block.text)
            elif isinstance(block, ToolCall):
                texts.append(f"{block.name} {dict(block.arguments)}")
        texts += [str(dict(block)) for block in turn.echo]
    return sum(estimate_tokens(text) + 8 for text in texts)
