"""The 66 cases of the reference table (P01-P30, N01-N36) and later ones: P must be found, N must stay silent."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable

from analyzer.types.steps import Step
from analyzer.types.trace import ErrorClass, Operation, Status

START_NS = 1_767_600_000_000_000_000


class Tape:
    """Records steps one after the other, two seconds apart unless said otherwise."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.now_s = 0.0

    def _step(self, **fields) -> Tape:
        number = len(self.steps) + 1
        duration_s = fields.pop("duration_s", 1.0)
        start = START_NS + int(self.now_s * 1e9)
        defaults = {
            "number": number,
            "span_id": f"{number:016x}",
            "parent_id": "f" * 16,
            "agent": "worker",
            "status": Status.OK,
            "status_message": "",
            "error": None,
            "start_ns": start,
            "end_ns": start + int(duration_s * 1e9),
            "tokens": 0,
            "cost_usd": None,
        }
        self.steps.append(Step(**{**defaults, **fields}))
        self.now_s += 2.0
        return self

    def say(self, text: str, asked: str = "", **fields) -> Tape:
        """Record a reply of the model."""
        given = {"tokens": 1000, "cost_usd": 0.01, **fields}
        return self._step(operation=Operation.CHAT, name="model", input=asked, output=text, **given)

    def call(self, tool: str, arguments, output: str = "", error: str = "", **fields) -> Tape:
        """Record a tool call; `error` makes it fail."""
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        fields["error"] = fields.pop("error_class", None)
        if error:
            fields = {"status": Status.ERROR, "status_message": error, **fields}
        return self._step(operation=Operation.TOOL, name=tool, input=text, output=output or error, **fields)

    def turn(self, tool: str, arguments, output: str = "", error: str = "", say: str = "", **fields) -> Tape:
        """Record a reply that asks for a call, and the call."""
        return self.say(say).call(tool, arguments, output, error, **fields)


def words(seed: int, count: int) -> str:
    """Return a text of its own for every seed."""
    rng = random.Random(seed)  # noqa: S311 - a case is the same every time
    return " ".join("".join(rng.choices("abcdefghijklmnoprstuvw", k=rng.randint(3, 9))) for _ in range(count))


PAGE = words(1, 60)


def p01(t):
    """Same call+same output x4."""
    for _ in range(4):
        t.turn("get_order", {"id": 7}, "order 7: shipped")


def p02(t):
    """Same call+same error x3."""
    for _ in range(3):
        t.turn("get_order", {"id": 7}, error="OrderNotFound: no order 7")


def p03(t):
    """Same call, output differs only by timestamp/duration/uuid."""
    for i in range(5):
        t.turn(
            "fetch",
            {"url": "/a"},
            f"took {i + 0.31} s\n2026-01-0{i + 1}T10:00:0{i}Z id=3f2504e0-4f89-41d3-9a0c-0305e82c330{i}\n{PAGE}",
        )


def p04(t):
    """Volatile arg noise (request_id, nonce)."""
    for i in range(5):
        t.turn("get_order", {"id": 7, "request_id": words(i, 1), "nonce": i * 977}, "order 7: shipped")


def p05(t):
    """A-B-A-B x3."""
    for _ in range(3):
        t.turn("read_file", {"path": "a.py"}, PAGE).turn("list_files", {"path": "."}, "a.py b.py")


def p06(t):
    """A-B-C period 3 x3."""
    for _ in range(3):
        for name in "abc":
            t.turn("read_file", {"path": f"{name}.py"}, words(ord(name), 40))


def p07(t):
    """Period 12 cycle x3."""
    for _ in range(3):
        for name in "abcdefghijkl":
            t.turn("read_file", {"path": f"{name}.py"}, words(ord(name), 40))


def p08(t):
    """A-B-A-B with varying thought text in args."""
    for i in range(3):
        t.turn("search", {"q": "tax", "thought": words(i, 8)}, PAGE)
        t.turn("read_file", {"path": "a", "thought": words(i + 50, 8)}, words(2, 40))


def p09(t):
    """Near-identical: jittered limit param, same rows."""
    for limit in (100, 101, 99, 100, 102, 98, 101, 100):
        t.turn("query_orders", {"customer": "acme", "limit": limit}, PAGE)


