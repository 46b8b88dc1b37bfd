"""How right the account is: factors shifted one and two at a time, and the slice that is named first.

    python bench/account.py [DRAWS] [SEED]

The fleet of the slices is that of the reference table: 2,500 trajectories a day with a week before, 12 agents with
versions, prompts and models of their own, 40 tenants by Zipf's law, log-normal costs. A slice is right where its
trajectories are those of the fault (Jaccard index of 0.85 or more). Beside it: the slice of one value with the largest
excess, and Adtributor (Bhagwan et al. 2014; its thresholds as in the paper's published code, 0.1 and 0.1).
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter, defaultdict
from itertools import combinations

from analyzer.accounting.lmdi import account
from analyzer.accounting.slices import search
from analyzer.stores.base import DIMENSIONS, Cohort, Usage

A_DAY = 2_500
DAYS = 7
AGENTS, TENANTS, MODELS = 12, 40, {"m-mini": 0.4, "m-small": 0.7, "m-medium": 1.0, "m-new": 1.6, "m-large": 2.5}
JACCARD_MIN = 0.85
DIMENSION = {name: place for place, name in enumerate(DIMENSIONS)}


class Fleet:
    """A fleet with its habits; `day` makes the trajectories of one day, as (values, USD)."""

    def __init__(self, rng):
        """Draw agents, who uses what, and how dear it is."""
        self.rng = rng
        self.agents = [f"agent-{i}" for i in range(AGENTS)]
        self.weights = [1 / (i + 1) ** 0.7 for i in range(AGENTS)]
        self.unit = {agent: math.exp(rng.gauss(-3, 0.4)) for agent in self.agents}
        self.models = {agent: rng.sample(sorted(MODELS), 2) for agent in self.agents}
        self.tenants = [f"tenant-{i}" for i in range(TENANTS)]
        self.tenant_weights = [1 / (i + 1) ** 0.9 for i in range(TENANTS)]
        self.tasks = {agent: [f"{agent}/task-{i}" for i in range(4)] for agent in self.agents}

    def day(self, size=A_DAY, *, version=None, tenant_weights=None, model=None):
        """Yield trajectories; the arguments change how one agent's are chosen."""
        rows = []
        for agent in self.rng.choices(self.agents, self.weights, k=size):
            known = 0.85 if model is None or model[0] != agent else 0.1
            first, second = self.models[agent]
            choice = first if self.rng.random() < known else second
            prompt = f"{agent}@p{self.rng.choices((1, 2, 3), (0.6, 0.3, 0.1))[0]}"
            made = f"{agent}:v{self.rng.choices((1, 2), (0.6, 0.4))[0]}"
            if version is not None and version[0] == agent and self.rng.random() < version[1]:
                made = f"{agent}:v3"
            [tenant] = self.rng.choices(self.tenants, tenant_weights or self.tenant_weights)
            task = self.rng.choice(self.tasks[agent])
            usd = self.unit[agent] * MODELS[choice] * (1 + 0.2 * int(task[-1])) * self.rng.lognormvariate(0, 0.7)
            rows.append(((agent, made, choice, prompt, task, tenant), usd))
        return rows


def dearer(rows, times, **where):
    """Return the rows with a slice that costs a multiple, and the places of the slice's rows."""
    wanted = {DIMENSION[name]: value for name, value in where.items()}
    hit = {i for i, (values, _) in enumerate(rows) if all(values[d] == value for d, value in wanted.items())}
    return [(values, usd * times if i in hit else usd) for i, (values, usd) in enumerate(rows)], hit


def more(fleet, rows, times, matches):
    """Return the rows with a slice of which there are more, and the places of its rows."""
    pool = [row for row in rows if matches(row[0])]
    rows = rows + [fleet.rng.choice(pool) for _ in range(int((times - 1) * len(pool)))]
    return rows, {i for i, (values, _) in enumerate(rows) if matches(values)}


def busy(fleet):
    """Return an agent that runs often enough to be told from noise."""
    return fleet.rng.choice(fleet.agents[:6])


def model_price(fleet):
    """Double the price of one model, whoever uses it."""
    rows = fleet.day()
    used = Counter(values[2] for values, _ in rows)
    usd = Counter()
    for values, cost in rows:
        usd[values[2]] += cost
    return dearer(rows, 2, model=max(used, key=lambda name: usd[name]))


def version(fleet):
    """Make a version that was there before cost 2.2 times."""
    return dearer(fleet.day(), 2.2, version=f"{busy(fleet)}:v2")


def new_version(fleet):
    """Move half of an agent's runs to a version without a past, at 2.2 times the cost."""
    agent = busy(fleet)
    return dearer(fleet.day(version=(agent, 0.5)), 2.2, version=f"{agent}:v3")


def prompt(fleet):
    """Make one prompt of an agent cost 2.5 times."""
    return dearer(fleet.day(), 2.5, prompt=f"{busy(fleet)}@p2")


