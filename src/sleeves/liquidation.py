"""Liquidation: how much of a position is taken, what it costs, and who bears what is left.

Pure figures after Drift v2 (protocol-v2 `math/liquidation.rs` and its tests), in its units: prices 1e-6, base 1e-9,
quote 1e-6, ratios and weights 1e-4, fees and multipliers 1e-6, coins in their own smallest units.

    base to close      = shortage x 1e9 / (price x quote price x (ratio - fee) - price x insurance fee)
    liability to move  = shortage / (price x (liability weight - asset weight x multipliers - insurance fee))
    insurance fee      = 95% of what ratio, liquidator's fee and shortage leave, capped
    share at once      = initial share + elapsed / duration, of the shortage before anything was freed
    socialised loss    = loss over open interest, or over deposits, rounded up

A function that answers `None` means: no amount is too much, take it all. This module decides nothing: whether an
account may be liquidated is `margin.liquidatable`, and it knows neither time nor books.
"""

from __future__ import annotations

from .errors import InvalidMarket
from .margin import whole
from .market import BP
from .money import PPM, Rounding, divide

__all__ = [
    "asset_for_liability",
    "base_to_cover",
    "deposit_interest_delta",
    "funding_rate_delta",
    "liability_for_asset",
    "liability_to_cover",
    "liquidator_fee",
    "max_share",
    "perp_insurance_fee",
    "spot_insurance_fee",
]

BASE = 10**9
RATIO_TO_FEE = PPM // BP
"""From a ratio (1e-4) to a fee (1e-6)."""

GRACE_SLOTS = 1_500
"""For so long after the account last acted, the liquidator's fee does not grow."""

SMALL_SHORTAGE = 50 * PPM
"""Below 50 quote coins a shortage is closed in one go."""

DUST = PPM
"""Collateral worth less than one quote coin is not left behind."""


def base_to_cover(shortage: int, ratio_bp: int, fee_ppm: int, insurance_ppm: int, price: int, quote_price: int = PPM) -> int | None:
    """Base units (1e-9) whose closing frees `shortage` of margin, or None: the fees eat what closing frees, so take all.

    The more the fees take of the ratio, the more must be closed.
    """
    whole(shortage, "a margin shortage", 0)
    whole(price, "the price", 1)
    whole(quote_price, "the quote price", 1)
    whole(insurance_ppm, "the insurance fee", 0)
    ratio = whole(ratio_bp, "a margin ratio", 0) * RATIO_TO_FEE
    if ratio <= whole(fee_ppm, "the liquidator's fee", 0):
        return None
    frees = price * quote_price // PPM * (ratio - fee_ppm) // PPM  # Drift's floors
    frees -= price * insurance_ppm // PPM  # Drift's floor
    return divide(shortage * BASE, frees, Rounding.FLOOR) if frees > 0 else None