def p10(t):
    """Page number ignored by server: same page again and again."""
    for page in range(1, 8):
        t.turn("list_products", {"page": page}, PAGE)


def p11(t):
    """Reworded query, same answer."""
    for text in (
        "refund policy EU",
        "EU refund policy",
        "refund policy in EU",
        "policy refund EU",
        "the refund policy EU",
        "refund policy EU please",
        "EU policy refund",
    ):
        t.turn("search_kb", {"query": text}, "No articles found for this query.")


def p12(t):
    """Same 404 with different ids."""
    for i in range(6):
        t.turn("get_item", {"id": 100 + 7 * i}, error=f"404 Not Found: item {100 + 7 * i} does not exist")


def p13(t):
    """Identical LLM output x3."""
    for _ in range(3):
        t.say("I will now check the account balance and report back to you shortly.")


def p14(t):
    """Near-identical LLM monologue."""
    for i in range(5):
        t.say(
            f"Let me think about the problem again and consider every single option that we have right here, take {i}."
        )


def p15(t):
    """Chanting inside one output."""
    t.say("Here is the answer. " + "I need to check the file again and then decide. " * 12)


def p16(t):
    """Ping-pong handoff same text."""
    for _ in range(6):
        t.say("please take over this refund case and decide about it, I am not responsible", agent="sales")
        t.say("please take over this refund case and decide about it, I am not responsible", agent="support")


def p17(t):
    """Edit same content, same failing test."""
    for _ in range(4):
        t.turn("edit_file", {"path": "a.py", "old": "x", "new": "y"}, "edited")
        t.turn("run_tests", {}, "1 failed: test_total expected 3 got 4")


def p18(t):
    """Polling after terminal state."""
    for _ in range(2):
        t.turn("get_job_status", {"id": "j1"}, '{"state": "running"}')
    for _ in range(6):
        t.turn("get_job_status", {"id": "j1"}, '{"state": "completed", "rows": 14}')


def p19(t):
    """Polls a dead job for ever (>30 polls same output)."""
    for _ in range(34):
        t.turn("get_job_status", {"id": "j1"}, '{"state": "running", "progress": 12}')


def p20(t):
    """Loop broken by one different call every 5."""
    for i in range(4):
        for _ in range(4):
            t.turn("get_order", {"id": 7}, "order 7: shipped")
        t.turn("lookup_customer", {"id": i}, words(i, 30))


def p21(t):
    """Hallucinated tool repeated."""
    for _ in range(4):
        t.turn("lookup_everything", {"q": "x"}, error="Unknown tool: lookup_everything")


def p22(t):
    """Write-revert oscillation."""
    for _ in range(4):
        t.turn("edit_file", {"path": "a.py", "old": "x", "new": "y"}, "edited")
        t.turn("edit_file", {"path": "a.py", "old": "y", "new": "x"}, "edited")


def p23(t):
    """Empty-args call repeated."""
    for _ in range(5):
        t.turn("list_orders", "{}", "[]")


def p24(t):
    """One-turn fan-out of 12 identical calls, 3 turns."""
    for _ in range(3):
        t.say("")
        for _ in range(12):
            t.call("search_kb", {"q": "tax"}, "3 articles: tax law, tax form, tax office")


def p25(t):
    """Key order / whitespace differences."""
    for text in (
        '{"a":1,"b":2}',
        '{"b": 2, "a": 1}',
        '{ "a" : 1 , "b" : 2 }',
        '{"b":2,"a":1}',
        '{"a":1,"b":2,"c":null}',
    ):
        t.turn("get_order", text, "order: shipped")


def p26(t):
    """Re-reads same 4 files round and round w/o writing (random order)."""
    rng = random.Random(4)  # noqa: S311 - a case is the same every time
    for _ in range(24):
        name = rng.choice("abcd")
        t.turn("read_file", {"path": f"{name}.py"}, words(ord(name), 60))


def p27(t):
    """Browser: click same element, page unchanged."""
    for _ in range(5):
        t.turn("browser_click", {"element": "#submit"}, "page: " + PAGE)


def p28(t):
    """Varied flailing edits, same failing test x10."""
    for i in range(10):
        t.turn("edit_file", {"path": "a.py", "new": words(i, 6)}, "edited")
        t.turn("run_tests", {}, "FAILED tests/test_a.py::test_total - assert 3 == 4")


