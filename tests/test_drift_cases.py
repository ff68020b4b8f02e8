"""Every case of the folder that SLEEVES_DRIFT_CASES names, through our own code, and how many passed of each file.

Without the variable, the folder `shared/cases/drift` beside the checkout where it exists; else the run is skipped and says so. Cases
are known by their topics, never by their ids: a folder with others runs as well. A topic that is not known here fails loudly, and so
does a figure that nothing here compares.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
from pathlib import Path

import pytest
from attrs import evolve, frozen

import drift_cases
import test_funding  # noqa: F401  the tests of one case each, which `drift_cases.RUNS` gathers
import test_liquidation  # noqa: F401
import test_margin  # noqa: F401
import test_settlement  # noqa: F401
from sleeves.margin import Check, equity, health, standing

pytest.importorskip("solders")

from solders.pubkey import Pubkey

from sleeves.venues.drift.accounts import (
    GuardRails,
    PerpMarket,
    SpotMarket,
    State,
    User,
    UserStats,
    WrongAccount,
    read,
)
from sleeves.venues.drift.codec import TAIL
from sleeves.venues.drift.deployment import (
    DEPLOYMENTS,
    DRIFT_V2,
    DRIFT_V2_LEGACY,
    VELOCITY,
    VELOCITY_CLOB,
    VELOCITY_DEVNET,
)
from sleeves.venues.drift.instructions import Instructions, Markets, OrderKind, OrderParams, PostOnly, Trigger, discriminator
from sleeves.venues.drift.interest import tokens_of
from sleeves.venues.drift.oracles import read_oracle
from sleeves.venues.drift.risk import account_of
from sleeves.venues.drift.words import OracleSource, name_text

VARIABLE = "SLEEVES_DRIFT_CASES"
SLOT = 2**40
"""A slot after any that the oracles of the fixtures were posted in."""


def folder():
    told = os.environ.get(VARIABLE)
    if told:
        return Path(told)
    beside = Path(__file__).parents[2] / "shared" / "cases" / "drift"
    return beside if beside.is_dir() else None


FOLDER = folder()
FILES = sorted(one.stem for one in FOLDER.glob("*.json") if one.stem != "layouts") if FOLDER is not None else []
if FOLDER is not None and not FILES:
    raise LookupError(f"{FOLDER} holds no case files: {VARIABLE} names the folder of margin.json and its neighbours")


# -- accounts ------------------------------------------------------------------------------------------------------------

KINDS = {
    "0adf0c2c6bf537f7": "PerpMarket",
    "64b1086ba8414127": "SpotMarket",
    "9f07a1f922517985": "PythLazerOracle",
    "9f755fe3ef973aec": "User",
    "b0df881b7a4f20e3": "UserStats",
    "d8926b5e684bb6b1": "State",
}
VIEWS = {"PerpMarket": PerpMarket, "SpotMarket": SpotMarket, "State": State, "User": User, "UserStats": UserStats}
WORDS = {
    "balance_type": ("deposit", "borrow"),
    "direction": ("long", "short"),
    "existing_position_direction": ("long", "short"),
    "margin_mode": ("default", "high_leverage", "high_leverage_maintenance"),
    "market_type": ("spot", "perp"),
    "order_type": ("market", "limit", "trigger_market", "trigger_limit", "oracle"),
    "status": ("init", "open", "filled", "canceled"),
    "trigger_condition": ("above", "below", "triggered_above", "triggered_below"),
}


def plain(name):
    """A field's name without what the two IDLs write differently (last24h, last_24h; highLeverage, high_leverage)."""
    return name.replace("_", "").lower()


def number(name, value):
    """A word of the tables as the number that it is."""
    if isinstance(value, str) and name in WORDS:
        return [plain(word) for word in WORDS[name]].index(plain(value))
    return int(value) if isinstance(value, bool) else value


def deployment_of(case):
    """By the case's program and topic, as a caller declares it: never by the bytes."""
    program, topic = case.get("program"), case["topic"]
    if "older deployment" in topic:
        found = DRIFT_V2_LEGACY
    elif "CLOB" in topic:
        found = VELOCITY_CLOB
    elif "Velocity" in topic:
        found = VELOCITY
    else:
        found = DRIFT_V2
    assert program in (None, found.program_id), f"{topic!r} is of the program {program}"
    return found


