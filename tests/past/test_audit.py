"""The past held against itself and against today. Figures of real ledgers as in test_kraken_exports."""

from __future__ import annotations

import random

import pytest
from past_exports import BTC, BTCEUR, BTCUSD, DOT, ETH, ETHUSD, EUR, LEDGERS, TRADE, USD, refusal, trade, write
from test_kraken_exports import CHAIN_2021, CHAIN_2025

from sleeves.errors import AssetMismatch
from sleeves.money import Asset
from sleeves.past import (
    History,
    Rule,
    attribute,
    by_ledger,
    check_balances,
    check_trades,
    explain_balances,
    kraken_ledgers,
    kraken_trades,
)


def ledgers(folder, rows, assets=(BTC, ETH, DOT, USD, EUR), **options):
    return kraken_ledgers(write(folder, rows, LEDGERS, "ledgers.csv"), assets, **options)


def line(id_, amount, balance, fee="0", at="00:00:00", ref="R", type_="deposit", asset="USD"):
    return f'"{id_}","{ref}","2024-03-01 {at}","{type_}","","currency","{asset}","",{amount},{fee},{balance}'


# -- balances that follow --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chain", [CHAIN_2021, CHAIN_2025])
def test_real_balances_follow(tmp_path, chain):
    assert check_balances(ledgers(tmp_path, chain)) == ()


@pytest.mark.parametrize("gone", range(1, 5))
def test_a_line_that_is_missing_is_found(tmp_path, gone):
    """L2 and L4 are the trades in EUR, L1 is the first line of EUR and L3 that of DOT: they have nothing before them."""
    rows = [row for row in CHAIN_2021 if not row.startswith(f'"L{gone}"')]
    found = check_balances(ledgers(tmp_path, rows))
    assert [(one.line.id, str(one.missing)) for one in found] == ([("L4", "-200.32 EUR")] if gone == 2 else [])
    if found:
        assert (
            str(found[0]) == "EUR: line 'L4' leaves 199.52 EUR, but 399.84 EUR follows from the line before: -200.32 EUR is not explained"
        )


def test_a_line_that_was_changed_is_found(tmp_path):
    rows = [row.replace("-200.0000,0.3200,299.6800", "-200.0000,0.3300,299.6800") for row in CHAIN_2021]
    (found,) = check_balances(ledgers(tmp_path, rows))
    assert (found.line.id, found.missing) == ("L2", EUR("0.01"))


def test_lines_of_one_second_are_taken_as_their_balances_follow(tmp_path):
    """A walk 5 -> 0 -> 3 -> 0 -> 7, told in every order. The plain greedy choice would run into 7 too early."""
    rows = [
        line("a", -5, 0, at="01:00:00"),
        line("b", 3, 3, at="01:00:00"),
        line("c", -3, 0, at="01:00:00"),
        line("d", 7, 7, at="01:00:00"),
    ]
    shuffle = random.Random(1)
    for _ in range(24):
        shuffle.shuffle(rows)
        past = ledgers(tmp_path, [line("z", 5, 5), *rows, line("y", 1, 8, at="02:00:00")])
        assert check_balances(past) == ()
        (standing,) = explain_balances(past, {"USD": USD("8")})
        assert (standing.opening, standing.explained) == (USD.zero, True)


def test_and_where_they_cannot_follow_they_are_taken_as_told(tmp_path):
    past = ledgers(tmp_path, [line("z", 5, 5), line("a", 1, 6, at="01:00:00"), line("b", 1, 9, at="01:00:00")])
    assert [(one.line.id, one.missing) for one in check_balances(past)] == [("b", USD("2"))]


def test_the_first_second_may_be_in_any_order_too(tmp_path):
    past = ledgers(tmp_path, [line("b", 2, 13), line("a", 1, 11)])
    assert check_balances(past) == ()
    assert explain_balances(past, {"USD": USD("13")})[0].opening == USD("10")


@pytest.mark.parametrize("first", [("a", "b"), ("b", "a")])
def test_a_first_second_that_ends_where_it_began_is_taken_as_the_next_one_follows(tmp_path, first):
    """+1 and -1 could begin at 0 or at 1: the line after them begins at 0, so they did too. Found by hypothesis."""
    rows = {"a": line("a", 1, 1), "b": line("b", -1, 0)}
    later = [line("c", 1, 1, at="01:00:00"), line("d", 1, 2, at="02:00:00"), line("e", 1, 3, at="02:00:00")]
    past = ledgers(tmp_path, [*(rows[name] for name in first), *later])
    assert check_balances(past) == ()
    assert explain_balances(past, {"USD": USD("3")})[0].opening == USD("0")