def p29(t):
    """One answer repeats a 130-word paragraph."""
    t.say(words(9, 20) + " " + (words(8, 130) + " ") * 6)


def p30(t):
    """Screenshot differs by pixels but same click + same narration."""
    for i in range(5):
        t.turn("click", {"x": 10, "y": 20}, f"screenshot-{i * 37}.png", say="I click on the Submit button to go on.")


def p31(t):
    """Same call x5, no answer recorded anywhere."""
    for _ in range(5):
        t.turn("get_order", {"id": 7})


def p32(t):
    """A-B-A-B x4, no answer recorded anywhere."""
    for _ in range(4):
        t.turn("read_file", {"path": "a.py"}).turn("list_files", {"path": "."})


def p33(t):
    """Same page asked for again and again by the same cursor, no answer recorded."""
    for _ in range(6):
        t.turn("list_products", {"cursor": uuid_of(1)})


def n01(t):
    """Polling with progress."""
    for i in range(20):
        t.turn("get_job_status", {"id": "j1"}, f'{{"state": "running", "progress": {i * 5}}}')


def n02(t):
    """Polling, same output, 12 polls then done."""
    for _ in range(12):
        t.turn("get_job_status", {"id": "j1"}, '{"state": "running"}')
    t.turn("get_job_status", {"id": "j1"}, '{"state": "completed"}')


def n03(t):
    """Pagination."""
    for page in range(1, 20):
        t.turn("list_products", {"page": page}, words(page, 60))


def n04(t):
    """Cursor pagination."""
    for page in range(1, 20):
        t.turn("list_products", {"cursor": words(page, 1)}, words(page, 60))


def n05(t):
    """Batch: delete ids 1..50, output ok."""
    for i in range(1, 51):
        t.turn("delete_record", {"id": i}, "ok")


def n06(t):
    """Batch: read 40 files."""
    for i in range(40):
        t.turn("read_file", {"path": f"src/mod_{i}.py"}, words(i, 60))


def n07(t):
    """License header into 20 files."""
    for i in range(20):
        t.turn("edit_file", {"path": f"src/mod_{i}.py", "insert": "# Copyright"}, "edited")


def n08(t):
    """Edit-test with different edits and changing failures."""
    for i in range(8):
        t.turn("edit_file", {"path": "a.py", "new": words(i, 6)}, "edited")
        t.turn("run_tests", {}, f"{9 - i} failed: {words(i, 5)}")


def n09(t):
    """Edit-test, same failure, 5 different edits."""
    for i in range(5):
        t.turn("edit_file", {"path": "a.py", "new": words(i, 6)}, "edited")
        t.turn("run_tests", {}, "1 failed: test_total expected 3 got 4")


def n10(t):
    """Re-read file after each write."""
    for i in range(8):
        t.turn("write_file", {"path": "a.py", "content": words(i, 30)}, "ok")
        t.turn("read_file", {"path": "a.py"}, words(i, 30))


def n11(t):
    """Tail -f polling with new lines."""
    for i in range(15):
        t.turn("bash", {"command": "tail -f app.log"}, words(i, 30))


def n12(t):
    """Date picker: click next, page changes."""
    for i in range(9):
        t.turn("browser_click", {"element": "next month"}, f"calendar {words(i, 30)}")


def n13(t):
    """Same query after user asked again."""
    for i in range(4):
        t.say("", asked=f"What is the stock now? {words(i, 5)}")
        t.call("get_stock", {"sku": "A1"}, "12 pieces")
        t.say("There are 12 pieces.", asked="12 pieces")


def n14(t):
    """Self-consistency fan-out in one round (5 samples)."""
    t.say("")
    for _ in range(5):
        t.call("solve", {"problem": "17 * 23"}, "391")


def n15(t):
    """Two retries then success."""
    t.turn("fetch", {"url": "/a"}, error="ConnectionError: reset").turn(
        "fetch", {"url": "/a"}, error="ConnectionError: reset"
    )
    t.turn("fetch", {"url": "/a"}, PAGE)


def n16(t):
    """Screenshot after each action."""
    for i in range(10):
        t.turn("click", {"x": i, "y": 5}, "clicked").turn("screenshot", {}, "image captured")


