"""Balances of coins: scaled, lent, borrowed, with interest. Rules after both programs' `controller/spot_balance.rs`,
`math/spot_balance.rs`, `math/spot_withdraw.rs` and `controller/spot_position.rs`.

Scaled balances are 1e-9 of a coin times its interest index (1e-10); a deposit is rounded down and a debt up, so that what rounding leaves
stays in the vault. It knows no user's risk and moves no tokens.
"""

from __future__ import annotations

from typing import Any

from ...settlement import BorrowCurve, borrow_rate, token_amount
from .fields import Fields
from .refusing import fail, require

__all__ = ["Balance", "accrue", "balance_of", "borrows", "change", "deposits", "signed", "spot_position", "tokens", "with_limits"]

Balance = dict[str, Any]
"""A spot position or a pool: `scaled_balance`, and `balance_type` (0 deposit, 1 borrow) where it can be either."""

YEAR = 31_536_000
RATE = 1_000_000
DAY = 86_400
HOUR = 3_600
FIVE_MINUTES = 300


def tokens(market: Fields, scaled: int, *, borrowed: bool = False) -> int:
    """Token units of a scaled balance."""
    index = market["cumulative_borrow_interest" if borrowed else "cumulative_deposit_interest"]
    return token_amount(scaled, index, market["decimals"], borrowed=borrowed)


def balance_of(market: Fields, balance: Balance) -> int:
    """Token units of a position or pool, whatever its kind."""
    return tokens(market, balance["scaled_balance"], borrowed=bool(balance.get("balance_type", 0)))


def signed(market: Fields, balance: Balance) -> int:
    """Token units, below zero for a debt."""
    return -balance_of(market, balance) if balance.get("balance_type", 0) else balance_of(market, balance)


def deposits(market: Fields) -> int:
    """All that is deposited, in token units."""
    return tokens(market, market["deposit_balance"])


def borrows(market: Fields) -> int:
    """All that is borrowed, in token units."""
    return tokens(market, market["borrow_balance"], borrowed=True)


