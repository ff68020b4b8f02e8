"""Kraken's exports: what they say is what is read, and what cannot be trusted is named by file, row, value and rule.

Sources of figures: the venue notes (section 1.2) for the trade of 0.1 ETH; rows that users of provinzio/CoinTaxman
(issue 97) and Satfolio (its Kraken format notes) have published, for chains of real balances; Kraken's support pages for
what the columns mean. Ids are made up.
"""

from __future__ import annotations

import pytest
from past_exports import BTC, BTCEUR, BTCUSD, DOT, ETH, ETHBTC, ETHUSD, EUR, LEDGERS, TRADE, TRADES, USD, refusal, trade, write

from sleeves.facts import FlowKind
from sleeves.market import Instrument, Kind
from sleeves.money import USD as CENTS
from sleeves.money import Asset
from sleeves.orders import Fill, Liquidity, Side
from sleeves.past import KRAKEN_NAMES, BadHistory, check_balances, kraken_balances, kraken_ledgers, kraken_trades

NOON = 1_709_294_400_000_000_000
"""2024-03-01 12:00:00 UTC."""


def ledgers(folder, rows, assets=(BTC, ETH, DOT, USD, EUR), header=LEDGERS, **options):
    return kraken_ledgers(write(folder, rows, header, "ledgers.csv"), assets, **options)


# -- trades --------------------------------------------------------------------------------------------------------------


def test_a_trade_is_a_fill_to_the_last_unit(tmp_path):
    (fill,) = kraken_trades(write(tmp_path, [TRADE]), [ETHUSD]).fills
    at = NOON + 400_000_000
    assert fill == Fill(
        "OAAA-1",
        at,
        ETHUSD,
        Side.BUY,
        1_000_000_000,
        240_000,
        240_000_000,
        USD("0.96"),
        Liquidity.TAKER,
        "TAAA-1",
        "kraken",
    )


def test_the_cost_is_what_the_file_says_and_not_price_times_quantity(tmp_path):
    """24,300.0 times 0.00205761 is 49.999923: the file of 2023 says 49.99992."""
    row = trade(pair="XXBTZEUR", price="24300.00000", cost="49.99992", fee="0.13000", vol="0.00205761", misc="initiated")
    (fill,) = kraken_trades(write(tmp_path, [row]), [BTCEUR]).fills
    assert (fill.cost, fill.fee) == (49_999_920, EUR("0.13"))


@pytest.mark.parametrize("pair", ["XXBTZUSD", "XBTUSD", "BTC/USD", "XBT/USD", "XXBT/USD", "BTCZUSD"])
def test_a_pair_is_known_by_every_way_of_writing_it(tmp_path, pair):
    (fill,) = kraken_trades(write(tmp_path, [trade(pair=pair)]), [ETHUSD, BTCUSD, ETHBTC]).fills
    assert fill.instrument == BTCUSD


def test_names_are_looked_up_and_never_sliced(tmp_path):
    xtz = Instrument("XTZ/USD", base=Asset("XTZ", 8), quote=USD, tick="0.0001")
    (fill,) = kraken_trades(write(tmp_path, [trade(pair="XTZUSD", price="2.4")]), [xtz, BTCUSD]).fills
    assert fill.instrument == xtz
    assert "TZ" not in KRAKEN_NAMES.values()
    error = refusal(kraken_trades, write(tmp_path, [trade(pair="TZUSD")]), [xtz])
    assert "pair 'TZUSD' is none of XTZ/USD, XTZ/ZUSD" in str(error)


def test_a_table_of_pairs_may_be_given_and_is_then_the_only_one(tmp_path):
    path = write(tmp_path, [trade(pair="ETHER")])
    assert kraken_trades(path, {"ETHER": ETHUSD}).fills[0].instrument == ETHUSD
    assert "'XETHZUSD' is none of ETHER" in str(refusal(kraken_trades, write(tmp_path, [TRADE]), {"ETHER": ETHUSD}))
    new = Instrument("WIF/USD", base=Asset("WIF", 8), quote=USD)
    assert kraken_trades(write(tmp_path, [trade(pair="DOGWIFUSD")]), [new], names={"DOGWIF": "WIF"}).fills[0].instrument == new


