"""A review agent: searches code, reads files in chunks, runs tests, comments."""

from __future__ import annotations

import random

from analyzer.simulation.script import Call, Confusion, Failure, Material, Role, Script, Tool, dumps

_SYMBOLS = ("parse_invoice", "RetryPolicy", "load_config", "OrderRepository", "render_report", "TokenBucket")
_WHOSE = ("open", "due", "paid", "next", "last", "first", "max", "min", "raw", "known", "held", "stale", "own", "old")
_WHAT = (
    "total",
    "items",
    "rate",
    "limit",
    "cursor",
    "state",
    "owner",
    "rows",
    "page",
    "key",
    "batch",
    "lease",
    "clock",
)
_PACKAGES = ("billing", "shipping", "catalog", "identity", "search")


def _chunk(rng: random.Random, symbol: str, offset: int) -> str:
    names = rng.sample(("total", "items", "rate", "limit", "cursor", "state", "owner"), 3)
    lines = [f"{offset + index}: {name} = {symbol}({rng.randrange(100)})" for index, name in enumerate(names)]
    return "\n".join(lines)


def _plan(rng: random.Random, calls_n: int) -> Script:
    symbol, package = rng.choice(_SYMBOLS), rng.choice(_PACKAGES)
    path, change = f"src/{package}/{symbol.lower()}.py", rng.randrange(1_000, 9_999)
    hits = dumps([{"path": path, "line": rng.randrange(10, 400)}])
    calls = [Call("Where is it used?", "search_code", {"pattern": symbol}, hits)]
    for number in range(calls_n - 1):
        if number > 0 and number % 4 == 0:
            passed = rng.randint(20, 300)
            calls.append(Call("Do the tests pass?", "run_tests", {"path": f"tests/{package}"}, f"{passed} passed"))
        else:
            where = {"path": path, "offset": 1 + 40 * number}
            calls.append(Call("", "read_file", where, _chunk(rng, symbol, 1 + 40 * number)))
    goal = f"Review change #{change}: {symbol} in {package}. Point out bugs only."
    return Script(goal, tuple(calls), f"#{change}: no blocking bug in {symbol}; one comment on naming.")


def _dead_end(rng: random.Random) -> Call:
    path = f"tests/{rng.choice(_PACKAGES)}"
    result = f"E   AssertionError: expected 3 rows, got 2\n1 failed, {rng.randint(20, 300)} passed"
    return Call("It should pass now; running the tests.", "run_tests", {"path": path}, result)


def _record(rng: random.Random, tool: str) -> object:
    symbol, package = rng.choice(_SYMBOLS), rng.choice(_PACKAGES)
    name, other = (f"{rng.choice(_WHOSE)}_{rng.choice(_WHAT)}" for _ in range(2))
    code = rng.choice(
        (
            f"    {name} = {symbol}({other}, limit={rng.randrange(100)})",
            f"    if {name} is None or {name} < {other}:",
            f"        return [one for one in self._{name} if one.{other}]",
            f"    def {name}(self, {other}: str, *, at: int = {rng.randrange(100)}) -> {symbol} | None:",
            f"    # {symbol} keeps at most {rng.randrange(100)} {name}: the oldest {other} is dropped first.",
            f"    for {name} in sorted(self.{package}, key=lambda one: one.{other}):",
        )
    )
    if tool in {"search_code", "search_issues"}:
        return {"path": f"src/{package}/{symbol.lower()}.py", "line": rng.randrange(10, 400), "text": code.strip()}
    if tool == "run_tests":
        return f"tests/{package}/test_{symbol.lower()}.py::test_{name} ok  [{rng.randint(1, 900)} ms]"
    return code


_MATERIAL = Material(
    subjects=("naming", "tests", "migrations", "public interfaces", "concurrency", "logging", "configuration", "types"),
    rules=(
        "On {subject}: read the whole function before you comment on a line of it.",
        "On {subject}: a comment says what breaks, for which input, and what you would write instead.",
        "On {subject}: what a linter would find is no comment; leave it to the linter.",
        "On {subject}: if the change follows the house rules, say nothing, even if you would do it another way.",
        "On {subject}: run the tests of the package that is touched, never the whole suite.",
        "On {subject}: search for other users of a symbol before you call a change of it safe.",
        "On {subject}: mark at most three comments as blocking, and say for each what would lift it.",
        "On {subject}: files under vendor and generated are not reviewed.",
    ),
    heading="Below is the change as a diff against main, with the message of its commit, exactly as it was pushed:",
    thread=(
        "@@ -{n},6 +{n},9 @@ class OrderRepository:",
        "-        return self._rows[:{n}]",
        "+        return list(islice(self._rows, {n}))",
        "+    # Callers of page {n} relied on a copy.",
        "         if cursor is None or cursor.offset > {n}:",
        "+            raise CursorError(cursor, most={n})",
    ),
    key="lines",
    record=_record,
)

ROLE = Role(
    name="coding",
    system="You review code changes. Read before you judge; run the tests of what you touch.",
    tools=(
        Tool("search_code", "Search the repository for a pattern.", {"pattern": "str"}, 0.3),
        Tool("search_issues", "Search the issue tracker.", {"pattern": "str"}, 0.4),
        Tool("read_file", "Read 40 lines of a file.", {"path": "str", "offset": "int"}, 0.05),
        Tool("run_tests", "Run the tests under a path.", {"path": "str"}, 9.0),
    ),
    plan=_plan,
    dead_end=_dead_end,
    main_tool="search_code",
    failure=Failure("OSError", "[Errno 28] No space left on device: '/var/index/code.idx'"),
    confusion=Confusion(
        tool="search_code", wrong_tool="search_issues", right="pattern", wrong="pattern", result='[{"issue":null}]'
    ),
    material=_MATERIAL,
)