def n17(t):
    """Port scan monotone, short outputs."""
    for port in range(20, 60):
        t.turn("check_port", {"host": "db", "port": port}, "closed")


def n18(t):
    """Different greps, no matches."""
    for i in range(10):
        t.turn("bash", {"command": f"grep -rn {words(i, 1)} src"}, "exit code: 1")


def n19(t):
    """Repeating structured LLM output (table)."""
    rows = "\n".join(f"| item {i} | pending | 0.00 |" for i in range(40))
    t.say("| name | state | price |\n|---|---|---|\n" + rows)


def n20(t):
    """Short acks between tools."""
    for i in range(10):
        t.turn("read_file", {"path": f"{i}.py"}, words(i, 60), say="OK, next.")


def n21(t):
    """Handoffs with progress."""
    for i in range(8):
        t.say(words(i, 40), agent="planner").say(words(i + 100, 40), agent="coder")


def n22(t):
    """Wait tool x6 during deploy."""
    for _ in range(6):
        t.turn("wait", {"seconds": 30}, "waited")


def n23(t):
    """Heartbeat every 5 min, unchanged."""
    for _ in range(20):
        t.turn("ping_service", {"name": "db"}, "alive")
        t.now_s += 300


def n24(t):
    """Same SQL shape different customer ids with data."""
    for i in range(20):
        t.turn("run_sql", {"query": f"select * from orders where customer_id = {i * 13 % 29}"}, words(i, 40))  # noqa: S608 - text of a case


def n25(t):
    """Scroll feed."""
    for i in range(15):
        t.turn("scroll", {"direction": "down"}, words(i, 60))


def n26(t):
    """Run_tests 3x flaky check same pass output after edits."""
    for i in range(3):
        t.turn("edit_file", {"path": "a.py", "new": words(i, 6)}, "edited").turn("run_tests", {}, "12 passed")


def n27(t):
    """Todo updates."""
    for i in range(12):
        t.turn(
            "todo_write",
            {"items": [f"{words(k, 2)}: {'done' if k < i else 'open'}" for k in range(12)]},
            "Todos updated",
        )


def n28(t):
    """Exponential back-off 429 x2 then ok, 6 different calls."""
    for i in range(6):
        for _ in range(2):
            t.call("search_web", {"q": words(i, 3)}, error="429 Too Many Requests", error_class=ErrorClass.RATE_LIMIT)
        t.call("search_web", {"q": words(i, 3)}, words(i, 40))


def n29(t):
    """Reading a file in chunks (offset monotone)."""
    for i in range(12):
        t.turn("read_file", {"path": "big.log", "offset": i * 200, "limit": 200}, words(i, 80))


def n30(t):
    """3 identical reads (agent re-checks)."""
    for _ in range(3):
        t.turn("read_file", {"path": "a.py"}, PAGE)


def n31(t):
    """Insert rows in batches (writes, same reply)."""
    for i in range(20):
        t.turn("insert_rows", {"table": "t", "rows": [words(i, 4)]}, "inserted 100 rows")


def n32(t):
    """Long legit monologue (streamed report in 5 parts)."""
    for i in range(5):
        t.say(words(i, 150))


def n33(t):
    """Bisect: same test command, different commits."""
    for i in range(8):
        t.turn("bash", {"command": f"git checkout {words(i, 1)}"}, "HEAD is now elsewhere")
        t.turn("run_tests", {}, "FAILED test_total" if i < 4 else "1 passed")


def n34(t):
    """Code block with repeated lines in output."""
    t.say(
        "Use this:\n```python\n"
        + "    board.append([0, 0, 0, 0])\n" * 40
        + "```\nThat is all there is to it, in my opinion."
    )


def n35(t):
    """Long answer quoting the same 40-word block 3 times."""
    block = words(3, 40)
    t.say(f"{words(4, 30)} {block} {words(5, 30)} {block} {words(6, 30)} {block} {words(7, 20)}")


def n36(t):
    """Agent waits on a process with sleep commands, same empty output x6."""
    for _ in range(6):
        t.turn("bash", {"command": "sleep 60"}, "")


def _paged(t, cursor, count=20, tool="list_products"):
    for page in range(count):
        t.turn(tool, {"category": "shoes", "cursor": cursor(page)})


