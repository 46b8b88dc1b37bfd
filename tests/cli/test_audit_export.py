from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cli import analyzer
from support.golden import shop_spans

from analyzer.render.audit_csv import head_row, header, row_of, rows_in
from analyzer.stores.trajectories import SqliteTrajectories
from analyzer.types.audit import Head, canonical, chained


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with two agents; one was made to call a tool with what a spreadsheet would run."""
    path = tmp_path / "fleet.db"
    with SqliteTrajectories(path) as trajectories:
        trajectories.add(shop_spans(1, [("lookup_order", {"order": "A-1"}), ("refund", {"usd": 3})]))
        evil = shop_spans(2, [("=cmd|' /C calc'!A0", {"order": "A-2"})], at_s=1000)
        trajectories.add([replace(span, agent="courier") for span in evil])
    return path


WHEN = ("--from", "2026-11-16T00:00:00Z", "--to", "2026-11-17T00:00:00Z")


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_the_fleets_calls_go_out_as_a_log_that_can_be_verified(store: Path, tmp_path: Path, form) -> None:
    """Every call of every agent, who and when and what; whole when it is verified, and a change is named."""
    exported = analyzer("audit", "export", "--fleet", "--format", form, *WHEN, "--store", str(store))
    assert exported.code == 0, exported.stderr
    path = tmp_path / "calls"
    path.write_bytes(exported.stdout.encode())
    whole = analyzer("audit", "verify", str(path))
    assert (whole.code, whole.stdout.startswith("3 entries, nothing changed, removed or moved")) == (0, True)
    for old, new in (("A-2", "A-3"), ("refund", "lookup_order")):
        path.write_bytes(exported.stdout.replace(old, new).encode())
        changed = analyzer("audit", "verify", str(path))
        assert changed.code == 4
        assert "was changed" in changed.stdout
    lines = exported.stdout.splitlines(keepends=True)
    path.write_bytes("".join([*lines[:-2], lines[-1]]).encode())
    assert "is missing at the end" in analyzer("audit", "verify", str(path)).stdout


def test_a_log_as_csv_runs_nothing_and_its_columns_are_those_of_its_entries(store: Path, tmp_path: Path) -> None:
    """A tool's name that is a formula is a text; a column edited without its entry is named."""
    exported = analyzer("audit", "export", "--fleet", "--format", "csv", *WHEN, "--store", str(store)).stdout
    rows = list(csv.DictReader(io.StringIO(exported, newline="")))
    assert [(row["actor"], row["name"], row["arguments"]) for row in rows] == [
        ("courier", "'=cmd|' /C calc'!A0", '{"order":"A-2"}'),
        ("shop", "lookup_order", '{"order":"A-1"}'),
        ("shop", "refund", '{"usd":3}'),
        ("", "", ""),
    ]
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "-", "@"))]
    path = tmp_path / "calls.csv"
    path.write_bytes(exported.replace("shop,", "nobody,", 1).encode())
    named = analyzer("audit", "verify", str(path))
    assert (named.code, named.stdout) == (4, "entry 2: the columns of entry 2 are not those of the entry\n")
    path.write_bytes(exported.replace('"{""about""', "nonsense,", 1).encode())
    assert "line 2: no line of `analyzer audit export`" in analyzer("audit", "verify", str(path)).stderr


def _forged_key(lines: list[str]) -> list[str]:
    return [lines[0].replace('{"entry": {', '{"entry": {"action": "nothing happened", ', 1), *lines[1:]]


def _forged_beside(lines: list[str]) -> list[str]:
    return [lines[0].replace('{"entry": {', '{"entry": {}, "note": "approved", "entry": {', 1), *lines[1:]]


def _forged_head(lines: list[str]) -> list[str]:
    return [*lines[:-1], lines[-1].replace('{"schema"', '{"note": "approved", "schema"')]


def _forged_head_row(lines: list[str]) -> list[str]:
    cells = next(csv.reader([lines[-1]]))
    cells[2], cells[7] = "mallory", "=HYPERLINK(1)"
    return [*lines[:-1], ",".join(cells)]


def _added_cell(lines: list[str]) -> list[str]:
    return [*lines[:-1], lines[-1] + ",approved"]