def look(record, name):
    """A field of a record, or of what lies in it, by its plain name."""
    for key, value in record.items():
        if plain(key) == plain(name):
            return value
    for part in ("market_stats", "historical_oracle_data", "amm", "insurance_fund"):
        if isinstance(record.get(part), dict):
            try:
                return look(record[part], name)
            except LookupError:
                continue
    raise LookupError(f"nothing here compares {name!r}")


def same_record(record, expected, where):
    for name, value in expected.items():
        here = f"{where}.{name}"
        if name == "index":
            continue
        if name == "legacy":
            measured = {
                "last_base_asset_amount_per_lp": record["last_base_asset_amount_per_lp"],
                "last_quote_asset_amount_per_lp": record["last_quote_asset_amount_per_lp"],
                "bytes_88_to_92": record["remainder_base_asset_amount"].to_bytes(4, "little", signed=True).hex(),
                "per_lp_base": record["per_lp_base"],
            }
            assert measured == value, here
        elif name == "price_1e6":
            continue
        elif isinstance(value, list):
            slots = look(record, name)
            for one in value:
                same_record(slots[one["index"]], one, f"{here}.{one['index']}")
        elif isinstance(value, dict):
            same_record(look(record, name), value, here)
        elif name == "name":
            assert name_text(record["name"]) == value, here
        else:
            assert look(record, name) == number(name, value), here


