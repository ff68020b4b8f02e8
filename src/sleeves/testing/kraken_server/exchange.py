"""The local Kraken: its markets, accounts, keys and faults, and the test's hand that moves them.

Everything happens under one lock, so that the hand may be any thread while clients call; what clients see, they see in
the order in which it happened. How calls and sockets travel is not known here.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from threading import RLock
from typing import Any

from attrs import define

from ...errors import InvalidMarket, VaultError
from ...market import Instrument
from ...money import Amount
from ...orders import Side
from ...sim.exchange import Step
from ...sim.models import Rules, Slippage
from ...sim.tape import Depth, Tape
from ..script import Script
from .account import Account, wallet_name
from .faults import Fault, Faults
from .keys import LOCKOUT, PERMISSIONS, TRADING, Key, Strangers
from .limits import tier_of
from .listing import Listing, Pair
from .market import Market
from .orders import read_order
from .public import PUBLIC
from .sockets import Sockets
from .wire import Ids

__all__ = ["Call", "KrakenExchange"]

SECOND = 1_000_000_000


_NOT_HERE = (
    "AmendOrder",
    "EditOrder",
    "OrderAmends",
    "OpenPositions",
    "DepositMethods",
    "DepositAddresses",
    "DepositStatus",
    "WithdrawMethods",
    "WithdrawAddresses",
    "WithdrawInfo",
    "Withdraw",
    "WithdrawStatus",
    "WithdrawCancel",
    "WalletTransfer",
)
"""Endpoints of Kraken's that are unknown methods here, and may fail otherwise on purpose."""


@define
class Call:
    """A REST call that arrived: what was asked, whose key it bore, whether it was signed, and the error that was answered."""

    method: str
    args: dict[str, Any]
    key: str
    signed: bool
    at: int
    error: str = ""