@pytest.mark.parametrize(
    ("form", "forge", "said"),
    [
        ("jsonl", _forged_key, "entry 1: the words of entry 1 are not those of the entry\n"),
        ("jsonl", _forged_beside, "entry 1: the words of entry 1 are not those of the entry\n"),
        ("jsonl", _forged_head, "entry 3: the words of the last line are not those of the head\n"),
        ("csv", _forged_head_row, "entry 3: the columns of the last line are not those of the head\n"),
        ("csv", _added_cell, "entry 3: the columns of the last line are not those of the head\n"),
    ],
)
def test_what_is_written_beside_the_hashed_text_is_named(store: Path, tmp_path: Path, form, forge, said) -> None:
    """Who reads the file sees a forged key, cell or note; the hashes do not, so the line's own text is held too."""
    exported = analyzer("audit", "export", "--fleet", "--format", form, *WHEN, "--store", str(store)).stdout
    path = tmp_path / "calls"
    path.write_bytes("\r\n".join([*forge(exported.splitlines()), ""]).encode())
    forged = analyzer("audit", "verify", str(path))
    assert (forged.code, forged.stdout) == (4, said)


def test_a_column_of_somebody_else_is_no_log(store: Path, tmp_path: Path) -> None:
    """A column that no export has could say anything of every entry."""
    exported = analyzer("audit", "export", "--fleet", "--format", "csv", *WHEN, "--store", str(store)).stdout
    path = tmp_path / "calls.csv"
    path.write_bytes("\r\n".join([line + ",approved" for line in exported.splitlines()] + [""]).encode())
    refused = analyzer("audit", "verify", str(path))
    assert refused.code == 2
    assert "line 1: no line of `analyzer audit export`" in refused.stderr


@pytest.mark.parametrize("text", ["[" * 100_000, '{"entry": ' + "[" * 100_000, "as a head"])
def test_a_file_that_is_nested_too_deeply_is_a_usage_error(tmp_path: Path, text: str) -> None:
    """As an export and as an anchor: one line with the file, and no traceback."""
    path = tmp_path / "deep.json"
    path.write_text(text.replace("as a head", "[" * 100_000), "utf-8")
    arguments = ["--anchor", str(path)] if text == "as a head" else [str(path)]
    refused = analyzer("audit", "verify", *arguments, "--store", str(tmp_path / "none.db"))
    assert (refused.code, len(refused.stderr.splitlines())) == (2, 1), refused.stderr
    assert str(path) in refused.stderr


def test_an_agent_and_a_range_choose_among_the_calls(store: Path) -> None:
    """One agent's calls, or those of trajectories that ended in the range; without any there is only the head."""

    def actors(*arguments: str) -> list[str]:
        out = analyzer("audit", "export", *arguments, "--store", str(store)).stdout
        return [line["entry"]["actor"] for line in map(json.loads, out.splitlines()) if "entry" in line]

    assert actors("--agent", "shop", *WHEN) == ["shop", "shop"]
    assert actors("--fleet", "--from", "2026-11-16T00:10:00Z", "--to", "2026-11-17T00:00:00Z") == ["courier"]
    assert actors("--fleet", "--to", "2026-11-16T00:10:00Z") == ["shop", "shop"]
    assert actors("--fleet", "--to", "2026-11-15T00:00:00Z") == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--fleet", "--agent", "shop"], "--fleet is every agent"),
        (["--from", "2026-11-16T00:00:00Z"], "add --fleet or --agent NAME"),
        (["--fleet", "--anchor"], "--anchor is of the analyst's own log"),
        (["--anchor", "--format", "csv"], "does not go with --format csv"),
        (["--fleet", "--from", "2026-11-17T00:00:00Z", "--to", "2026-11-16T00:00:00Z"], "before it begins"),
        (["--agent", "shpo"], "no trajectories of an agent called 'shpo'"),
    ],
)
def test_flags_that_contradict_are_usage_errors(store: Path, arguments, why) -> None:
    """One line that names the flag, exit 2, nothing on standard output."""
    refused = analyzer("audit", "export", *arguments, "--store", str(store))
    assert (refused.code, refused.stdout) == (2, "")
    assert why in refused.stderr


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(st.characters()), st.lists, max_leaves=4)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.fixed_dictionaries({"actor": st.text(st.characters()), "arguments": JSON}), max_size=4))
def test_any_entry_survives_csv(calls) -> None:
    """Whatever a model put into arguments (quotes, line ends, half characters): the entry comes back as it was."""
    head, text, kept = Head(0, ""), header(), []
    for call in calls:
        entry, head = chained(head, call)
        text += row_of(entry, head.hash)
        kept.append((entry, head.hash, True))
    read = list(rows_in(text.encode().decode() + head_row(head)))
    assert [(canonical(entry), digest, agrees) for _, entry, digest, agrees in read[:-1]] == kept
    assert read[-1][1] == head