def test_several_seconds_that_end_where_they_began_agree_on_one_beginning(tmp_path):
    """1 -> 2 -> 3 -> 1 could begin anywhere, 2 -> 0 -> 2 at 0 or 2: both began at 2."""
    whole = [line("a", 1, 2), line("b", 1, 3), line("c", -2, 1)]
    later = [line("d", -2, 0, at="01:00:00"), line("e", 2, 2, at="01:00:00")]
    shuffle = random.Random(2)
    for _ in range(12):
        shuffle.shuffle(whole)
        shuffle.shuffle(later)
        past = ledgers(tmp_path, [*whole, *later])
        assert check_balances(past) == ()
        assert explain_balances(past, {"USD": USD("2")})[0].opening == USD("2")


def test_wallets_have_balances_of_their_own(tmp_path):
    past = ledgers(
        tmp_path, [line("a", 5, 5, asset="XBT"), line("b", 7, 7, asset="XBT.F", at="00:00:01"), line("c", 1, 6, asset="XBT", at="00:00:02")]
    )
    assert check_balances(past) == ()


# -- trades and the ledger -------------------------------------------------------------------------------------------------


PAID_IN_COINS = [
    line("L1", "-240.0000", "760", at="12:00:00", ref="TAAA-1", type_="trade"),
    line("L2", "0.1", "0.0996", "0.0004", at="12:00:00", ref="TAAA-1", type_="trade", asset="XETH"),
]
"""The sample trade, its fee of 0.96 USD charged as 0.0004 ETH: Kraken's file of trades shows it in the quote asset all the same."""


def test_a_trade_that_its_ledger_lines_confirm_makes_no_difference(tmp_path):
    rows = [
        line("L1", "-240", "760", "0.96", ref="TAAA-1", type_="trade"),
        line("L2", "0.1", "0.1", ref="TAAA-1", type_="trade", asset="ETH"),
    ]
    past = kraken_trades(write(tmp_path, [TRADE]), [ETHUSD]) + ledgers(tmp_path, rows)
    assert check_trades(past) == ()
    assert by_ledger(past).trades == past.trades


def test_a_fee_charged_in_another_coin_is_found_and_taken_over(tmp_path):
    past = kraken_trades(write(tmp_path, [TRADE]), [ETHUSD]) + ledgers(tmp_path, PAID_IN_COINS)
    assert sorted(map(str, check_trades(past))) == [
        "trade 'TAAA-1': -240.96 USD by the trade, -240 USD by the ledger",
        "trade 'TAAA-1': 0.1 ETH by the trade, 0.0996 ETH by the ledger",
    ]
    booked = by_ledger(past)
    assert booked.fills[0].fee == ETH("0.0004")
    assert check_trades(booked) == ()
    assert "trades taken as the ledger booked them: 1, 'TAAA-1'" in str(booked)
    assert attribute(booked, [Rule(to="a")]).sleeves["a"].coins == {"ETH": ETH("0.0996"), "USD": USD("-240")}


def test_the_ledgers_roundings_are_taken_over(tmp_path):
    """Trades are told to five decimal places of a euro, and booked to four."""
    row = trade(pair="XXBTZEUR", price="24300.00000", cost="49.99992", fee="0.13000", vol="0.00205761")
    rows = [line("L1", "-49.9999", "9", "0.13", ref="TAAA-1", type_="trade", asset="ZEUR")]
    rows += [line("L2", "0.00205761", "1", ref="TAAA-1", type_="trade", asset="XBT")]
    past = kraken_trades(write(tmp_path, [row]), [BTCEUR]) + ledgers(tmp_path, rows)
    assert [str(one) for one in check_trades(past)] == ["trade 'TAAA-1': -50.12992 EUR by the trade, -50.1299 EUR by the ledger"]
    assert by_ledger(past).fills[0].cost == EUR("49.9999").units


def test_a_fee_in_a_third_coin_goes_along(tmp_path):
    kfee = Asset("KFEE", 4)
    rows = [
        line("L1", "-240", "760", ref="TAAA-1", type_="trade"),
        line("L2", "0.1", "0.1", ref="TAAA-1", type_="trade", asset="ETH"),
        line("L3", "0", "900", "96", ref="TAAA-1", type_="trade", asset="KFEE"),
    ]
    past = by_ledger(kraken_trades(write(tmp_path, [TRADE]), [ETHUSD]) + ledgers(tmp_path, rows, [ETH, USD, kfee]))
    assert past.fills[0].fee == kfee("96")
    assert check_trades(past) == ()


