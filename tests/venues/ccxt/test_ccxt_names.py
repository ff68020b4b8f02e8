"""Markets as instruments and numbers as they are: exact, or refused with the name of what is wrong."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves import BTC, ETH, USD, USDT, Asset, Instrument
from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.market import HOUR, Kind
from sleeves.venues.ccxt.manners import MANNERS, Lines, Manner, Realized, manner_of
from sleeves.venues.ccxt.names import Names, exact, seen
from strategies import law

TICK_SIZE, DECIMAL_PLACES, SIGNIFICANT = 4, 2, 3


def spot(base: str = "ETH", quote: str = "USD", **more: Any) -> dict[str, Any]:
    market = {"symbol": f"{base}/{quote}", "id": base + quote, "base": base, "quote": quote, "spot": True, "type": "spot"}
    market |= {"precision": {"price": "0.01", "amount": "0.00000001"}, "limits": {"amount": {"min": "0.002"}, "cost": {"min": "0.5"}}}
    return market | more


def swap(base: str = "ETH", quote: str = "USDT", settle: str | None = None, **more: Any) -> dict[str, Any]:
    settle = settle or quote
    market = {
        "symbol": f"{base}/{quote}:{settle}",
        "id": f"PF_{base}{quote}",
        "base": base,
        "quote": quote,
        "settle": settle,
        "spot": False,
    }
    market |= {"swap": True, "contract": True, "linear": settle == quote, "inverse": settle == base, "type": "swap", "contractSize": "1"}
    market |= {"precision": {"price": "0.01", "amount": "0.001"}, "limits": {"leverage": {"max": 50}}}
    return market | more


def names(*markets: dict[str, Any], exchange: str = "kraken", currencies: dict[str, Any] | None = None, **more: Any) -> Names:
    known = {market["symbol"]: market for market in markets}
    terms: dict[str, Any] = {"mode": TICK_SIZE, "manner": manner_of(exchange), "venue": exchange, "exchange": exchange}
    said = currencies is not None
    return Names(known, currencies or {}, says_currencies=said, **(terms | more))


CURRENCIES = {"ETH": {"precision": "1e-10"}, "USD": {"precision": "0.0001"}, "ABC": {"precision": "1e-12"}, "USDT": {"precision": "1e-8"}}


def test_a_market_of_coins() -> None:
    market = names(spot(), currencies=CURRENCIES).instrument("ETH/USD")
    wanted = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.00000001", min_qty="0.002", min_notional="0.5", venue="kraken")
    assert market == wanted


def test_krakens_coarser_tick_counts() -> None:
    """ccxt rounds a price to the pair's decimals; the exchange refuses what is not on its own tick."""
    coarse = spot(info={"tick_size": "0.25"})
    assert names(coarse, currencies=CURRENCIES).instrument("ETH/USD").tick == "0.25"


@pytest.mark.parametrize(
    ("code", "exchange", "wanted"),
    [
        ("USD", "kraken", USD),  # the house counts more finely than Kraken's four places
        ("ETH", "kraken", ETH),
        ("ABC", "kraken", Asset("ABC", 12)),
        ("USDT", "kraken", Asset("USDT", 8)),  # and here it does not
    ],
)
def test_coins_are_counted_as_the_house_does_where_that_is_fine_enough(code: str, exchange: str, wanted: Asset) -> None:
    assert names(spot(), spot("ABC", "USDT"), exchange=exchange, currencies=CURRENCIES).asset(code) == wanted


def test_where_no_ledger_says_how_money_is_rounded_it_is_counted_as_finely_as_a_trade_can_be() -> None:
    fine = spot("ETH", "XYZ", precision={"price": "0.0001", "amount": "0.00000001"})
    assert manner_of("gate").lines is Lines.TRADES
    assert names(fine, exchange="gate", currencies={"XYZ": {"precision": "0.01"}}).asset("XYZ").scale == 12
    assert names(fine, exchange="kraken", currencies={"XYZ": {"precision": "0.01"}}).asset("XYZ").scale == 2


