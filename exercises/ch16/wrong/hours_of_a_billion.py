# rejected by numbers: the hours in the memo are in thousands, the unit is not

from __future__ import annotations

from fractions import Fraction

# The facts of one run; the task says what each name means. Times are Fractions in milliseconds.
Case = dict
NAMES = ("1F1B", "ZB-V", "DualPipe", "DualPipeV", "Interleaved")
DOMAINS = {
    "1F1B": "every m",
    "ZB-V": "F = I = W, m >= 2P - 1",
    "DualPipe": "P and m even, m >= 2P - 2, FB >= max(F, B)",
    "DualPipeV": "m >= 2P - 1, FB >= max(F, B)",
    "Interleaved": "P divides m, FB >= max(F, B)",
}
GIB = 2**30


def ledger(case: Case) -> dict:
    """What ops cost, in ms: F, B and pair, and of the pair what is hidden, what is exposed, and the SM tax."""
    computing = case["F"] + case["I"] + case["W"]
    network = case["exchange_F"] + case["exchange_I"]
    taxed = computing * Fraction(case["sms"], case["sms"] - case["reserved"])
    # An all-to-all hides beside computation, so never for longer than that lasts.
    hidden = min(case["hidden"] * network, taxed)
    return {
        "F": case["F"] + case["exchange_F"],
        "B": case["I"] + case["W"] + case["exchange_I"],
        "pair": taxed + network - hidden,
        "hidden": hidden,
        "exposed": network - hidden,
        "tax": taxed - computing,
    }


def candidates(case: Case) -> list[dict]:
    """One row for each of NAMES, in this order."""
    rows = []
    data = case["gpus"] // case["ranks"]
    tokens_of_step = data * case["microbatches"] * case["tokens"]
    computing = case["F"] + case["I"] + case["W"]
    for name in NAMES:
        time, tier, why = time_of(case, name, ledger(case))
        held = None if why == "order" else bytes_of(case, name)
        hours = lost = None
        if time is not None:
            hours = time / 3_600_000 * case["gpus"] * 10**12 / tokens_of_step
            lost = 1 - case["microbatches"] * computing / time
        fits = held is not None and held <= case["memory"] * GIB
        rows.append({"name": name, "time": time, "tier": tier, "why": why, "lost": lost})
        rows[-1].update({"bytes": held, "fits": fits, "hours": hours})
    return rows


def decide(case: Case) -> dict:
    """Choice, runner-up and margin; where nothing fits, what comes nearest and how many GiB it lacks."""
    found = {"choice": None, "runner_up": None, "margin": None, "nearest": None, "missing": None}
    timed = [row for row in candidates(case) if row["time"] is not None]
    # Of equals the one that holds less; sorting keeps the order of NAMES among what is still equal.
    usable = sorted((row for row in timed if row["fits"]), key=lambda r: (r["hours"], r["bytes"]))
    if not usable:
        least = min(timed, key=lambda row: row["bytes"])
        missing = Fraction(least["bytes"], GIB) - case["memory"]
        return {**found, "nearest": least["name"], "missing": missing}
    found["choice"] = usable[0]["name"]
    if len(usable) > 1:
        found["runner_up"] = usable[1]["name"]
        found["margin"] = Fraction(usable[1]["hours"]) / usable[0]["hours"] - 1
    return found


def flip(case: Case) -> dict:
    """The pair in ms, the reserved SMs and the memory in GiB at which the choice becomes another one."""
    now = decide(case)
    sms = []
    for count in range(0, case["sms"], 2):
        book = ledger({**case, "reserved": count})
        possible = book["pair"] >= max(book["F"], book["B"])
        if possible and decide({**case, "reserved": count})["choice"] != now["choice"]:
            sms.append((abs(count - case["reserved"]), count))
    memory = None
    timed = [row for row in candidates(case) if row["time"] is not None and not row["fits"]]
    for needed in sorted(Fraction(row["bytes"], GIB) for row in timed):
        if decide({**case, "memory": needed})["choice"] != now["choice"]:
            memory = needed
            break
    return {
        "pair": break_even(case, now["choice"], now["runner_up"]),
        "reserved": min(sms)[1] if sms else None,
        "memory": memory,
    }


def memo(case: Case) -> str:
    """The recommendation in words, in the form that the task gives."""
    now, book = decide(case), ledger(case)
    lines = [f"Recommendation: {now['choice'] or 'none'}.", ""]
    if now["choice"] is None:
        lines += [
            f"No order fits on a GPU. {now['nearest']} comes nearest:"
            f" it lacks {shown(now['missing'])} GiB.",
            "",
        ]
    lines += [
        f"The run has {case['ranks']} ranks and {case['microbatches']} micro-batches on"
        f" {case['gpus']} GPUs, each with {shown(case['memory'])} GiB.",
        f"A forward and a backward take {shown(book['F'] + book['B'])} ms one after the other and"
        f" {shown(book['pair'])} ms as a pair: {shown(book['hidden'])} ms of all-to-all is hidden,",
        f"{shown(book['exposed'])} ms stays exposed, and {case['reserved']} SMs of"
        f" {case['sms']} SMs, reserved, cost {shown(book['tax'])} ms.",
        "Hours are GPU hours per trillion tokens. Lost is the part of a step in which a GPU does not"
        " compute at full speed.",
        "",
        *(line_of(case, row) for row in candidates(case)),
        "",
        margin_line(case, now),
        flips_line(case, now),
        "A time by a formula is exact inside its domain, for ops that always take what they take here.",
        "None of these times is measured; the costs and the hidden share are inputs.",
    ]
    return "\n".join(lines)


