"""The simulated exchange's own books of one account: coins, what is held for orders, contracts, and what they may cost.

Rule 1. Coins move with fills, settlements and transfers, and with nothing else.
Rule 2. Contracts are netted: one position per instrument, whoever ordered it. What they make is unsettled until settled.
Rule 3. No order is taken that the account could not carry with all its open orders filled.
Rule 4. An account below its maintenance requirement is closed by force, as far as it takes to stand again, and no further.

It does the venue's arithmetic with `margin`, on its own numbers: it knows no sleeve and no books of ours.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from attrs import evolve

from ..errors import InvalidMarket
from ..facts import Bankrupted, CashFlow, FlowKind, FundingPaid, Liquidated, Settled, Transferred, TransferRefused
from ..margin import (
    Check,
    Coin,
    Contract,
    MarginAccount,
    Weights,
    cash_of,
    equity,
    health_bp,
    joint_of,
    liquidatable,
    max_withdrawable,
    notional,
    slice_of,
    standing,
)
from ..market import BP, FundingRate, Instrument
from ..money import PPM, Amount, Asset, Rounding, decimal_text, divide
from ..orders import Event, Order, Position, Transfer
from .models import Rules, Settles

__all__ = ["Account"]


class _Net:
    """The account's position in one perpetual: contracts, what opening them cost, and the money side."""

    __slots__ = ("base", "cost", "market", "money", "orders", "price")

    def __init__(self, market: Instrument) -> None:
        self.market = market
        self.base = 0
        self.cost = 0
        self.money = 0
        self.price = 0
        self.orders: dict[str, tuple[int, int]] = {}
        """By order, base units that it still buys and sells."""

    @property
    def unsettled(self) -> int:
        return self.money + self.cost

    def bids(self) -> int:
        return sum(bids for bids, _ in self.orders.values())

    def asks(self) -> int:
        return sum(asks for _, asks in self.orders.values())


