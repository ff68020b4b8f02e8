"""A local Drift or Velocity over a local Solana: a stand-in for the program, its keepers and its oracles, on a socket of this machine.

    with drift_server(VELOCITY, perps=[Perp("SOL-PERP", "150")]) as drift:
        key = drift.wallet(quote=1_000_000_000)
        Rpc(drift.url)                               # create, deposit, place, cancel, settle, withdraw, as on chain
        drift.fill(drift.user(key.pubkey()), 1)      # what keepers do, in later transactions
        drift.pass_time(3_600)
        drift.fund("SOL-PERP", 10_000_000)
        drift.check()                                # nothing was made or lost

The node is the local Solana's: real token, System, memo and compute budget programs, signatures, expiry, simulation, faults. The
exchange's program has no binary that could run there, so a stand-in written in Python plays it on the very bytes of its accounts, by
the layouts of the deployment: initialize_user_stats, initialize_user, deposit, withdraw, transfer_deposit, place_perp_order,
place_orders, cancel_order, cancel_order_by_user_id, cancel_orders, settle_pnl, update_user_delegate,
update_spot_market_cumulative_interest, delete_user. It checks signers, addresses, writable flags and margin as the program does, fails
with its error numbers, and tells its events. Keepers fill, expire, fund, accrue, settle and liquidate by transactions with the program's
names and accounts, and data of this stand-in's own.

What is no exchange here. It is a model: written after the sources of both programs, never run against one. Left out are spot orders
and swaps, trigger orders and offsets from the oracle, the price paths of auctions (an order fills at once, up to its limit), the market's
own curve (a fill that no maker stands for is at the price that the keeper names, and moves nothing), isolated positions, high leverage,
referrers, builders, insurance staking and payments (a bankrupt's loss is shared by all who hold the market), liquidations of borrowed
coins, equity floors, and Velocity's fee ledger, circuit breakers and formula of funding (its rate must be said).

Needs the `servers` extra.
"""

from __future__ import annotations

from ...errors import MissingExtra

try:
    import solders as _solders  # noqa: F401
    import starlette as _starlette  # noqa: F401
except ImportError:
    raise MissingExtra("solders and starlette", "servers", "a local Drift") from None

from .fields import Fields
from .proof import Proof
from .refusing import ERRORS
from .server import Clock, DriftServer, drift_server
from .world import Coin, Perp

__all__ = ["ERRORS", "Clock", "Coin", "DriftServer", "Fields", "Perp", "Proof", "drift_server"]