def test_an_override_may_be_finer_and_not_coarser() -> None:
    made = names(spot(), currencies=CURRENCIES, assets={"USD": Asset("USD", 12)})
    assert made.instrument("ETH/USD").quote == Asset("USD", 12)
    with pytest.raises(InvalidMarket, match="coarser than kraken counts it, 10"):
        names(spot(), currencies=CURRENCIES, assets={"ETH": Asset("ETH", 9)})
    with pytest.raises(InvalidMarket, match="is an Asset"):
        names(spot(), currencies=CURRENCIES, assets={"ETH": "ETH"})  # type: ignore[dict-item]


def test_an_instrument_of_ones_own_is_taken_where_it_is_the_market() -> None:
    coarse = Instrument("ETH/USD", base=ETH, quote=USD, tick="0.05", lot="0.01", min_qty="0.02", min_notional="0.5", venue="kraken")
    assert names(spot(), currencies=CURRENCIES, given=[coarse]).instrument("ETH/USD") is coarse
    for wrong in (
        Instrument("ETH/USD", base=ETH, quote=USD, tick="0.001", lot="0.01", venue="kraken"),
        Instrument("ETH/USD", base=BTC, quote=USD, tick="0.01", lot="0.01", venue="kraken"),
        Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.01", venue="binance"),
        Instrument("ETH/USD", base=ETH, quote=USD, tick="0.01", lot="0.01", venue="kraken", kind=Kind.PERP),
    ):
        with pytest.raises(InvalidMarket, match="is not what kraken trades"):
            names(spot(), currencies=CURRENCIES, given=[wrong]).instrument("ETH/USD")


# -- contracts -----------------------------------------------------------------------------------------------------------


def test_a_linear_perpetual() -> None:
    market = names(swap(contractSize="0.01", limits={"amount": {"min": 1}, "cost": {"min": 5}}), exchange="binanceusdm").instrument(
        "ETH/USDT:USDT"
    )
    assert (market.kind, market.lot, market.min_qty, market.min_notional) == (Kind.PERP, "0.00001", "0.01", "5")
    assert market.quote == Asset("USDT", 8) and market.base == ETH
    assert market.contract is not None and market.contract.initial_bp == 1_000


@pytest.mark.parametrize(
    ("most", "initial"), [(None, 1_000), (50, 1_000), (10, 1_000), (5, 2_000), ("3", 3_334), (1, 10_000), (0.5, 1_000)]
)
def test_margin_is_at_most_what_the_exchange_allows(most: object, initial: int) -> None:
    market = names(swap(limits={"leverage": {"max": most}}), exchange="hyperliquid").instrument("ETH/USDT:USDT")
    assert market.contract is not None
    assert (market.contract.initial_bp, market.contract.maintenance_bp, market.contract.funding_every) == (initial, initial // 2, HOUR)


@pytest.mark.parametrize(
    ("market", "why"),
    [
        (swap(settle="ETH"), "inverse contract"),
        (swap(swap=False, future=True, type="future"), "only coins and linear perpetuals"),
        (swap(settle="BTC", linear=None, inverse=None), "only coins and linear perpetuals"),
        (swap(precision={"price": None, "amount": "1"}), "steps of price and amount are not known"),
        (swap(precision={"price": "0.01", "amount": "0"}), "steps of price and amount are not known"),
    ],
)
def test_other_contracts_are_refused_by_name(market: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidMarket, match=why) as refused:
        names(market, exchange="krakenfutures").instrument(market["symbol"])
    assert market["symbol"] in str(refused.value)


def test_contracts_of_an_exchange_that_nobody_knows_are_refused_until_somebody_says_how_it_books() -> None:
    with pytest.raises(InvalidMarket, match="how this exchange books their profit is not known"):
        names(swap(), exchange="gate").instrument("ETH/USDT:USDT")
    assert names(swap(), exchange="gate", manner=Manner(realized=Realized.OWN)).instrument("ETH/USDT:USDT").kind is Kind.PERP


def test_significant_digits_are_no_fixed_step() -> None:
    with pytest.raises(InvalidMarket, match="significant digits"):
        names(spot(), mode=SIGNIFICANT).instrument("ETH/USD")


def test_decimal_places_are_steps_too() -> None:
    market = names(spot(precision={"price": 2, "amount": 5}), mode=DECIMAL_PLACES, exchange="gate").instrument("ETH/USD")
    assert (market.tick, market.lot) == ("0.01", "0.00001")


def test_an_unknown_symbol_is_named() -> None:
    with pytest.raises(InvalidMarket, match="kraken has no market 'NO/PE'"):
        names(spot()).instrument("NO/PE")
    assert "NO/PE" not in names(spot()) and 7 not in names(spot())


# -- numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1.5, float("nan"), True, None, "", "abc", "NaN", "Infinity", "1e99", "0x10", b"1", [1]])
def test_no_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidAmount, match="a balance"):
        exact(value, "a balance")


