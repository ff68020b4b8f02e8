"""The stand-in for the program itself: what each instruction does to accounts, told as the program tells it.

It is given to a local chain (`Chain.program`), which hands it one call after the other and carries out the token and System calls that it
answers with. Instructions of users are the program's own bytes; those of keepers have the program's discriminators and accounts, and a
tail of this stand-in's own that says at which price and how much.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from hashlib import sha256

from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from ...errors import SleevesError
from ...margin import Check, max_withdrawable
from ...venues.drift.deployment import Deployment, Feature
from ...venues.drift.events import Deposited, DepositReason, SpotInterest, UserCreated, UserDeleted
from ...venues.drift.words import name_text
from ..solana_server import Call, Chain, ProgramError
from ..solana_server.layout import SYSTEM, TOKEN, read_token
from .fields import Fields
from .frame import Frame
from .keepers import fill_order, keeper_funding, liquidate, liquidate_pnl, resolve_bankruptcy
from .orders import cancel, cancel_many, open_order, place_many, read_params
from .perp import fund, settle
from .reading import Reader
from .refusing import fail, require
from .spot import accrue, balance_of, borrows, change, deposits, signed, spot_position, with_limits
from .standing import account_of, meets, must_be_fresh, must_meet, stale_prices
from .words import active, initialized, reduce_only

__all__ = ["Program", "discriminator"]

UNITS: Mapping[str, int] = {
    "initialize_user_stats": 12_000,
    "initialize_user": 22_000,
    "deposit": 52_000,
    "withdraw": 78_000,
    "transfer_deposit": 74_000,
    "place_perp_order": 62_000,
    "place_orders": 95_000,
    "cancel_order": 32_000,
    "cancel_order_by_user_id": 32_000,
    "cancel_orders": 48_000,
    "settle_pnl": 84_000,
    "update_user_delegate": 6_000,
    "update_spot_market_cumulative_interest": 26_000,
    "refresh_spot_market_interest": 30_000,
    "delete_user": 9_000,
    "fill_perp_order": 140_000,
    "update_funding_rate": 60_000,
    "liquidate_perp": 170_000,
    "liquidate_perp_pnl_for_deposit": 150_000,
    "resolve_perp_bankruptcy": 120_000,
    "stand_in_write": 2_000,
}
"""Compute units of each instruction: in the order of the real ones, without their change by how many accounts are touched."""


def discriminator(name: str) -> bytes:
    """The first eight bytes of an instruction's data, as Anchor derives them from its name."""
    return sha256(f"global:{name}".encode()).digest()[:8]