SPOT = {
    "market_index": "market",
    "scaled_balance": "balance",
    "balance_type": "borrowed",
    "open_bids": "open_bids",
    "open_asks": "open_asks",
    "cumulative_deposits": "cumulative_deposits",
    "open_orders": "open_orders",
}
PERP = {
    "market_index": "market",
    "base_asset_amount": "base",
    "quote_asset_amount": "quote",
    "quote_break_even_amount": "break_even",
    "quote_entry_amount": "entry",
    "last_cumulative_funding_rate": "last_funding",
    "open_bids": "open_bids",
    "open_asks": "open_asks",
    "settled_pnl": "settled_pnl",
    "isolated_position_scaled_balance": "isolated",
    "max_margin_ratio": "max_margin_ratio",
    "open_orders": "open_orders",
}
ORDER = {
    "order_id": "id",
    "user_order_id": "user_id",
    "slot": "slot",
    "market_index": "market",
    "market_type": "perp",
    "price": "price",
    "base_asset_amount": "base",
    "base_asset_amount_filled": "filled",
    "quote_asset_amount_filled": "quote_filled",
    "trigger_price": "trigger_price",
    "auction_start_price": "auction_start",
    "auction_end_price": "auction_end",
    "auction_duration": "auction_duration",
    "max_ts": "expires",
    "oracle_price_offset": "oracle_offset",
    "reduce_only": "reduce_only",
    "post_only": "post_only",
    "immediate_or_cancel": "immediate",
}
ENUMS = {"status": "status", "order_type": "kind", "trigger_condition": "trigger_condition"}
TOP = {
    "authority": "authority",
    "name": "name",
    "sub_account_id": "sub",
    "total_deposits": "total_deposits",
    "total_withdraws": "total_withdraws",
    "total_social_loss": "total_social_loss",
    "settled_perp_pnl": "settled_perp_pnl",
    "cumulative_perp_funding": "cumulative_perp_funding",
    "liquidation_margin_freed": "liquidation_margin_freed",
    "last_active_slot": "last_active_slot",
    "next_order_id": "next_order_id",
    "max_margin_ratio": "max_margin_ratio",
    "next_liquidation_id": "next_liquidation_id",
    "is_margin_trading_enabled": "margin_trading",
    "idle": "idle",
    "open_orders": "open_orders",
    "pool_id": "pool",
    "equity_floor": "equity_floor",
    "equity_floor_buffer": "equity_buffer",
}
STATS = {
    "authority": "authority",
    "maker_volume30d": "maker_volume",
    "taker_volume30d": "taker_volume",
    "filler_volume30d": "filler_volume",
    "last_maker_volume30d_ts": "maker_volume_at",
    "last_taker_volume30d_ts": "taker_volume_at",
    "last_filler_volume30d_ts": "filler_volume_at",
    "if_staked_quote_asset_amount": "staked_quote",
    "number_of_sub_accounts": "sub_accounts",
    "number_of_sub_accounts_created": "sub_accounts_created",
}
SPOT_MARKET = {
    "market_index": "index",
    "decimals": "decimals",
    "cumulative_deposit_interest": "deposit_index",
    "cumulative_borrow_interest": "borrow_index",
    "deposit_balance": "deposit_balance",
    "borrow_balance": "borrow_balance",
    "initial_asset_weight": "initial_asset_weight",
    "maintenance_asset_weight": "maintenance_asset_weight",
    "initial_liability_weight": "initial_liability_weight",
    "maintenance_liability_weight": "maintenance_liability_weight",
    "imf_factor": "imf",
    "scale_initial_asset_weight_start": "scale_initial_start",
    "optimal_utilization": "optimal_utilization",
    "optimal_borrow_rate": "optimal_rate",
    "max_borrow_rate": "max_rate",
    "pool_id": "pool",
    "name": "name",
    "pubkey": "address",
    "oracle": "oracle",
    "mint": "mint",
    "vault": "vault",
    "last_oracle_price_twap_5min": "twap_5min",
}
PERP_MARKET = {
    "market_index": "index",
    "margin_ratio_initial": "initial_ratio",
    "margin_ratio_maintenance": "maintenance_ratio",
    "imf_factor": "imf",
    "unrealized_pnl_imf_factor": "pnl_imf",
    "unrealized_pnl_initial_asset_weight": "pnl_weight_initial",
    "unrealized_pnl_maintenance_asset_weight": "pnl_weight_maintenance",
    "unrealized_pnl_max_imbalance": "unrealized_pnl_max_imbalance",
    "liquidator_fee": "liquidator_fee",
    "if_liquidation_fee": "insurance_liquidation_fee",
    "quote_spot_market_index": "quote_market",
    "high_leverage_margin_ratio_initial": "high_leverage_initial",
    "high_leverage_margin_ratio_maintenance": "high_leverage_maintenance",
    "expiry_ts": "expires",
    "expiry_price": "expiry_price",
    "name": "name",
    "pubkey": "address",
    "base_asset_amount_long": "long_base",
    "base_asset_amount_short": "short_base",
    "base_asset_amount_with_amm": "base_with_amm",
    "quote_asset_amount": "quote",
    "last_funding_rate": "last_funding_rate",
    "last_24h_avg_funding_rate": "funding_rate_24h",
    "cumulative_funding_rate_long": "cumulative_funding_long",
    "cumulative_funding_rate_short": "cumulative_funding_short",
    "last_mark_price_twap": "mark_twap",
    "last_funding_rate_ts": "last_funding_at",
    "funding_period": "funding_period",
    "order_step_size": "step",
    "order_tick_size": "tick",
    "min_order_size": "min_size",
    "net_unsettled_funding_pnl": "net_unsettled_funding",
    "total_fee_minus_distributions": "total_fee_minus_distributions",
    "oracle": "oracle",
    "last_oracle_price": "last_oracle_price",
    "last_oracle_price_twap": "oracle_twap",
    "last_oracle_price_twap_5min": "oracle_twap_5min",
}


def same_view(view, expected, names, where):
    for name, value in expected.items():
        if name in names:
            assert getattr(view, names[name]) == number(name, value), f"{where}.{names[name]}"