def tenant(fleet):
    """Let a tenant send eight times as much."""
    name = fleet.rng.choice(fleet.tenants[2:10])
    return more(fleet, fleet.day(), 8, lambda values: values[5] == name)


def tenant_of_agent(fleet):
    """Make what one tenant asks of one agent cost four times."""
    agent, name = fleet.rng.choice(fleet.agents[:2]), fleet.rng.choice(fleet.tenants[:3])
    return dearer(fleet.day(), 4, agent=agent, user=name)


def switch(fleet):
    """Move an agent to its other, dearer model."""
    agents = [agent for agent in fleet.agents if MODELS[fleet.models[agent][1]] / MODELS[fleet.models[agent][0]] > 1.5]
    agent = agents[0] if agents else fleet.agents[0]
    if not agents:
        fleet.models[agent] = ["m-small", "m-large"]
    rows = fleet.day(model=(agent, 0.1))
    second = fleet.models[agent][1]
    return rows, {i for i, (values, _) in enumerate(rows) if values[0] == agent and values[2] == second}


def decoy(fleet):
    """Make a prompt cost 2.5 times while another agent rolls out a version that does no harm."""
    agent = busy(fleet)
    other = fleet.rng.choice([name for name in fleet.agents[:6] if name != agent])
    return dearer(fleet.day(version=(other, 0.6)), 2.5, prompt=f"{agent}@p2")


FAULTS = (model_price, version, new_version, prompt, tenant, tenant_of_agent, switch, decoy)


def cohorts(rows, cap):
    """Return rows added up, costs winsorised."""
    sums = defaultdict(lambda: [0, 0.0, 0.0])
    for values, usd in rows:
        one = sums[values]
        cut = min(usd, cap)
        one[0] += 1
        one[1] += cut
        one[2] += cut * cut
    return [Cohort(values, *one) for values, one in sums.items()]


def rows_of(where, rows):
    """Return the places of the rows in a slice."""
    wanted = {DIMENSION[name]: value for name, value in where}
    return {i for i, (values, _) in enumerate(rows) if all(values[d] == value for d, value in wanted.items())}


def jaccard(left, right):
    """Return how much two sets of rows have in common."""
    return len(left & right) / max(1, len(left | right))


def sums_of(rows, scale=1.0):
    """Return USD by (dimension, value)."""
    found = Counter()
    for values, usd in rows:
        for name, place in DIMENSION.items():
            found[name, values[place]] += usd * scale
    return found


def largest_delta(before, after):
    """Return the value whose sum grew most."""
    old, new = sums_of(before, 1 / DAYS), sums_of(after)
    return [max(new, key=lambda key: (new[key] - old[key], key))]


def adtributor(before, after):
    """Return the values of the dimension that surprises most and together explain the change."""
    old, new = sums_of(before, 1 / DAYS), sums_of(after)
    whole = sum(usd for _, usd in before) / DAYS, sum(usd for _, usd in after)
    ranked = []
    for dimension in DIMENSION:
        keys = [key for key in {*old, *new} if key[0] == dimension]
        entries = []
        for key in keys:
            p, q = old[key] / whole[0], new[key] / whole[1]
            middle = (p + q) / 2
            surprise = 0.5 * sum(x * math.log(x / middle) for x in (p, q) if x > 0)
            entries.append((surprise, key, (new[key] - old[key]) / (whole[1] - whole[0])))
        explained, named, total = 0.0, [], 0.0
        for surprise, key, power in sorted(entries, reverse=True):
            if power > 0.1:
                explained, total = explained + power, total + surprise
                named.append(key)
            if explained > 0.1:
                break
        if named:
            ranked.append((total, named))
    return max(ranked)[1] if ranked else []


def place(draws, seed):
    """Print how often the first slice is the right one."""
    print(f"\nslice named first, {draws} draws of each fault, seed {seed}")
    print(f"{'fault':18s} {'ours':>6s} {'Adtributor':>11s} {'largest delta':>14s}")
    for fault in FAULTS:
        hits = Counter()
        for draw in range(draws):
            fleet = Fleet(random.Random(f"{seed}/{fault.__name__}/{draw}"))
            before = [row for _ in range(DAYS) for row in fleet.day()]
            after, truth = fault(fleet)
            cap = 1.5 * sorted(usd for _, usd in before)[int(0.99 * len(before))]
            found = search(cohorts(before, cap), cohorts(after, cap), traffic=1 / DAYS, spend=True)
            hits["ours"] += bool(found) and jaccard(rows_of(found[0].where, after), truth) >= JACCARD_MIN
            for name, rival in (("adtributor", adtributor), ("delta", largest_delta)):
                named = set().union(*(rows_of([key], after) for key in rival(before, after)), set())
                hits[name] += jaccard(named, truth) >= JACCARD_MIN
            if "-v" in sys.argv and not (found and jaccard(rows_of(found[0].where, after), truth) >= JACCARD_MIN):
                print("   missed", draw, [(one.where, one.way, round(one.share, 2)) for one in found], len(truth))
        rates = [hits[name] / draws for name in ("ours", "adtributor", "delta")]
        print(f"{fault.__name__:18s} {rates[0]:6.2f} {rates[1]:11.2f} {rates[2]:14.2f}")