class Program:
    """One deployment's program on a chain. Making it registers it there. `depositors` may deposit for others."""

    def __init__(self, chain: Chain, deployment: Deployment) -> None:
        self.chain = chain
        self.deployment = deployment
        self.admin: Pubkey | None = None
        """Who may use `stand_in_write`."""
        self.depositors: set[str] = set()
        self.next_failure: list[int] = []
        """Error numbers with which the next calls of the program fail, one each, whatever they are."""
        self._by_mark: dict[bytes, tuple[str, Callable[[Frame, Reader], list[Instruction]]]] = {
            discriminator(name): (name, getattr(self, f"_{name}")) for name in UNITS
        }
        chain.program(Pubkey.from_string(deployment.program_id), self.run)

    def run(self, call: Call) -> list[Instruction]:
        """One call: what it changes, and the calls that it makes."""
        found = self._by_mark.get(call.data[:8])
        if found is None:
            fail("InstructionFallbackNotFound")
        name, act = found
        call.log(f"Instruction: {''.join(word.capitalize() for word in name.split('_'))}")
        call.units = UNITS[name]
        if self.next_failure:
            number = self.next_failure.pop(0)
            raise ProgramError(number, f"AnchorError occurred. Error Number: {number}. made to fail")
        frame = Frame(call, self.deployment, self.chain.now // 10**9, self.chain.slot)
        try:
            made = act(frame, Reader(call.data[8:]))
            frame.done()
        except ProgramError:
            raise
        except SleevesError as error:
            raise ProgramError("ProgramFailedToComplete", f"panicked: {error}") from error
        return made

    # -- what many do ---------------------------------------------------------------------------------------------------------

    def _interest(self, frame: Frame, market: Fields, price: int | None) -> None:
        if accrue(market, frame.now, price):
            frame.tell(
                SpotInterest(
                    at=frame.now,
                    market=market["market_index"],
                    deposits=market["deposit_balance"],
                    deposit_index=market["cumulative_deposit_interest"],
                    borrows=market["borrow_balance"],
                    borrow_index=market["cumulative_borrow_interest"],
                    optimal_utilization=market["optimal_utilization"],
                    optimal_rate=market["optimal_borrow_rate"],
                    max_rate=market["max_borrow_rate"],
                )
            )

    def _signs_for(self, user: Fields, key: str) -> None:
        require(key in (user["authority"], user["delegate"]), "ConstraintRaw", "user")

    def _owns(self, account: Fields, key: str) -> None:
        require(account["authority"] == key, "ConstraintHasOne", account.kind)

    def _same_authority(self, user: Fields, stats: Fields) -> None:
        require(user["authority"] == stats["authority"], "ConstraintRaw", "user_stats")

    def _vault(self, market: Fields, address: str) -> None:
        require(address == self.deployment.spot_vault(market["market_index"]), "ConstraintSeeds", "spot_market_vault")

    def _token_account(self, frame: Frame, address: str, market: Fields, owner: str | None) -> None:
        state = frame.call.account(Pubkey.from_string(address))
        read = state and read_token(state.owner, state.data)
        if not read:
            fail("AccountNotInitialized", "user_token_account")
        require(str(read.mint) == market["mint"], "ConstraintRaw", "user_token_account")
        require(owner is None or str(read.owner) == owner, "ConstraintTokenOwner", "user_token_account")

    def _record(
        self,
        frame: Frame,
        user: Fields,
        market: Fields,
        amount: int,
        *,
        withdrawn: bool,
        reason: DepositReason = DepositReason.NONE,
        other: str | None = None,
        signer: str | None = None,
    ) -> None:
        number = market["next_deposit_record_id"]
        market["next_deposit_record_id"] = number + 1
        place = spot_position(user, market["market_index"])
        frame.tell(
            Deposited(
                at=frame.now,
                authority=user["authority"],
                user=user.address,
                withdrawn=withdrawn,
                id=number,
                amount=amount,
                market=market["market_index"],
                oracle_price=frame.price(market).price,
                market_deposits=market["deposit_balance"],
                market_borrows=market["borrow_balance"],
                deposit_index=market["cumulative_deposit_interest"],
                borrow_index=market["cumulative_borrow_interest"],
                total_deposits=user["total_deposits"],
                total_withdraws=user["total_withdraws"],
                reason=reason,
                other=other,
                signer=signer,
                after=signed(market, place) if place else 0,
            )
        )

    def _paused(self, frame: Frame, bit: int) -> None:
        require(not frame.state["exchange_status"] & bit, "ExchangePaused")

    def _may_leave(self, frame: Frame, user: Fields) -> None:
        """The margin test of what leaves: initial, strict, and where anything is owed with prices that are not stale."""
        account = account_of(frame, user)
        owes = any(coin.units < 0 for coin in account.coins) or any(one.base or one.quote < 0 or one.orders for one in account.contracts)
        require(not owes or not stale_prices(frame, user), "InvalidOracle", "an oracle is invalid")
        must_be_fresh(frame, user)
        must_meet(frame, user, Check.INITIAL, strict=True, doing="User attempting to withdraw where")
        if user["status"] & 1:
            user["status"] &= ~1
        user["last_active_slot"] = frame.slot
        user["idle"] = 0

    # -- accounts -------------------------------------------------------------------------------------------------------------

    def _create(self, frame: Frame, kind: str, address: str, payer: str, *seeds: bytes) -> tuple[Fields, Instruction]:
        """A new account of the program, and the System program's call that pays for it."""
        made = frame.call.sign(*seeds)
        require(str(made) == address, "ConstraintSeeds", kind)
        size = self.deployment.layout(kind).size
        rent = self.chain.rent(size)
        fields = frame.make(kind, address, rent)
        data = struct.pack("<IQQ", 0, rent, size) + bytes(Pubkey.from_string(self.deployment.program_id))
        metas = [AccountMeta(Pubkey.from_string(payer), True, True), AccountMeta(made, True, True)]
        return fields, Instruction(SYSTEM, data, metas)

    def _initialize_user_stats(self, frame: Frame, read: Reader) -> list[Instruction]:  # noqa: ARG002 as the others
        at = frame.named("user_stats!", "state!", "authority@", "payer!@", "rent", "system_program")
        state = frame.open(at["state"])
        stats, made = self._create(frame, "UserStats", at["user_stats"], at["payer"], b"user_stats", _key(at["authority"]))
        stats.all(
            {
                "authority": at["authority"],
                "referrer": str(Pubkey.default()),
                "last_taker_volume_30d_ts": frame.now,
                "last_maker_volume_30d_ts": frame.now,
                "last_filler_volume_30d_ts": frame.now,
            }
        )
        stats.record.update({name: str(Pubkey.default()) for name, value in stats.record.items() if value is None})
        state.add("number_of_authorities", 1)
        return [made]

    def _initialize_user(self, frame: Frame, read: Reader) -> list[Instruction]:
        sub, name = read.u16(), read.take(32)
        at = frame.named("user!", "user_stats!", "state!", "authority@", "payer!@", "rent", "system_program")
        state = frame.open(at["state"])
        stats = frame.load("UserStats", at["user_stats"])
        self._owns(stats, at["authority"])
        user, made = self._create(frame, "User", at["user"], at["payer"], b"user", _key(at["authority"]), sub.to_bytes(2, "little"))
        created = stats["number_of_sub_accounts_created"]
        require(sub == created, "InvalidUserSubAccountId", f"Invalid sub account id {sub}, must be {created}")
        user.all(
            {
                "authority": at["authority"],
                "sub_account_id": sub,
                "name": name,
                "next_order_id": 1,
                "next_liquidation_id": 1,
                "last_active_slot": frame.slot,
            }
        )
        stats.add("number_of_sub_accounts", 1)
        stats.add("number_of_sub_accounts_created", 1)
        state.add("number_of_sub_accounts", 1)
        frame.tell(
            UserCreated(
                at=frame.now,
                authority=at["authority"],
                user=at["user"],
                sub=sub,
                name=name_text(name),
                referrer=stats["referrer"],
            )
        )
        return [made]

    def _update_user_delegate(self, frame: Frame, read: Reader) -> list[Instruction]:
        sub, delegate = read.u16(), read.take(32)
        at = frame.named("user!", "authority@")
        require(at["user"] == self.deployment.user(at["authority"], sub), "ConstraintSeeds", "user")
        frame.user(at["user"])["delegate"] = str(Pubkey(delegate))
        return []

    def _delete_user(self, frame: Frame, read: Reader) -> list[Instruction]:  # noqa: ARG002 as the others
        at = frame.named("user!", "user_stats!", "state!", "authority!@")
        state = frame.open(at["state"])
        user, stats = frame.user(at["user"]), frame.load("UserStats", at["user_stats"])
        self._owns(user, at["authority"])
        self._owns(stats, at["authority"])
        held = any(place["scaled_balance"] or place["open_orders"] for place in user["spot_positions"])
        stands = any(place["base_asset_amount"] or place["quote_asset_amount"] or place["open_orders"] for place in user["perp_positions"])
        require(not held and not stands and not user["status"] & 3 and not user["open_orders"], "UserCantBeDeleted")
        stats.add("number_of_sub_accounts", -1)
        state.add("number_of_sub_accounts", -1)
        frame.tell(UserDeleted(at=frame.now, authority=at["authority"], user=at["user"], sub=user["sub_account_id"]))
        frame.drop(at["user"])
        frame.call.close(Pubkey.from_string(at["user"]), Pubkey.from_string(at["authority"]))
        return []

    # -- coins ----------------------------------------------------------------------------------------------------------------

    def _deposit(self, frame: Frame, read: Reader) -> list[Instruction]:
        index, amount, only = read.u16(), read.u64(), read.flag()
        at = frame.named("state", "user!", "user_stats!", "authority@", "vault!", "token_account!", "token_program")
        frame.open(at["state"])
        user, stats = frame.user(at["user"]), frame.load("UserStats", at["user_stats"])
        self._same_authority(user, stats)
        stranger = at["authority"] not in (user["authority"], user["delegate"])
        require(not stranger or at["authority"] in self.depositors, "ConstraintRaw", "user")
        require(at["token_program"] == str(TOKEN), "InvalidProgramId", "token_program")
        self._paused(frame, 1)
        frame.maps(7, spots=[index])
        require(amount > 0, "InsufficientDeposit")
        require(not user["status"] & 2, "UserBankrupt")
        market = frame.spot(index)
        self._vault(market, at["vault"])
        self._token_account(frame, at["token_account"], market, at["authority"])
        require(market["status"] != initialized(self.deployment), "MarketBeingInitialized")
        require(not market["paused_operations"] & 4, "MarketActionPaused")
        price = frame.price(market).price
        self._interest(frame, market, price)
        place = spot_position(user, index, make=True)
        assert place is not None
        owed = bool(place["balance_type"])
        if owed and (only or market["status"] == reduce_only(self.deployment)):
            amount = min(amount, balance_of(market, place))
        user.add("total_deposits", amount * price // 10 ** market["decimals"])
        change(market, place, amount, out=False)
        place["cumulative_deposits"] += amount
        require(balance_of(market, place) > 0 or place["scaled_balance"] == 0, "InvalidSpotPosition", "deposit left dust")
        if not place["balance_type"] and place["scaled_balance"]:
            require(market["status"] == active(self.deployment), "MarketActionPaused", "spot_market not active")
        if user["status"] & 1 and meets(frame, user, Check.MAINTENANCE, buffer_bp=frame.state["liquidation_margin_buffer_ratio"]):
            user["status"] &= ~1
        user["last_active_slot"] = frame.slot
        user["idle"] = 0
        self._record(
            frame,
            user,
            market,
            amount,
            withdrawn=False,
            reason=DepositReason.REPAY_BORROW if owed else DepositReason.NONE,
            signer=at["authority"] if stranger else None,
        )
        self._below_cap(market)
        return [_transfer(at["token_account"], at["vault"], at["authority"], amount)]

    def _below_cap(self, market: Fields) -> None:
        most = market["max_token_deposits"]
        require(not most or deposits(market) <= most, "MaxDeposit", f"max_token_deposits={most} deposits={deposits(market)}")

    def _withdraw(self, frame: Frame, read: Reader) -> list[Instruction]:
        index, amount, only = read.u16(), read.u64(), read.flag()
        at = frame.named("state", "user!", "user_stats!", "authority@", "vault!", "signer", "token_account!", "token_program")
        frame.open(at["state"])
        user, stats = frame.user(at["user"]), frame.load("UserStats", at["user_stats"])
        self._owns(user, at["authority"])
        self._owns(stats, at["authority"])
        require(at["token_program"] == str(TOKEN), "InvalidProgramId", "token_program")
        self._paused(frame, 2)
        frame.maps(8, spots=[index])
        require(not user["status"] & 2, "UserBankrupt")
        market = frame.spot(index)
        self._vault(market, at["vault"])
        require(at["signer"] == self.deployment.signer(), "ConstraintRaw", "drift_signer")
        self._token_account(frame, at["token_account"], market, None)
        require(not market["paused_operations"] & 8, "MarketActionPaused")
        price = frame.price(market).price
        self._interest(frame, market, price)
        place = spot_position(user, index, make=True)
        assert place is not None
        if only or market["status"] == reduce_only(self.deployment):
            require(not place["balance_type"], "ReduceOnlyWithdrawIncreasedRisk")
            held = balance_of(market, place)
            most = max_withdrawable(account_of(frame, user), f"spot {index}", borrow=True) if place["scaled_balance"] else 0
            amount = min(amount, most, held)
        user.add("total_withdraws", amount * price // 10 ** market["decimals"])
        with_limits(market, user, amount)
        self._may_leave(frame, user)
        borrowed = bool(place["balance_type"]) and place["scaled_balance"] > 0
        self._record(frame, user, market, amount, withdrawn=True, reason=DepositReason.BORROW if borrowed else DepositReason.NONE)
        left = frame.call.tokens(Pubkey.from_string(at["vault"])) - amount
        self._vault_holds(market, left)
        signer = str(frame.call.sign(self.deployment.seeds.signer))
        return [_transfer(at["vault"], at["token_account"], signer, amount)]

    def _vault_holds(self, market: Fields, tokens: int) -> None:
        claim = deposits(market) - borrows(market)
        require(tokens >= claim, "SpotMarketVaultInvariantViolated", f"spot market vault ={tokens} holds less than {claim}")

    def _transfer_deposit(self, frame: Frame, read: Reader) -> list[Instruction]:
        index, amount = read.u16(), read.u64()
        at = frame.named("source!", "target!", "user_stats!", "authority@", "state", "vault")
        frame.open(at["state"])
        source, target, stats = frame.user(at["source"]), frame.user(at["target"]), frame.load("UserStats", at["user_stats"])
        for one in (source, target, stats):
            self._owns(one, at["authority"])
        self._paused(frame, 1)
        self._paused(frame, 2)
        require(not target["status"] & 2 and not source["status"] & 2, "UserBankrupt")
        require(at["source"] != at["target"], "CantTransferBetweenSameUserAccount")
        frame.maps(6, spots=[index])
        market = frame.spot(index)
        self._vault(market, at["vault"])
        price = frame.price(market).price
        self._interest(frame, market, price)
        worth = amount * price // 10 ** market["decimals"]
        source.add("total_withdraws", worth)
        with_limits(market, source, amount)
        self._may_leave(frame, source)
        self._record(frame, source, market, amount, withdrawn=True, reason=DepositReason.TRANSFER, other=at["target"])
        target.add("total_deposits", worth)
        place = spot_position(target, index, make=True)
        assert place is not None
        change(market, place, amount, out=False)
        place["cumulative_deposits"] += amount
        require(balance_of(market, place) > 0 or place["scaled_balance"] == 0, "InvalidSpotPosition", "deposit left to_user dust")
        self._record(frame, target, market, amount, withdrawn=False, reason=DepositReason.TRANSFER, other=at["source"])
        target["last_active_slot"] = frame.slot
        target["idle"] = 0
        self._vault_holds(market, frame.call.tokens(Pubkey.from_string(at["vault"])))
        return []

    def _update_spot_market_cumulative_interest(self, frame: Frame, read: Reader) -> list[Instruction]:  # noqa: ARG002 as the others
        at = frame.named("state", "market!", "oracle", "vault")
        frame.open(at["state"])
        market = frame.load("SpotMarket", at["market"])
        require(at["oracle"] == market["oracle"], "InvalidOracle", "oracle")
        frame._oracles[at["oracle"]] = 2
        self._vault(market, at["vault"])
        self._interest(frame, market, frame.price(market).price)
        return []

    def _refresh_spot_market_interest(self, frame: Frame, read: Reader) -> list[Instruction]:
        require(self.deployment.has(Feature.STALE_INTEREST), "InstructionFallbackNotFound")
        indexes = [read.u16() for _ in range(read.u32())]
        require(len(indexes) <= 16, "DefaultError", f"too many markets passed, max 16, got {len(indexes)}")
        frame.open(frame.named("state")["state"])
        require(frame.state["exchange_status"] & 0xFF != 0xFF, "ExchangePaused")
        frame.maps(1, spots=indexes)
        for index in indexes:
            self._interest(frame, frame.spot(index), None)
        return []

    # -- orders ---------------------------------------------------------------------------------------------------------------

    def _orders_of(self, frame: Frame) -> Fields:
        at = frame.named("state", "user!", "authority@")
        frame.open(at["state"])
        user = frame.user(at["user"])
        self._signs_for(user, at["authority"])
        frame.maps(3)
        return user

    def _place_perp_order(self, frame: Frame, read: Reader) -> list[Instruction]:
        params = read_params(frame, read)
        user = self._orders_of(frame)
        require(frame.state["exchange_status"] & 0xFF != 0xFF, "ExchangePaused")
        place_many(frame, user, [params])
        return []

    def _place_orders(self, frame: Frame, read: Reader) -> list[Instruction]:
        asked = [read_params(frame, read) for _ in range(read.u32())]
        require(len(asked) <= 32, "DefaultError", "max 32 order params")
        user = self._orders_of(frame)
        require(frame.state["exchange_status"] & 0xFF != 0xFF, "ExchangePaused")
        place_many(frame, user, asked)
        return []

    def _cancel_order(self, frame: Frame, read: Reader) -> list[Instruction]:
        number = read.option(read.u32)
        user = self._orders_of(frame)
        if number is None:
            number = user["next_order_id"] - 1
        order = open_order(user, number)
        if order is None:
            frame.log(f"could not find order id {number}")
            return []
        cancel(frame, user, order)
        user["last_active_slot"] = frame.slot
        return []

    def _cancel_order_by_user_id(self, frame: Frame, read: Reader) -> list[Instruction]:
        number = read.u8()
        user = self._orders_of(frame)
        order = next((one for one in user["orders"] if one["user_order_id"] == number and one["status"] == 1), None)
        if order is None:
            frame.log(f"could not find user order id {number}")
            return []
        cancel(frame, user, order)
        user["last_active_slot"] = frame.slot
        return []

    def _cancel_orders(self, frame: Frame, read: Reader) -> list[Instruction]:
        kind, index = read.option(lambda: read.enum(2)), read.option(read.u16)
        direction = read.option(lambda: read.enum(2))
        user = self._orders_of(frame)
        if kind != 0:
            cancel_many(frame, user, market=index, long=None if direction is None else not direction)
        return []

    # -- profit and loss ------------------------------------------------------------------------------------------------------

    def _settle_pnl(self, frame: Frame, read: Reader) -> list[Instruction]:
        index = read.u16()
        at = frame.named("state", "user!", "authority@", "vault")
        frame.open(at["state"])
        require(not frame.state["exchange_status"] & 64, "ExchangePaused")
        user = frame.user(at["user"])
        frame.maps(4, spots=[0], perps=[index])
        quote, market = frame.spot(0), frame.perp(index)
        self._vault(quote, at["vault"])
        require(not user["status"] & 2, "UserBankrupt")
        self._interest(frame, quote, None)
        seen = frame.price(market)
        fund(frame, user, market)
        place = next((one for one in user["perp_positions"] if one["market_index"] == index), None)
        losing = place is not None and _loses(place, seen.price)
        if losing and not meets(frame, user, Check.MAINTENANCE, strict=True):
            fail("InsufficientCollateralForSettlingPNL", f"Does not meet margin requirement while settling Market = {index}")
        require(not frame.stale(seen), "OracleStaleForMargin", f"Market = {index}")
        settle(frame, user, market, quote, seen.price, at["authority"])
        self._vault_holds(quote, frame.call.tokens(Pubkey.from_string(at["vault"])))
        return []

    # -- keepers --------------------------------------------------------------------------------------------------------------

    def _fill_perp_order(self, frame: Frame, read: Reader) -> list[Instruction]:
        return fill_order(frame, read)

    def _update_funding_rate(self, frame: Frame, read: Reader) -> list[Instruction]:
        return keeper_funding(frame, read)

    def _liquidate_perp(self, frame: Frame, read: Reader) -> list[Instruction]:
        return liquidate(frame, read)

    def _liquidate_perp_pnl_for_deposit(self, frame: Frame, read: Reader) -> list[Instruction]:
        return liquidate_pnl(frame, read, self._interest)

    def _resolve_perp_bankruptcy(self, frame: Frame, read: Reader) -> list[Instruction]:
        return resolve_bankruptcy(frame, read)

    def _stand_in_write(self, frame: Frame, read: Reader) -> list[Instruction]:
        """Bytes into an account of the program, by the stand-in's admin: what the real one's many admin and oracle instructions do."""
        at = frame.named("admin@", "account!")
        require(at["admin"] == str(self.admin), "ConstraintHasOne", "admin")
        key = Pubkey.from_string(at["account"])
        state = frame.call.account(key)
        if state is None:
            fail("AccountNotInitialized", at["account"])
        where, change_ = read.u32(), read.rest()
        frame.call.write(key, state.data[:where] + change_ + state.data[where + len(change_) :])
        return []


def _loses(place: Mapping[str, int], price: int) -> bool:
    base = place["base_asset_amount"]
    value = abs(base) * price // 10**9  # the program's floor
    return (value if base >= 0 else -value) + place["quote_asset_amount"] < 0


def _key(address: str) -> bytes:
    return bytes(Pubkey.from_string(address))


def _transfer(source: str, target: str, owner: str, amount: int) -> Instruction:
    metas = [
        AccountMeta(Pubkey.from_string(source), False, True),
        AccountMeta(Pubkey.from_string(target), False, True),
        AccountMeta(Pubkey.from_string(owner), True, False),
    ]
    return Instruction(TOKEN, b"\3" + amount.to_bytes(8, "little"), metas)
