"""Whether the stand-in kept everything: tokens in vaults against balances, positions against their markets, to the unit.

Rounding goes to the exchange: a vault may hold more than is claimed of it, never less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import frozen
from solders.pubkey import Pubkey

from ...errors import LedgerError
from ...venues.drift.deployment import Deployment
from ..solana_server import Chain
from ..solana_server.layout import read_token
from .fields import Fields
from .spot import borrows, deposits

__all__ = ["Proof", "prove"]


@frozen
class Proof:
    """What was found: by spot market, the vault's tokens and what rounding left in it above all claims, in units; and how many accounts."""

    vaults: Mapping[int, int]
    left: Mapping[int, int]
    users: int


def prove(chain: Chain, deployment: Deployment, users: Sequence[Fields], coins: int, perps: int) -> Proof:
    """Check everything. Raises `LedgerError` that names what does not add up."""
    markets = [_read(chain, deployment, "PerpMarket", deployment.perp_market(index)) for index in range(perps)]
    vaults, left = {}, {}
    for index in range(coins):
        market = _read(chain, deployment, "SpotMarket", deployment.spot_market(index))
        pools = [market[name] for name in ("revenue_pool", "spot_fee_pool", "protocol_fee_pool") if name in market]
        if index == deployment.quote.market:
            for perp in markets:
                pools += [perp[name] for name in ("pnl_pool", "fee_pool", "protocol_fee_pool") if name in perp]
        held = [place for user in users for place in user["spot_positions"] if place["market_index"] == index]
        lent = sum(place["scaled_balance"] for place in held if place["balance_type"])
        owned = sum(place["scaled_balance"] for place in held if not place["balance_type"])
        owned += sum(pool["scaled_balance"] for pool in pools)
        _same(f"the scaled deposits of spot market {index}", owned, market["deposit_balance"])
        _same(f"the scaled borrowings of spot market {index}", lent, market["borrow_balance"])
        state = chain.account(Pubkey.from_string(deployment.spot_vault(index)))
        read = state and read_token(state.owner, state.data)
        vaults[index] = read.amount if read else 0
        left[index] = vaults[index] - (deposits(market) - borrows(market))
        if left[index] < 0:
            raise LedgerError(f"the vault of spot market {index} holds {vaults[index]}, {-left[index]} less than is claimed of it")
    for index, market in enumerate(markets):
        _perp(index, market, [place for user in users for place in user["perp_positions"] if place["market_index"] == index])
    for user in users:
        _orders(user)
    return Proof(vaults, left, len(users))


def _read(chain: Chain, deployment: Deployment, kind: str, address: str) -> Fields:
    state = chain.account(Pubkey.from_string(address))
    if state is None:
        raise LedgerError(f"there is no {kind} at {address}")
    return Fields(kind, address, deployment.codec(kind).decode(state.data))


def _same(what: str, found: int, said: int) -> None:
    if found != said:
        raise LedgerError(f"{what} sum to {found}, and the market says {said}")


def _perp(index: int, market: Fields, held: Sequence[Mapping[str, int]]) -> None:
    longs = [place for place in held if place["base_asset_amount"] > 0]
    shorts = [place for place in held if place["base_asset_amount"] < 0]
    _same(f"the quote of perp market {index}", sum(place["quote_asset_amount"] for place in held), market["quote_asset_amount"])
    for side, places in (("long", longs), ("short", shorts)):
        for what, name in (("base", "base_asset_amount"), ("entries", "quote_entry_amount")):
            _same(f"the {side} {what} of perp market {index}", sum(place[name] for place in places), market[f"{name}_{side}"])
    net = market["base_asset_amount_long"] + market["base_asset_amount_short"]
    _same(f"what the market itself took of perp market {index}", net, market["base_asset_amount_with_amm"])


def _orders(user: Fields) -> None:
    live = [one for one in user["orders"] if one["status"] == 1]
    _same(f"the open orders of {user.address}", len(live), user["open_orders"])
    _same(f"the orders of the positions of {user.address}", sum(one["open_orders"] for one in user["perp_positions"]), len(live))
    for place in user["perp_positions"]:
        if not place["open_orders"]:
            continue
        mine = [one for one in live if one["market_index"] == place["market_index"]]
        _same(f"the open orders of {user.address} in a market", len(mine), place["open_orders"])
        bids = sum(one["base_asset_amount"] - one["base_asset_amount_filled"] for one in mine if not one["direction"])
        asks = sum(one["base_asset_amount"] - one["base_asset_amount_filled"] for one in mine if one["direction"])
        _same(f"the bids of {user.address}", bids, place["open_bids"])
        _same(f"the asks of {user.address}", -asks, place["open_asks"])
