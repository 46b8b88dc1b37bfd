"""Drawings that are kept: which of them is taken for the one that is asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from analyzer.render.charts import kept as module
from analyzer.render.charts.base import Look, Spec
from analyzer.render.charts.kept import Drawings


@dataclass(frozen=True)
class Bare:
    """A chart of a word, and another one where it is narrow."""

    alt: str = "words"
    word: str = "wide"
    narrow: str = "narrow"
    name: str = "bare"
    title: str = "bare"

    def spec(self, look: Look) -> Spec:
        """Return the word of the width."""
        return {"word": self.narrow if look.width < 500 else self.word}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is drawn, as it is drawn."""
    made: list[str] = []

    def draw(form: str) -> str:
        made.append(form)
        return f"{form} {len(made)}"

    looks = {form: looks for form, (_, looks) in module._FORMS.items()}
    monkeypatch.setattr(module, "_FORMS", {form: (lambda _chart, form=form: draw(form), looks[form]) for form in looks})
    return made


def test_each_form_of_a_chart_is_drawn_once(drawn: list[str]) -> None:
    """A page's and a file's are two drawings; whoever has them needs no other."""
    first = Drawings()
    assert [first.inline(Bare()), first.svg(Bare()), first.inline(Bare())] == ["inline 1", "svg 2", "inline 1"]
    later = Drawings(first.used)
    assert [later.inline(Bare()), later.svg(Bare())] == ["inline 1", "svg 2"]
    assert (drawn, later.used) == (["inline", "svg"], first.used)


@pytest.mark.parametrize("change", [{"alt": "other words"}, {"word": "x"}, {"narrow": "x"}], ids="".join)
def test_whatever_a_drawing_is_made_from_makes_another(drawn: list[str], change: dict[str, str]) -> None:
    """Its words, and what it shows in either width."""
    first = Drawings()
    first.inline(Bare())
    assert Drawings(first.used).inline(replace(Bare(), **change)) == "inline 2"


def test_another_program_draws_anew(drawn: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """After an upgrade no page shows what the release before drew; one that cannot be told apart keeps nothing."""
    first = Drawings()
    first.inline(Bare())
    for number, program in enumerate(("another release", None), 2):
        monkeypatch.setattr(module, "_program", lambda program=program: program)
        later = Drawings(first.used)
        assert later.inline(Bare()) == f"inline {number}"
        assert bool(later.used) == (program is not None)
