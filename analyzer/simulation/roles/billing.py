"""A billing agent: looks orders and charges up, refunds what is owed."""

from __future__ import annotations

import random

from analyzer.simulation.script import Call, Confusion, Failure, Material, Role, Script, Tool, chance, dumps

_REASONS = ("charged twice", "parcel never arrived", "wrong size sent", "subscription was cancelled last month")
_TEST_CARD = "4242 4242 4242 4242"
"""The payment industry's public test number: passes the Luhn check, so a masker must catch it."""


def _plan(rng: random.Random, calls_n: int) -> Script:
    order = f"ord_{rng.getrandbits(40):010x}"
    amount = round(rng.lognormvariate(3.6, 0.7), 2)
    reason = rng.choice(_REASONS)
    record = {"order_id": order, "status": rng.choice(("shipped", "delivered", "paid")), "total_usd": amount}
    calls = [Call("Let me look at the order.", "get_order", {"order_id": order}, dumps(record))]
    for number in range(calls_n - 1):
        if number % 2 == 0:
            charge = {"charge": f"ch_{rng.getrandbits(32):08x}", "order_id": order, "amount_usd": amount}
            if chance(rng, 0.1):
                charge["card"] = _TEST_CARD
            charges = dumps([charge] * (2 if reason == "charged twice" else 1))
            calls.append(Call("Now the charges behind it.", "list_charges", {"order_id": order}, charges))
        else:
            refund = {"order_id": order, "amount_usd": amount, "reason": reason}
            receipt = dumps({"refund": f"re_{rng.getrandbits(32):08x}", "status": "succeeded", "amount_usd": amount})
            calls.append(Call("The refund is due.", "issue_refund", refund, receipt))
    goal = f"Customer says about order {order}: {reason}. Check it and refund what is owed."
    return Script(goal, tuple(calls), f"Order {order}: {reason}; {amount} USD are owed and being returned.")


def _dead_end(rng: random.Random) -> Call:
    order = f"ord_{rng.getrandbits(40):010x}"
    result = dumps({"error": "order not found", "order_id": order})
    return Call("The order must exist; let me look it up again.", "get_order", {"order_id": order}, result)


def _record(rng: random.Random, tool: str) -> object:
    day = f"2026-{rng.randint(1, 11):02d}-{rng.randint(1, 28):02d}T{rng.randint(0, 23):02d}:{rng.randint(0, 59):02d}Z"
    if tool == "list_charges":
        state = rng.choice(("authorised", "captured", "settled", "reversed"))
        return {
            "at": day,
            "step": state,
            "processor": rng.choice(("nord", "iris")),
            "fee_usd": rng.randint(1, 99) / 100,
        }
    good = rng.choice(("lamp", "chair", "kettle", "rug", "shelf", "clock"))
    return {"at": day, "line": rng.randint(1, 9), "good": good, "state": rng.choice(("packed", "sent", "delivered"))}


_MATERIAL = Material(
    subjects=("orders", "charges", "refunds", "disputes", "subscriptions", "vouchers", "taxes"),
    rules=(
        "Before you decide on {subject}, read the order and every charge behind it, however clear the case looks.",
        "Amounts for {subject} are in the currency of the order; never convert, never round.",
        "Where {subject} of the last 90 days disagree with the customer, say which record says what.",
        "For {subject} above 500 USD stop after reading and hand over to a human with the ids.",
        "Never repeat a call about {subject} that answered not found; ask for the right number instead.",
        "A second refund on the same {subject} needs the id of the first one in its reason.",
        "Write the reason for {subject} in the customer's words, in one sentence, without names.",
        "Test cards may show up in {subject}; treat them as any other card and do not repeat the number.",
    ),
    heading="Below is what the customer wrote before, from the contact form, the newest first, as it was typed in:",
    thread=(
        "Customer: I have looked at my statement again and line {n} still shows the full amount.",
        "Form: order placed from the app, delivery to a parcel shop, invoice sent {n} minutes later.",
        "Customer: the carrier says the parcel was scanned {n} times and never handed over.",
        "Auto-reply {n}: your message has arrived; refunds take up to ten working days to show.",
        "Customer: I was told on the phone that case {n} would be settled by the end of the week.",
        "Form: payment by card, billing address equal to the delivery address, basket of {n} grams.",
    ),
    key="history",
    record=_record,
)

ROLE = Role(
    name="billing",
    system="You settle billing questions. Read the order and its charges before any refund; never refund twice.",
    tools=(
        Tool("get_order", "Read one order.", {"order_id": "str"}, 0.12),
        Tool("get_quote", "Read one quote, before it became an order.", {"order_id": "str"}, 0.12),
        Tool("list_charges", "List the charges of an order.", {"order_id": "str"}, 0.25),
        Tool(
            "issue_refund",
            "Return money for an order.",
            {"order_id": "str", "amount_usd": "float", "reason": "str"},
            0.8,
        ),
    ),
    plan=_plan,
    dead_end=_dead_end,
    main_tool="get_order",
    failure=Failure("requests.exceptions.HTTPError", "503 Server Error: Service Unavailable for url: /v2/orders"),
    confusion=Confusion(
        tool="get_order",
        wrong_tool="get_quote",
        right="order_id",
        wrong="order_id",
        result=dumps({"quote": None, "note": "quotes are deleted when the order is placed"}),
    ),
    material=_MATERIAL,
)
