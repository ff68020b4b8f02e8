"""Rules decide whose a trade was, the house's books say what it came to, and what nobody claims is shown beside it.

Figures: average cost and fees worked out by hand in the comments; the entry of a buy is that of the design notes
(1 SOL for 150 USDC, fee 0.15).
"""

from __future__ import annotations

import pytest
from past_exports import BTC, BTCEUR, BTCUSD, ETH, ETHBTC, ETHUSD, EUR, LEDGERS, USD, refusal, write

from sleeves.errors import LedgerError
from sleeves.facts import CashFlow, FlowKind
from sleeves.market import HOUR, Instrument, Kind
from sleeves.money import SOL, USDC, Asset
from sleeves.orders import Fill, Liquidity, Side
from sleeves.past import REST, History, PastTrade, Rule, attribute, kraken_ledgers
from sleeves.past.attribution import _prove

BNB = Asset("BNB", 8)
DAY = 24 * HOUR


def fill(number, side, qty, price, fee="0", order=None, market=BTCUSD, at=None, **changes):
    units, level = market.base(qty).units, market.price(price)
    cost = level * units * 10**market.quote.scale // 10 ** (market.price_scale + market.base.scale)
    paid = fee if not isinstance(fee, str) else market.quote(fee)
    moment = number * HOUR if at is None else at
    words = {"venue": "kraken"} | changes
    return Fill(order or f"O{number}", moment, market, Side(side), units, level, cost, paid, Liquidity.TAKER, f"T{number}", **words)


ROUND = [
    fill(1, "buy", "0.01", "60000", "1.5", "OQ-1"),
    fill(2, "buy", "0.03", "64000", "4.8", "OQ-2"),
    fill(3, "sell", "0.02", "70000", "3.5", "OQ-3"),
    fill(4, "buy", "0.5", "3000", "3.75", "OF-1", ETHUSD),
    fill(5, "sell", "0.5", "3100", "3.875", "OF-2", ETHUSD),
    fill(6, "sell", "0.002", "70000", "0.35", "OX-1"),
]
QUIET, FLASH = Rule(to="quiet", prefix="OQ"), Rule(to="flash", prefix="OF")


# -- figures -------------------------------------------------------------------------------------------------------------


def test_the_design_notes_buy():
    sol = Instrument("SOL/USDC", base=SOL, quote=USDC)
    part = attribute([fill(1, "buy", "1", "150", "0.15", market=sol)], [Rule(to="flash")]).sleeves["flash"]
    held = part.holdings["SOL/USDC"]
    assert (held.position, held.cost, held.fees, held.realized, held.cash) == (
        SOL("1"),
        USDC("150"),
        USDC("0.15"),
        USDC.zero,
        USDC("-150.15"),
    )
    assert part.coins == {"SOL": SOL("1"), "USDC": USDC("-150.15")}


def test_each_sleeve_has_its_own_average_cost():
    """0.04 BTC cost 600 + 1,920 = 2,520; half of it leaves with 1,260 and brings 1,400: 140 realized, 1,260 left."""
    found = attribute(ROUND, [QUIET, FLASH])
    quiet = found.sleeves["quiet"].holdings["BTC/USD"]
    assert (quiet.position, quiet.cost, quiet.realized, quiet.fees) == (BTC("0.02"), USD("1260"), USD("140"), USD("9.8"))
    assert quiet.cash == USD("-1129.8")
    flash = found.sleeves["flash"].holdings["ETH/USD"]
    assert (flash.position, flash.cost, flash.realized, flash.fees, flash.cash) == (
        ETH.zero,
        USD.zero,
        USD("50"),
        USD("7.625"),
        USD("42.375"),
    )


def test_what_nobody_claims_is_shown_with_the_same_figures():
    found = attribute(ROUND, [QUIET, FLASH])
    assert [one.trade_id for one in found.rest.fills] == ["T6"]
    rest = found.rest.holdings["BTC/USD"]
    assert (rest.position, rest.cost, rest.realized, rest.cash) == (BTC("-0.002"), USD("-140"), USD.zero, USD("139.65"))
    assert "rest sold 0.002 BTC more of BTC/USD than this history saw it buy" in found.notes()
    assert found.whole.holdings["BTC/USD"].position == BTC("0.018")


def test_a_fee_in_the_base_coin_takes_from_the_position_and_is_booked_in_money():
    """0.01 BTC bought for 600, 0.0001 of it kept by the venue: worth 6 at 60,000."""
    part = attribute([fill(1, "buy", "0.01", "60000", BTC("0.0001"))], [Rule(to="a")]).sleeves["a"]
    held = part.holdings["BTC/USD"]
    assert (held.position, held.cost, held.fees, held.cash) == (BTC("0.0099"), USD("594"), USD("6"), USD("-600"))
    assert part.fees == {"BTC": BTC("0.0001")}


