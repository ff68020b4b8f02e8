"""Which acceptance criterion is tried by which test: read from the names of the tests, and written to docs/criteria.md.

    python tests/criteria.py         writes the page anew

The 96 criteria and the first 50 properties are those of the origin's specification of delta-neutral trading. A criterion
has one test, whose name carries its number: `test_criterion_3_8_...`, and `test_p12_...` for a property. What cannot be
tried here yet is in `LATER`, with the reason and the issue that brings it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from re import fullmatch
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "criteria.md"
SOURCES = tuple(sorted((ROOT / "tests").glob("test_criteria*.py")))


class Later(NamedTuple):
    """Why a criterion cannot be tried here, and the issue that brings what it needs."""

    why: str
    issue: str


LATER: Mapping[str, Later] = {}

PARTS = {
    "1": "The paper venue",
    "2": "Reading an account",
    "3": "Money in and out",
    "4": "Opening and closing by hand",
    "5": "Rebalancing",
    "6": "What stands before an order",
    "7": "The vault and its account",
    "8": "Commands",
    "9": "When things fail",
    "10": "Logs",
    "P": "Properties",
}

ASKS: Mapping[str, str] = {
    "1.1": "funding accrues on paper",
    "1.2": "settled and unsettled profit are kept apart",
    "1.3": "funding falls due every eight hours",
    "1.4": "health reckons with 5% of the notional",
    "1.5": "slippage of 0.1% to 0.3%, by size",
    "1.6": "nothing that grows a position beyond 10x",
    "1.7": "health, leverage, positions and profit are told",
    "2.1": "connect to the main network",
    "2.2": "collateral, positions and margin are read from the account",
    "2.3": "health from margin and collateral",
    "2.4": "a warning below health 50",
    "2.5": "critical below health 20, with the price that liquidates",
    "2.6": "positions are valued at the venue's price",
    "2.7": "unrealized profit anew with each price",
    "2.8": "how often the account is looked at can be set, 10 s by default",
    "2.9": "changes are told to the page within 500 ms",
    "3.1": "a deposit of more than nothing, within what the wallet has",
    "3.2": "a deposit goes to the account that was chosen",
    "3.3": "a transfer is rehearsed before it is sent",
    "3.4": "a rehearsal that fails refuses, with the venue's words",
    "3.5": "a transfer is confirmed within 30 s",
    "3.6": "then the vault changes and is told",
    "3.7": "a withdrawal leaves what is counted on",
    "3.8": "no withdrawal that leaves a health below 80",
    "3.9": "what is withdrawn arrives in the wallet",
    "3.10": "failures are logged in full",
    "4.1": "a market must exist",
    "4.2": "leverage of at most 5x",
    "4.3": "a short is an order at market of that size and side",
    "4.4": "a worst price from the present one and a tolerance",
    "4.5": "Jito when it is there",
    "4.6": "another RPC after three failures",
    "4.7": "an open position is in the vault",
    "4.8": "a close is for the exact size",
    "4.9": "a close is on the other side",
    "4.10": "more than one coin unsettled is settled on close",
    "4.11": "settling moves it to cash",
    "4.12": "positions are told within a second",
    "5.1": "drift is net over hedgeable",
    "5.2": "a signal beyond 1%",
    "5.3": "30 minutes apart",
    "5.4": "a skip says how long is left",
    "5.5": "the size is what is off",
    "5.6": "none below 0.005 coins",
    "5.7": "net long expands the short",
    "5.8": "net short reduces it",
    "5.9": "a fill starts the cooldown",
    "5.10": "a failure does not",
    "6.1": "gas, tip, slippage and fees are estimated",
    "6.2": "expected revenue is worked out",
    "6.3": "revenue below cost is rejected",
    "6.4": "half of the present rate counts",
    "6.5": "above 500 ms is rejected",
    "6.6": "below 0.017 SOL is rejected",
    "6.7": "leverage above 5x is rejected",
    "6.8": "a health below 60 after the trade is rejected",
    "6.9": "what is blocked is logged and told",
    "6.10": "a human confirms what is above 100",
    "7.1": "the vault begins with what its account holds",
    "7.2": "the vault follows its account within 10 s",
    "7.3": "the vault has sizes and entries",
    "7.4": "funding that is received is profit",
    "7.5": "a status has balance, allocated and available",
    "7.6": "one vault for each account",
    "7.7": "a sync is tried again three times, after 1, 2 and 4 s",
    "7.8": "then an error is told and trading is off",
    "8.1": "an engine is started on paper or live, and on nothing else",
    "8.2": "a live start needs its venue",
    "8.3": "a stop is graceful",
    "8.4": "deposit",
    "8.5": "withdraw",
    "8.6": "open a position",
    "8.7": "close a position",
    "8.8": "an answer within 5 s",
    "8.9": "an error is a code and a message",
    "8.10": "what can be told is a closed set",
    "9.1": "questions are asked again after 1, 2 and 4 s",
    "9.2": "a failed rehearsal is logged and not tried again",
    "9.3": "after a timeout its fate is asked after for 60 s",
    "9.4": "then it is unknown, and somebody is told",
    "9.5": "reconnect every 10 s",
    "9.6": "re-sync before going on",
    "9.7": "a critical error stops the engine and is told",
    "9.8": "an error is logged with time, type, context and stack",
    "9.9": "recovery is told",
    "9.10": "no trade during recovery",
    "10.1": "one logger, and nothing printed",
    "10.2": "the level comes from the environment",
    "10.3": "a trade: time, market, side, size, price, signature",
    "10.4": "the state: health, leverage, total and free collateral",
    "10.5": "errors at ERROR, with the exception",
    "10.6": "refusals at WARNING",
    "10.7": "profitability: revenue, cost, net",
    "10.8": "a file for each day, 30 days kept",
    "10.9": "file and stderr",
    "10.10": "dumps of the state at DEBUG",
    "P1": "after a cycle profit has grown by size x rate x price",
    "P2": "health lies between 0 and 100",
    "P3": "slippage lies between its bounds and grows with size",
    "P4": "no leverage beyond 10x on paper, 5x live",
    "P5": "every figure that is told is there",
    "P6": "below 50 warns, below 20 is critical",
    "P7": "unrealized profit is move x size x side",
    "P8": "a change is told within 500 ms",
    "P9": "a deposit is taken iff it is above nothing and within the balance",
    "P10": "a rehearsal that fails rejects, and is not tried again",
    "P11": "a vault changes by exactly what came and went",
    "P12": "no withdrawal that leaves a health below 80",
    "P13": "taken iff the market is known",
    "P14": "the worst price is P(1 + S), or P(1 - S)",
    "P15": "a close is for the size of the position",
    "P16": "a close is settled iff more than one coin is unsettled",
    "P17": "positions are told within a second",
    "P18": "drift is ((S - R + P) / (S - R)) x 100",
    "P19": "a signal iff drift is beyond tolerance",
    "P20": "none inside the cooldown",
    "P21": "the correction is what is net",
    "P22": "none below the least",
    "P23": "net long expands, net short reduces",
    "P24": "a stamp on success alone",
    "P25": "cost is tip, fee, slippage and base fee",
    "P26": "revenue is size x rate x price",
    "P27": "rejected iff revenue is below cost",
    "P28": "half of the rate counts",
    "P29": "above the latency bound all new risk is rejected",
    "P30": "below the reserve what needs gas is rejected",
    "P31": "at a live start the vault equals its account",
    "P32": "the vault has the exact size and entry",
    "P33": "funding that is received adds to profit",
    "P34": "a status has balance, allocated and available",
    "P35": "different accounts, different vaults",
    "P36": "a sync is tried again three times, after 1, 2 and 4 s",
    "P37": "then an error is told and trading is off",
    "P38": "started iff paper or live",
    "P39": "answered within 5 s",
    "P40": "errors have a code and a message",
    "P41": "confirmed within 30 s, then asked after to 60 s",
    "P42": "else unknown, and somebody is told",
    "P43": "reconnect every 10 s",
    "P44": "re-sync before going on",
    "P45": "no trade during recovery",
    "P46": "a trade's log is complete",
    "P47": "a state's log is complete",
    "P48": "errors at ERROR with the exception",
    "P49": "refusals at WARNING",
    "P50": "profitability has revenue, cost and net",
}
"""What each asks for, in a few words."""

COUNTS = {"1": 7, "2": 9, "3": 10, "4": 12, "5": 10, "6": 10, "7": 8, "8": 10, "9": 10, "10": 10}
"""How many criteria each part of the specification has."""
ALL = (*(f"{part}.{n}" for part, most in COUNTS.items() for n in range(1, most + 1)), *(f"P{n}" for n in range(1, 51)))


class Test(NamedTuple):
    """A test that carries a number."""

    number: str
    file: str
    name: str


def tests() -> list[Test]:
    """Every test of acceptance, in the order of the source."""
    return [Test(number, path.name, name) for path in SOURCES for name in _names(path) if (number := number_of(name))]


def _names(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            yield node.name


def number_of(name: str) -> str:
    """The number that a test's name carries: "3.8", "P12"; nothing for one that carries none."""
    criterion = fullmatch(r"test_criterion_(\d+)_(\d+)_\w+", name)
    if criterion is not None:
        return f"{criterion[1]}.{criterion[2]}"
    law = fullmatch(r"test_p(\d\d)_\w+", name)
    return "" if law is None else f"P{int(law[1])}"