def time_of(case: Case, name: str, book: dict) -> tuple[Fraction | None, str | None, str | None]:
    """(time, tier, why there is none)."""
    ranks, m = case["ranks"], case["microbatches"]
    f, i, w, b, pair = book["F"], book["B"] - case["W"], case["W"], book["B"], book["pair"]
    if name == "1F1B":
        return (m + ranks - 1) * (f + b), "formula", None
    if name == "ZB-V":
        if f == i == w and m >= 2 * ranks - 1:
            return m * (f + b) + (ranks - 1) * f / 2, "formula", None
        for other, microbatches, time in case["simulated"]:
            if (other, microbatches) == (name, m):
                return time, "simulated", None
        return None, None, "costs"
    if name == "DualPipe" and (ranks % 2 or m % 2 or m < 2 * ranks - 2):
        return None, None, "order"
    if name == "DualPipeV" and m < 2 * ranks - 1:
        return None, None, "order"
    if name == "Interleaved" and m % ranks:
        return None, None, "order"
    if pair < max(f, b):
        return None, None, "pair"
    if name == "Interleaved":
        return ranks * (f + b) + (2 * m - ranks - 1) * pair / 2, "formula", None
    # DualPipeV is half of a DualPipe on twice the ranks, with stages of half the size.
    half, n, part = (ranks // 2, m // 2, 1) if name == "DualPipe" else (ranks, m, Fraction(1, 2))
    way_in = 2 * half * f + max(half * f, (half - 1) * i)
    way_out = 2 * b + half * i + w + (half - 1) * max(i, w)
    return part * (way_in + (2 * n - half - 2) * pair + way_out), "formula", None


def bytes_of(case: Case, name: str) -> int:
    """What the fullest rank holds."""
    ranks, m = case["ranks"], case["microbatches"]
    halves = {  # of a chunk of 1/P of the model
        "1F1B": 2 * min(m, ranks),
        "ZB-V": min(2 * m, 2 * ranks),
        "DualPipe": 2 * (ranks + 1),
        "DualPipeV": 2 * ranks + 1,
        "Interleaved": min(2 * m, 3 * ranks),
    }
    copies = 2 if name == "DualPipe" else 1
    lasting = copies * (case["parameter_bytes"] + case["gradient_bytes"]) * case["parameters"]
    # Whoever holds the same parameters shares the states; both copies of DualPipe do.
    states = case["state_bytes"] * case["parameters"] // (case["gpus"] // ranks)
    return lasting + states + halves[name] * case["chunk_bytes"] // 2


def break_even(case: Case, choice: str | None, other: str | None) -> Fraction | None:
    """The pair at which both take equally long; None where none does that can be."""
    if choice is None or other is None:
        return None
    book = ledger(case)

    def ahead(pair: Fraction) -> Fraction:
        costs = {**book, "pair": pair}
        return time_of(case, other, costs)[0] - time_of(case, choice, costs)[0]

    # Both times are straight lines in the pair; two points give their crossing.
    here, slope = ahead(book["pair"]), ahead(book["pair"] + 1) - ahead(book["pair"])
    if slope == 0:
        return None
    crossing = book["pair"] - here / slope
    return crossing if crossing >= max(book["F"], book["B"]) else None


def shown(number: Fraction | int) -> str:
    """With three significant digits or more."""
    size, decimals = abs(number), 0
    while 0 < size < 100 and decimals < 6:
        size, decimals = size * 10, decimals + 1
    return f"{float(number):,.{decimals}f}"


def percent(share: Fraction) -> str:
    return f"{shown(100 * share)} %"


def line_of(case: Case, row: dict) -> str:
    """What the memo says of one candidate."""
    name, domain = row["name"], DOMAINS[row["name"]]
    if row["why"] == "order":
        return f"{name}: no such order; this P and m are outside its domain ({domain})."
    held = f"{shown(Fraction(row['bytes'], GIB))} GiB"
    fit = "fits" if row["fits"] else "does not fit"
    if row["why"] == "pair":
        return f"{name}: outside its domain ({domain}): no pair ends before its own backward; {held}, {fit}."
    if row["why"] == "costs":
        return f"{name}: outside its domain ({domain}), and not simulated at this m; {held}, {fit}."
    source = f"formula ({domain})" if row["tier"] == "formula" else "simulated at this m"
    hours = f"{shown(row['hours'] / 1000)} GPU hours, {percent(row['lost'])} lost"
    return f"{name}: {hours}, {held}, {fit}; {source}."


def margin_line(case: Case, now: dict) -> str:
    if now["runner_up"] is None:
        return "Margin: none; there is no second order to compare with."
    hours = {row["name"]: row["hours"] for row in candidates(case)}
    more = hours[now["runner_up"]] - hours[now["choice"]]
    return (
        f"Margin: the runner-up, {now['runner_up']}, takes {percent(now['margin'])} longer,"
        f" {shown(more)} GPU hours more."
    )


def flips_line(case: Case, now: dict) -> str:
    at, book = flip(case), ledger(case)
    parts = []
    if at["pair"] is not None:
        parts.append(
            f"choice and runner-up are equal at a pair of {shown(at['pair'])} ms"
            f" (now {shown(book['pair'])} ms)"
        )
    if at["reserved"] is not None:
        parts.append(
            f"another choice at {at['reserved']} SMs reserved (now {case['reserved']} SMs)"
        )
    if at["memory"] is not None:
        parts.append(
            f"another choice at {shown(at['memory'])} GiB a GPU (now {shown(case['memory'])} GiB)"
        )
    return f"Flips: {'; '.join(parts) or 'none of the three numbers alone changes the choice'}."
