"""The past of an account: read from exports, held against itself, and shared out among sleeves by rules.

    from sleeves.past import Rule, attribute, kraken_trades

    past = kraken_trades("trades.csv", [btc])
    print(attribute(past, [Rule(to="quiet", prefix="OQ"), Rule(to="flash", side="sell", since="2024-03-01")]))

Read-only exports are enough: everything here reads files and lists, and nothing reaches for a network.
"""

from __future__ import annotations

from .attribution import Attribution, Holding, Part, attribute
from .audit import Balances, Break, Difference, Standing, by_ledger, check_balances, check_trades, explain_balances
from .columns import Columns, read_csv
from .history import History, Line, Note, PastTrade
from .kraken import KRAKEN_NAMES, kraken_balances, kraken_ledgers, kraken_trades
from .rules import REST, Rule
from .table import BadHistory
from .unified import ccxt_trades

__all__ = [
    "KRAKEN_NAMES",
    "REST",
    "Attribution",
    "BadHistory",
    "Balances",
    "Break",
    "Columns",
    "Difference",
    "History",
    "Holding",
    "Line",
    "Note",
    "Part",
    "PastTrade",
    "Rule",
    "Standing",
    "attribute",
    "by_ledger",
    "ccxt_trades",
    "check_balances",
    "check_trades",
    "explain_balances",
    "kraken_balances",
    "kraken_ledgers",
    "kraken_trades",
    "read_csv",
]