def test_a_name_that_two_pairs_could_have_is_refused(tmp_path):
    one = Instrument("AB/C", base=Asset("AB", 8), quote=Asset("C", 8))
    two = Instrument("A/BC", base=Asset("A", 8), quote=Asset("BC", 8))
    assert "'ABC' could be AB/C or A/BC" in str(refusal(kraken_trades, write(tmp_path, []), [one, two]))
    perp = Instrument("BTC-PERP", base=BTC, quote=USD, kind=Kind.PERP)
    assert "perpetual" in str(refusal(kraken_trades, write(tmp_path, []), [perp]))


def test_a_rebate_is_a_fee_below_zero(tmp_path):
    (fill,) = kraken_trades(write(tmp_path, [trade(fee="-0.02")]), [ETHUSD]).fills
    assert fill.fee == USD("-0.02")


def test_who_made_the_market_and_the_tag_are_read_where_the_file_has_them(tmp_path):
    header = TRADES + ',"maker","userref","cl_ord_id"'
    rows = [trade(txid="T1") + ",true,17,", trade(txid="T2") + ",false,17,quiet-3"]
    past = kraken_trades(write(tmp_path, rows, header), [ETHUSD])
    assert [fill.liquidity for fill in past.fills] == [Liquidity.MAKER, Liquidity.TAKER]
    assert list(past.tags.values()) == ["17", "quiet-3"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"pair": "ADAUSD"}, "pair 'ADAUSD' is none of BTC/USD,"),
        ({"type": "transfer"}, "type 'transfer' is neither buy nor sell"),
        ({"type": ""}, "type is empty"),
        ({"txid": ""}, "txid is empty"),
        ({"ordertxid": " "}, "ordertxid is empty"),
        ({"vol": "NaN"}, "vol 'NaN' is not a plain finite number"),
        ({"vol": "inf"}, "vol 'inf' is not a plain finite number"),
        ({"vol": "0"}, "quantity 0"),
        ({"vol": "-0.1"}, "quantity -1000000000"),
        ({"vol": "1e99"}, "has more than 60 digits"),
        ({"vol": "0.00000000001"}, "has 11 decimal places, but only 10 are exact here; an Asset('ETH', 11) counts it"),
        ({"price": "0"}, "price: price Decimal('0') of ETH/USD is not a positive finite number"),
        ({"price": "=1+1"}, "price '=1+1' is not a plain finite number"),
        ({"cost": "1e-7"}, "cost: USD amount"),
        ({"cost": "-1"}, "cost -1000000"),
        ({"fee": ""}, "fee is empty"),
        ({"fee": "1 000"}, "fee '1 000' is not a plain finite number"),
        ({"time": "01/03/2024 12:00"}, "time '01/03/2024 12:00' is not like"),
        ({"time": "2024-02-30 12:00:00"}, "none of the calendar"),
        ({"margin": "120.0"}, "a margin trade (margin 120.0, misc ''): it moves no coins"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_read_is_named_and_with_repair_listed(tmp_path, changes, says):
    path = write(tmp_path, [TRADE, trade(**({"txid": "T2"} | changes)), trade(txid="T3")])
    error = refusal(kraken_trades, path, [BTCUSD, ETHUSD])
    assert str(error).startswith("trades.csv, row 2: ")
    assert says in str(error)
    assert (error.source, error.row) == ("trades.csv", 2)
    past = kraken_trades(path, [BTCUSD, ETHUSD], repair=True)
    assert [fill.trade_id for fill in past.fills] == ["TAAA-1", "T3"]
    assert [str(left) for left in past.left_out] == [str(error)]
    assert f"left out: {error}" in str(past)


def test_a_margin_trade_that_closes_is_one_even_without_margin(tmp_path):
    row = trade(misc='"initiated,closing"')
    assert "margin trade" in str(refusal(kraken_trades, write(tmp_path, [row]), [ETHUSD]))


def test_thousands_separators_are_not_guessed(tmp_path):
    row = trade().replace("240.00000", '"1,240.00"')
    assert "cost '1,240.00' is not a plain finite number" in str(refusal(kraken_trades, write(tmp_path, [row]), [ETHUSD]))


def test_a_price_finer_than_the_instruments_is_rounded_and_told(tmp_path):
    past = kraken_trades(write(tmp_path, [trade(price="2400.005"), trade(txid="T2", price="2400.0151")]), [ETHUSD])
    assert [fill.price for fill in past.fills] == [240_000, 240_002]
    assert str(past.notes[0]) == "prices finer than the instrument's, rounded half-even to it: 2, trades.csv row 1, trades.csv row 2"


# -- files ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content",
    [
        f"\ufeff{TRADES}\n{TRADE}\n",
        f"{TRADES}\r\n{TRADE}\r\n",
        f"\n{TRADES}\n\n{TRADE}\n\n \n",
        f"{TRADES.replace(chr(34), '')}\n{TRADE}",
        f"{TRADES}\n{TRADE.replace('2400.00', chr(34) + '2400.00' + chr(34))}\n",
        ",".join(reversed(TRADES.split(","))) + "\n" + ",".join(reversed(TRADE.replace('"LA,LB"', "LA").split(","))),
    ],
    ids=["BOM", "CRLF", "blank lines", "bare header", "quoted numbers", "columns in another order"],
)
def test_a_file_may_come_in_many_dresses(tmp_path, content):
    plain = kraken_trades(write(tmp_path, [TRADE]), [ETHUSD])
    assert kraken_trades(write(tmp_path, content.encode()), [ETHUSD]).fills == plain.fills


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "trades.csv: the file is empty"),
        (b"\xef\xbb\xbf\r\n\r\n", "trades.csv: the file is empty"),
        (TRADES.encode("utf-16"), "trades.csv: not a text file in UTF-8"),
        (b"PK\x03\x04\x14\x00", "trades.csv: not a text file: it holds a zero byte at character 5"),
        (b"\x1f\x8b\x08\x00", "trades.csv: not a text file in UTF-8"),
        (TRADES.replace('"margin",', "").encode(), "trades.csv: missing column(s) margin; found 'txid', 'ordertxid',"),
        (TRADES.replace(chr(34), "").replace(",", ";").encode(), "trades.csv: missing column(s) txid, ordertxid, pair,"),
        (TRADES.replace("misc", "fee").encode(), "trades.csv: column 'fee' is there 2 times"),
        (f"{TRADES}\n{TRADE},1\n".encode(), "trades.csv, row 1: 14 cell(s), but the header names 13 columns"),
        (f'{TRADES}\n{TRADE}\n"T2"\n'.encode(), "trades.csv, row 2: 1 cell(s), but the header names 13 columns"),
        (f'{TRADES}\n{TRADE}\n"T2" x,\n'.encode(), "trades.csv, row 2: not a CSV file:"),
        (f'{TRADES}\n{TRADE}\n"T2,\n'.encode(), "trades.csv, row 2: not a CSV file: unexpected end of data"),
        (f"{TRADES}\n{'x' * 1_000_000}\n".encode(), "trades.csv, row 1: not a CSV file: field larger than field limit"),
        (f"{TRADES}\n{'x' * 100_000}{',' * 12}\n".encode(), "trades.csv, row 1: pair is empty"),
        (
            f"{TRADES}\n{trade(pair='x' * 100_000)}\n".encode(),
            "trades.csv, row 1: pair 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...' is none of",
        ),
        (
            f"{TRADES}\n{trade(vol='9' * 5000)}\n".encode(),
            "trades.csv, row 1: vol '9999999999999999999999999999999999999999...' is not a plain",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_is_no_export_is_an_error(tmp_path, content, says):
    """The limit on a cell is the csv module's own; a number of 5,000 digits is one that Python 3.11 refuses to read as an int."""
    error = refusal(kraken_trades, write(tmp_path, content), [ETHUSD])
    assert str(error).startswith(says)
    assert len(str(error)) < 400


def test_a_missing_file_is_an_error_and_a_file_without_rows_is_an_empty_past(tmp_path):
    assert "none.csv: cannot be read" in str(refusal(kraken_trades, tmp_path / "none.csv", [ETHUSD]))
    assert str(refusal(kraken_trades, "a\0b", [ETHUSD])).endswith("cannot be read: embedded null byte")
    assert kraken_trades(write(tmp_path, []), [ETHUSD]).trades == ()
    assert str(kraken_trades(write(tmp_path, []), [ETHUSD])) == "0 trades and 0 ledger lines"


def test_mixed_zones_are_refused(tmp_path):
    rows = [TRADE, trade(txid="T2", time="2024-03-01 12:00:01Z")]
    assert "row 2: time '2024-03-01 12:00:01Z' names its zone" in str(refusal(kraken_trades, write(tmp_path, rows), [ETHUSD]))


def test_a_formula_in_an_id_stays_text(tmp_path):
    evil = '=HYPERLINK("http://evil","x")'
    row = TRADE.replace('"OAAA-1"', '"' + evil.replace('"', '""') + '"')
    (fill,) = kraken_trades(write(tmp_path, [row]), [ETHUSD]).fills
    assert fill.order_id == evil


# -- the same trade again ------------------------------------------------------------------------------------------------


def test_a_row_told_again_is_taken_once_and_told(tmp_path):
    past = kraken_trades(write(tmp_path, [TRADE, trade(txid="T2"), TRADE]), [ETHUSD])
    assert len(past.trades) == 2
    assert str(past.notes[0]) == "trades told again, taken once: 1, trades.csv row 3"


@pytest.mark.parametrize("repair", [False, True])
def test_one_id_with_two_contents_is_always_an_error(tmp_path, repair):
    path = write(tmp_path, [TRADE, trade(txid="TAAA-1", fee="0.97")])
    error = refusal(kraken_trades, path, [ETHUSD], repair=repair)
    assert "trade 'kraken ETH/USD TAAA-1' is told in trades.csv row 2 otherwise than in trades.csv row 1" in str(error)
    assert "fee '0.97 USD', not '0.96 USD'" in str(error)
    path = write(tmp_path, [TRADE, trade(txid="TAAA-1", pair="XXBTZUSD")])
    assert "in trades.csv row 2 is of BTC/USD, and of ETH/USD before" in str(refusal(kraken_trades, path, [ETHUSD, BTCUSD], repair=repair))


def test_overlapping_exports_are_added_without_counting_twice(tmp_path):
    first = kraken_trades(write(tmp_path, [TRADE, trade(txid="T2")]), [ETHUSD])
    second = kraken_trades(write(tmp_path, [trade(txid="T2"), trade(txid="T3", time="2024-02-01 00:00:00")], name="b.csv"), [ETHUSD])
    both = first + second
    assert [fill.trade_id for fill in both.fills] == ["T3", "TAAA-1", "T2"]
    assert str(both.notes[0]) == "trades told again, taken once: 1, the second history, 'T2'"
    changed = kraken_trades(write(tmp_path, [trade(txid="T2", vol="0.2")]), [ETHUSD])
    with pytest.raises(BadHistory, match="qty '2000000000', not '1000000000'"):
        both + changed


def test_a_file_that_begins_with_the_newest_is_taken_from_its_end(tmp_path):
    """Two trades of one instant keep their order: the one told last was first."""
    rows = [trade(txid="T4", time="2024-03-02 12:00:00"), trade(txid="T3", type="sell"), trade(txid="T2")]
    assert [fill.trade_id for fill in kraken_trades(write(tmp_path, rows), [ETHUSD]).fills] == ["T2", "T3", "T4"]


# -- ledgers -------------------------------------------------------------------------------------------------------------

CHAIN_2025 = [
    '"L1","F1","2025-02-14 20:32:16","deposit","","currency","EUR","spot / main",381.9821,0,381.9832',
    '"L2","T1","2025-02-14 22:18:09","trade","tradespot","currency","EUR","spot / main",-187.2514,0.7490,193.9828',
    '"L3","T1","2025-02-14 22:18:09","trade","tradespot","currency","BTC","spot / main",0.0020104289,0,0.0030521628',
]
"""Real amounts and balances, as Satfolio's notes on the format show them."""

CHAIN_2021 = [
    '"","Q1","2021-02-10 10:06:39","deposit","","currency","ZEUR","",500.0000,0.0000,""',
    '"L1","Q1","2021-02-10 10:08:19","deposit","","currency","ZEUR","",500.0000,0.0000,500.0000',
    '"L2","T1","2021-05-11 18:55:10","trade","","currency","ZEUR","",-200.0000,0.3200,299.6800',
    '"L3","T1","2021-05-11 18:55:10","trade","","currency","DOT","",6.2500000000,0.0000000000,6.2500000000',
    '"L4","T2","2021-05-18 17:46:21","trade","","currency","ZEUR","",-100.0000,0.1600,199.5200',
    '"L5","T2","2021-05-18 17:46:21","trade","","currency","DOT","",4.1666666600,0.0000000000,10.4166666600',
    '"","B1","2021-05-18 17:49:42","withdrawal","","currency","DOT","",-10.4166666600,0.0000000000,""',
    '"","R1","2021-05-18 17:52:20","deposit","","currency","DOT.S","",10.4166666600,0.0000000000,""',
    '"L6","B1","2021-05-18 17:52:28","transfer","spottostaking","currency","DOT","",-10.4166666600,0.0000000000,0.0000000000',
    '"L7","R1","2021-05-18 17:52:46","transfer","stakingfromspot","currency","DOT.S","",10.4166666600,0.0000000000,10.4166666600',
]
"""Real amounts and balances of 2021, as a user of CoinTaxman published them in issue 97."""


def test_lines_say_what_was_added_to_which_wallet(tmp_path):
    past = ledgers(tmp_path, CHAIN_2025)
    deposit, paid, bought = past.lines
    assert (deposit.kind, deposit.amount, deposit.before, deposit.ref) == (FlowKind.DEPOSIT, EUR("381.9821"), EUR("0.0011"), "F1")
    assert (paid.change, paid.balance, paid.type) == (EUR("-188.0004"), EUR("193.9828"), "trade/tradespot")
    assert bought.amount.units == 20_104_289
    flows = [(flow.kind, str(flow.amount), flow.id) for flow in past.flows]
    assert flows[1:3] == [(FlowKind.TRADE, "-187.2514 EUR", "L2"), (FlowKind.FEE, "-0.749 EUR", "L2/fee")]
    assert {flow.venue for flow in past.flows} == {"kraken"}
    assert check_balances(past) == ()


def test_rows_that_were_never_booked_are_no_lines_and_are_told(tmp_path):
    past = ledgers(tmp_path, CHAIN_2021)
    assert [line.id for line in past.lines] == ["L1", "L2", "L3", "L4", "L5", "L6", "L7"]
    assert "rows asked for and not booked, no lines: 3, ledgers.csv row 1, ledgers.csv row 7, ledgers.csv row 8" in str(past)
    assert check_balances(past) == ()
    staked = past.lines[-1]
    assert (staked.kind, staked.wallet, staked.place) == (FlowKind.EARN, ".S", "DOT.S")
    assert past.flows[-1].venue == "kraken .S"


@pytest.mark.parametrize(
    ("asset", "wallet", "place"),
    [
        ("XXBT", "spot / main", "BTC"),
        ("XBT", "", "BTC"),
        ("BTC", "spot / main", "BTC"),
        ("XBT.F", "spot / main", "BTC.F"),
        ("XXBT.M", "", "BTC.M"),
        ("DOT.S", "spot / main", "DOT.S"),
        ("DOT28.S", "spot / main", "DOT28.S"),
        ("ETH.B", "", "ETH.B"),
        ("ZUSD.HOLD", "", "USD.HOLD"),
        ("BTC", "earn / liquid", "BTC earn / liquid"),
        ("BTC", "earn / flexible", "BTC earn / flexible"),
        ("ETH2", "", "ETH.S"),
    ],
)
def test_every_wallet_of_an_asset_is_kept_apart(tmp_path, asset, wallet, place):
    row = f'"L1","R","2024-01-01 00:00:00","earn","reward","currency","{asset}","{wallet}",1,0,1'
    (line,) = ledgers(tmp_path, [row], names={"ETH2": ("ETH", ".S")}).lines
    assert line.place == place
    assert line.asset == {"BTC": BTC, "DOT": DOT, "ETH": ETH, "USD": USD}[place[:3]]


@pytest.mark.parametrize(
    ("type_", "subtype", "kind"),
    [
        ("trade", "", "trade"),
        ("trade", "tradespot", "trade"),
        ("spend", "", "trade"),
        ("receive", "", "trade"),
        ("spend", "dustsweeping", "dust"),
        ("deposit", "", "deposit"),
        ("withdrawal", "", "withdrawal"),
        ("transfer", "spottofutures", "withdrawal"),
        ("transfer", "spotfromfutures", "deposit"),
        ("transfer", "spotfromstaking", "earn"),
        ("transfer", "", "other"),
        ("earn", "reward", "reward"),
        ("earn", "autoallocation", "earn"),
        ("earn", "migration", "earn"),
        ("staking", "", "reward"),
        ("invite bonus", "", "reward"),
        ("margin", "", "settlement"),
        ("rollover", "", "funding"),
        ("settled", "", "settlement"),
        ("adjustment", "", "other"),
    ],
)
def test_every_type_has_a_kind(tmp_path, type_, subtype, kind):
    past = ledgers(tmp_path, [f'"L1","R","2024-01-01 00:00:00","{type_}","{subtype}","currency","BTC","",1,0,1'])
    assert [line.kind for line in past.lines] == [kind]
    assert past.notes == ()


def test_an_unknown_type_is_read_and_told(tmp_path):
    row = '"L1","R","2024-01-01 00:00:00","hybridearnwithdrawal","","currency","BTC","",-1,0,0'
    past = ledgers(tmp_path, [row, row.replace("L1", "L2").replace("hybridearnwithdrawal", "earn").replace('"",', '"newword",', 1)])
    assert [line.kind for line in past.lines] == [FlowKind.OTHER, FlowKind.OTHER]
    assert [str(note) for note in past.notes] == [
        "lines of the unknown type 'hybridearnwithdrawal', taken as other: 1, ledgers.csv row 1",
        "lines of the unknown type 'earn/newword', taken as other: 1, ledgers.csv row 2",
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ('"L1","R","2024-01-01 00:00:00","trade","","currency","KFEE","",1,0,1', "asset 'KFEE' is none of BTC, DOT, ETH, EUR, USD"),
        ('"L1","R","2024-01-01 00:00:00","trade","","currency","TC","",1,0,1', "asset 'TC' is none of"),
        ('"L1","R","2024-01-01 00:00:00","trade","","currency","BTC.X","",1,0,1', "asset 'BTC.X' is none of"),
        ('"","R","2024-01-01 00:00:00","trade","","currency","BTC","",1,0,1', "txid is empty"),
        ('"L1","R","2024-01-01 00:00:00","trade","","currency","BTC","",1,0,""', "balance is empty"),
        ('"L1","R","2024-01-01 00:00:00","","","currency","BTC","",1,0,1', "type is empty"),
        ('"L1","R","2024-01-01 00:00:00","trade","","currency","BTC","","-",0,1', "amount '-' is not a plain"),
        ('"L1","R","2024-01-01 00:00:00","trade","","currency","USD","",1e-8,0,1', "amount: USD amount 0.00000001 has 8 decimal places"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path, row, says):
    good = CHAIN_2025[0]
    error = refusal(ledgers, tmp_path, [good, row.replace('"L1"', '"L9"')])
    assert str(error).startswith("ledgers.csv, row 2: ")
    assert says in str(error)
    past = ledgers(tmp_path, [good, row.replace('"L1"', '"L9"')], repair=True)
    assert (len(past.lines), len(past.left_out)) == (1, 1)


def test_a_fee_in_another_coin_than_its_line_is_refused(tmp_path):
    """The exports of 2026 have a column feecurrency; Kraken says that a line is of one asset."""
    header = LEDGERS + ',"feecurrency"'
    row = '"L1","T1","2026-02-14 22:18:09","trade","tradespot","currency","EUR","spot / main",-10,0.5,1'
    assert ledgers(tmp_path, [row + ',"EUR"'], header=header).lines[0].fee == EUR("0.5")
    assert ledgers(tmp_path, [row + ',""'], header=header).lines[0].fee == EUR("0.5")
    error = refusal(ledgers, tmp_path, [row + ',"BTC"'], header=header)
    assert "fee in 'BTC' on a line of EUR: a line is of one asset" in str(error)


def test_ten_decimal_places_of_bitcoin_need_an_asset_that_counts_them(tmp_path):
    error = refusal(ledgers, tmp_path, CHAIN_2025, assets=[Asset("BTC", 8), EUR])
    assert "only 8 are exact here; an Asset('BTC', 10) counts it" in str(error)


def test_one_asset_has_one_scale_in_a_history(tmp_path):
    trades = kraken_trades(
        write(tmp_path, [trade(pair="XXBTZUSD")]), [Instrument("BTC/USD", base=Asset("BTC", 8), quote=CENTS, tick="0.1")]
    )
    with pytest.raises(BadHistory, match="BTC is counted with 8 and with 10 decimal places"):
        trades + ledgers(tmp_path, CHAIN_2025)


def test_a_ledger_line_told_in_two_ways_is_an_error(tmp_path):
    rows = [CHAIN_2025[0], CHAIN_2025[0].replace("381.9821", "381.9822")]
    assert "ledger line 'kraken L1' is told in ledgers.csv row 2 otherwise" in str(refusal(ledgers, tmp_path, rows))
    assert len(ledgers(tmp_path, [CHAIN_2025[0], CHAIN_2025[0]]).lines) == 1


def test_old_and_new_exports_of_one_line_are_one_line(tmp_path):
    """Another name of the asset, trailing zeros, more columns: the same line."""
    old = '"L1","Q1","2021-02-10 10:08:19","deposit","","currency","ZEUR","",500.0000,0.0000,500.0000'
    new = '"L1","Q1","2021-02-10 10:08:19","deposit","","currency","EUR","spot / main",500,0,500'
    assert len((ledgers(tmp_path, [old]) + ledgers(tmp_path, [new])).lines) == 1


def test_balances_are_read_by_the_name_of_their_wallet():
    reply = {"ZUSD": "10000.0000", "XXBT": "0.5000000000", "ETH.F": "1.2500000000", "XBT": "0.1"}
    found = kraken_balances(reply, [BTC, ETH, USD])
    assert {name: str(amount) for name, amount in found.items()} == {"USD": "10000 USD", "BTC": "0.6 BTC", "ETH.F": "1.25 ETH"}
    assert list(kraken_balances({"XBT.F": "1"}, [BTC], names={"XBT.F": ("BTC", "earn / liquid")})) == ["BTC earn / liquid"]
    assert "Kraken's balances, row 1: asset 'KFEE' is none of BTC" in str(refusal(kraken_balances, {"KFEE": "1"}, [BTC]))
    assert "XXBT: 'much' is not a plain finite number" in str(refusal(kraken_balances, {"XXBT": "much"}, [BTC]))


def test_two_meanings_of_one_name_are_refused(tmp_path):
    error = refusal(ledgers, tmp_path, [], assets=[BTC, ETH], names={"ETH": "BTC"})
    assert "asset 'ETH' could be" in str(error)