def same_user(view, expected, record):
    same_view(view, expected, TOP, "user")
    if "status" in expected:
        told = view.being_liquidated * 1 + view.bankrupt * 2 + view.reduce_only * 4
        assert told == expected["status"] & 7
    if "margin_mode" in expected:
        assert plain(view.margin_mode.value).replace(" ", "") == plain(expected["margin_mode"])
    if "delegate" in expected:
        assert (view.delegate or "1" * 32) == expected["delegate"]
    for table, names, held in (("spot_positions", SPOT, view.spots), ("perp_positions", PERP, view.perps), ("orders", ORDER, view.orders)):
        if table not in expected:
            continue
        assert len(held) == len(expected[table]), f"{table}: {len(held)} of {len(expected[table])}"
        for mine, theirs in zip(held, expected[table], strict=True):
            # An isolated balance is one only where the flag says so; else the program has left bytes there that mean nothing.
            flagless = table == "perp_positions" and not record[table][theirs["index"]].get("position_flag", 0) & 1
            skipped = {"isolated_position_scaled_balance"} if flagless else set()
            same_view(mine, {name: value for name, value in theirs.items() if name not in skipped}, names, f"{table}.{theirs['index']}")
            if flagless:
                assert (mine.isolated, mine.is_isolated) == (0, False)
            if table == "perp_positions" and "position_flag" in theirs:
                assert mine.is_isolated * 1 + mine.being_liquidated * 2 + mine.bankrupt * 4 == theirs["position_flag"]
            if table == "orders":
                if "direction" in theirs:
                    assert mine.long is (theirs["direction"] == "long")
                for name, attribute in ENUMS.items():
                    if name in theirs:
                        assert plain(getattr(mine, attribute).value).replace(" ", "") == plain(theirs[name])


def address_of(deployment, kind, record):
    if kind == "User":
        return deployment.user(record["authority"], record["sub_account_id"])
    if kind == "UserStats":
        return deployment.user_stats(record["authority"])
    return deployment.state() if kind == "State" else record["pubkey"]


def run_account(case):
    """Bytes to a record and back to the same bytes; each expected field in the record, and in the typed view."""
    data, deployment, expected = base64.b64decode(case["data_base64"]), deployment_of(case), case["expected"]
    assert len(data) == case["size"]
    assert data[:8].hex() == case["discriminator"]
    assert "sha256" not in case or hashlib.sha256(data).hexdigest() == case["sha256"]
    kind = case.get("account") or KINDS[case["discriminator"]]
    codec = deployment.codec(kind)
    record = codec.decode(data)
    assert TAIL not in record
    assert codec.encode(record) == data
    same_record(record, expected, kind)
    if kind == "PythLazerOracle":
        oracle = read_oracle(deployment, OracleSource.PYTH_LAZER, deployment.program_id, data, SLOT)
        told = (oracle.price, oracle.slot, oracle.at)
        assert told == (expected["price_1e6"], expected["posted_slot"], expected["publish_time"] * 1000)
        return
    view = read(deployment, VIEWS[kind], address_of(deployment, kind, record), deployment.program_id, data, SLOT)
    if kind == "User":
        same_user(view, expected, record)
    elif kind == "UserStats":
        same_view(view, expected, STATS, kind)
        assert (view.fee_paid, view.fee_rebate) == (expected["fees"]["total_fee_paid"], expected["fees"]["total_fee_rebate"])
    elif kind in ("SpotMarket", "PerpMarket"):
        flat = {**expected, **expected.get("amm", {})}
        same_view(view, flat, SPOT_MARKET if kind == "SpotMarket" else PERP_MARKET, kind)
        for name, numbers in (("oracle_source", deployment.oracle_sources), ("status", deployment.market_statuses)):
            if name in flat:
                assert getattr(view, name) is numbers[flat[name]]
        if "contract_tier" in flat:
            assert [one.value for one in type(view.tier)].index(view.tier.value) == flat["contract_tier"]
    for strange in DEPLOYMENTS.values():
        if strange.program_id != deployment.program_id:
            with pytest.raises(WrongAccount):
                read(strange, VIEWS[kind], view.address, deployment.program_id, data, SLOT)


# -- whole accounts from their bytes -------------------------------------------------------------------------------------


@frozen
class Seen:
    """The accounts of a snapshot, as `risk` wants them."""

    deployment: object
    slot: int
    state: State
    spots: dict
    perps: dict
    oracles: dict

    def oracle(self, market):
        data = self.oracles[market.oracle]
        pulled = len(data) > 100
        # The fixtures were cut from different days: one feed that the market reads as Lazer's by now lies there as it was pulled.
        source = OracleSource.PYTH_PULL if pulled else market.oracle_source
        owner = self.deployment.receiver if pulled else self.deployment.program_id
        return read_oracle(self.deployment, source, owner, data, self.slot)


