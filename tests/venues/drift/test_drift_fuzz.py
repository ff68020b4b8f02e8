"""Ten thousand broken accounts: each is refused, or says what a second reader says of the same bytes. Never a wrong number in silence."""

from __future__ import annotations

import random
from enum import Enum, Flag

import attrs
import pytest

pytest.importorskip("solders")

import drift_bytes
import drift_reader
from sleeves.venues.drift.accounts import NOBODY, PerpMarket, SpotMarket, State, User, UserStats, WrongAccount, read
from sleeves.venues.drift.deployment import DRIFT_V2, VELOCITY, VELOCITY_CLOB
from sleeves.venues.drift.oracles import read_oracle
from sleeves.venues.drift.words import OracleSource

TRIES = 10_000
SLOT = 2_000


def plain(value):
    """A view in plain values, as the second reader tells them."""
    if isinstance(value, Flag | Enum):
        return value.value
    if isinstance(value, bool):
        return int(value)
    if attrs.has(type(value)):
        return {one.name: plain(getattr(value, one.name)) for one in attrs.fields(type(value))}
    return [plain(one) for one in value] if isinstance(value, tuple) else value


def told_user(view, data, who):
    told, measured = drift_reader.user(data, who), plain(view)
    status = told.pop("status")
    told |= {"being_liquidated": status & 1, "bankrupt": status >> 1 & 1, "reduce_only": status >> 2 & 1}
    told["margin_mode"] = drift_reader.MODES[told.get("margin_mode", 0)]
    told["delegate"] = None if told["delegate"] == NOBODY else told["delegate"]
    told.setdefault("equity_floor", 0)
    told.setdefault("equity_buffer", 0)
    return measured, told


def told_stats(view, data, who):
    told = drift_reader.flat(data, drift_reader.TABLES["UserStats", who])
    for name, other in (("referrer_reward", None), ("staked_gov", None), ("delegate_permissions", 0), ("equity_breaker", 0)):
        told.setdefault(name, other)
    told["referrer"] = None if told["referrer"] == NOBODY else told["referrer"]
    return plain(view), told


def told_market(view, data, who):
    kind = type(view).__name__
    told, measured = drift_reader.market(data, kind, who), plain(view)
    for name in ("revenue_pool", "pnl_pool", "fee_pool"):
        if name in measured:
            told[name] = {"balance": told.pop(f"{name}.balance"), "market": told.pop(f"{name}.market")}
    for name in measured:
        told.setdefault(name, 0)
    return measured, told


def told_state(view, data, who):
    told, measured = drift_reader.state(data, who), plain(view)
    for name in ("perp_fees", "spot_fees"):
        measured[name] = [list(tier.values()) for tier in measured[name]]
    measured["guard_rails"] = list(measured["guard_rails"].values())
    told.setdefault("promo_tier", 0)
    return measured, told


def agrees(view, data, who):
    compare = {User: told_user, UserStats: told_stats, SpotMarket: told_market, PerpMarket: told_market, State: told_state}[type(view)]
    measured, told = compare(view, data, who)
    for name, value in measured.items():
        if name not in ("address", "slot"):
            assert value == told[name], f"{type(view).__name__}.{name} of {who}"


def whole(deployment, kind):
    """An account as it should be: (bytes, address)."""
    if kind is User:
        record = drift_bytes.user(deployment)
        return drift_bytes.encoded(deployment, "User", record), deployment.user(record["authority"], record["sub_account_id"])
    if kind is UserStats:
        return drift_bytes.encoded(deployment, "UserStats", drift_bytes.stats(deployment)), deployment.user_stats(drift_bytes.AUTHORITY)
    if kind is State:
        return drift_bytes.encoded(deployment, "State", drift_bytes.state(deployment)), deployment.state()
    made = drift_bytes.spot_market(deployment) if kind is SpotMarket else drift_bytes.perp_market(deployment)
    return drift_bytes.encoded(deployment, kind.__name__, made), made["pubkey"]


BASES = [
    (DRIFT_V2, User, "DRIFT"),
    (VELOCITY, User, "VELOCITY"),
    (VELOCITY_CLOB, User, "CLOB"),
    *((deployment, kind, who) for deployment, who in ((DRIFT_V2, "DRIFT"), (VELOCITY, "VELOCITY")) for kind in (UserStats, SpotMarket)),
    *((deployment, kind, who) for deployment, who in ((DRIFT_V2, "DRIFT"), (VELOCITY, "VELOCITY")) for kind in (PerpMarket, State)),
]


def broken(rng, data):
    """The bytes with something wrong: (bytes, must it be refused)."""
    how = rng.random()
    if how < 0.1:
        return data[: rng.randrange(len(data))], True
    if how < 0.2:
        return bytes(
            rng.choice([byte for byte in range(256) if byte != data[0]]) if not at else one for at, one in enumerate(data[:8])
        ) + data[8:], True
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        bit = rng.randrange(64, 8 * len(data))
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed) + bytes(rng.choice((0, 0, 0, 256))), False


@pytest.mark.parametrize(("deployment", "kind", "who"), BASES, ids=[f"{who} {kind.__name__}" for _, kind, who in BASES])
def test_fuzzed_accounts_are_refused_or_read_as_they_are(deployment, kind, who):
    rng = random.Random(f"{who}{kind.__name__}")
    data, address = whole(deployment, kind)
    agrees(read(deployment, kind, address, deployment.program_id, data, SLOT), data, who)
    refused = taken = differ = 0
    for _ in range(-(-TRIES // len(BASES))):
        bytes_, must = broken(rng, data)
        try:
            view = read(deployment, kind, address, deployment.program_id, bytes_, SLOT)
        except WrongAccount:
            refused += 1
            continue
        assert not must, "bytes that are too short, or of another discriminator, were read"
        taken += 1
        agrees(view, bytes_, who)
        differ += bytes_[: len(data)] != data
    assert refused > 100
    assert taken > 100
    assert differ > 100


def test_fuzzed_oracles_are_refused_or_read_as_they_are():
    rng, good = random.Random("oracle"), drift_bytes.lazer(VELOCITY)
    refused = taken = 0
    for _ in range(2_000):
        data, must = broken(rng, good)
        try:
            oracle = read_oracle(VELOCITY, OracleSource.PYTH_LAZER, VELOCITY.program_id, data, SLOT)
        except WrongAccount:
            refused += 1
            continue
        assert not must
        taken += 1
        price, posted, conf = (drift_reader.at(data, offset, kind) for offset, kind in ((8, "i64"), (24, "u64"), (40, "u64")))
        exponent, at = drift_reader.at(data, 32, "i32"), drift_reader.at(data, 16, "u64")
        assert (oracle.price, oracle.confidence) == (price * 10**6 // 10**-exponent, conf * 10**6 // 10**-exponent)
        assert (oracle.slot, oracle.at) == (posted, at * 1_000)
    assert refused > 100
    assert taken > 100


@pytest.mark.parametrize(("deployment", "kind", "who"), BASES, ids=[f"{who} {kind.__name__}" for _, kind, who in BASES])
def test_another_owner_or_address_is_refused(deployment, kind, who):
    data, address = whole(deployment, kind)
    other = DRIFT_V2 if deployment is not DRIFT_V2 else VELOCITY
    for there, owner in ((address, other.program_id), (address, drift_bytes.OTHER), (drift_bytes.OTHER, deployment.program_id)):
        with pytest.raises(WrongAccount, match="is no " + kind.__name__):
            read(deployment, kind, there, owner, data, SLOT)
    assert who
