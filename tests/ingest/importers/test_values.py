"""Single values of foreign JSON: times, names, texts, ids, usage, verdicts."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analyzer.ingest.importers.beside import Beside, is_verdict, outcome_of
from analyzer.ingest.importers.usage import cost_of, tokens_of
from analyzer.ingest.importers.values import json_of, name_of, own_id, text_of, time_of
from analyzer.types.trace import Outcome, Tokens

MOMENT = 1_775_037_600 * 10**9


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-04-01T10:00:00Z", MOMENT),
        ("2026-04-01T12:00:00+02:00", MOMENT),
        ("2026-04-01T10:00:00", MOMENT),
        ("2026-04-01 10:00:00.123456789Z", MOMENT + 123_456_000),
        (1_775_037_600, MOMENT),
        (1_775_037_600.25, MOMENT + 250_000_000),
        (1_775_037_600_000, MOMENT),
        (1_775_037_600_000_000, MOMENT),
        (MOMENT, MOMENT),
        ("1775037600", MOMENT),
        # Steps of one moment are set apart by nanoseconds: the last that 64 bits hold leaves no room for that.
        *((value, None) for value in (2**63 - 1, "2262-04-11T23:47:16Z")),
        *((value, None) for value in (0, 17, -1, 1e308, True, None, "", "soon", "10:00", [], "0001-01-01T00:00:00Z")),
    ],
)
def test_moments_are_read_and_indices_are_not(value, expected):
    """ISO 8601 and epoch numbers of any unit are one moment; what is no moment is None."""
    assert time_of(value) == expected


@given(st.recursive(st.none() | st.integers() | st.text(st.characters()), lambda inner: st.lists(inner, max_size=3)))
def test_any_value_becomes_text_and_a_name(value):
    """Anything has a text that can be encoded, JSON that can be parsed, and an id of the right length."""
    text_of(value).encode()
    json.loads(json_of(value))
    assert name_of(value) is None or len(name_of(value).encode()) > 0
    assert len(own_id(value, 16, "x")) == 16


def test_own_ids_are_kept_where_they_fit():
    """A UUID is a trace id as it is; other ids are hashed, zeros too."""
    assert own_id("018F6F2E-0000-7000-8000-000000000001", 32) == "018f6f2e000070008000000000000001"
    assert own_id("run-1", 32) == own_id("run-1", 32) != own_id("run-2", 32)
    assert own_id("0" * 32, 32) != "0" * 32


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 2}, Tokens(10, 2)),
        ({"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4},
          "completion_tokens_details": {"reasoning_tokens": 1}}, Tokens(10, 2, cache_read=4, reasoning=1)),
        ({"input_tokens": 10, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}},
         Tokens(10, 2, cache_read=4)),
        ({"input_tokens": 10, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 6,
          "cache_creation": {"ephemeral_1h_input_tokens": 5}},
         Tokens(20, 2, cache_read=4, cache_write=6, cache_write_1h=5)),
        ({"prompt_tokens": 20, "completion_tokens": 2, "cache_read_input_tokens": 4}, Tokens(20, 2, cache_read=4)),
        ({"promptTokenCount": 10, "candidatesTokenCount": 2, "thoughtsTokenCount": 3, "cachedContentTokenCount": 4},
         Tokens(10, 5, cache_read=4, reasoning=3)),
        ({"input_tokens": 10, "output_tokens": 2, "input_token_details": {"cache_read": 4}},
         Tokens(10, 2, cache_read=4)),
        ({"inputTokens": 1, "outputTokens": 2}, Tokens(1, 2)),
        ({}, None), (None, None), ({"prompt_tokens": -1}, None), ({"prompt_tokens": True}, None), ("x", None),
    ],
)  # fmt: skip
def test_usage_in_every_spelling(usage, tokens):
    """Input includes the cache once, whoever wrote the usage; what counts nothing is None."""
    assert tokens_of(usage) == tokens


def test_costs_are_plausible_or_unknown():
    """Zero from a gateway, negative, infinite and absurd amounts are no cost."""
    assert cost_of(*(None, 0, -1, float("inf"), True, 1e9, "1", 0.25)) == 0.25
    assert cost_of(0.0) is None


@pytest.mark.parametrize(
    ("value", "outcome"),
    [(1, Outcome.SUCCESS), (1.0, Outcome.SUCCESS), (0, Outcome.FAILURE), (False, Outcome.FAILURE),
     ("resolved", Outcome.SUCCESS), (0.5, None), (17, None), (None, None), ("maybe", None), ({}, None)],
)  # fmt: skip
def test_clear_rewards_are_outcomes(value, outcome):
    """1 and 0 are clear; between and beyond, the scale is not known."""
    assert outcome_of(value) is outcome


def test_verdicts_are_read_around_a_log_and_survive_garbage(tmp_path):
    """Broken and oversized verdict files are as good as none."""
    (tmp_path / "resolved.json").write_text("{")
    (tmp_path / "report.json").write_text('{"resolved": ["a"], "unresolved": ["b", 3]}')
    beside = Beside().at(tmp_path / "x" / "y")
    assert (beside.resolved("a"), beside.resolved("b"), beside.resolved("c", None)) == (
        Outcome.SUCCESS, Outcome.FAILURE, None,
    )  # fmt: skip
    assert Beside().resolved("a") is None
    assert beside.trial() == {}


@pytest.mark.parametrize("value", [{}, [], None, {"messages": []}, {"a": 1}, {"a": True, "b": 2}])
def test_what_holds_more_than_verdicts_is_none(value):
    """Only files of nothing but verdicts are passed over in silence."""
    assert not is_verdict(value)