PRICES = {"m": (3e-6, 15e-6, 0.3e-6, 3.75e-6), "n": (1e-6, 2e-6, 0.5e-6, 1e-6)}
USUAL = {"runs": 2_000, "steps": 6.0, "tokens": (800, 200, 3000, 400), "price": 1.0, "mix": 0.5, "tools": 0.5,
         "tool_usd": 0.01}  # fmt: skip
MOVES = {
    "runs": ("runs", lambda x, k: int(x * k)),
    "steps per run": ("steps", lambda x, k: x * k),
    "input tokens per step": ("tokens", lambda x, k: (int(x[0] * k), *x[1:])),
    "output tokens per step": ("tokens", lambda x, k: (x[0], int(x[1] * k), *x[2:])),
    "cache read tokens per step": ("tokens", lambda x, k: (*x[:2], int(x[2] * 4 * k), x[3])),
    "cache write tokens per step": ("tokens", lambda x, k: (*x[:3], int(x[3] * k))),
    "price": ("price", lambda x, k: x * k),
    "model mix": ("mix", lambda x, k: x / (2 * k)),
    "paid tool calls per run": ("tools", lambda x, k: x * 2 * k),
    "tool price": ("tool_usd", lambda x, k: x * 2 * k),
}
"""Factor -> the habit that moves it, and by how much for a step k: small parts move further, so that they show."""


def period(rng, *, runs, steps, tokens, price, mix, tools, tool_usd):
    """Return the rows of one period, made call by call: only the number of tokens differs between calls."""
    amounts = {model: [0.0] * 5 for model in PRICES}
    squares = {model: [[0.0] * 5 for _ in range(5)] for model in PRICES}
    total = int(runs * steps / 2)
    for call in range(total):
        model = "n" if call < mix * total else "m"
        parts = [round(mean * rng.lognormvariate(-0.02, 0.2)) for mean in tokens]
        usd = price * math.fsum(count * rate for count, rate in zip(parts, PRICES[model], strict=True))
        for i, left in enumerate((*parts, usd)):
            amounts[model][i] += left
            for j, right in enumerate((*parts, usd)):
                squares[model][i][j] += left * right
    shared = {"agent": "a", "version": None, "unpriced": 0}
    rows = [
        Usage(
            **shared, model=model, trajectories=runs // 2, steps=int(runs * steps / 2), inferences=0,
            input_tokens=int(sum(amounts[model][i] for i in (0, 2, 3))), output_tokens=int(amounts[model][1]),
            cache_read_tokens=int(amounts[model][2]), cache_write_tokens=int(amounts[model][3]),
            cost_usd=amounts[model][4],
            squares=tuple(squares[model][i][j] for i in range(5) for j in range(i, 5)),
        )
        for model in PRICES
    ]  # fmt: skip
    calls = int(runs * tools)
    paid = Usage(
        **shared, model=None, trajectories=0, steps=0, inferences=0, input_tokens=0, output_tokens=0,
        cache_read_tokens=0, cache_write_tokens=0, cost_usd=0.0, tool_calls=calls, tool_usd=calls * tool_usd,
    )  # fmt: skip
    return [*rows, paid]


def moved(names, times):
    """Return the habits with some factors shifted."""
    habits = dict(USUAL)
    for name in names:
        habit, move = MOVES[name]
        habits[habit] = move(habits[habit], times)
    return habits


def factors(draws, seed):
    """Print the least share that the shifted factors get, alone and two at a time."""
    print(f"account: share of the shifted factors, least and median of {draws} draws, seed {seed}")
    for size in (1, 2):
        least, residual = {}, 0.0
        for names in combinations(MOVES, size):
            shares = []
            for draw in range(draws if size == 1 else 1):
                rng = random.Random(f"{seed}/{names}/{draw}")
                before = period(rng, **USUAL)
                after = period(rng, **moved(names, rng.uniform(1.8, 3.0)))
                found = {one.factor: one.share for one in account(before, after, hours_before=1, hours_after=1).factors}
                residual = max(residual, abs(math.fsum(found.values()) - 1))
                shares.append(sum(found.get(name, 0.0) for name in names))
            off = max(shares, key=lambda share: abs(share - 1))
            least[names] = (off, sorted(shares)[len(shares) // 2])
        for names, (off, median) in least.items():
            if size == 1:
                print(f"  {names[0]:28s} {off:6.3f} {median:6.3f}")
        furthest = max(least, key=lambda names: abs(least[names][0] - 1))
        print(f"  {size} at a time: furthest from 1 {least[furthest][0]:.3f} ({', '.join(furthest)})")
        print(f"  residual {residual:.1e}")


if __name__ == "__main__":
    numbers = [int(one) for one in sys.argv[1:] if one.isdigit()]
    count, start = (numbers + [40, 1][len(numbers) :])[:2]
    factors(5, start)
    place(count, start)
