"""What an account of the stand-in is worth to the program: its records as a `sleeves.margin.MarginAccount`, and the tests it is put to.

Figures are the core's; this module only reads fields. Isolated positions are not modelled: an account that holds one fails.
"""

from __future__ import annotations

from ...margin import Check, Coin, Contract, MarginAccount, Weights, standing
from ...market import BP, Perpetual
from ...money import PPM
from ...venues.drift.deployment import Feature
from .fields import Fields
from .frame import Frame
from .perp import owed
from .refusing import fail, require
from .spot import deposits, signed

__all__ = ["account_of", "meets", "must_be_fresh", "must_meet", "stale_prices"]

PER_ORDER = 10_000
GAIN_CAP = 100_000_000
HOUR = 3_600
YEAR = 31_536_000


def account_of(frame: Frame, user: Fields) -> MarginAccount:
    """A sub-account at the oracles' prices. Every market that it stands in must have been handed over."""
    quote = frame.spot(0)
    price = frame.price(quote).price
    coins = []
    for place in user["spot_positions"]:
        if place["scaled_balance"] or place["open_orders"]:
            coins.append(_coin(frame, frame.spot(place["market_index"]), place))
    contracts = []
    for place in user["perp_positions"]:
        if place.get("position_flag", 0) & 1 and "isolated_position_scaled_balance" in place and place["isolated_position_scaled_balance"]:
            fail("DefaultError", "isolated positions are not modelled here")
        if place["base_asset_amount"] or place["quote_asset_amount"] or place["open_orders"]:
            contracts.append(_contract(frame, frame.perp(place["market_index"]), place))
    return MarginAccount(
        tuple(coins),
        tuple(contracts),
        quote_scale=6,
        per_order=PER_ORDER,
        quote_price=price,
        quote_twap=quote["last_oracle_price_twap_5min"] or None,
        custom_bp=user["max_margin_ratio"],
        gain_cap=GAIN_CAP,
    )


def _coin(frame: Frame, market: Fields, place: dict[str, int]) -> Coin:
    quote = market["market_index"] == 0
    return Coin(
        f"spot {market['market_index']}",
        signed(market, place),
        market["decimals"],
        frame.price(market).price,
        twap=market["last_oracle_price_twap_5min"] or None,
        weights=Weights(
            market["initial_asset_weight"],
            market["maintenance_asset_weight"],
            market["initial_liability_weight"],
            market["maintenance_liability_weight"],
            market["imf_factor"],
            market["scale_initial_asset_weight_start"],
        ),
        deposits=deposits(market),
        oracle=market["oracle"],
        is_quote=quote,
    )


def _contract(frame: Frame, market: Fields, place: dict[str, int]) -> Contract:
    price = frame.price(market).price
    index = market["market_index"]
    base = market["base_asset_amount_long"] + market["base_asset_amount_short"]
    net = base * price // 10**9 if base >= 0 else -(-base * price // 10**9)
    terms = Perpetual(
        initial_bp=market["margin_ratio_initial"],
        maintenance_bp=market["margin_ratio_maintenance"],
        imf=market["imf_factor"],
        gain_initial_bp=market["unrealized_pnl_initial_asset_weight"],
        gain_maintenance_bp=market["unrealized_pnl_maintenance_asset_weight"],
        gain_imf=market["unrealized_pnl_imf_factor"],
        liquidation_fee_ppm=market["liquidator_fee"],
    )
    return Contract(
        f"perp {index}",
        terms,
        place["base_asset_amount"],
        place["quote_asset_amount"],
        price,
        funding=owed(place, market),
        bids=place["open_bids"],
        asks=-place["open_asks"],
        orders=place["open_orders"],
        custom_bp=place.get("max_margin_ratio", 0),
        net_user_pnl=net + market["quote_asset_amount"],
        max_imbalance=market["unrealized_pnl_max_imbalance"],
        oracle=market["oracle"],
    )


def stale_prices(frame: Frame, user: Fields) -> bool:
    """Whether a price that something of the account hangs on is too old."""
    spots = [frame.spot(place["market_index"]) for place in user["spot_positions"] if place["scaled_balance"]]
    perps = [
        frame.perp(place["market_index"])
        for place in user["perp_positions"]
        if place["base_asset_amount"] or place["quote_asset_amount"] or place["open_orders"]
    ]
    return any(frame.stale(frame.price(market)) for market in [*spots, *perps])


def must_be_fresh(frame: Frame, user: Fields) -> None:
    """Fail where Velocity finds the interest of a borrowed coin too old to count the debt with.

    Too old is what could hide a basis point of the debt at the coin's highest rate, and no more than an hour; what would come to less
    than a unit of the coin is let go. Deposits may be old: that only counts them lower.
    """
    if not frame.deployment.has(Feature.STALE_INTEREST):
        return
    for place in user["spot_positions"]:
        if not place["scaled_balance"] or not place["balance_type"]:
            continue
        market = frame.spot(place["market_index"])
        since, rate = frame.now - market["last_interest_ts"], market["max_borrow_rate"]
        window = min(HOUR, YEAR * PPM // BP // rate) if rate else HOUR
        hidden = -signed(market, place) * rate * since // YEAR // PPM
        require(since <= window or hidden < 1, "SpotMarketInterestStaleForMargin", f"market {market['market_index']}: {since} s")


def meets(frame: Frame, user: Fields, check: Check, *, strict: bool = False, buffer_bp: int = 0) -> bool:
    """Whether the collateral is what the requirement asks for, or more."""
    return standing(account_of(frame, user), check, strict=strict, buffer_bp=buffer_bp).short == 0


def must_meet(frame: Frame, user: Fields, check: Check, *, strict: bool = False, doing: str = "") -> None:
    """Fail with InsufficientCollateral unless it is met."""
    now = standing(account_of(frame, user), check, strict=strict)
    why = f"{doing} total_collateral={now.collateral}, margin_requirement={now.requirement} margin type = {check.value}"
    require(now.short == 0, "InsufficientCollateral", why.strip())