class Account:
    """One account. `balances` are its coins by asset code, `wallet` those outside of it that a deposit can bring in."""

    def __init__(
        self,
        balances: Mapping[str, Amount],
        rules: Rules,
        *,
        name: str = "sim",
        wallet: Mapping[str, Amount] | None = None,
    ) -> None:
        self.rules = rules
        self.name = name
        self.outbox: deque[Event] = deque()
        for code, amount in [*balances.items(), *(wallet or {}).items()]:
            if not isinstance(amount, Amount) or amount.asset.code != code:
                raise InvalidMarket(f"balances are Amounts by the code of their asset, not {amount!r} by {code!r}")
        self.coins: dict[str, int] = {code: amount.units for code, amount in balances.items()}
        self.assets: dict[str, Asset] = {code: amount.asset for code, amount in balances.items()}
        self.held: dict[str, int] = dict.fromkeys(self.coins, 0)
        self.wallet: dict[str, int] = {}
        for code, amount in (wallet or {}).items():
            self.know(amount.asset)
            self.wallet[code] = amount.units
        self.nets: dict[str, _Net] = {}
        self.prices: dict[tuple[str, str], tuple[Instrument, int]] = {}
        """By codes of base and quote, the latest price of each spot market, for coins that are collateral."""
        self.flows: list[CashFlow] = []
        """Coins that came or left without an order, a contract or a transfer of ours: `credit`."""
        self._facts = 0
        self._transfers: set[str] = set()

    def know(self, asset: Asset) -> None:
        """Count an asset here. Raises `InvalidMarket` when it is counted with other decimal places already."""
        if self.assets.setdefault(asset.code, asset) != asset:
            raise InvalidMarket(f"the account counts {asset.code} with other decimal places than {asset.scale}")
        self.coins.setdefault(asset.code, 0)
        self.held.setdefault(asset.code, 0)

    def trade_in(self, market: Instrument) -> None:
        """Have this instrument here. Raises `InvalidMarket` when its assets are counted otherwise."""
        for asset in (market.base, market.quote):
            if self.assets.get(asset.code, asset) != asset:
                raise InvalidMarket(f"the account counts {asset.code} with other decimal places than {market.symbol}")
        if market.contract is None:
            self.know(market.base)
        self.know(market.quote)
        if market.contract is not None:
            self.nets.setdefault(market.symbol, _Net(market))

    # -- what there is -----------------------------------------------------------------------------------------------

    def balances(self) -> dict[str, Amount]:
        """All coins of the account, held ones included."""
        return {code: Amount(units, self.assets[code]) for code, units in self.coins.items()}

    def positions(self) -> dict[str, Position]:
        """Its contracts, and what is unsettled of them."""
        return {symbol: Position(net.market, net.base, net.money) for symbol, net in self.nets.items() if net.base or net.money}

    def available(self, code: str) -> int:
        return self.coins[code] - self.held[code]

    # -- margin --------------------------------------------------------------------------------------------------------

    def margin(self, quote: Asset, *, orders: bool = True) -> MarginAccount:
        """The account as the margin rules see it: all that is counted in `quote`."""
        coins = [cash_of(quote, self.coins.get(quote.code, 0))]
        for asset, weights in self.rules.collateral:
            priced = self.prices.get((asset.code, quote.code))
            if asset != quote and priced is not None and self.coins.get(asset.code):
                coins.append(self._collateral(asset, weights, *priced))
        contracts = [
            self._contract(net, orders=orders)
            for net in self.nets.values()
            if net.market.quote == quote and net.price and _live(net, orders)
        ]
        return joint_of(tuple(coins), tuple(contracts), quote.scale)

    def price(self, market: Instrument, price: int) -> None:
        """The latest price of a spot market, where a coin may be collateral."""
        if self.rules.collateral:
            self.prices[market.base.code, market.quote.code] = (market, price)

    def alone(self, net: _Net) -> bool:
        """Whether nothing but this contract and its quote coin moves the account's margin in that quote."""
        if any(self.coins.get(asset.code) for asset, _ in self.rules.collateral if asset != net.market.quote):
            return False
        return not any(_live(other, True) for other in self.nets.values() if other is not net and other.market.quote == net.market.quote)

    def refuse_to_spend(self, market: Instrument, units: int, brought: int) -> str:
        """Why the account could not carry its contracts after a buy of coins, or nothing."""
        account = self.margin(market.quote)
        coins = [evolve(one, units=one.units - units) if one.is_quote else one for one in account.coins]
        weights = dict(self.rules.collateral).get(market.base)
        priced = self.prices.get((market.base.code, market.quote.code))
        if weights is not None and priced is not None:
            coins = [one for one in coins if one.code != market.base.code]
            held = self.coins.get(market.base.code, 0) + brought
            coins.append(Coin(market.base.code, held, market.base.scale, priced[1], price_scale=market.price_scale, weights=weights))
        after = standing(evolve(account, coins=tuple(coins)), Check.INITIAL)
        return "insufficient margin for open contracts" if account.contracts and after.short else ""

    def _collateral(self, asset: Asset, weights: Weights, market: Instrument, price: int) -> Coin:
        return Coin(asset.code, self.coins[asset.code], asset.scale, price, price_scale=market.price_scale, weights=weights)

    @staticmethod
    def _contract(net: _Net, *, orders: bool) -> Contract:
        bids, asks = (net.bids(), net.asks()) if orders and net.orders else (0, 0)
        return slice_of(net.market, net.base, net.money, net.price, bids, asks)

    def refuse_contracts(self, order: Order, price: int) -> str:
        """Why the account could not carry this order of contracts, or nothing: with all open orders and this one filled.

        What only closes is always taken; at `price`, the market's.
        """
        place, net = order.place, self.nets[order.place.instrument.symbol]
        sign = place.side.sign
        against = max(0, -sign * net.base)
        if order.reduce_only:
            return "" if against else "reduce only: no position to reduce"
        ordered = net.bids() if sign > 0 else net.asks()
        if place.qty + ordered <= against:
            return ""
        net.price = net.price or price
        net.orders[order.id] = (place.qty, 0) if sign > 0 else (0, place.qty)
        account = self.margin(place.instrument.quote)
        del net.orders[order.id]
        most = self.rules.most_leverage_bp
        own = max(place.limit or 0, place.stop or 0)
        # an order that fills above the market is worth more then, and what is short already has lost
        for one in (account, account.at(place.instrument.symbol, own)) if own > net.price else (account,):
            worth = equity(one)
            owed = sum(notional(contract, contract.worst, quote_scale=one.quote_scale) for contract in one.contracts)
            if worth <= 0 or owed * BP > most * worth:
                return f"leverage would exceed {decimal_text(most, 4)}"
            if standing(one, Check.INITIAL).short:
                return "insufficient margin"
        return ""

    # -- contracts -----------------------------------------------------------------------------------------------------

    def trade(self, market: Instrument, change: int, spent: int, fee: int) -> None:
        """Contracts change hands: `spent` quote units for them (below zero: received), and a fee."""
        net = self.nets[market.symbol]
        against = net.base * change < 0
        closed = min(abs(net.base), abs(change)) if against else 0
        if closed == abs(net.base) and against:
            released = net.cost
        else:
            released = divide(net.cost * closed, abs(net.base), Rounding.CEIL) if closed else 0
        opened = spent if not closed else spent - divide(spent * closed, abs(change), Rounding.CEIL)
        net.base += change
        net.cost += (opened if closed < abs(change) else 0) - released
        net.money -= spent + fee

    def after_trade(self, market: Instrument, at: int) -> None:
        if self.rules.settles is Settles.AT_ONCE and self.nets[market.symbol].unsettled:
            self.settle(market, at)

    def fund(self, rate: FundingRate) -> None:
        """Pay funding on what is held at this instant, rounded against the account. Told also when the net is zero."""
        net = self.nets[rate.instrument.symbol]
        amount = rate.payment(net.base)
        net.money += amount
        self.outbox.append(FundingPaid(rate, net.base, amount, str(rate.at), self.name))
        self.after_trade(rate.instrument, rate.at)

    def settle(self, market: Instrument, at: int) -> None:
        """Move what is unsettled, fees and funding in it, to cash, and say how much that was: also that it was nothing."""
        net = self.nets[market.symbol]
        units = net.unsettled
        net.money -= units
        self.coins[market.quote.code] += units
        self.outbox.append(Settled(at, market, units, self._number(), self.name))

    def _number(self) -> str:
        self._facts += 1
        return f"{self.name}-fact-{self._facts}"

    # -- liquidation ---------------------------------------------------------------------------------------------------

    def broken(self, quote: Asset) -> bool:
        """Whether the account is below its maintenance requirement now."""
        return liquidatable(self.margin(quote))

    def liquidate(self, market: Instrument, at: int) -> None:
        """Close contracts by force at the latest prices, the largest first, until the account stands again.

        The largest by value; of equal ones, by symbol. So neither the order of markets nor which of them moved decides.

        The venue has canceled the account's orders of contracts before. Each part is the least number of lots that
        brings the collateral back to the requirement and the target's buffer, or all.
        """
        held = [net for net in self.nets.values() if net.market.quote == market.quote and net.base and net.price]
        held.sort(key=lambda net: (-net.market.cost(net.price, abs(net.base), Rounding.CEIL), net.market.symbol))
        for net in held:
            if self.broken(market.quote):
                self._close_by_force(net, at)
        account = self.margin(market.quote)
        lost = -equity(account)
        if lost > 0 and not any(net.base for net in self.nets.values() if net.market.quote == market.quote):
            largest = held[0] if held else self.nets[market.symbol]
            largest.money += lost
            self.outbox.append(Bankrupted(at, largest.market, lost, self._number(), self.name))
        for net in self.nets.values():
            if net.market.quote == market.quote:
                self.after_trade(net.market, at)

    def _close_by_force(self, net: _Net, at: int) -> None:
        market = net.market
        lots = divide(abs(net.base), market.lot_units, Rounding.CEIL)
        enough, none = lots, 0
        while enough - none > 1:
            middle = (enough + none) // 2
            if self._stands_after(net, min(abs(net.base), middle * market.lot_units)):
                enough = middle
            else:
                none = middle
        qty = min(abs(net.base), enough * market.lot_units)
        side, cost, fee = self._forced(net, qty)
        self.trade(market, side * qty, side * cost, fee)
        self.outbox.append(Liquidated(at, market, side * qty, net.price, cost, Amount(fee, market.quote), self._number(), self.name))

    @staticmethod
    def _forced(net: _Net, qty: int) -> tuple[int, int, int]:
        """Side, cost and fee of closing so many base units by force."""
        side = -1 if net.base > 0 else 1
        assert net.market.contract is not None
        cost = net.market.cost(net.price, qty, Rounding.CEIL if side > 0 else Rounding.FLOOR)
        return side, cost, divide(cost * net.market.contract.liquidation_fee_ppm, PPM, Rounding.CEIL)

    def _stands_after(self, net: _Net, qty: int) -> bool:
        side, cost, fee = self._forced(net, qty)
        account = self.margin(net.market.quote)
        contracts = tuple(
            evolve(one, base=one.base + side * qty, quote=one.quote - side * cost - fee) if one.symbol == net.market.symbol else one
            for one in account.contracts
        )
        after = standing(evolve(account, contracts=contracts), Check.MAINTENANCE, buffer_bp=self.rules.liquidation_buffer_bp)
        return not after.short

    def credit(self, amount: Amount, kind: FlowKind, at: int) -> None:
        """Coins come, or leave (below zero), for a reason of the world's own: an airdrop, a human with the same account."""
        self.know(amount.asset)
        self.coins[amount.asset.code] += amount.units
        self.flows.append(CashFlow(at, amount, kind, self._number(), venue=self.name))

    # -- transfers -----------------------------------------------------------------------------------------------------

    def transfer(self, transfer: Transfer, at: int) -> None:
        """Bring coins in from the wallet, or take them out to it. The same id again does nothing."""
        if transfer.id in self._transfers:
            return
        self._transfers.add(transfer.id)
        amount, code = transfer.amount, transfer.amount.asset.code
        reason = self._refuse_transfer(transfer)
        if reason:
            self.outbox.append(TransferRefused(at, transfer.id, reason))
            return
        self.know(amount.asset)
        self.coins[code] += amount.units
        self.wallet[code] = self.wallet.get(code, 0) - amount.units
        self.outbox.append(Transferred(at, amount, transfer.id, self.name))

    def refuses(self, transfer: Transfer) -> str:
        """Why a transfer would be refused, or nothing, as where it was taken already. Nothing is done."""
        return "" if transfer.id in self._transfers else self._refuse_transfer(transfer)

    def _refuse_transfer(self, transfer: Transfer) -> str:
        amount = transfer.amount
        asset, units = amount.asset, amount.units
        if transfer.inside:
            return f"{self.name} has no sub-accounts"
        if self.assets.get(asset.code, asset) != asset:
            return f"the account counts {asset.code} with other decimal places"
        if units > 0:
            has = self.wallet.get(asset.code, 0)
            return "" if units <= has else f"the wallet holds {Amount(has, asset)}, less than {amount}"
        has = self.available(asset.code) if asset.code in self.coins else 0
        if -units > has:
            return f"the account has {Amount(has, asset)} to withdraw, less than {-amount}"
        for quote in {net.market.quote for net in self.nets.values()}:
            account = self.margin(quote)
            if any(coin.code == asset.code for coin in account.coins):
                if -units > max_withdrawable(account, asset.code):
                    return f"the margin of open contracts needs what {-amount} would take"
                coins = tuple(evolve(one, units=one.units + units) if one.code == asset.code else one for one in account.coins)
                after = health_bp(evolve(account, coins=coins))
                if after < self.rules.least_health * 100:
                    now = decimal_text(health_bp(account), 2)
                    return f"health would go from {now} to {decimal_text(after, 2)}, below {self.rules.least_health}"
        return ""


def _live(net: _Net, orders: bool) -> bool:
    return bool(net.base or net.money or (orders and net.orders))
