"""A sync agent: pages through a catalogue with a cursor. Many equal-looking calls, each with new data."""

from __future__ import annotations

import random

from analyzer.simulation.script import Call, Confusion, Failure, Material, Role, Script, Tool, dumps

_GOODS = ("lamp", "chair", "kettle", "rug", "shelf", "mug", "clock", "vase")


def _plan(rng: random.Random, calls_n: int) -> Script:
    supplier = f"sup-{rng.randrange(100, 999)}"
    calls: list[Call] = []
    cursor: str | None = ""
    for number in range(calls_n):
        following = None if number == calls_n - 1 else f"c{rng.getrandbits(32):08x}"
        skus = [f"{rng.choice(_GOODS)}-{rng.randrange(10**6):06d}" for _ in range(3)]
        goods = [{"sku": sku, "price": rng.randint(5, 400)} for sku in skus]
        page = dumps({"items": goods, "next_cursor": following})
        calls.append(Call("", "list_products", {"supplier": supplier, "cursor": cursor}, page))
        cursor = following
    goal = f"Compare the catalogue of {supplier} with ours and list price changes."
    return Script(goal, tuple(calls), f"{supplier}: {rng.randrange(12)} prices changed over {calls_n} pages.")


def _dead_end(rng: random.Random) -> Call:
    arguments = {"supplier": f"sup-{rng.randrange(100, 999)}", "cursor": f"c{rng.getrandbits(32):08x}"}
    page = dumps({"items": [{"sku": f"mug-{rng.randrange(10**6):06d}"}], "next_cursor": arguments["cursor"]})
    return Call("There is a next page.", "list_products", arguments, page)


def _record(rng: random.Random, _tool: str) -> object:
    good = rng.choice(_GOODS)
    words = rng.choice(("oak, oiled", "steel, brushed", "cotton, washed at 40", "glass, by hand", "wool, two sides"))
    return {"sku": f"{good}-{rng.randrange(10**6):06d}", "price": rng.randint(5, 400), "text": f"{good}, {words}"}


_MATERIAL = Material(
    subjects=("prices", "names", "stock", "pictures", "bundles"),
    rules=(
        "On {subject}: read every page until the cursor is null; a part of a catalogue is worse than none.",
        "On {subject}: a change below one per cent is noise and is not reported.",
        "On {subject}: suppliers rename articles; compare by sku, never by name.",
        "On {subject}: archived products are not part of the comparison unless you are asked for them.",
        "On {subject}: the report is a table with one line a change, the largest first.",
    ),
    heading="Below are the standing agreements with this supplier, from the contract file, in order, as they are:",
    thread=(
        "Clause {n}: prices hold for a quarter; a change is announced two weeks before.",
        "Clause {n}: goods that are sold out stay listed for {n} days.",
        "Clause {n}: minimum order {n} pieces, free delivery from twice of that.",
    ),
    key="items",
    record=_record,
)

ROLE = Role(
    name="catalog",
    system="You keep the catalogue in step with the suppliers. Read every page before you report.",
    tools=(
        Tool("list_products", "List a supplier's products.", {"supplier": "str", "cursor": "str"}, 0.35),
        Tool("list_archived", "List products no longer sold.", {"supplier": "str", "cursor": "str"}, 0.35),
    ),
    plan=_plan,
    dead_end=_dead_end,
    main_tool="list_products",
    failure=Failure("json.decoder.JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
    confusion=Confusion(
        tool="list_products",
        wrong_tool="list_archived",
        right="supplier",
        wrong="supplier",
        result='{"items":[],"next_cursor":null}',
    ),
    material=_MATERIAL,
)