class KrakenExchange:
    """An exchange as Kraken's API shows it, over the simulator's matcher.

    `pairs` are symbols of common pairs, `Pair`s or `Instrument`s; `balances` what the account `main` begins with, by wallet
    (`ETH`, `ETH.F`), as text or amounts. `rules` are the simulator's: fees, slippage, latency; by default Kraken's entry
    fees, and every order fills at the price. A `script`, a `Tape` or several are played by `step`, in their own time, and
    orders act on the row after the one that was shown; without one, orders act at once on the price that `price` set, in
    the time of `clock`. Limits, nonces, tokens and the dead man's switch always follow `clock`. `tier` sets the limits of
    keys and of the trading engine, None for none. `decimals` says how finely assets are counted where not as Kraken does.

    Raises `InvalidMarket`, `InvalidAmount` and `VaultError` for terms that make no exchange.
    """

    def __init__(
        self,
        *,
        pairs: Iterable[str | Pair | Instrument] | None = None,
        balances: Mapping[str, str | Amount] | None = None,
        prices: Mapping[str, str] | None = None,
        rules: Rules | None = None,
        script: Script | Tape | Sequence[Tape] | None = None,
        clock: Callable[[], int] = time.time_ns,
        tier: str | None = "pro",
        decimals: Mapping[str, int] | None = None,
        opening_lines: bool | None = None,
        seed: int = 0,
    ) -> None:
        self.lock = RLock()
        self.clock = clock
        self.rules = Rules(slippage=Slippage.none()) if rules is None else rules
        if self.rules.book is not None or self.rules.pool is not None:
            raise VaultError("the local Kraken has neither pools nor a flow of others' orders: give rules without them")
        self.tier = tier_of(tier)
        self.system = "online"
        self.faults = Faults()
        self.jitter = (0.0, 0.0)
        """Least and most seconds by which private calls arrive late, each by its own time, as `seed` decides."""
        self.lockout_after = 5
        """How many calls in a row may bear a wrong key or signature before they lock out."""
        self.calls: deque[Call] = deque(maxlen=100_000)
        self.heartbeat = 1.0
        """Seconds between two heartbeats on an idle socket."""
        self.dice = random.Random(seed)
        self.tokens: dict[str, tuple[Key, int]] = {}
        self.strangers = Strangers()
        self.names_lines = True
        """Whether TradesHistory names a trade's ledger lines unasked. False: only with `ledgers=true`, as Kraken documents it."""
        self._tapes_given = _tapes_of(script)
        self._in_step = script is not None
        if isinstance(script, Script) and balances is None:
            balances = script.balances
        given = (
            [tape.instrument for tape in self._tapes_given] if pairs is None and script is not None else (pairs or ("ETH/USD", "BTC/USD"))
        )
        wallets = dict(balances or {})
        self.listing = Listing.of(given, codes=[name.removesuffix(".F") for name in wallets], decimals=decimals)
        self._tapes = self._tapes_of_markets()
        self._script_now = min(tape.at[0] for tape in self._tapes) if self._in_step else 0
        self.ids = Ids()
        self.markets = {
            one.symbol: Market(one, tape.at[0] if self._in_step else self.now, tape.open[0])
            for one, tape in zip(self.listing.pairs.values(), self._tapes, strict=True)
        }
        for symbol, text in (prices or {}).items():
            market = self.market(symbol)
            if self._in_step:
                raise InvalidMarket(f"the price of {symbol} is its tape's")
            first = market.market.price(text)
            self.markets[market.listed.symbol] = Market(market.listed, self.now, first)
        self._rows = [tape.rows() for tape in self._tapes]
        self.sockets = Sockets(self)
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, Key] = {}
        self._opening = not self._in_step if opening_lines is None else opening_lines
        self.add_account("main", wallets)
        self.key = self.add_key("default")

    # -- time ----------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """The exchange's time in nanoseconds: the script's while one is played, else the clock's."""
        return self._script_now if self._in_step else self.clock()

    def tick(self) -> None:
        """Let happen what time alone brings: orders that end, and the dead man's switch."""
        with self.lock:
            for account in self.accounts.values():
                if account.dead_man and self.clock() >= account.dead_man:
                    account.dead_man = 0
                    account.cancel_all(self.now, "Cancel all orders after")
                if not self._in_step:
                    account.expire(self.now)
                    if self.rules.latency.total:
                        for market in self.markets.values():
                            account.meet(market, self.now)
            self.sockets.flush()

    def ends(self) -> list[int]:
        """When time alone will bring something next, on the machine's clock."""
        found = [account.dead_man for account in self.accounts.values() if account.dead_man]
        if not self._in_step:
            found += [end for account in self.accounts.values() for own in account.sim.markets if (end := own.next_end) is not None]
        return found

    # -- accounts and keys ---------------------------------------------------------------------------------------------

    def add_account(self, name: str, balances: Mapping[str, str | Amount]) -> None:
        """Open another account; its keys are made with `add_key(..., account=name)`. Raises `VaultError` for a name twice."""
        with self.lock:
            if name in self.accounts:
                raise VaultError(f"there is an account {name} already")
            account = Account(
                name,
                self.markets,
                self._tapes,
                self.listing.assets,
                self.rules,
                self.sockets.tell,
                self.ids,
                in_step=self._in_step,
                clock=self.clock,
            )
            amounts = {wallet: account.amount(wallet, value) for wallet, value in balances.items()}
            account.open_with(amounts, self.now if self._opening else None)
            self.accounts[name] = account

    def account(self, name: str = "main") -> Account:
        """An account by name. Raises `VaultError`."""
        if name not in self.accounts:
            raise VaultError(f"there is no account {name!r}, only {', '.join(self.accounts)}")
        return self.accounts[name]

    def add_key(
        self,
        name: str,
        *,
        permissions: Iterable[str] = TRADING,
        nonce_window: int = 0,
        account: str = "main",
        tier: str | None = "",
        expires: int = 0,
        addresses: Iterable[str] = (),
        api_key: str | None = None,
        secret: str | None = None,
    ) -> Key:
        """Make a key. Its values follow from its name unless they are given; its tier is the exchange's unless it is given."""
        with self.lock:
            self.account(account)
            key = Key.made(
                name,
                api_key=api_key,
                secret=secret,
                permissions=frozenset(permissions),
                nonce_window=nonce_window,
                account=account,
                tier=self.tier if tier == "" else tier_of(tier),
                expires=expires,
                addresses=tuple(addresses),
                created=self.clock(),
            )
            if key.api_key in self.keys:
                raise VaultError(f"there is a key {name} already")
            self.keys[key.api_key] = key
            return key

    def revoke(self, key: Key) -> None:
        """The owner deletes a key: calls with it are refused from now on. Sockets that are open stay so."""
        with self.lock:
            key.revoked = True

    def lock_out(self, seconds: float = LOCKOUT, account: str = "main") -> None:
        """Every private call of an account is refused for so long, whichever its key."""
        with self.lock:
            self.account(account).locked_until = self.clock() + int(seconds * SECOND)

    def unlock(self, account: str = "main") -> None:
        """The end of a lockout."""
        with self.lock:
            self.account(account).locked_until = 0

    # -- prices --------------------------------------------------------------------------------------------------------

    def market(self, symbol: str) -> Market:
        """A market by any of its names. Raises `InvalidMarket`."""
        return self.markets[self.listing.by_symbol(symbol).symbol]

    def price(self, symbol: str, price: str, *, volume: str | None = None) -> None:
        """The market jumps to a price; `volume` in base coins limits nothing, and is told. Not while a script is played."""
        self.row(symbol, price, price, price, price, volume)

    def row(self, symbol: str, open: str, high: str, low: str, close: str, volume: str | None = None) -> None:  # noqa: A002
        """The market goes through a row now, along the path that the simulator takes inside of bars."""
        with self.lock:
            market = self.market(symbol)
            self._only_in_free_time(market)
            read = market.market.price
            row = (read(open), read(high), read(low), read(close))
            if not row[2] <= min(row[0], row[3]) or not max(row[0], row[3]) <= row[1]:
                raise InvalidMarket(f"row of {symbol}: need low <= open, close <= high, not {open}, {high}, {low}, {close}")
            qty = 0 if volume is None else market.market.qty(volume)
            now = self.now
            market.walk(now, *row, qty)
            for account in self.accounts.values():
                account.walk(market, now, 0, row, qty // market.market.lot_units if qty and self.rules.participation_ppm else -1)
                account.look(now)
            self.sockets.price(market, traded=True)
            self.tick()

    def book(self, symbol: str, bids: Sequence[tuple[str, str]], asks: Sequence[tuple[str, str]]) -> None:
        """A book of prices and quantities, best first, stands there until the next price, and orders take from it."""
        with self.lock:
            market = self.market(symbol)
            self._only_in_free_time(market)
            instrument = market.market
            levels = [tuple((instrument.price(price), instrument.qty(qty)) for price, qty in side) for side in (bids, asks)]
            depth = Depth(self.now, *levels)
            if not depth.bids or not depth.asks or not depth.bids[-1][0] <= market.last <= depth.asks[-1][0]:
                raise InvalidMarket(f"a book of {symbol} needs both sides, around the last price {market.price_text(market.last)}")
            market.show(depth.bids, depth.asks)
            for account in self.accounts.values():
                account.show(market, depth)
            self.sockets.price(market, traded=False)
            self.sockets.flush()

    def _only_in_free_time(self, market: Market) -> None:
        if self._in_step:
            raise InvalidMarket(f"the price of {market.listed.symbol} is its tape's: play it with step()")

    def step(self) -> Step | None:
        """Play the next step of the script: what became of orders first, then the price of its row; None when it is over."""
        with self.lock:
            main, *others = self.accounts.values()
            step = main.step() if self._in_step else None
            if step is None:
                return None
            self._script_now = step.at
            for account in others:
                while step.price and (other := account.step()) is not None and not other.price:
                    pass
            if step.price:
                at, open_, high, low, close, volume = next(self._rows[step.market])
                tape = self._tapes[step.market]
                market = self.markets[tape.instrument.symbol]
                lots = volume * tape.instrument.lot_units if tape.has_volume else 0
                market.walk(at, open_, high, low, close, lots, ends=step.at)
                for account in self.accounts.values():
                    account.look(step.at)
                self.sockets.price(market, traded=True)
            self.sockets.flush()
            return step

    def play(self, steps: int | None = None) -> int:
        """Play so many steps, or all that are left; says how many it were."""
        played = 0
        while (steps is None or played < steps) and self.step() is not None:
            played += 1
        return played

    def history(self, symbol: str, minutes: int, rows: Iterable[Sequence[Any]]) -> None:
        """Candles of before: (time in seconds, open, high, low, close), and if given vwap, volume and count."""
        with self.lock:
            self.market(symbol).remember(minutes, rows)

    # -- behind everybody's back ---------------------------------------------------------------------------------------

    def credit(
        self,
        wallet: str,
        amount: str | Amount,
        *,
        type: str = "adjustment",  # noqa: A002 Kraken's word for it
        subtype: str = "",
        fee: str = "0",
        account: str = "main",
    ) -> str:
        """Coins come to a wallet, or leave it (below zero), as one line of the ledger. Says the line's id."""
        with self.lock:
            of = self.account(account)
            units = of.amount(wallet, amount)
            entry = of.move(wallet, units, self.now, type=type, subtype=subtype, fee=of.amount(wallet, fee).units)
            self.sockets.flush()
            return entry.id

    def deposit(self, wallet: str, amount: str, *, fee: str = "0", account: str = "main") -> str:
        return self.credit(wallet, amount, type="deposit", fee=fee, account=account)

    def withdraw(self, wallet: str, amount: str, *, fee: str = "0", account: str = "main") -> str:
        """Coins leave, and the fee besides."""
        return self.credit(wallet, "-" + amount, type="withdrawal", fee=fee, account=account)

    def reward(self, wallet: str, amount: str, *, fee: str = "0", account: str = "main") -> str:
        """What the coins of a wallet have earned comes to it."""
        return self.credit(wallet, amount, type="earn", subtype="reward", fee=fee, account=account)

    def earn(self, code: str, amount: str, *, account: str = "main") -> None:
        """Kraken moves coins to the wallet that earns by itself, `.F`; below zero: back. Two lines that sum to nothing."""
        with self.lock:
            of = self.account(account)
            of.earn(code, of.amount(code, amount).units, self.now)
            self.sockets.flush()

    def manual(self, symbol: str, side: str, volume: str, price: str | None = None, *, account: str = "main") -> str:
        """The owner trades on Kraken's own site: at market, or at a limit. Says the order's id. Raises `Refused` as AddOrder answers."""
        with self.lock:
            args = {"type": Side(side).value, "ordertype": "market" if price is None else "limit", "price": price, "volume": volume}
            of = self.account(account)
            order = read_order(args, self.market(symbol), self.now, self.ids.make("O")[0])
            of.check(order)
            of.place(order)
            self.sockets.flush()
            return order.txid

    # -- modes and faults ----------------------------------------------------------------------------------------------

    def status(self, mode: str) -> None:
        """How the whole exchange is: online, maintenance, cancel_only or post_only; told on sockets."""
        if mode not in ("online", "maintenance", "cancel_only", "post_only"):
            raise VaultError(f"status {mode!r} is none of online, maintenance, cancel_only, post_only")
        with self.lock:
            self.system = mode
            self.sockets.status()
            self.sockets.flush()

    def pair_status(self, symbol: str, mode: str) -> None:
        """How one pair is: online, cancel_only, post_only, limit_only or reduce_only; told on sockets."""
        if mode not in ("online", "cancel_only", "post_only", "limit_only", "reduce_only"):
            raise VaultError(f"pair status {mode!r} is none of online, cancel_only, post_only, limit_only, reduce_only")
        with self.lock:
            market = self.market(symbol)
            market.status = mode
            self.sockets.instrument(market)
            self.sockets.flush()

    def fault(self, method: str, fault: Fault | str, *, times: int = 1) -> None:
        """The next calls of a method ("*": of any) meet a fault, one each; text is an error that is answered.

        Raises `VaultError` for a method that no call can have, for less than one time, and for text that is no error.
        """
        if method not in ("*", *PUBLIC, *PERMISSIONS, *_NOT_HERE):
            raise VaultError(f"a fault of {method!r} would never strike: no endpoint is called so")
        if isinstance(times, bool) or times < 1:
            raise VaultError(f"a fault strikes at least once, not {times!r} times")
        if isinstance(fault, str) and not fault.startswith(("E", "W")):
            raise VaultError(f"{fault!r} is no error of Kraken's: those begin with E and a category, EOrder:Insufficient funds")
        with self.lock:
            self.faults.add(method, fault, times)

    def post_only_cancels(self, yes: bool = True) -> None:
        """Whether a post-only order that would take is accepted and canceled at once, instead of being refused."""
        with self.lock:
            for account in self.accounts.values():
                account.post_only_cancels = yes

    def delay_ledger(self, seconds: float | None, *, account: str = "main") -> None:
        """Ledgers shows lines from now on so much later; None: shows them all at once again. Balances are not late."""
        with self.lock:
            of = self.account(account)
            of.ledger_delay = 0.0 if seconds is None else seconds
            for entry in of.ledger.values() if seconds is None else ():
                entry.shown_at = 0.0

    def drop_sockets(self, *, private: bool = True, public: bool = True) -> None:
        """Cut every socket that is open, without a word."""
        with self.lock:
            self.sockets.drop(private=private, public=public)

    def repeat_reports(self, n: int = 1) -> None:
        """The next reports of the executions channel are sent twice, each time with a sequence of its own."""
        with self.lock:
            self.sockets.repeat = n

    def lose_reports(self, n: int = 1) -> None:
        """The next reports of the executions channel are never sent; their sequence is used up."""
        with self.lock:
            self.sockets.lose = n

    def skip_sequence(self, n: int = 1) -> None:
        """The sequence of every private channel jumps."""
        with self.lock:
            self.sockets.skip(n)

    # -- what there is -------------------------------------------------------------------------------------------------

    def balances(self, account: str = "main") -> dict[str, Decimal]:
        """What each wallet holds, by its usual name: ETH, ETH.F."""
        with self.lock:
            return {wallet_name(asset, earns): Amount(units, asset).decimal for asset, earns, units, _ in self.account(account).wallets()}

    def orders(self, account: str = "main") -> dict[str, dict[str, Any]]:
        """Every order, as QueryOrders tells it."""
        with self.lock:
            return {txid: order.info(trades=True) for txid, order in self.account(account).orders.items()}

    def trades(self, account: str = "main") -> dict[str, dict[str, Any]]:
        """Every trade, as TradesHistory tells it."""
        with self.lock:
            return {trade.id: trade.info() for trade in self.account(account).trades.values()}

    def ledger(self, account: str = "main") -> dict[str, dict[str, Any]]:
        """Every line of the ledger, as Ledgers tells it."""
        with self.lock:
            return {entry.id: entry.info() for entry in self.account(account).ledger.values()}

    # -- tapes ---------------------------------------------------------------------------------------------------------

    def _tapes_of_markets(self) -> list[Tape]:
        """A tape for each market: the one to be played, counted as this exchange counts; else one row of its first price."""
        given = {tape.instrument.symbol: tape for tape in self._tapes_given}
        tapes = []
        for one in self.listing.pairs.values():
            tape = given.pop(one.symbol, None)
            if tape is None and self._in_step:
                raise InvalidMarket(f"{one.symbol} is listed and no tape is of it")
            price = [one.market.price_text(one.begins)]
            if tape is None:
                columns: dict[str, Any] = dict.fromkeys(("open", "high", "low", "close"), price)
                tapes.append(Tape.from_columns(one.market, ts=[self.clock()], interval=SECOND, **columns))
            else:
                tapes.append(_recounted(tape, one.market))
        if given:
            raise InvalidMarket(f"there are tapes of {', '.join(given)}, which is not listed")
        return tapes


def _tapes_of(script: Script | Tape | Sequence[Tape] | None) -> list[Tape]:
    if script is None:
        return []
    if isinstance(script, Script):
        return [Tape.from_columns(script.instrument, **script.columns())]
    return [script] if isinstance(script, Tape) else list(script)


def _recounted(tape: Tape, market: Instrument) -> Tape:
    """The rows of a tape, of an instrument that counts its coins in other decimals."""
    old = tape.instrument
    columns: dict[str, Any] = {what: [old.price_text(price) for price in getattr(tape, what)] for what in ("open", "high", "low", "close")}
    if tape.has_volume:
        columns["volume"] = [old.qty_text(volume * old.lot_units) for volume in tape.volume]
    return Tape.from_columns(market, ts=list(tape.at), interval=tape.interval, name=tape.name, **columns)