def liability_to_cover(
    shortage: int,
    asset_weight: int,
    asset_multiplier: int,
    liability_weight: int,
    liability_multiplier: int,
    decimals: int,
    price: int,
    insurance_ppm: int = 0,
) -> int | None:
    """Units of a borrowed coin whose repayment out of collateral frees `shortage`, at least one; None: all of it.

    None where what the liquidator receives weighs as much as what he takes over, so that no transfer frees anything.
    """
    whole(shortage, "a margin shortage", 0)
    whole(price, "the price of the liability", 1)
    whole(decimals, "the scale of the liability", 0)
    whole(insurance_ppm, "the insurance fee", 0)
    owes = whole(liability_weight, "the liability weight", 1) * 10
    owns = whole(asset_weight, "the asset weight", 0) * 10 * whole(asset_multiplier, "the asset multiplier", 1)
    owns //= whole(liability_multiplier, "the liability multiplier", 1)  # Drift's floor
    if owns >= owes:
        return None
    frees = price * (owes - owns) - price * insurance_ppm // PPM * liability_weight * 10  # Drift's floor
    if frees <= 0:
        return None
    times, over = int(10 ** max(0, decimals - 6)), int(10 ** max(0, 6 - decimals))
    units = divide(shortage * times * PPM * BP * 10, frees, Rounding.FLOOR)
    return max(1, units // over)  # Drift's floor


def liability_for_asset(
    asset: int,
    asset_multiplier: int,
    asset_decimals: int,
    asset_price: int,
    liability_multiplier: int,
    liability_decimals: int,
    liability_price: int,
) -> int:
    """Units of the liability that `asset` units pay for at the liquidation's rates, rounded up."""
    _rates(asset_multiplier, asset_decimals, asset_price, liability_multiplier, liability_decimals, liability_price)
    times, over = _scales(liability_decimals - asset_decimals)
    value = whole(asset, "the asset", 0) * times * asset_price * liability_multiplier
    return divide(divide(value, liability_price * asset_multiplier, Rounding.CEIL), over, Rounding.CEIL)


def asset_for_liability(
    held: int,
    asset_multiplier: int,
    asset_decimals: int,
    asset_price: int,
    liability: int,
    liability_multiplier: int,
    liability_decimals: int,
    liability_price: int,
) -> int:
    """Units of collateral that pay for `liability` units, at least one; all that is `held` when the rest would be dust.

    Dust is worth less than one quote coin, as Drift counts it: for a coin of other than 6 decimals its scale goes the
    wrong way (`math/liquidation.rs`), and its figure is kept, since it is what the venue does.
    """
    _rates(asset_multiplier, asset_decimals, asset_price, liability_multiplier, liability_decimals, liability_price)
    whole(held, "the collateral held", 0)
    times, over = _scales(asset_decimals - liability_decimals)
    value = whole(liability, "the liability", 0) * times * liability_price * asset_multiplier
    units = max(1, value // (asset_price * liability_multiplier) // over)  # Drift's floors
    dearer, cheaper = _scales(asset_decimals - 6)
    worth = abs(units - held) * asset_price // PPM * dearer // cheaper  # Drift's floors
    return held if worth < DUST else units


def _scales(more_decimals: int) -> tuple[int, int]:
    return int(10 ** max(0, more_decimals)), int(10 ** max(0, -more_decimals))


def _rates(asset_multiplier: int, asset_decimals: int, asset_price: int, multiplier: int, decimals: int, price: int) -> None:
    whole(asset_multiplier, "the asset multiplier", 1)
    whole(asset_decimals, "the scale of the asset", 0)
    whole(asset_price, "the price of the asset", 1)
    whole(multiplier, "the liability multiplier", 1)
    whole(decimals, "the scale of the liability", 0)
    whole(price, "the price of the liability", 1)


# -- fees -------------------------------------------------------------------------------------------------------------


def liquidator_fee(base_fee: int, max_fee: int, slots_idle: int) -> int:
    """The liquidator's fee for an account that did nothing for `slots_idle` slots: 1e-6 more per slot after the grace.

    Within the grace it is the base fee; after it, never above `max_fee`.
    """
    whole(base_fee, "the base fee", 0)
    whole(max_fee, "the maximum fee", 0)
    if whole(slots_idle, "the slots idle", 0) < GRACE_SLOTS:
        return base_fee
    return min(max_fee, base_fee + slots_idle)


def perp_insurance_fee(shortage: int, base: int, ratio_bp: int, fee_ppm: int, price: int, quote_price: int, max_ppm: int) -> int:
    """The insurance fund's fee (1e-6) on a position of `base` units: 95% of what its ratio leaves after fee and shortage."""
    whole(shortage, "a margin shortage", 0)
    whole(price, "the price", 1)
    whole(quote_price, "the quote price", 1)
    whole(max_ppm, "the maximum insurance fee", 0)
    ratio = whole(ratio_bp, "a margin ratio", 0) * RATIO_TO_FEE
    if not whole(base, "the base of a position", 0) or ratio <= whole(fee_ppm, "the liquidator's fee", 0):
        return 0
    worth = price * quote_price // PPM  # Drift's floor
    if not worth:
        return 0
    missing = shortage * BASE // base * PPM // worth  # Drift's floors
    return min(max_ppm, max(0, ratio - fee_ppm - missing) * 19 // 20)  # Drift's floor


def spot_insurance_fee(
    shortage: int,
    tokens: int,
    asset_weight: int,
    asset_multiplier: int,
    liability_weight: int,
    liability_multiplier: int,
    decimals: int,
    price: int,
    max_ppm: int,
) -> int:
    """The insurance fund's fee (1e-6) on a borrowing of `tokens` units; 0 where nothing is left for one."""
    whole(shortage, "a margin shortage", 0)
    whole(asset_multiplier, "the asset multiplier", 0)
    whole(decimals, "the scale of the liability", 0)
    whole(price, "the price of the liability", 1)
    whole(max_ppm, "the maximum insurance fee", 0)
    whole(tokens, "the tokens borrowed", 0)
    whole(liability_multiplier, "the liability multiplier", 0)
    if whole(asset_weight, "the asset weight", 0) >= whole(liability_weight, "the liability weight", 0):
        return 0
    if not tokens or not liability_multiplier:
        return 0
    owes, owns = liability_weight * RATIO_TO_FEE, asset_weight * RATIO_TO_FEE
    spare = max(0, owes - owns * asset_multiplier // liability_multiplier)  # Drift's floor
    spare = max(0, spare - shortage * PPM * int(10**decimals) // tokens // price)  # Drift's floors
    return min(max_ppm, spare * PPM // owes * 19 // 20)  # Drift's floors


# -- how much at once, and who bears the rest -------------------------------------------------------------------------


def max_share(shortage: int, freed: int, slots: int, *, initial_bp: int = 1_000, duration: int = 150) -> int:
    """Basis points of the present shortage that a liquidator may free, `slots` after the account last acted.

    It grows over `duration` slots from the initial share to all, counted on what was short before `freed` was freed.
    A shortage below 50 quote coins is freed at once; without a duration, so is any.
    """
    whole(freed, "the margin freed", 0)
    whole(slots, "the slots since", 0)
    whole(initial_bp, "the initial share", 0)
    whole(duration, "the duration", 0)
    if whole(shortage, "a margin shortage", 0) < SMALL_SHORTAGE:
        return BP
    reached = min(BP, initial_bp + (slots * BP // duration if duration else BP))  # Drift's floor
    may = max(0, (shortage + freed) * reached // BP - freed)  # Drift's floor
    return divide(may * BP, shortage, Rounding.FLOOR)


def funding_rate_delta(loss: int, long_base: int, short_base: int) -> int:
    """What a bankrupt position's loss adds to every holder's funding index (1e-9), both sides alike: ceil per coin x 1000.

    `loss` in quote units, zero or below. Without open interest there is nobody to bear it: `InvalidMarket`.
    """
    if whole(loss, "a loss") > 0:
        raise InvalidMarket(f"a loss must be zero or below, not {loss}")
    interest = whole(long_base, "the long base", 0) - whole(short_base, "the short base")
    if short_base > 0 or interest == 0:
        raise InvalidMarket(f"a loss of {loss} needs open interest to bear it, not {long_base} long and {short_base} short")
    return divide(-loss * BASE, interest, Rounding.CEIL) * 1_000


def deposit_interest_delta(loss: int, deposit_balance: int, cumulative_interest: int, decimals: int) -> int:
    """What a bankrupt borrowing takes off every depositor's interest index (1e-10), rounded up; 0 when there are no depositors.

    `loss` in units of the coin, `deposit_balance` scaled by 1e9. The index keeps at least one unit.
    """
    whole(loss, "a loss", 0)
    whole(deposit_balance, "the deposit balance", 0)
    whole(cumulative_interest, "the interest index", 1)
    if whole(decimals, "the scale of the coin", 0) > 19:
        raise InvalidMarket(f"the scale of a coin with interest must be at most 19, not {decimals}")
    deposits = deposit_balance * cumulative_interest // int(10 ** (19 - decimals))  # Drift's floor
    if deposits == 0:
        return 0
    return min(cumulative_interest - 1, divide(cumulative_interest * loss, deposits, Rounding.CEIL))
