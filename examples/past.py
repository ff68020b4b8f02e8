"""Adopt a past: three months of one Kraken account, shared out between two bots and what was traded by hand.

    python examples/past.py

The account is made up and written as Kraken's two exports into a temporary folder: two bots whose order ids begin with OQ
and OF, some orders by hand (OH), fees that are sometimes charged in bitcoin, a deposit, a withdrawal and some rewards.
"""

from __future__ import annotations

import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sleeves import USD, Amount, Asset, Instrument, Rounding
from sleeves.past import Rule, attribute, by_ledger, check_balances, check_trades, explain_balances, kraken_ledgers, kraken_trades

BTC = Asset("BTC", 10)
BTCUSD = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.1", lot="0.00000001", venue="kraken")


class MadeUp:
    """An account that writes down what it does the way Kraken would."""

    def __init__(self) -> None:
        self.dice = random.Random(2024)
        self.now = datetime(2024, 1, 1, tzinfo=UTC)
        self.coins = {"USD": USD.zero, "BTC": BTC.zero, "BTC.F": BTC.zero}
        self.trades = ["txid,ordertxid,pair,time,type,ordertype,price,cost,fee,vol,margin,misc,ledgers"]
        self.lines = ["txid,refid,time,type,subtype,aclass,asset,wallet,amount,fee,balance"]

    def book(self, ref: str, kind: str, wallet: str, amount: Amount, fee: Amount) -> None:
        self.coins[wallet] += amount - fee
        figures = f"{amount.text},{fee.text},{self.coins[wallet].text}"
        self.lines.append(f"L{len(self.lines)},{ref},{self.now:%Y-%m-%d %H:%M:%S},{kind},currency,{wallet},spot / main,{figures}")

    def trade(self, who: str) -> None:
        number, buys = len(self.trades), self.coins["BTC"] < BTC("0.05") or self.dice.random() < 0.5
        qty, price = BTC("0.01"), BTCUSD.round_price(self.dice.uniform(58_000, 66_000))
        cost = BTCUSD.notional(price, qty.units, Rounding.FLOOR)
        shown = cost.portion(1, 400, Rounding.FLOOR)  # the trades show every fee in the quote asset,
        fee = qty.portion(1, 400, Rounding.FLOOR) if self.dice.random() < 0.2 else shown  # wherever it was charged
        side = "buy" if buys else "sell"
        figures = f"{BTCUSD.price_text(price)},{cost.text},{shown.text},{qty.text}"
        self.trades.append(f"T{number},{who}-{number},XXBTZUSD,{self.now:%Y-%m-%d %H:%M:%S}.4,{side},limit,{figures},0,,")
        for wallet, amount in (("USD", -cost if buys else cost), ("BTC", qty if buys else -qty)):
            self.book(f"T{number}", "trade,tradespot", wallet, amount, fee if fee.asset == amount.asset else amount.asset.zero)

    def live(self, days: int) -> None:
        self.book("F1", "deposit,", "USD", USD("20000"), USD.zero)
        for day in range(days):
            self.now += timedelta(days=1)
            self.trade(self.dice.choice(["OQ", "OQ", "OF", "OF", "OF", "OH"]))
            if day % 30 == 29:
                self.book(f"E{day}", "earn,reward", "BTC.F", BTC("0.0000012345"), BTC.zero)
        self.book("F2", "withdrawal,", "USD", USD("-1000"), USD("2.5"))


def main() -> None:
    account = MadeUp()
    account.live(days=90)
    with tempfile.TemporaryDirectory() as folder:
        trades, ledgers = Path(folder, "trades.csv"), Path(folder, "ledgers.csv")
        trades.write_text("\n".join(account.trades))
        ledgers.write_text("\n".join(account.lines))
        past = kraken_trades(trades, [BTCUSD]) + kraken_ledgers(ledgers, [BTC, USD])

    print("Made up, as Kraken would export it:", past)
    print(f"{len(check_balances(past))} balances do not follow; {len(check_trades(past))} differences between trades and ledger, such as")
    print("  " + "\n  ".join(str(difference) for difference in check_trades(past)[:2]))
    past = by_ledger(past)
    print(f"taken as the ledger booked them: {len(check_trades(past))} differences")
    print()
    print(explain_balances(past, account.coins))
    print()
    print(attribute(past, [Rule(to="quiet", prefix="OQ"), Rule(to="flash", prefix="OF")]))


if __name__ == "__main__":
    main()