def _scaled(market: Fields, amount: int, borrowed: bool, up: bool) -> int:
    index = market["cumulative_borrow_interest" if borrowed else "cumulative_deposit_interest"]
    scaled = int(amount * 10 ** (19 - market["decimals"]) // index)  # the program's floor
    return scaled + 1 if up and scaled else scaled


def change(market: Fields, balance: Balance, amount: int, *, out: bool, leaving: bool = False) -> None:
    """Deposit `amount` units into a balance, or take them `out`. `leaving` the exchange, a deposit is rounded against its owner.

    A deposit pays a debt first, and what is taken beyond a deposit becomes a debt. A pool has no debts: it fails.
    """
    borrowed = bool(balance.get("balance_type", 0))
    if out == borrowed:
        scaled = _scaled(market, amount, borrowed, up=borrowed)
        balance["scaled_balance"] += scaled
        market.add("borrow_balance" if borrowed else "deposit_balance", scaled)
    else:
        held = balance_of(market, balance)
        if held:
            part, scaled = held, balance["scaled_balance"]
            if held > amount:
                part, scaled = amount, _scaled(market, amount, borrowed, up=leaving or borrowed)
            market.add("borrow_balance" if borrowed else "deposit_balance", -scaled)
            balance["scaled_balance"] -= scaled
            amount -= part
        if amount:
            require("balance_type" in balance, "CantUpdatePoolBalanceType", "a pool cannot owe")
            balance["balance_type"] = int(out)
            scaled = _scaled(market, amount, out, up=out)
            balance["scaled_balance"] += scaled
            market.add("borrow_balance" if out else "deposit_balance", scaled)
    if leaving and out:
        require(deposits(market) >= borrows(market), "SpotMarketInsufficientDeposits", f"{deposits(market)} < {borrows(market)}")


def spot_position(user: Fields, index: int, *, make: bool = False) -> Balance | None:
    """A user's balance of a market; with `make` in the first free place. The first place is the quote coin's."""
    places: list[Balance] = user["spot_positions"]
    if index == 0:
        return places[0]
    for place in places[1:]:
        if place["market_index"] == index and not _free(place):
            return place
    if not make:
        return None
    for place in places[1:]:
        if _free(place):
            for name, value in place.items():
                place[name] = bytes(len(value)) if isinstance(value, bytes) else 0
            place["market_index"] = index
            return place
    return fail("NoSpotPositionAvailable")


def _free(place: Balance) -> bool:
    return bool(place["scaled_balance"] == 0 and place["open_orders"] == 0)


# -- interest -----------------------------------------------------------------------------------------------------------------


def accrue(market: Fields, now: int, price: int | None) -> bool:
    """Bring a market's interest up to `now` (seconds), and its averages. Whether the indices moved: then the program tells an event."""
    moved = False
    if not market["paused_operations"] & 1 and now > market["last_interest_ts"]:
        held, lent = deposits(market), borrows(market)
        used = lent * RATE // held if held else (RATE if lent else 0)
        if used:
            moved = _grow(market, now, used)
    _averages(market, now, price)
    return moved


def _grow(market: Fields, now: int, used: int) -> bool:
    curve = BorrowCurve(
        market["optimal_utilization"], market["optimal_borrow_rate"], market["max_borrow_rate"], floor=market["min_borrow_rate"]
    )
    grown = borrow_rate(curve, used) * (now - market["last_interest_ts"])
    on_borrows = market["cumulative_borrow_interest"] * grown // YEAR // RATE + 1
    on_deposits = market["cumulative_deposit_interest"] * (grown * used // RATE) // YEAR // RATE
    if on_deposits <= 0 or on_borrows <= 1:
        return False
    fund = market["insurance_fund"]
    insured = on_deposits * fund["total_factor"] // RATE
    kept = on_deposits * market.get("protocol_fee_factor") // RATE
    if on_deposits - insured - kept <= 0:
        return False
    market.add("cumulative_deposit_interest", on_deposits - insured - kept)
    market.add("cumulative_borrow_interest", on_borrows)
    market["last_interest_ts"] = now
    for part, pool in ((insured, "revenue_pool"), (kept, "protocol_fee_pool")):
        if part:
            change(market, market[pool], tokens_of_interest(market, part), out=False)
    return True


def tokens_of_interest(market: Fields, interest: int) -> int:
    """Token units of so much growth of the index on all deposits."""
    return int(market["deposit_balance"] * interest // 10 ** (19 - market["decimals"]))


def _averages(market: Fields, now: int, price: int | None) -> None:
    """Averages of amounts over a day, and of the oracle price over an hour and five minutes."""
    since = max(0, now - market["last_twap_ts"])
    rest = max(1, DAY - since)
    held, lent = deposits(market), borrows(market)
    used = lent * RATE // held if held else (RATE if lent else 0)
    for name, value in (("deposit_token_twap", held), ("borrow_token_twap", lent), ("utilization_twap", used)):
        market[name] = weighted(value, market[name], since, rest)
    if price is not None:
        _price(market, now, price, since)
    market["last_twap_ts"] = now


def _price(market: Fields, now: int, price: int, since: int) -> None:
    last = market["last_oracle_price_twap_ts"]
    hour = new_twap(price, now, market["last_oracle_price_twap"], last, HOUR)
    five = new_twap(price, now, market["last_oracle_price_twap_5min"], last, FIVE_MINUTES)
    market["last_oracle_price"] = price
    market["last_oracle_delay"] = 0
    if hour != market["last_oracle_price_twap"] or since >= 60:
        market["last_oracle_price_twap"] = hour
        market["last_oracle_price_twap_5min"] = five
        market["last_oracle_price_twap_ts"] = now


def new_twap(value: int, now: int, before: int, at: int, window: int) -> int:
    """An average `window` seconds long after a new value."""
    since = max(0, now - at)
    return weighted(value, before, since, max(1, window - since))


def weighted(value: int, before: int, since: int, rest: int) -> int:
    """`before` and `value` by their seconds; the program moves it by one unit at least, towards the new value."""
    if since + rest == 0:
        return before
    mixed = (before * rest + value * since) // (since + rest)
    if mixed == before and value != before and since:
        mixed += 1 if value > before else -1
    return mixed


# -- limits -------------------------------------------------------------------------------------------------------------------


def with_limits(market: Fields, user: Fields, amount: int) -> None:
    """Take `amount` out of a user's balance as withdrawals and transfers do: rounded against it, and held to the market's daily guard."""
    position = spot_position(user, market["market_index"], make=True)
    assert position is not None
    change(market, position, amount, out=True, leaving=True)
    position["cumulative_deposits"] -= amount
    if not _in_limits(market, user, position, amount):
        fail("DailyWithdrawLimit")


def _in_limits(market: Fields, user: Fields, position: Balance, amount: int) -> bool:
    held, lent, guard = deposits(market), borrows(market), market["withdraw_guard_threshold"]
    twap, borrowed_twap = market["deposit_token_twap"], market["borrow_token_twap"]
    share = market.get("max_token_borrows_fraction")
    most = market["max_token_deposits"] * share // 10_000 if share else 2**128 - 1
    less = min(held, twap)
    by_twap = min(most, max(guard, min(max(less // 3, borrowed_twap + less // 5), less - less // 14)))
    average = market["utilization_twap"]
    use = max(market["optimal_utilization"], average + max(0, RATE - average) // 2)
    least = min(lent * RATE // use if use else 0, max(0, held - guard))
    by_use = max(use * held // RATE, guard)
    least = max(least, twap - max(twap // 4, min(guard, twap)))
    fine = held >= least
    if position["balance_type"]:
        fine = fine and lent <= min(by_twap, by_use)
    if fine:
        return True
    net = user["total_deposits"] - user["total_withdraws"]
    small = balance_of(market, position) + amount < guard // 10
    return net >= 0 and position["cumulative_deposits"] >= 0 and not position["balance_type"] and small
