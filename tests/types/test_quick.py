"""Frozen dataclasses that are made quickly are what the plain ones would be."""

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, fields, replace

import pytest

from analyzer.types.quick import quick
from analyzer.types.trace import Operation, Span, Tokens


@dataclass(frozen=True, slots=True)
class Plain:
    """A value, a default, and a default that is made anew."""

    name: str
    count: int = 3
    pairs: dict = field(default_factory=dict)


@quick
@dataclass(frozen=True, slots=True)
class Quick:
    """The same, quick."""

    name: str
    count: int = 3
    pairs: dict = field(default_factory=dict)


@pytest.mark.parametrize(
    ("given", "named"),
    [(("a",), {}), ((), {"name": "a", "pairs": {"b": 1}}), (("a", 5, {"c": 2}), {}), (("a",), {"count": 4})],
)
def test_it_holds_what_the_plain_one_holds(given, named):
    """Positions, names and defaults mean the same; what comes out has its own class and nothing more."""
    plain, made = Plain(*given, **named), Quick(*given, **named)
    assert [getattr(made, one.name) for one in fields(Quick)] == [getattr(plain, one.name) for one in fields(Plain)]
    assert type(made) is Quick
    assert made == Quick(*given, **named)
    assert list(inspect.signature(Quick).parameters) == list(inspect.signature(Plain).parameters)


def test_a_default_that_is_made_belongs_to_one_instance():
    """Two instances do not share a dictionary."""
    assert Quick("a").pairs is not Quick("a").pairs


@pytest.mark.parametrize("wrong", [{}, {"name": "a", "nothing": 1}])
def test_what_is_missing_or_unknown_is_refused(wrong):
    """A constructor that takes anything would hide a misspelt field."""
    with pytest.raises(TypeError):
        Quick(**wrong)


def test_spans_stay_frozen():
    """The class is open only while the constructor runs."""
    span = Span("a" * 32, "b" * 16, None, "chat", Operation.CHAT, tokens=Tokens(1, 2))
    with pytest.raises(FrozenInstanceError):
        span.name = "other"
    assert replace(span, name="other") == Span(
        **{**{one.name: getattr(span, one.name) for one in fields(Span)}, "name": "other"}
    )
    assert pickle.loads(pickle.dumps(span)) == copy.deepcopy(span) == span  # noqa: S301 - made here
    assert hash(Tokens(1, 2)) == hash(Tokens(input=1, output=2))
