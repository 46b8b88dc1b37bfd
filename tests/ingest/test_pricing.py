"""Prices: the library's for known models, one's own where they are given, none where none is known."""

from __future__ import annotations

import timeit
from datetime import UTC, datetime

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from analyzer.errors import UsageError
from analyzer.ingest.pricing import Pricer
from analyzer.types.trace import Tokens

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
PRICER = Pricer()


def test_the_cache_is_part_of_the_input():
    """100 fresh, 200 read and 50 written tokens are priced each at its own rate."""
    assert PRICER.cost("anthropic", "claude-opus-5-5", Tokens(350, 20, 200, 50), AT) == pytest.approx(0.00109)


def test_an_hour_in_the_cache_costs_twice_the_input():
    """Cache writes for an hour cost 8 USD a million where five minutes cost 5."""
    hour = PRICER.cost("anthropic", "claude-opus-5-5", Tokens(1_000_000, 0, 0, 1_000_000, 1_000_000), AT)
    assert hour == pytest.approx(8.0)


@given(
    st.sampled_from(["claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "gpt-4o", "gemini-2.5-pro"]),
    st.integers(0, 400_000), st.integers(0, 9000), st.integers(0, 300_000), st.integers(0, 300_000),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_every_price_is_the_librarys(model, fresh, output, read, write):
    """Our sum in floating point is the library's in decimals, above and below every tier."""
    tokens = Tokens(fresh + read + write, output, read, write)
    usage = Usage(input_tokens=tokens.input, output_tokens=output, cache_read_tokens=read, cache_write_tokens=write)
    expected = float(calc_price(usage, model, genai_request_timestamp=AT).total_price)
    assert PRICER.cost(None, model, tokens, AT) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("anthropic", "claude-unknown-99"), (None, "my-model"), ("ollama", "gpt-4o"), (None, None), (None, ""),
    ],
)  # fmt: skip
def test_unknown_is_none_and_never_zero(provider, model):
    """No price is known for an unknown model, nor for one that runs on one's own machine."""
    assert PRICER.cost(provider, model, Tokens(1000, 10), AT) is None


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        (None, "anthropic/claude-opus-5-5"), ("openrouter-proxy", "claude-opus-5-5"),
        ("anthropic.messages", "claude-opus-5-5"), ("", "CLAUDE-OPUS-5-5"),
    ],
)  # fmt: skip
def test_gateways_spellings_are_understood(provider, model):
    """A vendor in front of the model's name and an unknown provider do not hide a known model."""
    assert PRICER.cost(provider, model, Tokens(350, 20, 200, 50), AT) == pytest.approx(0.00109)


def test_overrides_win_and_the_longest_wildcard_counts():
    """An exact name beats a wildcard, a longer wildcard a shorter one; both beat the list."""
    pricer = Pricer({
        "claude-*": {"input": 1, "output": 1}, "claude-opus-*": {"input": 2, "output": 1},
        "claude-opus-5-5": {"input": 3, "output": 1, "cache_read": 0.5},
    })  # fmt: skip
    million = Tokens(1_000_000)
    costs = [pricer.cost("anthropic", model, million, AT) for model in ("claude-x", "claude-opus-4", "claude-opus-5-5")]
    assert costs == [1, 2, 3]
    assert pricer.cost(None, "claude-opus-5-5", Tokens(1_000_000, 0, 1_000_000), AT) == 0.5


@pytest.mark.parametrize(
    "figures",
    [{"input": 1}, {"input": -1, "output": 1}, {"input": 1, "output": "x"}, {"input": 1, "output": 1, "in": 2}],
)
def test_overrides_that_make_no_sense_are_refused(figures):
    """A mistake in the configuration is named with its model."""
    with pytest.raises(UsageError, match="'m'"):
        Pricer({"m": figures})


def test_a_price_can_be_shown():
    """The price of a model is there for display; an unknown one is None."""
    price = PRICER.price_of("claude-opus-5-5", at=AT)
    assert price is not None
    assert (price.input, price.output, price.cache_read, price.cache_write) == (4.0, 20.0, 0.2, 5.0)
    assert PRICER.price_of("my-model") is None


def test_a_price_costs_microseconds():
    """Look-ups are remembered: a call takes under 20 us even on a busy machine (about 1 us on a free one)."""
    tokens = Tokens(350, 20, 200, 50)
    seconds = min(timeit.repeat(lambda: PRICER.cost("anthropic", "claude-opus-5-5", tokens, AT), number=1000, repeat=5))
    assert seconds / 1000 < 20e-6


def test_a_vendors_model_has_its_price_where_no_provider_is_named():
    """Langfuse names no provider: the vendor's own model of exactly that name is meant, also an embedding."""
    assert PRICER.cost(None, "text-embedding-3-small", Tokens(1_000_000), AT) == pytest.approx(0.02)
    assert PRICER.cost(None, "text-embedding-3-smallest", Tokens(1_000_000), AT) is None


@pytest.mark.parametrize(("tier", "usd"), [("batch", 2.0), ("FLEX", 2.0), ("standard", 4.0), ("priority", 4.0)])
def test_batches_cost_half_of_the_list(tier, usd):
    """Batch and flex tiers halve the list price; a price of one's own is taken as it was written."""
    million = Tokens(1_000_000)
    assert PRICER.cost("anthropic", "claude-opus-5-5", million, AT, service_tier=tier) == pytest.approx(usd)
    own = Pricer({"claude-opus-5-5": {"input": 3.0, "output": 3.0}})
    assert own.cost("anthropic", "claude-opus-5-5", million, AT, service_tier=tier) == pytest.approx(3.0)
