"""Every limit of an investigation is hard and ends it under its own name."""

from __future__ import annotations

from dataclasses import replace

import pytest
from agent.cases import (
    WORST,
    answer,
)
from agent.scripting import look, run, submit

from analyzer.agent.limits import Limits
from analyzer.agent.model import ModelReply, ModelRequest
from analyzer.types.diagnosis import Ending
from analyzer.types.trace import Tokens


def test_the_last_step_must_be_an_answer():
    """The model is told, tools are closed, and one that calls them anyway ends by steps."""
    found, model = run(*[look() for _ in range(9)], limits=Limits(steps=3, repairs=1))
    assert [request.must_answer for request in model.requests] == [False, False, True, True]
    assert "tools are closed" in str(model.requests[2].messages[-1].blocks[-1])
    assert found.diagnosis.ending is Ending.STEPS
    assert found.use.calls == 4


def test_tokens_are_a_hard_limit():
    """No call is made whose worst case would pass the limit, and the model is asked to answer before that."""
    eager = [replace(look("outline", trace_id=WORST, page=n), usage=Tokens(9_000, 900)) for n in range(1, 20)]
    found, model = run(*eager, limits=Limits(steps=20, tokens=40_000, reply_tokens=1_000))
    assert found.diagnosis.ending is Ending.TOKENS
    assert found.use.input_tokens + found.use.output_tokens <= 40_000
    assert model.requests[-1].must_answer


def test_a_case_beyond_the_limit_is_not_sent():
    """Where not even the first call fits, none is made."""
    found, model = run(look(), limits=Limits(tokens=500))
    assert (found.diagnosis.ending, len(model.requests)) == (Ending.TOKENS, 0)


def test_usd_are_a_hard_limit():
    """The worst case of each call is checked against what is left of the budget."""
    eager = [replace(look("outline", trace_id=WORST, page=n), usage=Tokens(9_000, 900)) for n in range(1, 20)]
    price = lambda usage: usage.input * 2e-6 + usage.output * 10e-6  # noqa: E731 - one line says it
    found, _ = run(*eager, price=price, limits=Limits(steps=20, usd=0.12, reply_tokens=1_000))
    assert found.diagnosis.ending is Ending.USD
    assert found.use.cost_usd is not None
    assert 0 < found.use.cost_usd <= 0.12


def test_an_unknown_price_leaves_the_other_limits():
    """A model without a price is investigated with, and its cost is unknown, never zero."""
    found, _ = run(submit(answer()), price=lambda _usage: None)
    assert found.diagnosis.ending is Ending.ANSWERED
    assert found.use.cost_usd is None


def test_seconds_are_a_hard_limit():
    """When time runs short the model must answer; when it is over no call is made."""
    now = [0.0]

    def slow(request: ModelRequest) -> ModelReply:
        now[0] += 50.0
        return look("outline", trace_id=WORST, page=1)

    found, model = run(*[slow] * 9, clock=lambda: now[0], limits=Limits(seconds=120))
    assert found.diagnosis.ending is Ending.SECONDS
    assert [request.must_answer for request in model.requests] == [False, False, True]
    assert model.requests[-1].timeout_s == pytest.approx(20)