def seen_of(raw):
    spots, perps = {}, {}
    for text in raw["markets"].values():
        data = base64.b64decode(text)
        kind = KINDS[data[:8].hex()]
        address = str(Pubkey(data[8:40]))
        view = read(DRIFT_V2, VIEWS[kind], address, DRIFT_V2.program_id, data, SLOT)
        (spots if kind == "SpotMarket" else perps)[view.index] = view
    oracles = {one["pubkey"]: base64.b64decode(one["data_base64"]) for one in raw["oracles"].values()}
    blank = DRIFT_V2.codec("State").blank() | {"signer": DRIFT_V2.signer()}
    state = read(DRIFT_V2, State, DRIFT_V2.state(), DRIFT_V2.program_id, DRIFT_V2.codec("State").encode(blank), SLOT)
    state = evolve(state, guard_rails=GuardRails(100_000, 500_000, 10, 120, 20_000, 5))
    return Seen(DRIFT_V2, SLOT, state, spots, perps, oracles)


def changed(user, change):
    """A change of a case, "perp_positions[0]: open_orders +1, open_bids +1,600,000", made to the user."""
    if not change:
        return user
    told = re.fullmatch(r"(perp|spot)_positions\[(\d+)\]: (.+)", change)
    assert told, f"a change that is not known: {change!r}"
    table, at = f"{told[1]}s", int(told[2])
    held = list(getattr(user, table))
    steps = re.findall(r"(\w+) ([+-][\d,]+)", told[3])
    assert steps, f"a change that is not known: {change!r}"
    names = PERP if told[1] == "perp" else SPOT
    held[at] = evolve(held[at], **{names[name]: getattr(held[at], names[name]) + int(by.replace(",", "")) for name, by in steps})
    return evolve(user, **{table: tuple(held)})


def run_snapshot(case, raw):
    """The case's own figures by `margin`, and the same from the bytes of its accounts through `accounts`, `oracles` and `risk`."""
    run_by_topic("snapshots", case)
    data = base64.b64decode(raw["user_base64"])
    record = DRIFT_V2.codec("User").decode(data)
    user = read(DRIFT_V2, User, address_of(DRIFT_V2, "User", record), DRIFT_V2.program_id, data, SLOT)
    check = Check(case["inputs"]["margin_type"])
    account = account_of(seen_of(raw), changed(user, case["inputs"].get("change")), check)
    now = standing(account, check, strict=case["inputs"]["strict"])
    measured = {"total_collateral": now.collateral, "margin_requirement": now.requirement}
    measured |= {"health": health(account), "net_usd": equity(account)}
    assert case["expected"].items() <= measured.items()


# -- addresses, instructions, balances -----------------------------------------------------------------------------------


def seed(text):
    if text.startswith("u16le:"):
        return int(text[6:]).to_bytes(2, "little")
    if text.startswith("hex:"):
        return bytes.fromhex(text[4:])
    try:
        return bytes(Pubkey.from_string(text))
    except ValueError:
        return text.encode()


NAMED = {
    "perp_market": lambda d, index: d.perp_market(int.from_bytes(index, "little")),
    "spot_market": lambda d, index: d.spot_market(int.from_bytes(index, "little")),
    "spot_market_vault": lambda d, index: d.spot_vault(int.from_bytes(index, "little")),
    "insurance_fund_vault": lambda d, index: d.insurance_vault(int.from_bytes(index, "little")),
    "user": lambda d, authority, sub: d.user(str(Pubkey(authority)), int.from_bytes(sub, "little")),
    "user_stats": lambda d, authority: d.user_stats(str(Pubkey(authority))),
}


def run_address(case):
    program, seeds = case["inputs"]["program"], [seed(one) for one in case["inputs"]["seeds"]]
    (deployment,) = (one for one in (DRIFT_V2, VELOCITY) if one.program_id == program)
    assert deployment.address(*seeds) == case["expected"]["address"]
    first = seeds[0].decode()
    if seeds[0] == deployment.seeds.state:
        assert deployment.state() == case["expected"]["address"]
    elif seeds[0] == deployment.seeds.signer:
        assert deployment.signer() == case["expected"]["address"]
    else:
        assert NAMED[first](deployment, *seeds[1:]) == case["expected"]["address"]


@frozen
class Coin:
    index: int
    oracle: str
    mint: str
    token_2022: bool = False
    transfer_hook: bool = False


