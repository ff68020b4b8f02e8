from drift_cases import *
import drift_cases as d
import pytest
from sleeves.margin import *
from sleeves.money import *
from attrs import evolve


@d.table("margin", "account margin")
def test_account(case):
    i, e = case["inputs"], case["expected"]
    a = d.account(i["world"])
    c = Check(i["margin_type"])
    s = i["strict"]
    b = i.get("margin_buffer", 0)
    got = {}
    for k in e:
        x = a
        kk = k
        if k.startswith("isolated_0_"):
            x = a.bucket("perp 0")
            kk = k.removeprefix("isolated_0_")
        buf = b if kk.endswith("_plus_buffer") else 0
        kk = kk.removesuffix("_plus_buffer")
        got[k] = {"margin_requirement": requirement, "total_collateral": collateral}[kk](x, c, s, buf)
    assert got == e


@d.table("margin", "account grid")
def test_grid(case):
    i, e = case["inputs"], case["expected"]
    a = d.account(i["world"])
    l = liquidation_price(a, f"perp {i['perp_market_index']}")
    got = dict(
        tc_initial=collateral(a, Check.INITIAL),
        mr_initial=requirement(a, Check.INITIAL),
        tc_maintenance=collateral(a, Check.MAINTENANCE),
        mr_maintenance=requirement(a, Check.MAINTENANCE),
        health=health(a),
        leverage=leverage_bp(a, signed=True),
        net_usd=equity(a),
        liq_price=-1 if l is None else l,
    )
    assert got == e


@d.table("snapshots", "")
def test_snap(case):
    i, e = case["inputs"], case["expected"]
    a = d.account(i["world"])
    c = Check(i["margin_type"])
    got = dict(
        total_collateral=collateral(a, c, i["strict"]),
        margin_requirement=requirement(a, c, i["strict"]),
        health=health(a),
        net_usd=equity(a),
    )
    assert {k: got[k] for k in e} == e


@d.table("margin", "max withd")
def test_w(case):
    i, e = case["inputs"], case["expected"]
    assert max_withdrawable(d.account(i["world"]), f"coin {i['market_index']}", borrow=True) == e["amount"]


@d.table("margin", "perp margin ratio")
def test_r(case):
    i, e = case["inputs"], case["expected"]
    m = {"market_index": 0, "oracle_price": 1, "cumulative_funding_rate_long": 0, "cumulative_funding_rate_short": 0, **i["market"]}
    k = d.contract(
        m,
        dict(base_asset_amount=i["size"], quote_asset_amount=0, open_bids=0, open_asks=0, open_orders=0, last_cumulative_funding_rate=0),
        {},
    )
    assert margin_ratio(k, Check(i["margin_type"]), high_leverage=i["high_leverage_mode"]) == e["ratio"]