def test_fees_in_third_and_further_coins_are_charged_coin_by_coin():
    bought = fill(1, "buy", "0.01", "60000", BNB("0.002"))
    extra = CashFlow(bought.at, EUR("-0.5"), FlowKind.FEE, "x", bought.key, "kraken")
    part = attribute(History((PastTrade(bought, (extra,)),)), [Rule(to="a")]).sleeves["a"]
    assert part.fees == {"BNB": BNB("0.002"), "EUR": EUR("0.5")}
    assert part.coins == {"BNB": BNB("-0.002"), "BTC": BTC("0.01"), "EUR": EUR("-0.5"), "USD": USD("-600")}


def test_coins_that_are_base_here_and_quote_there_add_up():
    trades = [fill(1, "buy", "0.1", "60000"), fill(2, "buy", "1", "0.05", market=ETHBTC), fill(3, "sell", "1", "3100", market=ETHUSD)]
    part = attribute(trades, [Rule(to="a")]).sleeves["a"]
    assert part.coins == {"BTC": BTC("0.05"), "ETH": ETH.zero, "USD": USD("-2900")}
    assert [held.instrument for held in part.holdings.values()] == [BTCUSD, ETHBTC, ETHUSD]


# -- rules ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "takes"),
    [
        (Rule(to="a"), "123456"),
        (Rule(to="a", prefix="OQ"), "123"),
        (Rule(to="a", orders=["OQ-1", "OX-1", "nowhere"]), "16"),
        (Rule(to="a", orders="OQ-1"), "1"),
        (Rule(to="a", orders=[]), ""),
        (Rule(to="a", instrument="ETH/USD"), "45"),
        (Rule(to="a", instrument=[ETHUSD, "BTC/EUR"]), "45"),
        (Rule(to="a", side="sell"), "356"),
        (Rule(to="a", side=Side.BUY, prefix="OQ"), "12"),
        (Rule(to="a", since=3 * HOUR), "3456"),
        (Rule(to="a", until=3 * HOUR), "12"),
        (Rule(to="a", since="1970-01-01 03:00:00", until="1970-01-01 05:00:00"), "34"),
        (Rule(to="a", when=lambda one: one.cost > USD("1500").units), "25"),
        (Rule(to="a", tag="grid"), ""),
    ],
    ids=str,
)
def test_a_rule_takes_what_fits_all_that_it_says(rule, takes):
    found = attribute(ROUND, [rule])
    assert "".join(one.trade_id[1] for one in found.sleeves["a"].fills) == takes
    assert found.matched == (len(takes),)
    assert len(found.rest.fills) == 6 - len(takes)


def test_a_tag_is_the_venues_word_for_the_order():
    trades = [PastTrade(one, tag=tag) for one, tag in zip(ROUND, ["grid", "grid", "17", "", "", "grid"], strict=True)]
    found = attribute(History(tuple(trades)), [Rule(to="a", tag="grid"), Rule(to="b", tag=["17", "18"])])
    assert [len(part.fills) for part in found.parts] == [3, 1, 2]


def test_the_first_rule_that_fits_decides():
    found = attribute(ROUND, [Rule(to="a", side="buy"), QUIET, Rule(to="a", orders="OX-1")])
    assert found.matched == (3, 1, 1)
    assert {name: len(part.fills) for name, part in found.sleeves.items()} == {"a": 4, "quiet": 1}


def test_a_rule_that_takes_nothing_is_seen():
    found = attribute(ROUND, [Rule(to="a", instrument="BTC-USD")])
    assert "rule 1, to a: BTC-USD: 0 trades" in str(found)
    assert found.sleeves["a"].coins == {}


@pytest.mark.parametrize(
    "wrong",
    [{"to": ""}, {"to": "a b"}, {"to": "a/b"}, {"to": REST}, {"to": None}, {"to": "a", "prefix": ""}, {"to": "a", "side": "hold"}]
    + [{"to": "a", "since": "yesterday"}, {"to": "a", "until": 1.5}, {"to": "a", "since": True}],
    ids=str,
)
def test_what_cannot_be_a_rule_is_refused(wrong):
    assert "rule" in str(refusal(Rule, **wrong))


def test_a_question_that_fails_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        attribute(ROUND, [Rule(to="a", when=lambda one: 1 / 0)])


# -- what is refused, what is told -----------------------------------------------------------------------------------------


def test_trades_are_taken_in_order_of_time_and_once():
    found = attribute([*reversed(ROUND), ROUND[2]], [QUIET, FLASH])
    assert found.rows() == attribute(ROUND, [QUIET, FLASH]).rows()
    assert "trades told again, taken once: 1, fill 7" in found.notes()
    assert "told in fill 2 otherwise than in fill 1" in str(refusal(attribute, [ROUND[0], fill(1, "buy", "0.02", "60000")], []))


def test_perpetuals_are_refused_and_so_are_two_instruments_of_one_name():
    perp = Instrument("BTC-PERP", base=BTC, quote=USD, tick="0.1", kind=Kind.PERP)
    assert "a perpetual: only trades of coins" in str(refusal(attribute, [fill(1, "buy", "1", "60000", market=perp)], []))
    other = Instrument("BTC/USD", base=BTC, quote=USD, tick="0.01", venue="elsewhere")
    assert "two instruments are called BTC/USD" in str(refusal(attribute, [ROUND[0], fill(9, "buy", "1", "60000", market=other)], []))
    coarse = Instrument("BTC/EUR", base=Asset("BTC", 8), quote=EUR, tick="0.1")
    assert "counted with 8 and with 10" in str(refusal(attribute, [ROUND[0], fill(9, "buy", "1", "60000", market=coarse)], []))


