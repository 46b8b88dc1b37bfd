"""What an inference cost, in USD, from its tokens: `genai_prices` for list prices, overrides for one's own.

Only the prices bundled with the library are read: nothing here starts its updater, so no network is touched. It is
imported with the first price that is asked for: a run that asks no model needs none, and its start is a tenth of a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from analyzer.errors import UsageError
from analyzer.ingest.dated import Dated, Named, amounts, dated
from analyzer.ingest.toolcosts import ToolCosts
from analyzer.types.trace import Tokens

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice

_MILLION = 1e6
_ONE_HOUR_FACTOR = 2.0
"""A cache write kept for an hour costs twice the input price where the list does not say (Anthropic's price list)."""

_PROVIDERS = {
    "gcp.gen_ai": "google",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "google_genai": "google",
    "google_vertexai": "google",
    "gemini": "google",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure_openai": "azure",
    "aws.bedrock": "aws",
    "aws_bedrock": "aws",
    "amazon_bedrock": "aws",
    "x_ai": "x-ai",
    "xai": "x-ai",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot_ai": "moonshotai",
    "firstparty": "anthropic",
}
"""`gen_ai.provider.name` (and older spellings) -> the library's provider id, where its own matching misses it."""

_UNPRICED_PROVIDERS = frozenset({"ollama", "vllm", "lmstudio", "lm_studio", "llamacpp", "llama.cpp", "localai", "tgi"})
"""Models that run on one's own machine have no list price, whatever vendor's model has the same name."""

_VENDORS = ("anthropic", "openai", "google", "mistral", "cohere", "voyageai", "deepseek", "x-ai", "moonshotai", "zai")
"""Who sells models of their own: a source that names no provider (Langfuse) means the vendor, not a reseller."""

_HALF_PRICE = frozenset({"batch", "flex"})
"""Service tiers at half of the list price (Anthropic's Message Batches; OpenAI's Batch and Flex processing).

What a priority tier costs depends on the model or on a contract: such calls are priced as standard ones."""

_OVERRIDE_KEYS = frozenset({"input", "output", "cache_read", "cache_write", "cache_write_1h"})
_LOOKUPS_MAX = 4096
"""Bound of the memory of look-ups: names come from outside."""


@dataclass(frozen=True, slots=True)
class Price:
    """USD per million tokens."""

    input: float
    output: float | None
    """None where the list has no output price (embedding models)."""
    cache_read: float
    cache_write: float
    cache_write_1h: float
    per_request: float = 0.0
    """USD for each call, whatever its tokens."""

    def cost(self, tokens: Tokens) -> float | None:
        """Return USD, or None where output was produced that has no price."""
        if self.output is None and tokens.output:
            return None
        hour = min(tokens.cache_write_1h, tokens.cache_write)
        fresh = max(tokens.input - tokens.cache_read - tokens.cache_write, 0)
        usd = (
            fresh * self.input
            + tokens.cache_read * self.cache_read
            + (tokens.cache_write - hour) * self.cache_write
            + hour * self.cache_write_1h
            + tokens.output * (self.output or 0.0)
        )
        return usd / _MILLION + self.per_request


@dataclass(frozen=True, slots=True)
class _Tiers:
    """A price list: the price above each threshold of input tokens. The tier applies to the whole request."""

    steps: tuple[tuple[int, Price], ...]
    """(threshold, price), highest threshold first; the last has threshold -1."""

    def at(self, input_tokens: int) -> Price:
        for start, price in self.steps[:-1]:
            if input_tokens > start:
                return price
        return self.steps[-1][1]


@dataclass(frozen=True, slots=True)
class _Found:
    """What is known of a model's price."""

    overrides: tuple[Dated[Price], ...]
    """The most special first; one that has not begun yet leaves the word to the next."""
    listed: ModelInfo | None

    def own(self, at: datetime) -> Price | None:
        return next((price for entry in self.overrides if (price := entry.at(at))), None)


class Pricer:
    """Prices inferences. Look-ups are remembered: a call costs about a microsecond."""

    def __init__(self, overrides: Mapping[str, Any] | None = None, tool_costs: Mapping[str, Any] | None = None) -> None:
        """Take overrides by model name, in USD per million tokens, and the rules of tool calls, see `toolcosts`.

        Each override has `input` and `output`, and as far as they differ from `input` also `cache_read`,
        `cache_write` and `cache_write_1h` (default twice `input`); or it is a list of such tables, each with the date
        `from` which it holds. Before the first date the next best name counts, in the end the built-in list.

        A name that ends in `*` covers every model that begins so; the longest name wins. Raises UsageError for a
        name or a figure that makes no sense.
        """
        self.tools = ToolCosts(tool_costs)
        entries = {name: _override(name, entry) for name, entry in (overrides or {}).items()}
        self._overrides = Named(entries)
        self._models: dict[tuple[str | None, str], _Found] = {}
        self._lists: dict[int, tuple[ModelPrice, _Tiers | None]] = {}

    def cost(
        self,
        provider: str | None,
        model: str | None,
        tokens: Tokens,
        at: datetime | None,
        *,
        service_tier: str | None = None,
    ) -> float | None:
        """Return the cost in USD of one inference, or None where no price is known.

        `tokens.input` includes cached tokens. `at` (aware) chooses the price of that day; None takes today's.
        `service_tier` ("batch", "flex") lowers the list price; an override is taken as it was written.
        """
        if not model:
            return None
        at = at or datetime.now(UTC)
        found = self._find(provider, model)
        price = found.own(at) if found.overrides else None
        if price is not None:
            return price.cost(tokens)
        tiers = self._tiers(found.listed.get_prices(at)) if found.listed else None
        usd = tiers.at(tokens.input).cost(tokens) if tiers else None
        return usd / 2 if usd is not None and (service_tier or "").lower() in _HALF_PRICE else usd

    def price_of(self, model: str, provider: str | None = None, at: datetime | None = None) -> Price | None:
        """Return the price of a model below any tier, for display, or None where it is not known."""
        at = at or datetime.now(UTC)
        found = self._find(provider, model)
        price = found.own(at)
        if price is not None or found.listed is None:
            return price
        tiers = self._tiers(found.listed.get_prices(at))
        return tiers.at(0) if tiers else None

    def _find(self, provider: str | None, model: str) -> _Found:
        key = (provider, model)
        try:
            return self._models[key]
        except KeyError:
            pass
        found = _Found(tuple(self._overrides.all(model)), _listed(provider, model))
        if len(self._models) >= _LOOKUPS_MAX:
            self._models.clear()
        self._models[key] = found
        return found

    def _tiers(self, prices: ModelPrice) -> _Tiers | None:
        """Return a price list in floats. The library's objects live as long as the process, so identity is a key."""
        known = self._lists.get(id(prices))
        if known is None or known[0] is not prices:
            known = (prices, _tiers_of(prices))
            self._lists[id(prices)] = known
        return known[1]


def vendor_of(model: str) -> str | None:
    """Return the id of the vendor whose list has a model under this name, such as "openai"; None where none has it."""
    from genai_prices.data_snapshot import get_snapshot

    try:
        return get_snapshot().find_provider_model(model.strip().lower(), None, None, None)[0].id
    except LookupError:
        return None


def _override(name: str, entry: object) -> Dated[Price]:
    what = f"price override {name!r}"

    def price(figures: Mapping[str, Any]) -> Price:
        if not {"input", "output"} <= figures.keys() <= _OVERRIDE_KEYS:
            names = ", ".join(sorted(_OVERRIDE_KEYS))
            raise UsageError(f"{what}: give input and output, and if needed {names}, in USD per million")
        values = amounts(what, figures, sorted(_OVERRIDE_KEYS), "USD per million tokens")
        return Price(
            input=values["input"],
            output=values["output"],
            cache_read=values.get("cache_read", values["input"]),
            cache_write=values.get("cache_write", values["input"]),
            cache_write_1h=values.get("cache_write_1h", _ONE_HOUR_FACTOR * values["input"]),
        )

    return dated(what, entry, price)


def _listed(provider: str | None, model: str) -> ModelInfo | None:
    """Find a model in the library's list, from the most to the least certain reading of the two names."""
    ref = model.strip().lower()
    vendor = (provider or "").strip().lower()
    if vendor in _UNPRICED_PROVIDERS:
        return None
    readings: list[tuple[str | None, str]] = []
    if vendor:
        readings.append((_PROVIDERS.get(vendor, vendor), ref))
    readings.append((None, ref))
    prefix, slash, rest = ref.partition("/")
    if slash and rest:
        # Gateways name models "vendor/model" (LiteLLM, OpenRouter), Vertex "models/model".
        readings += [(_PROVIDERS.get(prefix, prefix), rest), (None, rest.rpartition("/")[2])]
    if "anthropic." in ref or "amazon." in ref or "meta." in ref:
        readings.append(("aws", ref))
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for provider_id, name in readings:
        try:
            return snapshot.find_provider_model(name, None, provider_id, None)[1]
        except LookupError:
            continue
    # The library guesses a vendor by the name for most models only: not for OpenAI's embeddings, say.
    by_vendor = {entry.id: entry.models for entry in snapshot.providers}
    own = (entry for vendor_id in _VENDORS for entry in by_vendor.get(vendor_id, ()))
    return next((entry for entry in own if entry.id == ref), None)


def _tiers_of(prices: ModelPrice) -> _Tiers | None:
    from genai_prices.types import TieredPrices

    if prices.input_mtok is None and prices.output_mtok is None:
        return None
    starts = {-1}
    for value in vars(prices).values():
        if isinstance(value, TieredPrices):
            starts |= {tier.start for tier in value.tiers}
    return _Tiers(tuple((start, _price_above(prices, start)) for start in sorted(starts, reverse=True)))


def _price_above(prices: ModelPrice, start: int) -> Price:
    """Return the price of a request whose input lies just above a threshold.

    A kind of input without a price of its own is billed as plain input, as the library does.
    """
    from genai_prices.types import TieredPrices

    def figure(value: Any) -> float | None:
        if isinstance(value, TieredPrices):
            value = next((tier.price for tier in reversed(value.tiers) if start >= tier.start), value.base)
        return None if value is None else float(value)

    plain = figure(prices.input_mtok) or 0.0
    read = figure(prices.cache_read_mtok)
    write = figure(prices.cache_write_mtok)
    hour = figure(prices.cache_write_1h_mtok)
    if hour is None:
        hour = _ONE_HOUR_FACTOR * plain if write is not None else plain
    return Price(
        input=plain,
        output=figure(prices.output_mtok),
        cache_read=plain if read is None else read,
        cache_write=plain if write is None else write,
        cache_write_1h=hour,
        per_request=(figure(prices.requests_kcount) or 0.0) / 1000,
    )
