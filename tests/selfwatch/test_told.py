"""What a person who waits is told of."""

from __future__ import annotations

import pytest

from analyzer.selfwatch.told import Told
from analyzer.types.trace import Operation
from analyzer.types.watch import Unwatched


@pytest.mark.parametrize(("second", "known"), [(0.5, 0.75), (None, None)])
def test_each_call_is_told_with_what_was_spent_before_it(second: float | None, known: float | None) -> None:
    """Calls of the model add up; where one has no known price, the sum is not known either. Other spans are silent."""
    said: list[tuple[str, str, float | None]] = []
    told = Told(Unwatched(), lambda *what: said.append(what))
    for cost in (0.25, second):
        with told.span("chat m", Operation.CHAT, model="m", input="the whole case") as mark:
            mark.set(cost_usd=cost)
    with told.span("collect"), told.span("execute_tool look", Operation.TOOL, tool="look", input="{}"):
        pass
    assert said == [("m", "", 0.0), ("m", "", 0.25), ("look", "{}", known)]
