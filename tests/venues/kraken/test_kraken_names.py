"""Kraken's names: by which an asset, a wallet and a pair are found, and what is not sliced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleeves.errors import InvalidAmount, InvalidMarket
from sleeves.money import BTC, ETH, EUR, SOL, USD, USDC, Asset
from sleeves.venues.kraken.names import Names
from sleeves.venues.wire import exact
from strategies import law

# Assets and AssetPairs as reference/venues.md, 1.1, has them; ids and altnames are Kraken's
ASSETS = {
    "XETH": ("ETH", 10),
    "XXBT": ("XBT", 10),
    "XXDG": ("XDG", 8),
    "XTZ": ("XTZ", 8),
    "XXRP": ("XRP", 8),
    "SOL": ("SOL", 10),
    "USDC": ("USDC", 8),
    "USDT": ("USDT", 8),
    "ZUSD": ("USD", 4),
    "ZEUR": ("EUR", 4),
    "1INCH": ("1INCH", 10),
    "ETH2": ("ETH2", 10),
    "ETH2.S": ("ETH2.S", 10),
    "ETH.F": ("ETH.F", 10),
    "SOL03.S": ("SOL03.S", 8),
    "USD.HOLD": ("USD.HOLD", 4),
}
LISTED = {
    name: {"aclass": "currency", "altname": alt, "decimals": places, "display_decimals": 5, "status": "enabled"}
    for name, (alt, places) in ASSETS.items()
}

ETHUSD = """{"altname":"ETHUSD","wsname":"ETH/USD","aclass_base":"currency","base":"XETH","aclass_quote":"currency",
 "quote":"ZUSD","lot":"unit",
 "cost_decimals":5,"pair_decimals":2,"lot_decimals":8,"lot_multiplier":1,"leverage_buy":[2,3],"leverage_sell":[2,3],"fees":[[0,0.4],[10000,0.35]],
 "fees_maker":[[0,0.25],[10000,0.2]],"fee_volume_currency":"ZUSD","margin_call":80,"margin_stop":40,"ordermin":"0.002","costmin":"0.5","tick_size":"0.01",
 "status":"online","long_position_limit":250,"short_position_limit":250,"execution_venue":"international"}"""


def pair(base, quote, altname, wsname, **more):
    return exact(ETHUSD) | {"base": base, "quote": quote, "altname": altname, "wsname": wsname} | more


PAIRS = {
    "XETHZUSD": exact(ETHUSD),
    "XXBTZUSD": pair("XXBT", "ZUSD", "XBTUSD", "XBT/USD", pair_decimals=1, tick_size="0.1"),
    "XDGUSD": pair("XXDG", "ZUSD", "XDGUSD", "XDG/USD", pair_decimals=7, tick_size="0.0000001"),
    "XTZUSD": pair("XTZ", "ZUSD", "XTZUSD", "XTZ/USD", pair_decimals=4, tick_size="0.0001"),
    "SOLUSD": pair("SOL", "ZUSD", "SOLUSD", "SOL/USD", pair_decimals=2, tick_size="0.25"),
    "XETHXXBT": pair("XETH", "XXBT", "ETHXBT", "ETH/XBT", pair_decimals=5, tick_size="0.00001", costmin="0.00002", status="post_only"),
    "USDCUSD": pair("USDC", "ZUSD", "USDCUSD", "USDC/USD", pair_decimals=4, tick_size="0.0001"),
    "1INCHEUR": pair("1INCH", "ZEUR", "1INCHEUR", "1INCH/EUR", pair_decimals=3, tick_size="0.001"),
}


@pytest.fixture
def names():
    return Names(LISTED, PAIRS)


@pytest.mark.parametrize(
    ("id_", "altname", "wsname", "symbol"),
    [
        ("XETHZUSD", "ETHUSD", "ETH/USD", "ETH/USD"),
        ("XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD"),
        ("XDGUSD", "XDGUSD", "XDG/USD", "DOGE/USD"),
        ("XTZUSD", "XTZUSD", "XTZ/USD", "XTZ/USD"),
        ("XETHXXBT", "ETHXBT", "ETH/XBT", "ETH/BTC"),
        ("1INCHEUR", "1INCHEUR", "1INCH/EUR", "1INCH/EUR"),
    ],
)
def test_a_pair_is_found_by_each_of_its_names(names, id_, altname, wsname, symbol):
    found = names.pair(id_)
    assert (found.id, found.altname, found.wsname, found.symbol) == (id_, altname, wsname, symbol)
    assert all(names.pair(name) is found and name in names for name in (id_, altname, wsname, symbol))
    assert found.instrument.symbol == symbol


@pytest.mark.parametrize(
    ("name", "asset"),
    [
        ("XETH", ETH),
        ("ETH", ETH),
        ("ZUSD", USD),
        ("USD", USD),
        ("ZEUR", EUR),
        ("XXBT", Asset("BTC", 10)),
        ("XBT", Asset("BTC", 10)),
        ("BTC", Asset("BTC", 10)),
        ("XDG", Asset("DOGE", 8)),
        ("DOGE", Asset("DOGE", 8)),
        ("XTZ", Asset("XTZ", 8)),
        ("SOL", Asset("SOL", 10)),
        ("USDC", Asset("USDC", 8)),
        ("1INCH", Asset("1INCH", 10)),
    ],
)
def test_an_asset_is_the_usual_one_where_that_is_fine_enough(names, name, asset):
    assert names.asset(name) == asset
    assert names.wallet(name).asset == asset


@pytest.mark.parametrize("name", ["TZ", "BT", "XBTC", "XXTZ", "XUSD", "", "eth", "ETH ", None, 5, "ETH.F", "XETHZUSD", ("ETH",)])
def test_what_is_no_asset_is_none(names, name):
    with pytest.raises(InvalidMarket, match="Kraken lists no asset"):
        names.asset(name)


@pytest.mark.parametrize("name", ["ETH", "ETHUSDT", "ethusd", "", "ETHUSD ", "USD/ETH", None, 5, []])
def test_what_is_no_pair_is_none(names, name):
    with pytest.raises(InvalidMarket, match="Kraken lists no pair"):
        names.pair(name)


@pytest.mark.parametrize(
    ("name", "code", "suffix", "counted", "tradeable"),
    [
        ("XETH", "ETH", "", True, True),
        ("ETH", "ETH", "", True, True),
        ("ETH.F", "ETH", "F", True, False),
        ("XETH.F", "ETH", "F", True, False),
        ("XBT.F", "BTC", "F", True, False),
        ("USD.F", "USD", "F", True, False),
        ("ETH.S", "ETH", "S", False, False),
        ("SOL03.S", "SOL", "S", False, False),
        ("SOL.F", "SOL", "F", True, False),
        ("ETH2.S", "ETH2", "S", False, False),
        ("ETH2", "ETH2", "", True, True),
        ("XBT.M", "BTC", "M", False, False),
        ("USDC.M", "USDC", "M", False, False),
        ("EUR.HOLD", "EUR", "HOLD", False, False),
        ("SOL.P", "SOL", "P", False, False),
        ("SOL.T", "SOL", "T", False, False),
        ("SOL.B", "SOL", "B", False, False),
        ("SOL.NEW", "SOL", "NEW", False, False),
        ("1INCH.F", "1INCH", "F", True, False),
    ],
)
def test_a_wallet_is_of_its_asset_and_counted_as_the_reference_says(names, name, code, suffix, counted, tradeable):
    wallet = names.wallet(name)
    assert (wallet.asset.code, wallet.suffix, wallet.counted, wallet.tradeable) == (code, suffix, counted, tradeable)
    assert wallet.asset == names.asset(code)


@pytest.mark.parametrize("name", ["XYZ.F", "XYZ", ".F", "SOL3.S", "SOL003X.S", "", None, "SOL03"])
def test_a_wallet_of_what_is_not_listed_is_refused(names, name):
    with pytest.raises(InvalidMarket, match="Kraken lists no asset"):
        names.wallet(name)


def test_wallets_are_no_assets_of_their_own(names):
    assert set(names.assets) == {name for name in ASSETS if "." not in name}


def test_an_instrument_has_krakens_steps_and_least_order(names):
    eth, sol = names.pair("ETH/USD").instrument, names.pair("SOLUSD").instrument
    assert (eth.base, eth.quote, eth.tick, eth.lot, eth.min_qty, eth.min_notional, eth.venue) == (
        *(ETH, USD),
        *("0.01", "0.00000001", "0.002", "0.5", "kraken"),
    )
    assert sol.tick == "0.25", "the tick is coarser than two decimals"
    with pytest.raises(InvalidMarket):
        sol.price("150.13")
    assert names.pair("XXBTZUSD").instrument.base == Asset("BTC", 10)


def test_what_is_kept_of_a_pair(names):
    eth, ethbtc = names.pair("ETHUSD"), names.pair("ETHXBT")
    assert (eth.status, ethbtc.status) == ("online", "post_only")
    assert (eth.base, eth.quote, eth.pair_decimals, eth.lot_decimals, eth.cost_decimals) == ("XETH", "ZUSD", 2, 8, 5)
    assert (eth.taker_ppm, eth.maker_ppm) == (4_000, 2_500), "0.40 % and 0.25 %"


@pytest.mark.parametrize(
    ("left_out", "found"),
    [
        ({"tick_size": None}, {"tick": "0.01"}),
        ({"fees_maker": None}, {"maker_ppm": 4_000}),
        ({"fees": None, "fees_maker": None}, {"taker_ppm": None, "maker_ppm": None}),
        ({"fees_maker": [[0, exact("-0.02")]]}, {"maker_ppm": -200}),
        ({"wsname": None}, {"symbol": "ETH/USD"}),
        ({"ordermin": None}, {"min_qty": "0"}),
        ({"costmin": None}, {"min_notional": "0"}),
        ({"status": None}, {}),
        ({"cost_decimals": None}, {}),
    ],
)
def test_a_field_that_is_missing_is_done_without(left_out, found):
    row = {name: value for name, value in (exact(ETHUSD) | left_out).items() if value is not None}
    pair = Names(LISTED, {"XETHZUSD": row}).pair("XETHZUSD")
    assert pair.instrument.base == ETH
    for name, value in found.items():
        assert getattr(pair, name, None) == value or getattr(pair.instrument, name, None) == value
    assert pair.status == "online"


@pytest.mark.parametrize(
    "broken",
    [
        {"base": "NONE"},
        {"quote": "XETH"},
        {"tick_size": "0"},
        {"tick_size": "-1"},
        {"tick_size": True},
        {"pair_decimals": "2", "tick_size": None},
        {"lot_decimals": 99},
        {"lot_decimals": True},
        {"ordermin": "NaN"},
        {"costmin": "0.00000001"},
    ],
)
def test_one_pair_that_cannot_be_a_market_does_not_hide_the_others(broken):
    names = Names(LISTED, PAIRS | {"XETHZUSD": exact(ETHUSD) | broken})
    assert names.pair("XXBTZUSD").instrument.quote == USD
    assert names.pair("XETHZUSD").altname == "ETHUSD"
    with pytest.raises(InvalidMarket, match="pair XETHZUSD of Kraken"):
        _ = names.pair("XETHZUSD").instrument


@pytest.mark.parametrize(
    ("assets", "pairs"),
    [
        ([], {}),
        ({}, []),
        ({"XETH": []}, {}),
        ({}, {"X": 5}),
        ({"X": {"altname": 5, "decimals": 5}}, {}),
        (None, {}),
        ({"X": {}}, {}),
        ({"X": {"decimals": "8"}}, {}),
        ({"X": {"decimals": 99}}, {}),
    ],
)
def test_a_listing_that_is_none_is_refused(assets, pairs):
    with pytest.raises(InvalidMarket):
        Names(assets, pairs)


def test_a_finer_asset_may_be_asked_for_and_no_coarser_one():
    names = Names(LISTED, PAIRS, override={"BTC": Asset("BTC", 12), "SOL": Asset("SOL", 10)})
    assert names.asset("XXBT") == names.pair("BTC/USD").instrument.base == Asset("BTC", 12)
    for override in ({"BTC": BTC}, {"SOL": SOL}, {"USDC": USDC}, {"BTC": Asset("XBT", 12)}, {"BTC": 12}):
        with pytest.raises(InvalidMarket, match=r"has that code and at least Kraken's [0-9]+ decimals"):
            Names(LISTED, PAIRS, override=override)
    for override in ({"NONE": Asset("NONE", 8)}, {"XXBT": Asset("XXBT", 12)}):
        with pytest.raises(InvalidMarket, match="Kraken lists no asset of that code"):
            Names(LISTED, PAIRS, override=override)


def test_an_amount_is_exact_or_refused(names):
    assert names.amount("ZUSD", "10000.0000") == USD("10000")
    assert names.amount("ETH.F", "1.2500000000") == ETH("1.25")
    for name, value in (("ETH", "0.00000000001"), ("ETH", "NaN"), ("ZUSD", "1e5"), ("ZUSD", 1.5)):
        with pytest.raises(InvalidAmount):
            names.amount(name, value)


@law
@given(
    stems=st.lists(st.from_regex(r"[A-Z][A-Z0-9]{1,7}", fullmatch=True), min_size=1, max_size=6, unique=True),
    suffix=st.sampled_from(["F", "B", "S", "M", "P", "T", "HOLD"]),
    places=st.integers(0, 10),
)
def test_whatever_is_listed_is_found_and_its_wallets_are_its_own(stems, suffix, places):
    assets = {stem: {"altname": stem, "decimals": places} for stem in stems} | {
        f"{stem}.{suffix}": {"altname": f"{stem}.{suffix}", "decimals": places} for stem in stems
    }
    names = Names(assets, {})
    assert set(names.assets) == set(stems)
    for stem in stems:
        wallet = names.wallet(f"{stem}.{suffix}")
        assert wallet.asset is names.asset(stem) and wallet.counted is (suffix == "F") and not wallet.tradeable