def uuid_of(seed: int) -> str:
    """Return a UUID of its own for every seed."""
    digits = random.Random(seed).randbytes(16).hex()  # noqa: S311 - a case is the same every time
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def n37(t):
    """Cursor pagination by UUID, no answer recorded."""
    _paged(t, uuid_of)


def n38(t):
    """Cursor pagination by hex, no answer recorded."""
    _paged(t, lambda page: uuid_of(page).replace("-", "")[:20])


def n39(t):
    """Cursor pagination by base64, no answer recorded."""
    _paged(t, lambda page: base64.b64encode(f'{{"after":{page * 100},"k":"{uuid_of(page)}"}}'.encode()).decode())


def n40(t):
    """Cursor pagination by prefixed token, no answer recorded."""
    _paged(t, lambda page: f"req_{uuid_of(page)[:8]}")


def n41(t):
    """Page numbers, no answer recorded."""
    for page in range(1, 31):
        t.turn("list_products", {"page": page, "limit": 100})


def n42(t):
    """Looking up ids that jump about, no answer recorded."""
    for i in range(30):
        t.turn("get_order", {"id": 7919 * i % 997})


def n43(t):
    """Different questions with words in common, no answer recorded."""
    for topic in ("price", "size", "colour", "stock", "origin", "weight", "delivery", "warranty", "maker", "rating"):
        t.turn("search_kb", {"query": f"what is the {topic} of the blue shoe"})


def n44(t):
    """Records fetched by UUID, eight at once, no answer recorded."""
    for i in range(4):
        t.say("")
        for k in range(8):
            t.call("get_record", {"id": uuid_of(100 * i + k)})


def n45(t):
    """Page and record by UUID in turn, no answer recorded."""
    for i in range(12):
        t.turn("list_records", {"after": uuid_of(i)}).turn("get_record", {"id": uuid_of(500 + i)})


def n46(t):
    """Scrolling and "next" without arguments, no answer recorded."""
    for _ in range(12):
        t.turn("scroll_down", {})
    for _ in range(12):
        t.turn("browser_next_page", {})


def n47(t):
    """Polling for long, no answer recorded."""
    for _ in range(40):
        t.turn("get_job_status", {"id": "j1"})


def n48(t):
    """Cursor pagination by UUID whose pages were recorded as empty texts, while other answers were recorded."""
    t.turn("login", {}, "welcome")
    _paged(t, uuid_of)


def n49(t):
    """The same words before queries for one month after the other, round the year, with other figures each time."""
    names = ["DE", "FR", "GB", "US", "BR", "IN", "JP", "SE"]
    rng = random.Random(3)  # noqa: S311 - a case is the same every time
    for i in range(19):
        query = f"SELECT country, count(*) FROM orders WHERE placed_at >= DATE '2026-{1 + i % 12:02d}-01'"  # noqa: S608 - text
        rows = [[name, rng.randrange(10**6) / 100] for name in rng.sample(names, rng.randint(2, 5))]
        reply = f'The same for another period, to compare. [call run_sql {{"query": "{query}"}}]'
        t.turn("run_sql", {"query": query}, json.dumps({"rows": rows}, separators=(",", ":")), say=reply)


def n50(t):
    """One call that the program tries nine times before it succeeds: the model asked once."""
    t.say('Looking it up. [call lookup_customer {"id": 7}]')
    for _ in range(9):
        t.call("lookup_customer", {"id": 7}, error="TimeoutError: timed out after 10 s")
    t.call("lookup_customer", {"id": 7}, "customer 7: Ada")
    t.say("Customer 7 is Ada.")


def p90(t):
    """The model asks five times for a call that the program tries three times each: the model is stuck."""
    for _ in range(5):
        t.say('I will try again. [call lookup_customer {"id": 7}]')
        for _ in range(3):
            t.call("lookup_customer", {"id": 7}, error="TimeoutError: timed out after 10 s")


def _built(build: Callable[[Tape], None]) -> tuple[Step, ...]:
    tape = Tape()
    build(tape)
    return tuple(tape.steps)


_ALL = {name: value for name, value in list(globals().items()) if name[0] in "pn" and name[1:].isdigit()}
POSITIVE = {name.upper(): _built(build) for name, build in _ALL.items() if name[0] == "p"}
NEGATIVE = {name.upper(): _built(build) for name, build in _ALL.items() if name[0] == "n"}