OWNER = "7WfzddGFZEXwJMA1EhuCasKGZwP4xbvkN4hcXaNY6fxp"


@frozen
class Stood:
    spots: tuple = ()
    perps: tuple = ()


def run_instruction(case):
    given, ask, name = case["inputs"], Instructions(VELOCITY), case["id"].removeprefix("ix.")
    markets = Markets({index: Coin(index, OWNER, VELOCITY.quote.mint) for index in {0, given["market_index"]}}, {})
    if name == "deposit":
        made = ask.deposit(
            OWNER,
            0,
            given["market_index"],
            given["amount"],
            OWNER,
            markets=markets,
            user=Stood(),
            reduce_only=given["reduce_only"],
        )
        data = bytes(made.data)
    elif name == "withdraw":
        assert given["reduce_only"] is True, "we never ask for a withdrawal that may borrow"
        data = bytes(ask.withdraw(OWNER, 0, given["market_index"], given["amount"], OWNER, markets=markets, user=Stood()).data)
    elif name == "transfer_deposit":
        made = ask.transfer_deposit(
            OWNER, 0, 1, given["market_index"], given["amount"], markets=markets, source_user=Stood(), target_user=Stood()
        )
        data = bytes(made.data)
    elif "order_type" in given:
        params = OrderParams(
            market=given["market_index"],
            long=given["direction"] == "long",
            base=given["base_asset_amount"],
            kind=_member(OrderKind, given["order_type"]),
            price=given["price"],
            perp=given["market_type"] == "perp",
            user_id=given["user_order_id"],
            reduce_only=given["reduce_only"],
            post_only={"none": PostOnly.NONE, "mustpostonly": PostOnly.MUST, "trypostonly": PostOnly.TRY, "slide": PostOnly.SLIDE}[
                plain(given["post_only"])
            ],
            immediate=bool(given["bit_flags"] & 1),
            flags=given["bit_flags"] & ~1,
            expires=given["max_ts"],
            trigger_price=given["trigger_price"],
            trigger=_member(Trigger, given["trigger_condition"]),
            oracle_offset=given["oracle_price_offset"],
            auction_duration=given["auction_duration"],
            auction_start=given["auction_start_price"],
            auction_end=given["auction_end_price"],
            builder=given["builder_idx"],
            builder_fee=given["builder_fee"],
        )
        data = discriminator(name) + ask.order_bytes(params)
        if "success_condition" in given:
            asked = given["success_condition"]
            data += b"\0" if asked is None else b"\1" + asked.to_bytes(4, "little")
    else:
        raise LookupError(f"an instruction that is not known: {name!r} of {sorted(given)}")
    assert data.hex() == case["expected"]["data_hex"]


def _member(words, text):
    (found,) = (one for one in words if plain(one.name) == plain(text))
    return found


def run_balance(case):
    given = case["inputs"]
    borrowed = given.get("balance_type") == "borrow" or "cumulative_borrow_interest" in given
    deposit = given.get("cumulative_deposit_interest", drift_cases.INTEREST)
    borrow = given.get("cumulative_borrow_interest", drift_cases.INTEREST)
    market = evolve(_spot_market(), decimals=given["decimals"], deposit_index=deposit, borrow_index=borrow)
    assert abs(tokens_of(given["scaled_balance"], market, borrowed=borrowed)) == abs(case["expected"]["amount"])


def _spot_market():
    codec = VELOCITY.codec("SpotMarket")
    blank = codec.blank()
    told = {"pubkey": VELOCITY.spot_market(0), "vault": VELOCITY.spot_vault(0), "oracle_source": 15, "status": 1}
    told |= {"cumulative_deposit_interest": drift_cases.INTEREST, "cumulative_borrow_interest": drift_cases.INTEREST}
    return read(VELOCITY, SpotMarket, VELOCITY.spot_market(0), VELOCITY.program_id, codec.encode(blank | told), SLOT)