HEAD = """\
# Acceptance criteria

<!-- written by `python tests/criteria.py` from the names of the tests: do not edit -->

The specification of delta-neutral trading that this library grew out of has 96 acceptance criteria and 50 properties. Each
has one test, whose name carries its number; it runs on the real desk, venues, shell, logs and page, those that need a chain on
a local one, from both sides of each threshold. Where two criteria contradict each other, or
one is wrong, the test's docstring says which reading is taken, and why.

{tried} are tried, {later} are left for later. This page is written by `python tests/criteria.py`; a test fails while it is
not what that writes. One criterion is run with `python -m pytest -k criterion_3_8`, which finds what other files of tests
have to say about it too.
"""


def page() -> str:
    """docs/criteria.md, as the tests are now."""
    by_number = {test.number: test for test in tests()}
    lines = [HEAD.format(tried=len(by_number), later=len(LATER))]
    for part, title in PARTS.items():
        heading = title if part == "P" else f"{part}. {title}"
        lines += [f"## {heading}", "", "| number | what it asks | test | status |", "|---|---|---|---|"]
        lines += [_row(number, by_number.get(number)) for number in ALL if _part(number) == part]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _part(number: str) -> str:
    return "P" if number.startswith("P") else number.partition(".")[0]


def _row(number: str, test: Test | None) -> str:
    if test is not None:
        return f"| {number} | {ASKS[number]} | `{test.file}`<br>`{test.name}` | tried |"
    why, issue = LATER[number]
    return f"| {number} | {ASKS[number]} | | later, {'issues' if ' and ' in issue else 'issue'} {issue}: {why} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