@pytest.mark.parametrize(("value", "wanted"), [("1.50", "1.5"), ("1E-7", "0.0000001"), (7, "7"), (Decimal("2.5"), "2.5"), ("-0.0", "0")])
def test_a_number_is_what_it_says(value: object, wanted: str) -> None:
    assert exact(value, "x") == Decimal(wanted)


def test_only_what_moves_no_money_may_be_a_float() -> None:
    assert seen(2000.1, "a price") == Decimal("2000.1")
    with pytest.raises(InvalidAmount):
        seen(float("inf"), "a price")


@law
@given(lots=st.integers(1, 10**9), size=st.sampled_from(["1", "0.01", "10", "0.0001"]))
def test_quantities_go_there_and_back(lots: int, size: str) -> None:
    market = names(swap(contractSize=size), exchange="binanceusdm")
    instrument = market.instrument("ETH/USDT:USDT")
    qty = lots * instrument.lot_units
    text = market.contracts(instrument, qty)
    assert "e" not in text.lower() and market.qty(instrument, text, "x") == qty


def test_no_digit_of_a_product_is_lost() -> None:
    """A coin of eighteen places in contracts of a fraction of it: more digits than a usual Decimal keeps."""
    fine = swap("WEI", precision={"price": "0.01", "amount": "1e-14"}, contractSize="0.0001")
    market = names(fine, exchange="binanceusdm")
    instrument = market.instrument("WEI/USDT:USDT")
    assert instrument.base.scale == 18
    qty = 123_456_789_012_345_678_901_234_567_890_123
    assert market.qty(instrument, market.contracts(instrument, qty), "x") == qty


def test_what_is_finer_than_a_coin_is_counted_is_never_rounded() -> None:
    made = names(spot(), currencies=CURRENCIES)
    assert made.amount("USD", "10.000001", "a balance") == USD("10.000001")
    with pytest.raises(InvalidAmount, match=r"10\.0000001"):
        made.amount("USD", "10.0000001", "a balance")


@pytest.mark.parametrize(
    ("code", "exchange", "coin"),
    [("ETH", "kraken", "ETH"), ("ETH.F", "kraken", "ETH"), ("ETH.S", "kraken", None), ("DOT.P", "kraken", None), ("A.F", "gate", "A.F")],
)
def test_which_wallets_are_a_coins_own(code: str, exchange: str, coin: str | None) -> None:
    assert names(spot(), exchange=exchange).wallet(code) == coin


def test_the_table_names_what_it_knows() -> None:
    assert set(MANNERS) == {"kraken", "krakenfutures", "hyperliquid", "binance", "binanceusdm"}
    assert manner_of("somewhere") == Manner() and Manner().realized is Realized.NOBODY
    assert USDT.scale == 6
