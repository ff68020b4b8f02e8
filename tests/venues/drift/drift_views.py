"""Views of accounts with what a test says, and nothing else in them: for the pure parts of the driver."""

from __future__ import annotations

from attrs import NOTHING, fields

from sleeves.venues.drift.account import Look
from sleeves.venues.drift.accounts import GuardRails, OpenOrder, PerpMarket, PerpPosition, SpotMarket, SpotPosition, State, User, UserStats
from sleeves.venues.drift.deployment import VELOCITY
from sleeves.venues.drift.markets import Markets
from sleeves.venues.drift.words import (
    AssetTier,
    ContractKind,
    ContractTier,
    ExchangePause,
    MarketStatus,
    OracleSource,
    OrderKind,
    OrderStatus,
    PerpPause,
    SpotPause,
    Trigger,
)

PRICE = 10**6
BASE = 10**9
INDEX = 10**10


def view(made_of, /, **given):
    """A view of a class: zeros, no text, nothing, where a test says nothing."""
    plain = {"int": 0, "bool": False, "str": ""}
    made = {}
    for one in fields(made_of):
        said = str(one.type)
        if one.name in given:
            made[one.name] = given.pop(one.name)
        elif one.default is NOTHING:
            made[one.name] = () if said.startswith("tuple") else plain.get(said)
    assert not given, f"{made_of.__name__} has no {', '.join(given)}"
    return made_of(**made)


def spot(index=0, name="USDT", **given):
    return view(
        SpotMarket,
        **{
            "index": index,
            "name": name,
            "mint": VELOCITY.quote.mint,
            "decimals": 6,
            "deposit_index": INDEX,
            "borrow_index": INDEX,
            "oracle": "11111111111111111111111111111111",
            "oracle_source": OracleSource.QUOTE_ASSET,
            "status": MarketStatus.ACTIVE,
            "tier": AssetTier.COLLATERAL,
            "paused": SpotPause(0),
            **given,
        },
    )


def perp(index=0, name="SOL-PERP", **given):
    return view(
        PerpMarket,
        **{
            "index": index,
            "name": name,
            "oracle": VELOCITY.perp_market(999),
            "oracle_source": OracleSource.PYTH_LAZER,
            "status": MarketStatus.ACTIVE,
            "kind": ContractKind.PERPETUAL,
            "tier": ContractTier.A,
            "paused": PerpPause(0),
            "tick": 10_000,
            "step": BASE // 100,
            "min_size": BASE // 10,
            "initial_ratio": 1_000,
            "maintenance_ratio": 500,
            "funding_period": 3_600,
            **given,
        },
    )


def user(sub=0, **given):
    return view(User, **{"sub": sub, "delegate": None, **given})


def held(market=0, base=0, quote=0, **given):
    return view(PerpPosition, market=market, base=base, quote=quote, **given)


def coins(tokens, market=0, **given):
    """A deposit of so many tokens of six decimals at an index of one."""
    return view(SpotPosition, market=market, balance=tokens * 1_000, **given)


def resting(number=1, **given):
    terms = {"kind": OrderKind.LIMIT, "status": OrderStatus.OPEN, "trigger_condition": Trigger.ABOVE}
    return view(OpenOrder, **{"id": number, "perp": True, "long": True, "base": BASE, **terms, **given})


def state(**given):
    rails = view(GuardRails, stale_for_margin=120, stale_for_amm=10, confidence=20_000, too_volatile=5)
    return view(State, **{"guard_rails": rails, "exchange_status": ExchangePause(0), "min_auction_duration": 10, **given})


def seen(*users, spots=None, perps=None, stats=None, **given):
    """A look at these sub-accounts of Velocity."""
    spots = [spot()] if spots is None else spots
    perps = [perp()] if perps is None else perps
    if stats is None and users:
        stats = view(UserStats, sub_accounts_created=max(one.sub for one in users) + 1)
    return Look(
        VELOCITY,
        1_000,
        state(**given),
        stats,
        {one.sub: one for one in users},
        {one.index: one for one in spots},
        {one.index: one for one in perps},
        {},
    )


def terms(look):
    made = Markets(look.deployment)
    for market in (*look.spots.values(), *look.perps.values()):
        made.add(market)
    return made


INSTRUMENT = terms(seen()).instrument(0, 1)