def test_what_only_one_of_them_tells_is_a_difference(tmp_path):
    """A purchase in Kraken's app stands in the ledger alone, as spend and receive (figures of 2025, Satfolio)."""
    rows = [
        line("L1", "-28.3660", "120.8850", "0.2827", ref="S1", type_="spend", asset="EUR"),
        line("L2", "0.0003102764", "0.0003102766", ref="S1", type_="receive", asset="BTC"),
    ]
    past = kraken_trades(write(tmp_path, [TRADE]), [ETHUSD]) + ledgers(tmp_path, rows)
    assert sorted(map(str, check_trades(past))) == [
        "trade 'S1': the ledger has -28.6487 EUR, and there is no such trade",
        "trade 'S1': the ledger has 0.0003102764 BTC, and there is no such trade",
        "trade 'TAAA-1': -240.96 USD, and the ledger has no line of it",
        "trade 'TAAA-1': 0.1 ETH, and the ledger has no line of it",
    ]
    assert by_ledger(past).trades == past.trades


@pytest.mark.parametrize(
    "rows",
    [
        [line("L1", "240", "760", ref="TAAA-1", type_="trade"), line("L2", "-0.1", "0", ref="TAAA-1", type_="trade", asset="ETH")],
        [line("L1", "-240", "760", ref="TAAA-1", type_="trade")],
        [line("L1", "-240", "760", ref="TAAA-1", type_="trade"), line("L2", "1", "1", ref="TAAA-1", type_="trade", asset="BTC")],
    ],
    ids=["the other way", "one leg", "another coin"],
)
def test_lines_that_cannot_be_this_trade_change_nothing(tmp_path, rows):
    past = kraken_trades(write(tmp_path, [TRADE]), [ETHUSD]) + ledgers(tmp_path, rows)
    assert by_ledger(past).trades == past.trades
    assert check_trades(past)


def test_a_cost_that_rounds_to_nothing_has_one_line(tmp_path):
    row = trade(pair="XXBTZUSD", vol="0.00000001", price="2400", cost="0.00002", fee="0")
    rows = [line("L1", "0.00000001", "1", ref="TAAA-1", type_="trade", asset="BTC")]
    past = by_ledger(kraken_trades(write(tmp_path, [row]), [BTCUSD]) + ledgers(tmp_path, rows))
    assert (past.fills[0].cost, check_trades(past)) == (0, ())


def test_without_a_ledger_there_is_nothing_to_hold_against(tmp_path):
    past = kraken_trades(write(tmp_path, [TRADE]), [ETHUSD])
    for check in (check_trades, by_ledger):
        assert "there are no ledger lines" in str(refusal(check, past))
    assert check_balances(past) == ()


# -- today -----------------------------------------------------------------------------------------------------------------


def test_a_history_that_explains_today_says_so(tmp_path):
    past = ledgers(tmp_path, CHAIN_2025)
    found = explain_balances(past, {"EUR": EUR("193.9828"), "BTC": BTC("0.0030521628")})
    assert found.explained
    assert str(found) == (
        "BTC: 0.0010417339 before, 0.0020104289 in 1 line, now 0.0030521628 BTC: explained to the unit\n"
        "EUR: 0.0011 before, 193.9817 in 2 lines, now 193.9828 EUR: explained to the unit\n"
        "the history explains every balance"
    )


def test_and_one_that_does_not_says_by_how_much(tmp_path):
    found = explain_balances(ledgers(tmp_path, CHAIN_2025), {"EUR": EUR("200"), "ETH.F": ETH("1.5"), "DOT": DOT.zero})
    standing = {one.place: one for one in found}
    assert standing["EUR"].unexplained == EUR("6.0172")
    assert standing["BTC"].unexplained == BTC("-0.0030521628")
    assert (standing["ETH.F"].opening, standing["ETH.F"].unexplained) == (None, ETH("1.5"))
    assert standing["DOT"].explained
    assert not found.explained
    assert "ETH.F: no line, now 1.5 ETH: 1.5 ETH not explained" in str(found)


def test_two_mistakes_that_cancel_out_are_still_breaks(tmp_path):
    """Plus one and minus one: the sum fits, the balances in between do not."""
    past = ledgers(tmp_path, [line("a", 5, 5), line("b", 1, 7, at="01:00:00"), line("c", 1, 7, at="02:00:00")])
    (standing,) = explain_balances(past, {"USD": USD("7")})
    assert (standing.unexplained, standing.breaks, standing.explained) == (USD.zero, 2, False)
    assert "0 USD not explained, 2 breaks in between" in str(standing)


def test_an_amount_of_another_asset_is_refused(tmp_path):
    past = ledgers(tmp_path, CHAIN_2025)
    with pytest.raises(AssetMismatch):
        explain_balances(past, {"EUR": BTC("1")})


def test_an_empty_past_explains_an_empty_account():
    assert explain_balances(History(), {}).explained