def test_nothing_is_nothing():
    found = attribute([], [QUIET])
    assert (found.rows(), found.coin_rows(), found.flow_rows()) == ([], [], [])
    assert "1 sleeve and the rest add up to all trades, to the unit: no coins" in str(found)


LINES = [
    '"L0","F1","1970-01-01 00:30:00","deposit","","currency","ZUSD","spot / main",5000,0,5000',
    '"L1","T1","1970-01-01 01:00:00","trade","","currency","ZUSD","spot / main",-600,1.5,4398.5',
    '"L2","E1","1970-01-01 01:30:00","earn","reward","currency","XXBT","earn / liquid",0.00001,0,0.00001',
    '"L3","F2","1970-01-01 01:40:00","withdrawal","","currency","ZUSD","spot / main",-100,2.5,4296',
    '"L4","S1","1970-01-01 01:50:00","spend","","currency","ZUSD","spot / main",-10,0,4286',
    '"L5","T1","1970-01-01 01:55:00","rollover","","currency","ZUSD","spot / main",0,0.25,4285.75',
]


def test_flows_are_listed_by_kind_and_are_nobodys_profit(tmp_path):
    lines = kraken_ledgers(write(tmp_path, LINES, LEDGERS), [BTC, USD])
    found = attribute(History(tuple(PastTrade(one) for one in ROUND)) + lines, [QUIET, FLASH])
    assert [tuple(row.values()) for row in found.flow_rows()] == [
        ("deposit", "USD", 1, "5000", "0"),
        ("fee", "USD", 2, "0", "2.75"),
        ("reward", "BTC earn / liquid", 1, "0.00001", "0"),
        ("trade", "USD", 1, "0", "10"),
        ("withdrawal", "USD", 1, "0", "100"),
    ]
    assert "  trade USD: 1, received 0, given 10 (told by no file of trades)" in str(found)
    assert found.rows() == attribute(ROUND, [QUIET, FLASH]).rows()


def test_a_unit_that_is_missing_from_the_sum_is_an_error():
    found = attribute(ROUND, [QUIET, FLASH])
    found.whole = attribute(ROUND[1:], []).whole
    with pytest.raises(LedgerError, match="do not add up to all trades in BTC, USD"):
        _prove(found)


def test_it_prints_as_a_table():
    assert str(attribute(ROUND, [QUIET, FLASH])) == TABLE


TABLE = """\
                                      quiet   flash    rest     whole
---------------------------------------------------------------------
trades                                    3       2       1         6
BTC/USD position, BTC                  0.02       0  -0.002     0.018
BTC/USD open cost, USD                1,260       0    -140     1,120
BTC/USD realized before fees, USD       140       0       0       140
BTC/USD fees as booked, USD             9.8       0    0.35     10.15
BTC/USD net cash, USD              -1,129.8       0  139.65   -990.15
ETH/USD position, ETH                     0       0       0         0
ETH/USD open cost, USD                    0       0       0         0
ETH/USD realized before fees, USD         0      50       0        50
ETH/USD fees as booked, USD               0   7.625       0     7.625
ETH/USD net cash, USD                     0  42.375       0    42.375
all BTC, net                           0.02       0  -0.002     0.018
all ETH, net                              0       0       0         0
all USD, net                       -1,129.8  42.375  139.65  -947.775
fees charged, USD                       9.8   7.625    0.35    17.775

rule 1, to quiet: orders OQ...: 3 trades
rule 2, to flash: orders OF...: 2 trades
rest sold 0.002 BTC more of BTC/USD than this history saw it buy
2 sleeves and the rest add up to all trades, to the unit: BTC, ETH, USD"""


def test_rows_are_for_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(attribute(ROUND, [QUIET, FLASH]).rows())
    assert list(frame["sleeve"]) == ["quiet", "flash", "rest"]
    assert frame.loc[0].to_dict() == {
        "sleeve": "quiet",
        "instrument": "BTC/USD",
        "base": "BTC",
        "quote": "USD",
        "fills": 3,
        "position": "0.02",
        "cost": "1260",
        "realized": "140",
        "fees": "9.8",
        "cash": "-1129.8",
    }
    coins = attribute(ROUND, [QUIET, FLASH]).coin_rows()
    assert coins[0] == {"sleeve": "quiet", "coin": "BTC", "change": "0.02", "fees": "0"}


def test_names_from_files_are_escaped_in_html():
    rule = Rule(to="<b>", prefix="O")
    shown = attribute(ROUND, [rule, Rule(to="x", orders="<script>")])._repr_html_()
    assert "<script>" not in shown
    assert "&lt;b&gt;" in shown
    assert BTCEUR.symbol not in shown
