"""The laws of attribution: any trades, any rules, any split, and the sum of all parts is the whole account, to the unit."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from past_exports import BTC, BTCUSD, ETHBTC, ETHUSD, LEDGERS, TRADES, USD, write

from sleeves.facts import CashFlow, FlowKind
from sleeves.money import Amount, Asset, Rounding
from sleeves.orders import Fill, Liquidity, Side
from sleeves.past import (
    History,
    PastTrade,
    Rule,
    attribute,
    by_ledger,
    check_balances,
    check_trades,
    explain_balances,
    kraken_ledgers,
    kraken_trades,
)
from strategies import law

BNB = Asset("BNB", 8)
MARKETS = (BTCUSD, ETHUSD, ETHBTC)
ORDERS = ("OA-1", "OA-2", "OB-1", "")


@st.composite
def trades(draw):
    found = []
    for number in range(draw(st.integers(0, 12))):
        market = draw(st.sampled_from(MARKETS))
        qty, price = draw(st.integers(1, 10**12)), draw(st.integers(1, 10**7))
        side, order, at = draw(st.sampled_from(Side)), draw(st.sampled_from(ORDERS)), draw(st.integers(0, 5))
        cost = market.cost(price, qty, draw(st.sampled_from([Rounding.FLOOR, Rounding.CEIL])))
        fee = Amount(draw(st.integers(-(10**6), 10**6)), draw(st.sampled_from([market.base, market.quote, BNB])))
        fill = Fill(order, at, market, side, qty, price, cost, fee, Liquidity.TAKER, f"T{number}", "kraken")
        further = draw(st.lists(st.tuples(st.integers(-100, 100), st.sampled_from([BNB, USD, BTC])), max_size=2))
        fees = tuple(CashFlow(at, Amount(u, asset), FlowKind.FEE, f"{number}/{i}", fill.key) for i, (u, asset) in enumerate(further))
        found.append(PastTrade(fill, fees, draw(st.sampled_from(["", "grid", "17"]))))
    return found


@st.composite
def rules(draw):
    def maybe(strategy):
        return draw(st.none() | strategy)

    return [
        Rule(
            to=draw(st.sampled_from(["quiet", "flash", "mixed"])),
            orders=maybe(st.sets(st.sampled_from(ORDERS))),
            prefix=maybe(st.sampled_from(["OA", "OB"])),
            instrument=maybe(st.sets(st.sampled_from(MARKETS))),
            side=maybe(st.sampled_from(Side)),
            since=maybe(st.integers(0, 6)),
            until=maybe(st.integers(0, 6)),
            tag=maybe(st.sampled_from(["grid", "17"])),
            when=maybe(st.sampled_from([lambda fill: fill.qty % 2 == 0, lambda fill: False])),
        )
        for _ in range(draw(st.integers(0, 5)))
    ]


def plain(trades):
    """What trades did to each coin, by plain arithmetic."""
    coins = Counter()
    for trade in trades:
        fill = trade.fill
        coins[fill.instrument.base.code] += fill.qty * fill.side.sign
        coins[fill.instrument.quote.code] -= fill.cost * fill.side.sign
        coins[fill.fee.asset.code] -= fill.fee.units
        for flow in trade.fees:
            coins[flow.amount.asset.code] += flow.amount.units
    return {code: units for code, units in coins.items() if units}


def units(amounts):
    return {code: amount.units for code, amount in amounts.items() if amount.units}


@law
@given(trades(), rules())
def test_all_sleeves_and_the_rest_are_the_whole_account(trades, rules):
    found = attribute(History(tuple(trades)), rules)
    assert Counter(t.fill.key for part in found.parts for t in part.trades) == Counter(t.fill.key for t in trades)
    sums = Counter()
    for part in found.parts:
        assert units(part.coins) == plain(part.trades)
        sums.update(units(part.coins))
    assert {code: n for code, n in sums.items() if n} == plain(trades) == units(found.whole.coins)


@law
@given(trades(), rules())
def test_of_each_part_cash_is_what_trading_made_less_what_is_still_open(trades, rules):
    """realized - fees = cash + open cost in every instrument, to the unit; and positions are what its trades left there."""
    found = attribute(History(tuple(trades)), rules)
    for part in found.parts:
        for symbol, held in part.holdings.items():
            own = [t.fill for t in part.trades if t.fill.instrument.symbol == symbol]
            assert held.cash.units == sum(
                -f.cost * f.side.sign - (f.fee.units if f.fee.asset == f.instrument.quote else 0) for f in own
            ) - sum(
                -flow.amount.units
                for t in part.trades
                if t.fill.instrument.symbol == symbol
                for flow in t.fees
                if flow.amount.asset == held.instrument.quote
            )
            assert held.realized - held.fees == held.cash + held.cost
            assert held.position.units == sum(f.qty * f.side.sign - (f.fee.units if f.fee.asset == f.instrument.base else 0) for f in own)
            assert held.fills == len(own)


@law
@given(trades(), rules())
def test_a_trade_is_of_the_first_rule_that_fits_it(trades, rules):
    found = attribute(History(tuple(trades)), rules)
    owners = {trade.fill.key: part.name for part in found.parts for trade in part.trades}
    for trade in trades:
        assert owners[trade.fill.key] == next((rule.to for rule in rules if rule.fits(trade)), "rest")
    assert sum(found.matched) + len(found.rest.trades) == len(trades)


@law
@given(trades(), rules(), st.randoms(use_true_random=False))
def test_telling_trades_twice_and_in_parts_changes_nothing(trades, rules, random):
    cut = random.randint(0, len(trades))
    whole = History(tuple(trades)) + History()
    again = History(tuple(trades[:cut])) + History(tuple(trades[max(0, cut - 2) :])) + History(tuple(trades))
    assert again.trades == whole.trades
    assert attribute(again, rules).rows() == attribute(whole, rules).rows()


@law
@given(trades(), rules())
def test_one_sleeve_for_all_is_the_account_by_itself(trades, rules):
    """Nothing else than the split makes realized profits differ: with one owner they are those of the account."""
    alone = attribute(History(tuple(trades)), [Rule(to="all")]).sleeves["all"]
    assert attribute(History(tuple(trades)), []).rest.holdings == alone.holdings
    shared = attribute(History(tuple(trades)), rules).whole
    assert shared.coins == alone.coins
    for symbol, held in alone.holdings.items():
        assert shared.holdings[symbol].realized - shared.holdings[symbol].cost == held.realized - held.cost


@st.composite
def account(draw):
    """An account that trades and moves coins, as Kraken's two files would tell it: trades, ledger lines, what is there now."""
    balances = {"USD": draw(st.integers(0, 10**12)), "BTC": draw(st.integers(0, 10**12))}
    told, lines = [], []

    def book(second, ref, kind, asset, amount, fee=0):
        balances[asset.code] += amount - fee
        cells = [asset.units(n).text for n in (amount, fee, balances[asset.code])]
        lines.append(
            f'"L{len(lines)}","{ref}","2024-03-01 00:00:{second:02}","{kind}","","currency","{asset}","spot / main",{",".join(cells)}'
        )

    a_second = draw(st.integers(1, 4))
    for number in range(draw(st.integers(0, 8))):
        second = number // a_second
        if draw(st.booleans()):
            book(second, f"D{number}", "deposit", draw(st.sampled_from([USD, BTC])), draw(st.integers(1, 10**9)))
            continue
        qty, price, side = draw(st.integers(1, 10**10)), draw(st.integers(1, 10**6)), draw(st.sampled_from(Side))
        cost, fee, in_coin = BTCUSD.cost(price, qty, Rounding.FLOOR), draw(st.integers(0, 10**6)), draw(st.booleans())
        cells = (BTCUSD.price_text(price), USD.units(cost).text, USD.units(0 if in_coin else fee).text, BTC.units(qty).text)
        told.append(f'"T{number}","O{number}","XXBTZUSD","2024-03-01 00:00:{second:02}.5","{side}","limit",{",".join(cells)},0,"","L"')
        book(second, f"T{number}", "trade", USD, -side.sign * cost, 0 if in_coin else fee)
        book(second, f"T{number}", "trade", BTC, side.sign * qty, fee if in_coin else 0)
    return told, lines, {"USD": USD.units(balances["USD"]), "BTC": BTC.units(balances["BTC"])}


@law
@given(account(), st.randoms(use_true_random=False))
def test_an_account_is_explained_from_its_own_files(tmp_path_factory, account, random):
    """Whatever the order in which a second's lines are told: balances follow, trades agree, and today is explained."""
    told, lines, now = account
    folder = tmp_path_factory.mktemp("kraken")
    mixed = sorted(random.sample(lines, len(lines)), key=lambda row: row.split(",")[2])
    ledger = kraken_ledgers(write(folder, mixed, LEDGERS, "ledgers.csv"), [BTC, USD])
    past = kraken_trades(write(folder, told, TRADES), [BTCUSD]) + ledger
    assert check_balances(past) == ()
    if lines:
        assert check_trades(by_ledger(past)) == ()
        assert explain_balances(past, {line.place: now[line.place] for line in past.lines}).explained
        coins = attribute(by_ledger(past), [Rule(to="a", side="buy")]).whole.coins
        traded = Counter()
        for line in past.lines:
            if line.kind is FlowKind.TRADE:
                traded[line.place] += line.change.units
        assert units(coins) == {code: n for code, n in traded.items() if n}
