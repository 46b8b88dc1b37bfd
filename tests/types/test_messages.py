"""Payloads as people read them: hostile JSON is shown, it does not raise."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from analyzer.types.messages import last_message, readable

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["role", "type", "content", "text", "function", "parts"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_readable(value):
    """Any JSON is text in the end, also where a type is a list or a role an object."""
    assert isinstance(readable(json.dumps(value)), str)
    assert isinstance(last_message(json.dumps([value])), str)


def test_an_old_call_reads_as_a_call() -> None:
    """OpenAI's messages of the time before `tool_calls` hold one `function_call`."""
    payload = '[{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}]'
    assert readable(payload) == "assistant: [call f {}]"
