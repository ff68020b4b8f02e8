"""Any CSV by a mapping: what the mapping says is what is read, and nothing else is guessed."""

from __future__ import annotations

import pytest
from past_exports import BERLIN, BTC, BTCEUR, BTCUSD, ETHUSD, EUR, USD, refusal, write

from sleeves.money import Asset
from sleeves.orders import Side
from sleeves.past import Columns, read_csv

PLAIN = Columns(id="id", order="order", time="time", side="side", qty="qty", price="price", instrument="market", fee="fee")
HEADER = "id,order,time,market,side,qty,price,fee"
ROW = "1,o-1,2024-03-01 12:00:00,BTC/USD,buy,0.1,60000,3"
NOON = 1_709_294_400_000_000_000


def read(folder, rows, columns=PLAIN, markets=(BTCUSD, ETHUSD), header=HEADER, **options):
    return read_csv(write(folder, rows, header, "mine.csv"), columns, markets, venue="elsewhere", **options)


def test_a_row_is_a_fill(tmp_path):
    past = read(tmp_path, [ROW])
    (fill,) = past.fills
    assert (fill.trade_id, fill.order_id, fill.at, fill.instrument, fill.side) == ("1", "o-1", NOON, BTCUSD, Side.BUY)
    assert (fill.qty, fill.price, fill.cost, fill.fee, fill.venue) == (10**9, 600_000, 6_000_000_000, USD("3"), "elsewhere")
    assert "costs not told, worked out of price and quantity: 1, mine.csv row 1" in str(past)


def test_a_german_export(tmp_path):
    """Semicolons, decimal commas, points between thousands, its own words, the wall clock of Berlin, the fee's coin in a column."""
    columns = Columns(
        id="Nr",
        time="Datum",
        side="Art",
        qty="Menge",
        price="Kurs",
        cost="Betrag",
        fee="Gebühr",
        fee_asset="Gebühr in",
        buy=("Kauf", "Nachkauf"),
        sell="Verkauf",
        time_format="%d.%m.%Y %H:%M:%S",
        zone=BERLIN,
        decimal=",",
        thousands=".",
        delimiter=";",
    )
    header = "Nr;Datum;Art;Menge;Kurs;Betrag;Gebühr;Gebühr in"
    rows = ["7;01.03.2024 13:00:00;KAUF;0,5;60.000,5;30.000,25;0,0001;BTC", "8;01.07.2024 13:00:00;Verkauf;0,25;50.000;12.500;-1,5;EUR"]
    bought, sold = read(tmp_path, rows, columns, [BTCEUR], header).fills
    assert (bought.at, bought.cost, bought.fee, bought.order_id) == (NOON, EUR("30000.25").units, BTC("0.0001"), "")
    assert (sold.side, sold.qty, sold.fee) == (Side.SELL, BTC("0.25").units, EUR("-1.5"))
    assert (sold.at // 10**9 % 86_400) == 11 * 3600


@pytest.mark.parametrize(("side", "cost"), [("buy", 21_000_004), ("sell", 21_000_003)])
def test_a_missing_cost_is_worked_out_against_us(tmp_path, side, cost):
    row = ROW.replace("buy,0.1,60000", f"{side},0.00035,60000.01")
    assert read(tmp_path, [row]).fills[0].cost == cost


def test_fees_may_be_in_a_coin_of_the_mapping_or_missing_altogether(tmp_path):
    bnb = Asset("BNB", 8)
    columns = Columns(id="id", time="time", side="side", qty="qty", price="price", instrument="market", fee="fee", fee_in="BNB")
    assert read(tmp_path, [ROW], columns, assets=[bnb]).fills[0].fee == bnb("3")
    assert "fee in 'BNB', which is none of BTC, ETH, USD: name it in assets" in str(refusal(read, tmp_path, [ROW], columns))
    free = Columns(id="id", time="time", side="side", qty="qty", price="price", instrument="market")
    assert read(tmp_path, [ROW], free).fills[0].fee == USD.zero


@pytest.mark.parametrize(
    ("form", "cell"), [("ms", "1709294400000"), ("s", "1709294400.000"), ("us", "1.7092944e15"), ("iso", "2024-03-01T13:00:00+01:00")]
)
def test_times_in_many_forms(tmp_path, form, cell):
    columns = Columns(id="id", time="time", side="side", qty="qty", price="price", instrument="market", time_format=form)
    assert read(tmp_path, [ROW.replace("2024-03-01 12:00:00", cell)], columns).fills[0].at == NOON


def test_tags_for_rules(tmp_path):
    columns = Columns(id="id", time="time", side="side", qty="qty", price="price", instrument="market", tag="bot")
    past = read(tmp_path, [ROW + ",grid", ROW.replace("1,", "2,", 1) + ","], columns, header=HEADER + ",bot")
    assert [trade.tag for trade in past.trades] == ["grid", ""]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (ROW.replace("BTC/USD", "XRP/USD"), "market 'XRP/USD' is none of BTC/USD, ETH/USD"),
        (ROW.replace("buy", "hold"), "side 'hold' is none of buy, sell"),
        (ROW.replace("0.1", "1e-11"), "quantity: BTC amount 0.00000000001 has 11 decimal places"),
        (ROW.replace("0.1", '"1,000"'), "qty: '1,000' is not a plain finite number"),
        (ROW.replace(",3", ",NaN"), "fee: 'NaN' is not a plain finite number"),
        (ROW.replace(",3", ","), "fee is empty"),
        (ROW.replace("1,o", ",o", 1), "id is empty"),
        (ROW.replace("2024-03-01", "1.3.24"), "time: time '1.3.24 12:00:00' is not like"),
        (ROW + ",9", "9 cell(s), but the header names 8 columns"),
        (ROW.replace("12:00:00", "12:00:00Z"), "names its zone, and times before it do not"),
    ],
)
def test_what_cannot_be_read_is_named_and_with_repair_listed(tmp_path, row, says):
    good = ROW.replace("1,o", "0,o", 1)
    error = refusal(read, tmp_path, [good, row])
    assert str(error).startswith("mine.csv, row 2: ")
    assert says in str(error)
    past = read(tmp_path, [good, row], repair=True)
    assert (len(past.trades), [str(left) for left in past.left_out]) == (1, [str(error)])


def test_every_column_that_is_named_must_be_there(tmp_path):
    assert "missing column(s) fee; found 'id'," in str(refusal(read, tmp_path, [], header=HEADER.replace(",fee", "")))


def test_a_file_of_one_market_needs_no_column_for_it(tmp_path):
    columns = Columns(id="id", time="time", side="side", qty="qty", price="price")
    assert read(tmp_path, [ROW], columns, [BTCUSD]).fills[0].instrument == BTCUSD
    assert "is of one instrument, not of 2" in str(refusal(read, tmp_path, [ROW], columns))
    assert "is of one instrument, not of 0" in str(refusal(read, tmp_path, [ROW], columns, []))


@pytest.mark.parametrize(
    "wrong",
    [{"decimal": ";"}, {"decimal": ",", "thousands": ","}, {"time_format": "hours"}, {"buy": "b", "sell": "B"}, {"delimiter": ""}]
    + [{"decimal": ",", "delimiter": ","}],
    ids=str,
)
def test_a_mapping_that_means_two_things_is_refused(wrong):
    assert str(refusal(Columns, id="a", time="b", side="c", qty="d", price="e", **wrong)).startswith("columns: ")
