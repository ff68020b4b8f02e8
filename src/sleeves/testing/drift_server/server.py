"""A local exchange on a local chain: what users ask of it over JSON-RPC, and what keepers, oracles, time and the owner's other hand do.

Every change of an account is a transaction that can be found again, but for one: feeds that say the same price again, as they do all the
time, are written without one. It knows no driver.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from ...errors import InvalidMarket
from ...venues.drift.deployment import VELOCITY, Deployment, Feature
from ...venues.drift.words import MarketStatus, name_bytes
from ..solana_server import Chain, Fault, Landing, SolanaServer
from ..solana_server.layout import COMPUTE_BUDGET, SYSTEM, TOKEN, ata
from .fields import Fields
from .orders import bid_ask
from .program import Program, discriminator
from .proof import Proof, prove
from .spot import new_twap, signed
from .words import status_number
from .world import Coin, Perp, build, oracle_fields, reserves, units

__all__ = ["Clock", "DriftServer", "drift_server"]

SECOND = 10**9
SLOT_NS = 400_000_000
_LOADER = Pubkey.from_string("BPFLoaderUpgradeab1e11111111111111111111111")
_RENT = Pubkey.from_string("SysvarRent111111111111111111111111111111111")


class Clock:
    """The time of day, and what was skipped of it. UTC nanoseconds."""

    def __init__(self) -> None:
        self.skipped = 0

    def __call__(self) -> int:
        return time.time_ns() + self.skipped


class DriftServer:
    """A deployment with markets, on a chain of its own, served by a node.

    `url` is where, once `start` was called; `node` takes faults, `chain` is what it stands on. Markets are named; sub-accounts are given
    by their addresses (`user`). Amounts are the program's: base 1e-9, quote and prices 1e-6, coins in their own units. Methods that act
    return the transaction that did it, and raise `ChainError` where the program refuses.
    """

    def __init__(
        self,
        deployment: Deployment = VELOCITY,
        *,
        perps: Sequence[Perp] = (Perp("SOL-PERP"),),
        coins: Sequence[Coin] = (),
        slot_ns: int = 0,
        seed: str = "sleeves",
    ) -> None:
        self.deployment = deployment
        self.clock = Clock()
        self.chain = Chain(slot_ns=slot_ns, clock=self.clock, seed=seed)
        self.node = SolanaServer(self.chain)
        self.program = Program(self.chain, deployment)
        self.perps = tuple(perps)
        self.coins = tuple(coins)
        self._serial = 0
        self._stalled: set[str] = set()
        mints, self.oracles = build(self.chain, deployment, list(coins), list(perps), self.now)
        self.mints = tuple(mints)
        self.admin, self.keeper, self.crowd = (Keypair.from_seed(bytes([number]) * 32) for number in (101, 102, 103))
        for key in (self.admin, self.keeper, self.crowd):
            self.chain.airdrop(key.pubkey(), 1_000 * SECOND)
        self.program.admin = self.admin.pubkey()
        self._deploy()
        self.program.depositors.add(str(self.keeper.pubkey()))
        for key in (self.keeper, self.crowd):
            self.mint(key.pubkey(), 10_000_000 * 10**6)
            self.open(key, 0)
            self.deposit(key, 0, 5_000_000 * 10**6)

    def _deploy(self) -> None:
        """The loader's two accounts of the program, with nothing in the second but who may change it: there is no binary of it here."""
        program = Pubkey.from_string(self.deployment.program_id)
        code = Pubkey.find_program_address([bytes(program)], _LOADER)[0]
        head = (3).to_bytes(4, "little") + self.chain.slot.to_bytes(8, "little") + b"\1" + bytes(self.admin.pubkey())
        self.chain.set_account(program, owner=_LOADER, data=(2).to_bytes(4, "little") + bytes(code))
        self.chain.set_account(code, owner=_LOADER, data=head)

    # -- being served ---------------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return self.node.url

    def start(self) -> str:
        """Listen on a free port of this machine, and say where."""
        return self.node.start()

    def stop(self) -> None:
        """Cut what is under way and stop."""
        self.node.stop()

    # -- looking --------------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> int:
        """Seconds of the chain's clock."""
        return self.clock() // SECOND

    def user(self, authority: Pubkey | str, sub: int = 0) -> str:
        """The address of a sub-account."""
        return self.deployment.user(str(authority), sub)

    def look(self, kind: str, address: str) -> Fields:
        """An account as it is now, by the program's names of its fields. `InvalidMarket` where there is none."""
        state = self.chain.account(Pubkey.from_string(address))
        if state is None:
            raise InvalidMarket(f"there is no {kind} at {address}")
        return Fields(kind, address, self.deployment.codec(kind).decode(state.data))

    def perp(self, name: str) -> Fields:
        """A perpetual's account."""
        return self.look("PerpMarket", self.deployment.perp_market(self.index(name)))

    def coin(self, name: str) -> Fields:
        """A coin's account."""
        names = [self.deployment.quote.asset.code, *(coin.name for coin in self.coins)]
        return self.look("SpotMarket", self.deployment.spot_market(names.index(name)))

    def index(self, name: str) -> int:
        """The number of a perpetual. `InvalidMarket` for a name that is none."""
        for number, perp in enumerate(self.perps):
            if perp.name == name:
                return number
        raise InvalidMarket(f"there is no market {name!r}: {', '.join(perp.name for perp in self.perps)}")

    def balance(self, user: str, market: int = 0) -> int:
        """A sub-account's coins in their units, below zero when borrowed, by the indices of the last update."""
        home = self.look("SpotMarket", self.deployment.spot_market(market))
        places = self.look("User", user)["spot_positions"]
        held = places[:1] if market == 0 else [one for one in places[1:] if one["market_index"] == market]
        return sum(signed(home, place) for place in held)

    def position(self, user: str, name: str) -> Mapping[str, Any]:
        """A sub-account's position in a market; `InvalidMarket` where it has none."""
        index = self.index(name)
        for place in self.look("User", user)["perp_positions"]:
            if place["market_index"] == index and (place["base_asset_amount"] or place["quote_asset_amount"] or place["open_orders"]):
                return dict(place)
        raise InvalidMarket(f"{user} has no position in {name}")

    def orders(self, user: str) -> list[Mapping[str, Any]]:
        """The open orders of a sub-account."""
        return [dict(one) for one in self.look("User", user)["orders"] if one["status"] == 1]

    def users(self) -> list[str]:
        """The addresses of all sub-accounts."""
        mark = self.deployment.layout("User").discriminator
        owned = self.chain.accounts_of(Pubkey.from_string(self.deployment.program_id))
        return [str(address) for address, state in owned if state.data[:8] == mark]

    def bid_ask(self, name: str) -> tuple[int, int]:
        """What the market itself bids and asks."""
        return bid_ask(self.perp(name))

    def check(self) -> Proof:
        """Prove that nothing was made or lost: vaults against balances, users against markets, to the unit. Raises `LedgerError`."""
        return prove(self.chain, self.deployment, [self.look("User", one) for one in self.users()], len(self.coins) + 1, len(self.perps))

    # -- time and prices ------------------------------------------------------------------------------------------------------

    def advance(self, slots: int = 1) -> None:
        """Let slots pass, with the time that they take; feeds go on, but for those that stall."""
        self.clock.skipped += slots * SLOT_NS
        self.chain.advance(slots)
        self.publish()

    def pass_time(self, seconds: int) -> None:
        """Let seconds pass, and the slots of that time."""
        self.advance(-(-seconds * SECOND // SLOT_NS))

    def publish(self) -> None:
        """Every feed that does not stall says its price again, of this slot."""
        for name, address in self.oracles.items():
            state = self.chain.account(Pubkey.from_string(address))
            if name in self._stalled or state is None or address == str(SYSTEM):
                continue
            fields = Fields("PythLazerOracle", address, self.deployment.codec("PythLazerOracle").decode(state.data))
            fields.all({"posted_slot": self.chain.slot, "publish_time": self.now * 10**6})
            self.chain.set_account(Pubkey.from_string(address), owner=state.owner, data=self._bytes(fields))

    def stall(self, name: str) -> None:
        """A market's feed says nothing any more, until `price` is called for it."""
        self._stalled.add(name)

    def price(self, name: str, price: str) -> Landing:
        """A feed says another price; the market's own quotes follow it, and its averages."""
        value, address = units(price), self.oracles[name]
        self._stalled.discard(name)
        changed = [oracle_fields(self.deployment, address, value, self.chain.slot, self.now)]
        for index, perp in enumerate(self.perps):
            if self.oracles[perp.name] != address:
                continue
            market = self.look("PerpMarket", self.deployment.perp_market(index))
            at = market["last_oracle_price_twap_ts"]
            for twap, window in (("last_oracle_price_twap", perp.funding_period), ("last_oracle_price_twap_5min", 300)):
                market[twap] = new_twap(value, self.now, market[twap], at, window)
            market.all({"last_oracle_price": value, "last_oracle_price_twap_ts": self.now, **reserves(value, perp.spread_ppm)})
            changed.append(market)
        return self._write(changed)

    def set(self, kind: str, address: str, **values: Any) -> Landing:
        """An admin writes fields of an account, by the program's names."""
        fields = self.look(kind, address)
        for name, value in values.items():
            fields[name] = value
        return self._write([fields])

    def status(self, name: str, status: MarketStatus) -> Landing:
        """An admin changes what a market allows."""
        return self.set("PerpMarket", self.deployment.perp_market(self.index(name)), status=status_number(self.deployment, status))

    def pause(self, bits: int) -> Landing:
        """An admin pauses what the bits of State.exchange_status say; 0 resumes all."""
        return self.set("State", self.deployment.state(), exchange_status=bits)

    # -- the owner's other hand, and others -----------------------------------------------------------------------------------

    def wallet(self, quote: int = 0, sol: int = 10) -> Keypair:
        """A new wallet with quote units in its token account, and SOL."""
        self._serial += 1
        key = Keypair.from_seed(self._serial.to_bytes(32, "little"))
        self.chain.airdrop(key.pubkey(), sol * SECOND)
        self.mint(key.pubkey(), quote)
        return key

    def mint(self, owner: Pubkey, amount: int, market: int = 0) -> Pubkey:
        """Coins out of nowhere into a wallet's token account, whose address is returned."""
        return self.chain.mint_to(self.mints[market], owner, amount)

    def open(self, key: Keypair, sub: int = 0, name: str = "Main Account") -> Landing:
        """An owner opens a sub-account."""
        owner, stats = str(key.pubkey()), self.deployment.user_stats(str(key.pubkey()))
        made = []
        rest = [(owner, "s"), (owner, "sw"), (str(_RENT), ""), (str(SYSTEM), "")]
        if self.chain.account(Pubkey.from_string(stats)) is None:
            made.append(self._ask("initialize_user_stats", b"", [(stats, "w"), (self.deployment.state(), "w"), *rest]))
        named = [(self.user(owner, sub), "w"), (stats, "w"), (self.deployment.state(), "w"), *rest]
        made.append(self._ask("initialize_user", sub.to_bytes(2, "little") + name_bytes(name), named))
        return self.send(made, key)

    def deposit(self, key: Keypair, sub: int, amount: int, market: int = 0, *, authority: Pubkey | None = None) -> Landing:
        """A deposit out of the signer's token account; into another's sub-account where `authority` says so, as the keeper may."""
        owner = str(authority or key.pubkey())
        user = self.user(owner, sub)
        named = [
            (self.deployment.state(), ""),
            (user, "w"),
            (self.deployment.user_stats(owner), "w"),
            (str(key.pubkey()), "s"),
            (self.deployment.spot_vault(market), "w"),
            (str(ata(key.pubkey(), self.mints[market])), "w"),
            (str(TOKEN), ""),
            *self.remaining([user], spots=[market]),
        ]
        data = market.to_bytes(2, "little") + amount.to_bytes(8, "little") + b"\0"
        return self.send([self._ask("deposit", data, named)], key)

    def gift(self, authority: Pubkey, sub: int, amount: int) -> Landing:
        """Somebody else deposits into a sub-account."""
        return self.deposit(self.keeper, sub, amount, authority=authority)

    def withdraw(self, key: Keypair, sub: int, amount: int, market: int = 0, *, reduce_only: bool = True) -> Landing:
        """An owner withdraws by hand; without `reduce_only` it may become a debt."""
        owner, user = str(key.pubkey()), self.user(key.pubkey(), sub)
        named = [
            (self.deployment.state(), ""),
            (user, "w"),
            (self.deployment.user_stats(owner), "w"),
            (owner, "s"),
            (self.deployment.spot_vault(market), "w"),
            (self.deployment.signer(), ""),
            (str(self.mint(key.pubkey(), 0, market)), "w"),
            (str(TOKEN), ""),
            *self.remaining([user], spots=[market]),
        ]
        data = market.to_bytes(2, "little") + amount.to_bytes(8, "little") + bytes([reduce_only])
        return self.send([self._ask("withdraw", data, named)], key)

    def order(
        self,
        key: Keypair,
        sub: int,
        name: str,
        base: int,
        price: int = 0,
        *,
        long: bool,
        post_only: bool = False,
        reduce_only: bool = False,
        expires: int | None = None,
    ) -> int:
        """An owner places an order by hand: a limit order, or without a price a market order. Its number."""
        user = self.user(key.pubkey(), sub)
        number = self.look("User", user)["next_order_id"]
        index = self.index(name)
        head = bytes([1 if price else 0, 1, int(not long), 0]) + base.to_bytes(8, "little") + price.to_bytes(8, "little")
        middle = index.to_bytes(2, "little") + bytes([reduce_only, post_only, 0])
        until = b"\0" if expires is None else b"\1" + expires.to_bytes(8, "little")
        tail = bytes(6) + (bytes(2) if self.deployment.has(Feature.BUILDER_OPTIONS) else b"")
        named = [(self.deployment.state(), ""), (user, "w"), (str(key.pubkey()), "s"), *self.remaining([user], perps=[index])]
        self.send([self._ask("place_perp_order", head + middle + until + tail, named)], key)
        return int(number)

    def cancel(self, key: Keypair, sub: int, order_id: int) -> Landing:
        """An owner cancels by hand."""
        user = self.user(key.pubkey(), sub)
        named = [(self.deployment.state(), ""), (user, "w"), (str(key.pubkey()), "s"), *self.remaining([user])]
        return self.send([self._ask("cancel_order", b"\1" + order_id.to_bytes(4, "little"), named)], key)

    # -- keepers --------------------------------------------------------------------------------------------------------------

    def fill(self, user: str, order_id: int, base: int | None = None, price: int | None = None) -> Landing:
        """A keeper fills an order, whole or `base` of it, at a price or at what the market quotes.

        A post-only order is filled by somebody who comes and takes it, at its own price; any other against the market itself.
        """
        order = self._order(user, order_id)
        name = self.perps[order["market_index"]].name
        left = order["base_asset_amount"] - order["base_asset_amount_filled"]
        amount = left if base is None else base
        if order["post_only"]:
            limit = order["price"] if price is None else price
            taker = self.order(self.crowd, 0, name, amount, limit, long=bool(order["direction"]))
            return self._fill(self.user(self.crowd.pubkey()), taker, amount, limit, maker=(user, order_id))
        bid, ask = self.bid_ask(name)
        quoted = ask if not order["direction"] else bid
        return self._fill(user, order_id, amount, quoted if price is None else price)

    def _order(self, user: str, order_id: int) -> Mapping[str, Any]:
        for one in self.orders(user):
            if one["order_id"] == order_id:
                return one
        raise InvalidMarket(f"{user} has no open order {order_id}")

    def _fill(self, user: str, order_id: int, base: int, price: int, maker: tuple[str, int] | None = None) -> Landing:
        mine = self.user(self.keeper.pubkey())
        owner = self.look("User", user)["authority"]
        named = [
            (self.deployment.state(), ""),
            (str(self.keeper.pubkey()), "s"),
            (mine, "w"),
            (self.deployment.user_stats(str(self.keeper.pubkey())), "w"),
            (user, "w"),
            (self.deployment.user_stats(owner), "w"),
        ]
        data = b"\1" + order_id.to_bytes(4, "little") + b"\0"
        index = self._order(user, order_id)["market_index"]
        users = [user, mine]
        if maker is not None:
            named += [(maker[0], "w"), (self.deployment.user_stats(self.look("User", maker[0])["authority"]), "w")]
            data = data[:-1] + b"\1" + maker[1].to_bytes(4, "little")
            users.append(maker[0])
        data += base.to_bytes(8, "little") + price.to_bytes(8, "little")
        return self.send([self._ask("fill_perp_order", data, [*named, *self.remaining(users, perps=[index])])], self.keeper)

    def match(self) -> list[Landing]:
        """Keepers fill all orders that can be, at what the markets quote, and cancel those that are past their time."""
        done = []
        mine = {self.user(self.keeper.pubkey()), self.user(self.crowd.pubkey())}
        for user in self.users():
            for order in self.orders(user) if user not in mine else []:
                if order["max_ts"] and self.now > order["max_ts"]:
                    done.append(self._fill(user, order["order_id"], order["base_asset_amount"], 1))
                    continue
                bid, ask = self.bid_ask(self.perps[order["market_index"]].name)
                limit = order["price"] or order["auction_end_price"]
                if not limit or (ask <= limit if not order["direction"] else bid >= limit):
                    done.append(self.fill(user, order["order_id"]))
        return done

    def fund(self, name: str, rate: int | None = None) -> Landing:
        """The hour's funding of a market, which must be due: at a rate (1e-9 quote coins per coin), or by its averages."""
        index = self.index(name)
        market = self.perp(name)
        told = b"\0" if rate is None else b"\1" + rate.to_bytes(8, "little", signed=True)
        named = [(self.deployment.state(), ""), (market.address, "w"), (market["oracle"], "")]
        return self.send([self._ask("update_funding_rate", index.to_bytes(2, "little") + told, named)], self.keeper)

    def accrue(self, market: int = 0) -> Landing:
        """The interest of a coin, up to now."""
        coin = self.look("SpotMarket", self.deployment.spot_market(market))
        named = [(self.deployment.state(), ""), (coin.address, "w"), (coin["oracle"], ""), (coin["vault"], "")]
        return self.send([self._ask("update_spot_market_cumulative_interest", b"", named)], self.keeper)

    def settle(self, user: str, name: str, key: Keypair | None = None) -> Landing:
        """Settle a position's profit or loss: the keeper, or who holds the key."""
        by = key or self.keeper
        index = self.index(name)
        named = [(self.deployment.state(), ""), (user, "w"), (str(by.pubkey()), "s"), (self.deployment.spot_vault(0), "")]
        data = index.to_bytes(2, "little")
        return self.send([self._ask("settle_pnl", data, [*named, *self.remaining([user], perps=[index])])], by)

    def liquidate(self, user: str, name: str, base: int | None = None) -> Landing:
        """The keeper takes a position over, as much of it as he may or `base`."""
        index = self.index(name)
        most = (1 << 64) - 1 if base is None else base
        data = index.to_bytes(2, "little") + most.to_bytes(8, "little") + b"\0"
        return self._against("liquidate_perp", data, user, index)

    def liquidate_pnl(self, user: str, name: str, market: int = 0) -> Landing:
        """The keeper takes a closed position's loss over, for a deposit."""
        index = self.index(name)
        data = index.to_bytes(2, "little") + market.to_bytes(2, "little") + ((1 << 128) - 1).to_bytes(16, "little") + b"\0"
        return self._against("liquidate_perp_pnl_for_deposit", data, user, index, spot=market)

    def bankrupt(self, user: str, name: str) -> Landing:
        """The loss of a bankrupt position is spread over all who hold the market."""
        index = self.index(name)
        more = [
            (self.deployment.spot_vault(0), "w"),
            (self.deployment.insurance_vault(0), "w"),
            (self.deployment.signer(), ""),
            (str(TOKEN), ""),
        ]
        return self._against("resolve_perp_bankruptcy", bytes(2) + index.to_bytes(2, "little"), user, index, more=more)

    def _against(self, word: str, data: bytes, user: str, index: int, *, spot: int = 0, more: Sequence[tuple[str, str]] = ()) -> Landing:
        key = str(self.keeper.pubkey())
        mine = self.user(key)
        named = [
            (self.deployment.state(), ""),
            (key, "s"),
            (mine, "w"),
            (self.deployment.user_stats(key), "w"),
            (user, "w"),
            (self.deployment.user_stats(self.look("User", user)["authority"]), "w"),
            *more,
            *self.remaining([user, mine], spots=[spot], perps=[index]),
        ]
        return self.send([self._ask(word, data, named)], self.keeper)

    # -- faults ---------------------------------------------------------------------------------------------------------------

    def fails(self, number: int = 6003, times: int = 1) -> None:
        """Have the next calls of the program fail with that error, in a simulation too."""
        self.program.next_failure += [number] * times

    def cut_logs(self, times: int = 1, keep: int = 2) -> None:
        """Have the next answers to getTransaction show the log cut short, as nodes do."""

        def cut(result: Any) -> Any:
            if result is not None:
                result["meta"]["logMessages"] = [*result["meta"]["logMessages"][:keep], "Log truncated"]
            return result

        self.node.fault("getTransaction", Fault.replaced(cut), times)

    # -- how it is sent -------------------------------------------------------------------------------------------------------

    def remaining(self, users: Iterable[str], *, spots: Iterable[int] = (), perps: Iterable[int] = ()) -> list[tuple[str, str]]:
        """The oracles, coins and perpetuals that these sub-accounts stand in, and those named."""
        coins, markets = {0, *spots}, set(perps)
        for address in users:
            if self.chain.account(Pubkey.from_string(address)) is None:
                continue
            user = self.look("User", address)
            coins |= {one["market_index"] for one in user["spot_positions"] if one["scaled_balance"] or one["open_orders"]}
            markets |= {
                one["market_index"]
                for one in user["perp_positions"]
                if one["base_asset_amount"] or one["quote_asset_amount"] or one["open_orders"]
            }
        homes = [self.look("SpotMarket", self.deployment.spot_market(index)) for index in sorted(coins)]
        others = [self.look("PerpMarket", self.deployment.perp_market(index)) for index in sorted(markets)]
        feeds = dict.fromkeys(one["oracle"] for one in [*homes, *others] if one["oracle"] != str(SYSTEM))
        return [*((feed, "") for feed in feeds), *((one.address, "w") for one in [*homes, *others])]

    def _ask(self, word: str, data: bytes, accounts: Iterable[tuple[str, str]]) -> Instruction:
        metas = [AccountMeta(Pubkey.from_string(key), "s" in how, "w" in how) for key, how in accounts]
        return Instruction(Pubkey.from_string(self.deployment.program_id), discriminator(word) + data, metas)

    def send(self, instructions: Sequence[Instruction], key: Keypair) -> Landing:
        """Sign and send a transaction, as any wallet would. Raises `ChainError` where it is refused."""
        self._serial += 1
        lead = [
            Instruction(COMPUTE_BUDGET, b"\2" + (1_400_000).to_bytes(4, "little"), []),
            Instruction(COMPUTE_BUDGET, b"\3" + self._serial.to_bytes(8, "little"), []),
        ]
        blockhash, _ = self.chain.blockhash()
        message = MessageV0.try_compile(key.pubkey(), [*lead, *instructions], [], blockhash)
        signature = self.chain.send(bytes(VersionedTransaction(message, [key])))
        landing = self.chain.landing(signature)
        assert landing is not None
        return landing

    def _bytes(self, fields: Fields) -> bytes:
        return self.deployment.codec(fields.kind).encode(fields.record)

    def _write(self, changed: Sequence[Fields]) -> Landing:
        """Write accounts as they are to be, by the stand-in's admin."""
        made = []
        for fields in changed:
            state = self.chain.account(Pubkey.from_string(fields.address))
            assert state is not None
            for at, data in _parts(state.data, self._bytes(fields)):
                named = [(str(self.admin.pubkey()), "s"), (fields.address, "w")]
                made.append(self._ask("stand_in_write", at.to_bytes(4, "little") + data, named))
        return self.send(made, self.admin)


def _parts(before: bytes, after: bytes) -> list[tuple[int, bytes]]:
    """Where two versions of an account differ, and what is there then; places that lie close together as one."""
    places = [at for at, (old, new) in enumerate(zip(before, after, strict=False)) if old != new]
    runs: list[list[int]] = []
    for at in places:
        if runs and at - runs[-1][1] < 16:
            runs[-1][1] = at
        else:
            runs.append([at, at])
    return [(first, after[first : last + 1]) for first, last in runs]


@contextmanager
def drift_server(deployment: Deployment = VELOCITY, **terms: Any) -> Iterator[DriftServer]:
    """A local exchange, served as long as the block runs; `terms` as of `DriftServer`."""
    server = DriftServer(deployment, **terms)
    server.start()
    try:
        yield server
    finally:
        server.stop()
