"""What tells programs apart."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from analyzer.types.program import program_of


def test_other_code_is_another_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A changed file, a line that moved to the next file, another Python; the same code is the same program."""
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("a = 1\n")
    two.write_text("b = 2\n")
    known = program_of([one, two])
    assert known is not None
    assert program_of([one, two]) == known
    two.write_text("b = 3\n")
    changed = program_of([one, two])
    one.write_text("a = 1\nb = 2\n")
    two.write_text("")
    moved = program_of([one, two])
    monkeypatch.setattr(sys, "version", "4.0")
    assert len({known, changed, moved, program_of([one, two])}) == 4


def test_of_a_program_without_sources_nobody_can_tell(tmp_path: Path) -> None:
    """Packed into one file, say: what was kept cannot be trusted then."""
    assert program_of([tmp_path / "not there.py"]) is None
