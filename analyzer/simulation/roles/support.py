"""A support agent: finds the customer, reads tickets and the knowledge base, answers."""

from __future__ import annotations

import random

from analyzer.simulation.script import Call, Confusion, Failure, Material, Role, Script, Tool, dumps

TOPICS = (
    ("cannot log in after the password reset", "Reset links expire after 30 minutes; ask for a new one.", "login"),
    ("the export button does nothing", "Exports over 50 MB are sent by e-mail; check the spam folder.", "export"),
    ("the mobile app shows an empty list", "Update to version 5.2 and sign in again.", "mobile"),
    ("two-factor codes are rejected", "The phone's clock is off; switch on automatic time.", "2fa"),
    ("the webhook stopped arriving", "Endpoints that fail 20 times are paused; re-enable it in settings.", "webhooks"),
    ("cannot add a teammate", "All seats are taken; remove one or upgrade the plan.", "seats"),
)
_NAMES = ("amelia.ward", "jonas.keller", "priya.nair", "tomas.novak", "lena.fischer", "sam.okafor", "wei.zhang")


def _plan(rng: random.Random, calls_n: int) -> Script:
    problem, remedy, tag = rng.choice(TOPICS)
    email = f"{rng.choice(_NAMES)}{rng.randrange(100)}@example.com"
    ticket, customer = f"T-{rng.randrange(10_000, 99_999)}", f"cus_{rng.getrandbits(32):08x}"
    known = {"customer_id": customer, "email": email, "plan": rng.choice(("free", "team", "business"))}
    calls = [Call("I will find the customer first.", "lookup_customer", {"email": email}, dumps(known))]
    for number in range(calls_n - 1):
        if number % 2 == 0:
            article = {"id": f"KB-{rng.randrange(100, 999)}", "title": f"About {tag}", "text": remedy}
            query = f"{problem} {rng.choice(('', 'fix', 'known issue', 'steps'))}".strip()
            calls.append(Call("", "search_kb", {"query": query}, dumps([article])))
        else:
            earlier = [
                {"ticket": f"T-{rng.randrange(1_000, 9_999)}", "subject": rng.choice(TOPICS)[0], "state": "closed"}
                for _ in range(rng.randint(1, 3))
            ]
            page = {"customer_id": customer, "limit": rng.choice((5, 10, 20))}
            calls.append(Call("Was there something like this before?", "search_tickets", page, dumps(earlier)))
    goal = f"Ticket {ticket} from {email}: {problem}. Decide the queue and draft a reply."
    return Script(goal, tuple(calls), f"Queue: {tag}. Draft for {ticket}: Sorry for the trouble. {remedy}")


def _dead_end(rng: random.Random) -> Call:
    email = f"{rng.choice(_NAMES)}{rng.randrange(100)}@exmaple.com"
    result = dumps({"error": "customer not found", "email": email})
    return Call("I need the customer's record before I can go on.", "lookup_customer", {"email": email}, result)


_PRODUCTS = (
    "sign-in",
    "exports",
    "the mobile app",
    "two-factor codes",
    "webhooks",
    "seats and teams",
    "data residency",
)


def _record(rng: random.Random, tool: str) -> object:
    problem, remedy, tag = rng.choice(TOPICS)
    day = f"2026-{rng.randint(1, 11):02d}-{rng.randint(1, 28):02d}"
    if tool == "lookup_customer":
        what = rng.choice(("signed in", "changed plan", "opened a ticket", "invited a teammate", "reset the password"))
        return {"at": day, "event": what, "client": rng.choice(("web", "ios 5.1", "android 5.2", "api"))}
    if tool == "search_tickets":
        said = f"Customer: {problem}. Agent: {remedy} Customer confirmed after {rng.randint(1, 9)} replies."
        return {"ticket": f"T-{rng.randrange(1_000, 9_999)}", "closed": day, "tags": [tag], "thread": said}
    steps = (
        f"1. Check since when {problem.removeprefix('the ')}. 2. {remedy} 3. Ask the customer to try in a new window."
    )
    return {"id": f"KB-{rng.randrange(100, 999)}", "title": f"{tag}: {problem}", "updated": day, "text": steps}


_MATERIAL = Material(
    subjects=_PRODUCTS,
    rules=(
        "For {subject}, find the customer's record before you say anything about the account.",
        "Search the knowledge base on {subject} twice, in other words, before you call a problem unknown.",
        "Of several articles on {subject} the one updated last holds; name its number in the draft.",
        "Where a plan does not include {subject}, say so in one sentence and offer no workaround.",
        "Never promise a date for a fix of {subject}; write that the team will answer in the ticket.",
        "If three customers report {subject} within an hour, name the queue incident-desk and stop.",
        "A draft on {subject} has at most eight sentences, greets by first name and ends with one next step.",
        "Do not quote other customers' tickets on {subject}; say what helped them, not who they are.",
    ),
    heading="Below is what came with the ticket from the form, the newest first, as it was typed in:",
    thread=(
        "Customer, {n} minutes later: I have tried it in a second browser and it is the same there.",
        "Form: client version 5.{n}, language en-GB, region eu-central, plan as of the last invoice.",
        "Customer: screenshot {n} attached; it shows the page after I press the button and wait.",
        "Auto-reply {n}: we have received your message and will come back to you within one working day.",
        "Customer: my colleague in room {n} has the same account type and does not see this at all.",
        "Form: page load {n} ms, no extension reported, cookies allowed, time zone Europe/Berlin.",
    ),
    key="events",
    record=_record,
)

ROLE = Role(
    name="support",
    system="You triage support tickets. Find the customer, look for a known remedy, name a queue and draft a reply.",
    tools=(
        Tool("lookup_customer", "Find a customer by e-mail address.", {"email": "str"}, 0.15),
        Tool("search_kb", "Search the knowledge base.", {"query": "str"}, 0.4),
        Tool("search_tickets", "List a customer's earlier tickets.", {"customer_id": "str", "limit": "int"}, 0.3),
        Tool("search_web", "Search the public web.", {"query": "str"}, 0.9),
    ),
    plan=_plan,
    dead_end=_dead_end,
    main_tool="lookup_customer",
    failure=Failure("ConnectionError", "crm.internal:8443: connection refused while reading customer record"),
    confusion=Confusion(
        tool="lookup_customer",
        wrong_tool="search_web",
        right="email",
        wrong="query",
        result=dumps([{"title": "How to find anyone's e-mail", "url": "https://example.org/people"}]),
    ),
    material=_MATERIAL,
)