def run_sizes(case):
    expected = case["expected"]
    for kind, size in expected["struct_sizes_in_repository"].items():
        assert VELOCITY.layout(kind).size == size
        assert len(VELOCITY.codec(kind).encode(VELOCITY.codec(kind).blank())) == size
    for kind, observed in expected.items():
        if kind in VIEWS:
            longer = VELOCITY.codec(kind).encode(VELOCITY.codec(kind).blank()).ljust(observed, b"\7")
            assert len(longer) == observed
            assert VELOCITY.codec(kind).encode(VELOCITY.codec(kind).decode(longer)) == longer


def run_quote(case):
    for place, deployment in (("mainnet", VELOCITY), ("devnet", VELOCITY_DEVNET)):
        told = case["expected"][place]
        quote = deployment.quote
        assert (quote.asset.code, quote.mint, quote.asset.scale, quote.market) == (
            told["symbol"],
            told["mint"],
            told["decimals"],
            told["spot_market"],
        )
        if "oracle_source" in told:
            sources = {plain(one.value).replace(" ", "") for one in deployment.oracle_sources.values()}
            assert plain(told["oracle_source"]) in sources


# -- all of them ---------------------------------------------------------------------------------------------------------

HERE = (
    (("User account", "UserStats", "Velocity User", "SpotMarket", "PerpMarket", "State,", "PythLazerOracle"), run_account),
    (("market PDA", "vault PDA", "PDA", "Velocity PDA"), run_address),
    (("Velocity instruction data",), run_instruction),
    (("scaled balance to tokens",), run_balance),
    (("on-chain account lengths",), run_sizes),
    (("quote asset",), run_quote),
)


def run_by_topic(name, case):
    for starts, test in (*drift_cases.RUNS.get(name, ()), *HERE):
        if case["topic"].startswith(starts):
            test(case)
            return
    if "data_base64" in case:
        run_account(case)
    elif {"program", "seeds"} <= case.get("inputs", {}).keys():
        run_address(case)
    else:
        raise LookupError(f"{name}.json has a topic that nothing here runs: {case['topic']!r}")


@pytest.mark.skipif(FOLDER is None, reason=f"{VARIABLE} is not set, and there is no shared/cases/drift beside the checkout")
@pytest.mark.parametrize("name", FILES or ["none"])
def test_every_case_of_the_folder(name, capsys):
    told = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    failed = {}
    for case in told["cases"]:
        try:
            if name == "snapshots":
                run_snapshot(case, told["raw"])
            else:
                run_by_topic(name, case)
        except (AssertionError, LookupError, ValueError, TypeError, WrongAccount) as wrong:
            failed[case["id"]] = f"{type(wrong).__name__}: {wrong}"
    count = len(told["cases"])
    with capsys.disabled():
        sys.stdout.write(f"\n{name}.json: {count} run, {count - len(failed)} passed\n")
    assert count, f"{name}.json holds no case"
    assert not failed, "\n".join(f"{one}: {why}" for one, why in failed.items())


@pytest.mark.skipif(FOLDER is None or not (FOLDER / "layouts.json").exists(), reason="there is no layouts.json to compare with")
def test_every_offset_of_the_layout_tables():
    told, compared = json.loads((FOLDER / "layouts.json").read_text("utf-8")), 0
    ours = {}
    for layout in DRIFT_V2.layouts.values():
        gather(layout, ours)
    for name, table in told["types"].items():
        mine = {plain(one.name): [one.offset, one.size] for one in ours[name].fields}
        assert mine == {plain(key): value for key, value in table["fields"].items()}, name
        assert ours[name].size == table["size"]
        assert ours[name].discriminator == (bytes.fromhex(table["discriminator"]) if "discriminator" in table else None)
        compared += len(mine)
    for branch, deployment in (("idl_2_165", VELOCITY), ("clob_branch", VELOCITY_CLOB)):
        for name, table in told["velocity"][branch].items():
            layout = deployment.layout("User") if name == "User" else deployment.layout("User").by_name["perp_positions"].of
            for key, value in table.items():
                if key == "size":
                    assert layout.size == value
                elif key != "discriminator":
                    assert layout.offset(key) == (value[0] if isinstance(value, list) else value), key
                    compared += 1
    for name, size in told["velocity"]["other_sizes"].items():
        assert VELOCITY.layout(name).size == size
    assert compared > 300


def gather(layout, into):
    into[layout.name] = layout
    for one in layout.fields:
        if one.of is not None:
            gather(one.of, into)
